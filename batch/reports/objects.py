"""Reports in object storage, under the same names as in a folder, and their copy on the driver.

    s3://BUCKET/PREFIX/runs/<run_id>/…   a night; complete once `_SUCCESS` is there, written last
    s3://BUCKET/PREFIX/latest            the pointer: an object that says `runs/<run_id>`
    s3://BUCKET/PREFIX/pictures/<name>.jpg   what pages show
    s3://BUCKET/PREFIX/.in-progress/<run_id>/segments/NNNNNN/…
                                         a segment; committed once `segment.json` is there

Object storage has no rename, but readers see an object whole or not at all. So a small object,
written last, takes the part of a rename. The driver works on a copy in a folder of its own. The
copy may be lost at any time; the objects count.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from batch.core.location import Place
from batch.reports.layout import WORKLIST_FOLDER, is_mark_file
from batch.reports.local import (
    LATEST,
    RUN_FILE,
    SEGMENT_FILE,
    SNAPSHOTS,
    SUCCESS_FILE,
    LocalReports,
    Staging,
    is_intact,
)
from batch.reports.picture_folder import PICTURES, is_picture
from batch.storage.files import read_json
from batch.storage.object_store import ListedObject, ObjectStore, call_in_parallel
from batch.storage.shared_folder import ObjectFolder, SharedFolder

_RUNS, _WORK, _PULLED = "runs", ".in-progress", ".pulled"
_STARTED = "_STARTED"
_MARKS = ("reviewed", "Reviewed", "REVIEWED")


@dataclass(frozen=True)
class ObjectStaging(Staging):
    """A run's work: gathered in `folder`, durable in `store`."""

    store: ObjectStore

    def shared(self, number: int | None = None) -> SharedFolder:
        """See `Staging`."""
        return ObjectFolder(self.store if number is None else self.store.at(_segment(number)))

    def commit(self, number: int, facts: dict[str, Any]) -> None:
        """See `Staging`. The parts of the workers are in the store already; now they count."""
        super().commit(number, facts)
        facts_file = self.folder / "segments" / f"{number:06d}" / SEGMENT_FILE
        self.store.put(f"{_segment(number)}/{SEGMENT_FILE}", facts_file.read_bytes())


