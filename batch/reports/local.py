"""Where the reports lie, and how a night becomes visible: fsync, rename, `latest` in one step.

    REPORTS/runs/<run_id>/…          published nights, each with `_SUCCESS`
    REPORTS/latest -> runs/<run_id>
    REPORTS/.in-progress/<run_id>/segments/NNNNNN/   committed segments, never computed again
                                  segments/.NNNNNN/  a segment at work
                                  night/             the tables of the night, being gathered
                                  model.keras        for workers on other machines

A reader of `latest` sees one complete night at every instant. A crash anywhere leaves the previous
night in place and the committed segments for the next run. Everything that the job asks of a
reports folder is here, so that another kind of storage has one place to stand in.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch.core.errors import UsageError
from batch.core.location import Place
from batch.core.privacy import Identifiers
from batch.storage.files import _sha256, digests, make_private, sync, sync_tree, write_json
from batch.storage.shared_folder import LocalSharedFolder, SharedFolder

SUCCESS_FILE = "_SUCCESS"


RUN_FILE = "run.json"


SEGMENT_FILE = "segment.json"


LATEST = "latest"


SNAPSHOTS = ("files", "current", "unscored")
"""Tables that tell of the whole archive: what the next night remembers."""


_RUNS = "runs"


_WORK = ".in-progress"


@dataclass(frozen=True)
class Staging:
    """The place of a run's work until it is published. folder: below REPORTS, ours alone."""

    folder: Path

    @property
    def night(self) -> Path:
        """Where the night's tables are gathered."""
        return self.folder / "night"

    def segment_at_work(self, number: int) -> Path:
        """A fresh folder for a segment's parts; what an earlier try left is removed."""
        folder = self.folder / "segments" / f".{number:06d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def commit(self, number: int, facts: dict[str, Any]) -> None:
        """Make a segment durable: from here on it is never computed again.

        Args:
            facts: what a later run must know to take the segment up.
        """
        work = self.folder / "segments" / f".{number:06d}"
        write_json(work / SEGMENT_FILE, {**facts, "parts": digests(work)})
        sync_tree(work)
        os.rename(work, self.folder / "segments" / f"{number:06d}")
        sync(work.parent)

    def shared(self, number: int | None = None) -> SharedFolder:
        """What workers share with the driver: of a segment at work, or of the whole run."""
        folder = self.folder if number is None else self.folder / "segments" / f".{number:06d}"
        return LocalSharedFolder(folder.resolve())

    def segments(self) -> list[Path]:
        """The committed segments, in order."""
        return committed_segments(self.folder)


@dataclass(frozen=True)
class LocalReports:
    """A reports folder on a file system with rename and fsync. Call what writes under its lock."""

    root: Path

    @property
    def place(self) -> Place:
        """Where they are, for a person."""
        return self.root

    def latest(self) -> str | None:
        """The run id of the night that readers see; None before the first."""
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
        """The folder of a night, with its snapshots where it has any."""
        return self.night(run_id)

    def check_layout(self) -> None:
        """Refuse a folder in which publication would fail after all the work.

        Raises:
            UsageError: something of another kind has one of our names.
        """
        latest = self.root / LATEST
        if os.path.lexists(latest) and not latest.is_symlink():
            raise UsageError(f"--output: {latest} is no link; move it away.")
        for folder in (self.root / _RUNS, self.root / _WORK):
            if os.path.lexists(folder) and not folder.is_dir():
                raise UsageError(f"--output: {folder} is no folder; move it away.")

    def recover(self) -> None:
        """Finish or undo what a killed run left half-published."""
        for leftover in self.root.glob(f".{LATEST}.*"):
            leftover.unlink()
        for work in self.unpublished():
            if self._is_complete(work.name):  # published, only the pointer may be missing
                self._point_latest_to(work.name)
                self.discard_work()  # it took up, or passed over, whatever lay here before
                return
            if self.night(work.name).exists():  # not yet a night, and its segments are still here
                shutil.rmtree(self.night(work.name))

    def start(self, run_id: str) -> Staging:
        """A fresh place for a run's work, on the same file system."""
        staging = Staging(self.root / _WORK / run_id)
        (staging.folder / "segments").mkdir(parents=True)
        return staging

    def unpublished(self) -> list[Path]:
        """The work of runs that did not publish, newest first."""
        return sorted((self.root / _WORK).glob("*"), reverse=True)

    def publish(self, staging: Staging, run_json: dict[str, Any]) -> Path:
        """Make a gathered night the latest one; its folder."""
        self._seal(staging, run_json)
        night = self.night(staging.folder.name)
        night.parent.mkdir(exist_ok=True)
        os.rename(staging.night, night)
        sync(night.parent)
        (night / SUCCESS_FILE).touch(exist_ok=False)
        sync(night / SUCCESS_FILE)
        sync(night)
        self._point_latest_to(night.name)
        return night

    def send(self, *names: str) -> None:
        """Files and folders that were made in `root` go where the reports have their home."""

    def snapshot_bytes(self, run_id: str, tables: Sequence[str]) -> int:
        """Size of a night's snapshots that are not in its folder."""
        return 0

    def drop_snapshots(self, run_id: str, tables: Sequence[str]) -> None:
        """Remove a night's snapshots where they are not in its folder."""

    def discard_unfinished(self, staging: Staging) -> None:
        """Free what a failed run cannot use again; its committed segments stay for the next."""
        shutil.rmtree(staging.night, ignore_errors=True)
        for folder in (staging.folder / "segments").glob(".*"):
            shutil.rmtree(folder, ignore_errors=True)
        if self.night(staging.folder.name).exists():
            return  # half-published: `recover` finishes or undoes it, and knows it by this folder
        if not staging.segments():
            shutil.rmtree(staging.folder, ignore_errors=True)
            self._remove_empty_work()

    def discard_work(self) -> None:
        """Remove everything that is not published."""
        shutil.rmtree(self.root / _WORK, ignore_errors=True)

    def _seal(self, staging: Staging, run_json: dict[str, Any]) -> None:
        """Write the ledger beside the tables, and all of it to the disk."""
        told = {**run_json, "parts": digests(staging.night)}
        write_json(staging.night / RUN_FILE, told, indent=2)
        if run_json.get("options", {}).get("identifiers") == Identifiers.FULL:
            make_private(staging.night)
        sync_tree(staging.night)

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
    """Whether the Parquet files of these tables are the ones that were written, and no others.

    Args:
        expected: as `digests` gave it, read back from a file that may be damaged itself.
    """
    if not isinstance(expected, dict):
        return False
    wanted = {str(n): d for n, d in expected.items() if _table(str(n)) in tables}
    try:
        there = {str(p.relative_to(folder)) for p in folder.rglob("*.parquet")}
        if {name for name in there if _table(name) in tables} != wanted.keys():
            return False
        return all(_sha256(folder / name) == digest for name, digest in wanted.items())
    except OSError:
        return False


def _table(name: str) -> str:
    return name.split("/")[0].removesuffix(".parquet")
