"""Reads the runs below REPORTS: their folders, and their run.json (`run_record`)."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from batch.core.errors import UsageError
from batch.reports.local import LATEST, RUN_FILE, SUCCESS_FILE
from batch.reports.run_record import RunRecord, record_of

RUNS = "runs"


PRUNABLE = ("files", "current")
"""The snapshots that `prune` removes, `files` first; `unscored` is small and stays."""


_WRITTEN_BY_SCORE = "that `score` wrote"


_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class StoredRun:
    """The folder of a night.

    complete: whether it has `_SUCCESS`.
    record: content of run.json; None if that is damaged.
    started_at: UTC; None if run.json does not say.
    snapshots: those that were not pruned.
    """

    folder: Path
    complete: bool
    record: RunRecord | None
    started_at: datetime | None
    snapshots: tuple[str, ...]


def stored_runs(reports: Path, may_be_none: bool = False) -> list[StoredRun]:
    """Every night below REPORTS, newest first; links do not count.

    Args:
        may_be_none: whether REPORTS may hold no night.


    Raises:
        UsageError: REPORTS is no folder, cannot be listed, or holds no run.
    """
    try:
        if not stat.S_ISDIR(reports.stat().st_mode):
            raise UsageError(f"REPORTS: a file at {reports}; needed: a folder {_WRITTEN_BY_SCORE}.")
        with os.scandir(reports / RUNS) as entries:
            folders = [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError as error:
        if not os.path.lexists(reports):
            message = f"REPORTS: nothing at {reports}; needed: a folder {_WRITTEN_BY_SCORE}."
            raise UsageError(message) from error
        folders = []
    except OSError as error:
        raise UsageError(
            f"REPORTS: cannot look into {reports} ({error.strerror}). Check its permissions."
        ) from error
    if not folders and not may_be_none:
        raise UsageError(
            f"REPORTS: no run in {reports / RUNS}. Is it the folder given as --output to `score`?"
        )
    return sorted(map(stored_run, folders), key=age_rank, reverse=True)


def latest_run(reports: Path) -> str | None:
    """The run that `latest` points to; None if it points to no folder in `runs/`."""
    try:
        folder = (reports / LATEST).resolve(strict=True)
        is_run = folder.is_dir() and folder.parent == (reports / RUNS).resolve(strict=True)
    except (OSError, RuntimeError):  # missing, dangling, or a loop of links
        return None
    return folder.name if is_run else None


def read_record(folder: Path) -> RunRecord | None:
    """The content of a night's run.json; None if it is missing or damaged."""
    path = folder / RUN_FILE
    try:
        # reading a pipe of that name would never end
        ledger = json.loads(path.read_bytes()) if os.path.isfile(path) else None
    except (OSError, ValueError, RecursionError):
        return None
    return record_of(ledger) if isinstance(ledger, dict) else None


def stored_run(folder: Path) -> StoredRun:
    """Look at a night's folder."""
    record = read_record(folder)
    return StoredRun(
        folder=folder,
        complete=os.path.isfile(folder / SUCCESS_FILE),
        record=record,
        started_at=record.start if record else None,
        snapshots=tuple(name for name in PRUNABLE if is_real_folder(folder / name)),
    )


def is_real_folder(path: Path) -> bool:
    """Whether a path is a folder and no link."""
    return os.path.isdir(path) and not os.path.islink(path)


def age_rank(run: StoredRun) -> tuple[datetime, str]:
    """A key that sorts nights by start; for a damaged night the start comes from its name."""
    return rank_of(run.folder.name, run.started_at)


def rank_of(name: str, started_at: datetime | None) -> tuple[datetime, str]:
    """A key that sorts runs by start; without a start, it comes from the name."""
    if started_at is not None:
        return started_at, name
    try:
        return datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC), name
    except ValueError:
        return _EARLIEST, name


def notes(run: StoredRun) -> str:
    """What is wrong with a night's folder, in a few words; empty if nothing is."""
    return ", ".join(_notes(run))


def _notes(run: StoredRun) -> Iterable[str]:
    if not run.complete:
        yield "incomplete"
    if run.started_at is None:
        yield f"{RUN_FILE} damaged"
    if run.complete and PRUNABLE[0] not in run.snapshots:
        yield "pruned"