@dataclass(frozen=True)
class ObjectReports(LocalReports):
    """Reports in object storage. root: their copy on this machine. store: their objects."""

    store: ObjectStore = field(kw_only=True)

    @property
    def place(self) -> Place:
        """See `LocalReports`."""
        return self.store.url

    def refresh(self) -> None:
        """Fetch published nights without their large snapshots, and segments of runs that died.

        Raises:
            OSError: the store does not answer, or the copy's folder cannot be written.
        """
        nights = self._listed(_RUNS)
        complete = {run_id: names for run_id, names in nights.items() if SUCCESS_FILE in names}
        for run_id in set(self.nights()) - complete.keys():
            shutil.rmtree(self.night(run_id))
        call_in_parallel(lambda night: self._pull_night(*night), complete.items())
        for run_id, names in self._listed(_WORK).items():
            self._pull_segments(run_id, names)
        self._pull_marks()
        pointer = self._pointer()
        if pointer in complete:
            self._point_latest_to(pointer)
        else:
            (self.root / LATEST).unlink(missing_ok=True)

    def whole_night(self, run_id: str) -> Path:
        """See `LocalReports`. A damaged copy is fetched once more."""
        night = self._with_snapshots(run_id)
        parts = (read_json(night / RUN_FILE) or {}).get("parts")
        pruned = not all((night / table).is_dir() for table in SNAPSHOTS)
        if not pruned and not is_intact(night, parts, SNAPSHOTS):
            shutil.rmtree(night)
            objects = self.store.at(f"{_RUNS}/{run_id}").objects()
            self._pull_night(run_id, [listed.name for listed in objects])
            self._with_snapshots(run_id)
        return night

    def _with_snapshots(self, run_id: str) -> Path:
        night = self.night(run_id)
        for table in SNAPSHOTS:
            if (night / table).is_dir() and not any((night / table).iterdir()):
                below = f"{_RUNS}/{run_id}/{table}"
                names = [listed.name for listed in self.store.at(below).objects()]
                fresh = self.root / _PULLED / run_id / table
                self._pull(names, below, fresh)
                (night / table).rmdir()
                os.rename(fresh, night / table)
        return night

    def recover(self) -> None:
        """See `LocalReports`; in the copy and in the store."""
        for leftover in (_WORK, _PULLED):
            shutil.rmtree(self.root / leftover, ignore_errors=True)
        self.refresh()
        nights, work = self._listed(_RUNS), self._listed(_WORK)
        for run_id in sorted(work, reverse=True):
            if SUCCESS_FILE in nights.get(run_id, ()):  # published; only the pointer may be missing
                self._point(run_id)
                self._point_latest_to(run_id)
                self.discard_work()
                return
        for run_id, names in nights.items():
            if SUCCESS_FILE not in names:  # not complete; its segments are still there
                self.store.at(f"{_RUNS}/{run_id}").delete(names)
        for run_id, names in work.items():
            kept = tuple(f"segments/{number}/" for number in _committed(names))
            stray = [name for name in names if not name.startswith(kept)]
            self.store.at(f"{_WORK}/{run_id}").delete(stray)

    def start(self, run_id: str) -> Staging:
        """See `LocalReports`."""
        staging = super().start(run_id)
        work = self.store.at(f"{_WORK}/{run_id}")
        work.put(_STARTED, b"")  # by this object `recover` finds a half-published night
        return ObjectStaging(staging.folder, work)

    def publish(self, staging: Staging, run_json: dict[str, Any]) -> Path:
        """See `LocalReports`. Readers see the night once the pointer is written."""
        run_id = staging.folder.name
        self._seal(staging, run_json)
        files = [path for path in staging.night.rglob("*") if path.is_file()]
        night = self.store.at(f"{_RUNS}/{run_id}")
        call_in_parallel(
            lambda path: night.put(path.relative_to(staging.night).as_posix(), path.read_bytes()),
            files,
        )
        night.put(SUCCESS_FILE, b"")
        self._point(run_id)
        (staging.night / SUCCESS_FILE).touch()
        self.night(run_id).parent.mkdir(exist_ok=True)
        with suppress(OSError):  # another command has fetched it already
            os.rename(staging.night, self.night(run_id))
        self._point_latest_to(run_id)
        return self.night(run_id)

    def discard_unfinished(self, staging: Staging) -> None:
        """See `LocalReports`. If the store fails now, the next run removes the objects."""
        super().discard_unfinished(staging)
        with suppress(OSError):
            work = self.store.at(f"{_WORK}/{staging.folder.name}")
            names = [listed.name for listed in work.objects()]
            published = self.store.at(f"{_RUNS}/{staging.folder.name}").objects(SUCCESS_FILE)
            if not _committed(names) and not any(published):
                work.delete(names)

    def discard_work(self) -> None:
        """See `LocalReports`."""
        super().discard_work()
        with suppress(OSError):  # the next run removes them
            self.store.delete([listed.name for listed in self.store.objects(f"{_WORK}/")])

    def fetch(self, folder: str) -> None:
        """See `LocalReports`."""
        self._pull([o.name for o in self.store.at(folder).objects()], folder, self.root / folder)

    def send(self, *names: str) -> None:
        """See `LocalReports`."""
        for name in names:
            path_of_copy = self.root / name
            paths = [path_of_copy, *path_of_copy.rglob("*")]
            files = [path for path in paths if path.is_file()]
            for path in files:
                self.store.put(path.relative_to(self.root).as_posix(), path.read_bytes())

    def snapshot_bytes(self, run_id: str, tables: Sequence[str]) -> int:
        """See `LocalReports`; snapshots that the copy has, too, do not count."""
        night = self.night(run_id)
        in_copy = sum(path.stat().st_size for table in tables for path in (night / table).glob("*"))
        return sum(listed.version.size for listed in self._snapshots(run_id, tables)) - in_copy

    def drop_snapshots(self, run_id: str, tables: Sequence[str]) -> None:
        """See `LocalReports`."""
        self.store.delete([listed.name for listed in self._snapshots(run_id, tables)])

    def picture_names(self) -> set[str]:
        """See `LocalReports`."""
        return {each.name for each in self._pictures() if each.version.size}

    def keep_picture(self, name: str, data: bytes) -> None:
        """See `LocalReports`."""
        if not is_picture(name):
            raise ValueError(f"found {name!r}; allowed: 32 hex digits and .jpg")
        self.store.put(f"{PICTURES}/{name}", data)

    def drop_pictures(self, names: Iterable[str]) -> int:
        """See `LocalReports`."""
        wanted = set(names)
        there = [each.name for each in self._pictures() if each.name in wanted]
        self.store.at(PICTURES).delete(there)
        return len(there)

    def pictures_before(self, instant: datetime) -> dict[str, int]:
        """See `LocalReports`; an object's time is the store's."""
        found = [each for each in self._pictures() if each.version.modified < instant]
        return {each.name: each.version.size for each in found}

    def drop_unfinished_pictures(self, instant: datetime) -> None:
        """See `LocalReports`; an object is whole or not there."""

    def list_made_anew(self, name: str) -> bytes | None:
        """See `LocalReports`; another machine may have made it."""
        try:
            return self.store.get(f"{WORKLIST_FOLDER}/{name}").data
        except FileNotFoundError:
            return None

    @property
    def night_to_pictures(self) -> str:
        """See `LocalReports`. Here are no links, and a page has one address."""
        return f"../../{PICTURES}/"

    def _pictures(self) -> list[ListedObject]:
        return [each for each in self.store.at(PICTURES).objects() if is_picture(each.name)]

    def _snapshots(self, run_id: str, tables: Sequence[str]) -> list[ListedObject]:
        below = [f"{_RUNS}/{run_id}/{table}/" for table in tables]
        return [listed for prefix in below for listed in self.store.objects(prefix)]

    def _pointer(self) -> str:
        try:
            return self.store.get(LATEST).data.decode("ascii", "replace").strip().rpartition("/")[2]
        except FileNotFoundError:
            return ""

    def _point(self, run_id: str) -> None:
        self.store.put(LATEST, f"{_RUNS}/{run_id}\n".encode("ascii"))

    def _listed(self, below: str) -> dict[str, list[str]]:
        """Objects below a prefix: run id to their names without prefix and run id."""
        by_run: dict[str, list[str]] = defaultdict(list)
        for listed in self.store.at(below).objects():
            run_id, _, name = listed.name.partition("/")
            if name and run_id not in ("", ".", ".."):
                by_run[run_id].append(name)
        return by_run

    def _pull_marks(self) -> None:
        """Fetch the files with marks, and remove those that are no longer in the store."""
        names = [listed.name for below in _MARKS for listed in self.store.objects(below)]
        mark_files = {name for name in names if "/" not in name and is_mark_file(name)}
        for stale in self.root.iterdir():
            if is_mark_file(stale.name) and stale.name not in mark_files:
                stale.unlink()
        for name in sorted(mark_files):
            (self.root / name).write_bytes(self.store.get(name).data)

    def _pull_night(self, run_id: str, names: list[str]) -> None:
        """Fetch a night that the copy does not have; its snapshots become empty folders."""
        night = self.night(run_id)
        snapshots = {name.split("/")[0] for name in names if "/" in name} & set(SNAPSHOTS)
        if night.exists():
            for table in set(SNAPSHOTS) - snapshots:  # pruned meanwhile
                shutil.rmtree(night / table, ignore_errors=True)
            return
        fresh = self.root / _PULLED / run_id / "night"
        shutil.rmtree(fresh, ignore_errors=True)
        small = [name for name in names if name.split("/")[0] not in snapshots]
        self._pull(small, f"{_RUNS}/{run_id}", fresh)
        for table in snapshots:
            (fresh / table).mkdir()
        night.parent.mkdir(exist_ok=True)
        with suppress(OSError):  # another command was faster
            os.rename(fresh, night)

    def _pull_segments(self, run_id: str, names: list[str]) -> None:
        """Fetch the committed segments of a run that are not here yet, only parts that count."""
        for number in _committed(names):
            folder = self.root / _WORK / run_id / "segments" / number
            if folder.exists():
                continue
            below, fresh = f"{_WORK}/{run_id}/segments/{number}", self.root / _PULLED / run_id
            segment = json.loads(self.store.get(f"{below}/{SEGMENT_FILE}").data)
            parts = list(segment.get("parts", ()))
            present = {name.removeprefix(f"segments/{number}/") for name in names}
            if present.issuperset(parts):
                self._pull([SEGMENT_FILE, *parts], below, fresh / number)
                folder.parent.mkdir(parents=True, exist_ok=True)
                os.rename(fresh / number, folder)

    def _pull(self, names: list[str], below: str, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        store = self.store.at(below)
        for name in names:
            place = folder / name
            if place.is_relative_to(folder) and ".." not in place.parts:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(store.get(name).data)


def _segment(number: int) -> str:
    return f"segments/{number:06d}"


def _committed(names: list[str]) -> list[str]:
    """Numbers of the committed segments among names below a run's work."""
    parts = (name.split("/") for name in names)
    return sorted({p[1] for p in parts if len(p) == 3 and p[0] == "segments"
                   and p[2] == SEGMENT_FILE and p[1].isdigit()})  # fmt: skip
