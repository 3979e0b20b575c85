"""A night becomes visible: fsync, rename, `_SUCCESS` last, then `latest` in one step.

A reader of `latest` sees one complete night at every instant; a crash before the last step leaves
the previous one in place.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batch.errors import ReportsLocked, UsageError

SUCCESS_FILE = "_SUCCESS"
RUN_FILE = "run.json"
LATEST = "latest"
_STAGING = ".in-progress"


@contextmanager
def exclusive(reports: Path, run_id: str) -> Iterator[None]:
    """Hold the reports folder for one run; the operating system frees it when the owner dies.

    Raises:
        ReportsLocked: another run holds it. UsageError: the folder cannot be written.
    """
    try:
        reports.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(reports / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UsageError(
            f"--output: cannot write in {reports} ({error.strerror}). Check owner and free space."
        ) from error
    with open(descriptor, "r+", encoding="utf-8") as lock:
        _check_layout(reports)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = lock.read(200).strip() or "unknown"
            raise ReportsLocked(
                f"--output: another run holds {reports} ({holder}). Wait for it to end."
            ) from error
        lock.truncate(0)
        lock.write(f"run {run_id}, process {os.getpid()}, host {os.uname().nodename}\n")
        lock.flush()
        yield


def _check_layout(reports: Path) -> None:
    """Refuse a folder in which publication would fail after all the work.

    Raises:
        UsageError: something of another kind has one of our names.
    """
    latest = reports / LATEST
    if os.path.lexists(latest) and not latest.is_symlink():
        raise UsageError(f"--output: {latest} is no link; move it away.")
    for folder in (reports / "runs", reports / _STAGING):
        if os.path.lexists(folder) and not folder.is_dir():
            raise UsageError(f"--output: {folder} is no folder; move it away.")


def start_staging(reports: Path, run_id: str) -> Path:
    """A fresh folder for a run's work, on the same file system; leftovers of dead runs go away.

    Call it under `exclusive` only.
    """
    discard_staging(reports)
    staging = reports / _STAGING / run_id
    staging.mkdir(parents=True)
    return staging


def discard_staging(reports: Path) -> None:
    """Remove what is not published, so that a failed run leaves its disk as it found it."""
    shutil.rmtree(reports / _STAGING, ignore_errors=True)


def publish(reports: Path, staging: Path, run_json: dict[str, Any]) -> Path:
    """Make a complete staging folder the latest night; its place.

    Args:
        staging: holds every table; its name is the run id.
    """
    (staging / RUN_FILE).write_text(json.dumps(run_json, indent=2) + "\n", encoding="utf-8")
    _sync_tree(staging)
    night = reports / "runs" / staging.name
    night.parent.mkdir(exist_ok=True)
    os.rename(staging, night)
    _sync(night.parent)
    (night / SUCCESS_FILE).touch(exist_ok=False)
    _sync(night / SUCCESS_FILE)
    _sync(night)
    pointer = reports / f".{LATEST}.{staging.name}"
    os.symlink(Path("runs") / staging.name, pointer)
    os.replace(pointer, reports / LATEST)
    _sync(reports)
    return night


def _sync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(Path(parent) / name)
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
