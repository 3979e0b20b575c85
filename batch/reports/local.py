"""Reports in a folder, and how a night is published: fsync, rename, then `latest` in one step.

    REPORTS/runs/<run_id>/…          published nights, each with `_SUCCESS`
    REPORTS/latest -> runs/<run_id>
    REPORTS/pictures/<name>.jpg      what pages show, see `picture_folder`; each night links there
    REPORTS/.in-progress/<run_id>/segments/NNNNNN/   committed segments, never computed again
                                  segments/.NNNNNN/  a segment at work
                                  night/             the tables of the night, being gathered
                                  model.keras        for workers on other machines

A reader of `latest` sees one complete night at any time. After a crash the previous night is in
place, and the next run finds the committed segments. `batch/reports/objects.py` does the same in
object storage.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from batch.core.errors import UsageError
from batch.core.location import Place
from batch.core.privacy import Identifiers
from batch.reports import picture_folder
from batch.reports.picture_folder import PICTURES
from batch.storage.files import _sha256, digests, make_private, sync, sync_tree, write_json
from batch.storage.shared_folder import LocalSharedFolder, SharedFolder

SUCCESS_FILE = "_SUCCESS"


RUN_FILE = "run.json"


SEGMENT_FILE = "segment.json"


LATEST = "latest"


SNAPSHOTS = ("files", "current", "unscored")
"""Tables of the whole archive, which the next night reads as its memory."""


_RUNS = "runs"


_WORK = ".in-progress"


@dataclass(frozen=True)
class Staging:
    """Holds a run's work until it is published. folder: below REPORTS, of this run only."""

    folder: Path

    @property
    def night(self) -> Path:
        """The folder in which the night's tables are gathered."""
        return self.folder / "night"

    def segment_at_work(self, number: int) -> Path:
        """Make an empty folder for the parts of a segment."""
        folder = self.folder / "segments" / f".{number:06d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def commit(self, number: int, facts: dict[str, Any]) -> None:
        """Make a segment durable, so that it is never computed again.

        Args:
            facts: what a later run compares before it takes the segment up.
        """
        work = self.folder / "segments" / f".{number:06d}"
        write_json(work / SEGMENT_FILE, {**facts, "parts": digests(work)})
        sync_tree(work)
        os.rename(work, self.folder / "segments" / f"{number:06d}")
        sync(work.parent)

    def shared(self, number: int | None = None) -> SharedFolder:
        """The folder shared with workers, of a segment at work or, with None, of the whole run."""
        folder = self.folder if number is None else self.folder / "segments" / f".{number:06d}"
        return LocalSharedFolder(folder.resolve())

    def segments(self) -> list[Path]:
        """The committed segments, in order."""
        return committed_segments(self.folder)


