"""Drop the snapshots of old nights, and the pictures that only their pages show. What a night
itself found out stays forever.

A snapshot is first renamed to a hidden name, in one step, and then removed. So readers see it whole
or not at all. If `prune` is killed, the next one removes what is left under the hidden name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batch.core.errors import UsageError
from batch.core.location import ObjectUrl
from batch.operations.prune_pictures import PrunedPictures, prune_pictures
from batch.reports.access import hold
from batch.reports.run_reader import (
    PRUNABLE,
    RUNS,
    StoredRun,
    is_real_folder,
    latest_run,
    stored_runs,
)
from batch.storage.files import sync

_HIDDEN = ".pruned-"


@dataclass(frozen=True)
class Pruned:
    """A night that has lost its snapshots. bytes: size of the files removed."""

    run_id: str
    bytes: int


@dataclass(frozen=True)
class Freed:
    """What a prune removed, or would. nights: without snapshots from now on, oldest first."""

    nights: list[Pruned]
    pictures: PrunedPictures


def prune(reports: Path, keep: int, dry_run: bool = False, url: ObjectUrl | None = None) -> Freed:
    """Remove the snapshots of all nights but the newest, oldest first, and the pictures that only
    the pages of those nights show.

    Args:
        reports: their folder, or the up-to-date copy of those at `url`.
        keep: number of nights that keep their snapshots.
        dry_run: remove nothing.
        url: of reports in object storage, or None.

    Returns:
        the nights that have lost, or would lose, their snapshots.

    Raises:
        UsageError: `keep` is below 1, there is no reports folder, `latest` points to no night, or
            a file cannot be removed. ReportsLocked: a run holds the lock.
    """
    if keep < 1:
        raise UsageError(f"--keep: found {keep}; allowed: 1 or more.")
    _check_folder(reports)
    with hold(reports, url, "prune") as (storage, lock):
        runs = stored_runs(reports)
        latest = _latest(reports, runs)
        chosen = runs_to_prune(runs, latest, keep)
        pruned = []
        for run in reversed(_removable(runs, latest)):
            names = run.snapshots if run in chosen else ()
            places = [run.folder / name for name in (*names, *_leftovers(run.folder))]
            if not places:
                continue
            size = sum(map(_bytes, places)) + storage.snapshot_bytes(run.folder.name, names)
            pruned.append(Pruned(run.folder.name, size))
            if not dry_run:
                lock.check()
                storage.drop_snapshots(run.folder.name, names)
                _remove(run.folder, names)
        kept = [run.folder for run in kept_runs(runs, latest, keep)]
        lock.check()
        return Freed(pruned, prune_pictures(storage, kept, dry_run))


def runs_to_prune(runs: Sequence[StoredRun], latest: str, keep: int) -> list[StoredRun]:
    """The nights that lose their snapshots, in the order given.

    The latest night, incomplete nights and nights without a date never do. The `keep` newest nights
    keep theirs, and so do the `keep` newest with complete snapshots, since they are the memory if
    those of `latest` are damaged.
    """
    kept = kept_runs(runs, latest, keep)
    return [run for run in _removable(runs, latest) if run.snapshots and run not in kept]


def kept_runs(runs: Sequence[StoredRun], latest: str, keep: int) -> list[StoredRun]:
    """The nights that a prune leaves whole: all but those that `runs_to_prune` might name."""
    dated = sorted(
        (run for run in runs if run.complete and run.started_at is not None),
        key=lambda run: (run.started_at, run.folder.name),
        reverse=True,
    )
    whole = [run for run in dated if len(run.snapshots) == len(PRUNABLE)]
    newest = {run.folder.name for run in (*dated[:keep], *whole[:keep])}
    removable = _removable(runs, latest)
    return [run for run in runs if run not in removable or run.folder.name in newest]


def _removable(runs: Sequence[StoredRun], latest: str) -> list[StoredRun]:
    return [r for r in runs if r.complete and r.started_at is not None and r.folder.name != latest]


def _check_folder(reports: Path) -> None:
    """Refuse a folder without runs before the lock is taken, which would make folder and lock."""
    if os.path.islink(reports / RUNS):
        raise UsageError(
            f"REPORTS: {reports / RUNS} is a link, and prune follows none; give the folder itself."
        )
    stored_runs(reports)


def _latest(reports: Path, runs: Sequence[StoredRun]) -> str:
    latest = latest_run(reports)
    if latest is None or not any(run.complete and run.folder.name == latest for run in runs):
        raise UsageError(
            f"REPORTS: `latest` in {reports} points to no complete night, so it is unknown which "
            "night the next run needs; nothing was removed. Let a run of `score` end first, or "
            "point it to a night: ln -sfn runs/RUN_ID latest"
        )
    return latest


def _leftovers(folder: Path) -> list[str]:
    """Names of what an interrupted prune left in a night."""
    return [_HIDDEN + name for name in PRUNABLE if is_real_folder(folder / (_HIDDEN + name))]


def _remove(folder: Path, names: Sequence[str]) -> None:
    """Remove a night's leftovers and these snapshots.

    Raises:
        UsageError: the file system refuses.
    """
    try:
        _remove_leftovers(folder)
        for name in names:
            os.rename(folder / name, folder / (_HIDDEN + name))
        sync(folder)
        _remove_leftovers(folder)
    except OSError as error:
        raise UsageError(
            f"REPORTS: cannot remove snapshots in {folder} ({error.strerror or error}). Check its "
            "owner and permissions, then prune again; it goes on from there."
        ) from error


def _remove_leftovers(folder: Path) -> None:
    for name in _leftovers(folder):
        shutil.rmtree(folder / name)


def _bytes(folder: Path) -> int:
    """Size in bytes of the files below a folder, without following links."""
    return sum(
        os.lstat(os.path.join(parent, name)).st_size
        for parent, _, names in os.walk(folder)
        for name in names
    )