@dataclass(frozen=True)
class LocalReports:
    """A reports folder on a file system with rename and fsync. Methods that write need its lock."""

    root: Path

    @property
    def place(self) -> Place:
        """Where the reports are, for a person."""
        return self.root

    def latest(self) -> str | None:
        """The run id of the night that readers see; None before the first night."""
        try:
            run_id = os.path.basename(os.readlink(self.root / LATEST))
        except OSError:
            return None
        return run_id if self._is_complete(run_id) else None

    def nights(self) -> list[str]:
        """Run ids of all complete nights, newest first by name."""
        try:
            names = os.listdir(self.root / _RUNS)
        except OSError:
            return []
        return sorted((name for name in names if self._is_complete(name)), reverse=True)

    def night(self, run_id: str) -> Path:
        """The folder of a night."""
        return self.root / _RUNS / run_id

    def whole_night(self, run_id: str) -> Path:
        """The folder of a night, after its snapshots have been fetched if needed."""
        return self.night(run_id)

    def check_layout(self) -> None:
        """Refuse a folder in which publishing would fail.

        Raises:
            UsageError: `latest` is no link, or `runs` or `.in-progress` is no folder.
        """
        latest = self.root / LATEST
        if os.path.lexists(latest) and not latest.is_symlink():
            raise UsageError(
                f"--output: {latest} is no link; needed: a link, or nothing. Move it away."
            )
        for folder in (self.root / _RUNS, self.root / _WORK):
            if os.path.lexists(folder) and not folder.is_dir():
                raise UsageError(
                    f"--output: {folder} is no folder; needed: a folder, or nothing. Move it away."
                )

    def recover(self) -> None:
        """Finish or undo the publication of a run that was killed."""
        for leftover in self.root.glob(f".{LATEST}.*"):
            leftover.unlink()
        for work in self.unpublished():
            if self._is_complete(work.name):  # published; only `latest` may be missing
                self._point_latest_to(work.name)
                self.discard_work()  # the night has taken up all older segments that it could use
                return
            if self.night(work.name).exists():  # not complete; its segments are still here
                shutil.rmtree(self.night(work.name))

    def start(self, run_id: str) -> Staging:
        """Make the folders for a run's work, on the same file system."""
        staging = Staging(self.root / _WORK / run_id)
        (staging.folder / "segments").mkdir(parents=True)
        return staging

    def unpublished(self) -> list[Path]:
        """The work of runs that did not publish, newest first."""
        return sorted((self.root / _WORK).glob("*"), reverse=True)

    def publish(self, staging: Staging, run_json: dict[str, Any]) -> Path:
        """Publish a gathered night as the latest, and return its folder."""
        self._seal(staging, run_json)
        night = self.night(staging.folder.name)
        night.parent.mkdir(exist_ok=True)
        os.rename(staging.night, night)
        self._link_pictures(night)
        sync(night.parent)
        (night / SUCCESS_FILE).touch(exist_ok=False)
        sync(night / SUCCESS_FILE)
        sync(night)
        self._point_latest_to(night.name)
        return night

    def fetch(self, folder: str) -> None:
        """Bring a folder in `root` up to date with the store; a local folder has none."""

    def send(self, *names: str) -> None:
        """Send files and folders made in `root` to the store; a local folder has none."""

    def snapshot_bytes(self, run_id: str, tables: Sequence[str]) -> int:
        """Bytes of a night's snapshots that are in the store only; 0 for a local folder."""
        return 0

    def drop_snapshots(self, run_id: str, tables: Sequence[str]) -> None:
        """Remove a night's snapshots from the store; a local folder has none."""

    def picture_names(self) -> set[str]:
        """Names of the pictures there are.

        Raises:
            OSError: they cannot be listed.
        """
        return picture_folder.picture_names(self.root)

    def keep_picture(self, name: str, data: bytes) -> None:
        """Put a picture in its place, whole or not at all.

        Args:
            name: 32 hex digits and `.jpg`.

        Raises:
            OSError: it cannot be written.
        """
        picture_folder.keep_picture(self.root, name, data)

    def drop_pictures(self, names: Iterable[str]) -> int:
        """Remove pictures; how many of them were there.

        Raises:
            OSError: they cannot be removed.
        """
        return picture_folder.drop_pictures(self.root, names)

    def pictures_before(self, instant: datetime) -> dict[str, int]:
        """Pictures that were made before an instant: name to size in bytes.

        Raises:
            OSError: they cannot be listed.
        """
        return picture_folder.pictures_before(self.root, instant.timestamp())

    def drop_unfinished_pictures(self, instant: datetime) -> None:
        """Remove what killed runs left half-written before an instant.

        Raises:
            OSError: it cannot be removed.
        """
        picture_folder.drop_unfinished(self.root, instant.timestamp())

    @property
    def night_to_pictures(self) -> str:
        """The way from a night's page to the pictures.

        A page is opened as `runs/<run_id>/…` and as `latest/…`, and a browser does not know that
        one is a link to the other: `../..` would be two places. So each night has a link.
        """
        return f"{PICTURES}/"

    def list_made_anew(self, name: str) -> bytes | None:
        """A file of `REPORTS/worklist` that is not in `root`; None where there is none.

        Raises:
            OSError: it cannot be read.
        """
        return None

    def discard_unfinished(self, staging: Staging) -> None:
        """Remove what a failed run left, except committed segments, which the next run uses."""
        shutil.rmtree(staging.night, ignore_errors=True)
        for folder in (staging.folder / "segments").glob(".*"):
            shutil.rmtree(folder, ignore_errors=True)
        if self.night(staging.folder.name).exists():
            return  # half-published: `recover` needs this folder to finish or undo it
        if not staging.segments():
            shutil.rmtree(staging.folder, ignore_errors=True)
            self._remove_empty_work()

    def discard_work(self) -> None:
        """Remove everything that is not published."""
        shutil.rmtree(self.root / _WORK, ignore_errors=True)

    def _seal(self, staging: Staging, run_json: dict[str, Any]) -> None:
        """Write run.json beside the tables, and force all of it to the disk."""
        content = {**run_json, "parts": digests(staging.night)}
        write_json(staging.night / RUN_FILE, content, indent=2)
        if run_json.get("options", {}).get("identifiers") == Identifiers.FULL:
            make_private(staging.night)
        sync_tree(staging.night)

    def _link_pictures(self, night: Path) -> None:
        """See `night_to_pictures`. A night without its pictures is a night all the same."""
        if os.path.isdir(self.root / PICTURES):
            with suppress(OSError):
                (night / PICTURES).symlink_to(Path("..") / ".." / PICTURES)

    def _remove_empty_work(self) -> None:
        try:
            (self.root / _WORK).rmdir()
        except OSError:  # another run's segments are in it, or it is gone
            return

    def _is_complete(self, run_id: str) -> bool:
        return (self.night(run_id) / SUCCESS_FILE).exists()

    def _point_latest_to(self, run_id: str) -> None:
        pointer = self.root / f".{LATEST}.{run_id}"
        pointer.unlink(missing_ok=True)
        os.symlink(Path(_RUNS) / run_id, pointer)
        os.replace(pointer, self.root / LATEST)
        sync(self.root)


def committed_segments(work: Path) -> list[Path]:
    """The committed segments of a run's work, in order."""
    return sorted((work / "segments").glob("[0-9]*"))


def is_intact(folder: Path, expected: object, tables: tuple[str, ...]) -> bool:
    """Whether a folder has exactly the Parquet files of these tables that were written.

    Args:
        expected: the result of `digests`, read back from a file that may be damaged.
        tables: files of other tables are not checked.
    """
    if not isinstance(expected, dict):
        return False
    expected_digests = {str(n): d for n, d in expected.items() if _table(str(n)) in tables}
    try:
        existing = {str(p.relative_to(folder)) for p in folder.rglob("*.parquet")}
        if {name for name in existing if _table(name) in tables} != expected_digests.keys():
            return False
        return all(_sha256(folder / name) == digest for name, digest in expected_digests.items())
    except OSError:
        return False


def _table(name: str) -> str:
    return name.split("/")[0].removesuffix(".parquet")
