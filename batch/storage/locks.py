"""The lock of a reports folder: one run at a time, and no lock outlives its owner.

The operating system frees the lock (flock) when its owner ends, in whatever way. Some file systems
that hosts share keep flock to one host. There the lock file itself serves: it names the holder, and
a heartbeat keeps its time young. This is best effort, since two hosts may look in the same instant.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from batch.core.errors import ReportsLocked, ReportsLost, UsageError
from batch.runtime.threads import run_every

LOCK_FILE = ".lock"
HEARTBEAT_SECONDS = 30.0
DEAD_AFTER_SECONDS = 600.0
"""A holder on another host without a heartbeat for so long counts as dead."""

_FREE = "free\n"
_TRIES, _TRY_SECONDS = 4, 0.1
"""`doctor` holds the lock for an instant; a run that starts then tries again."""


@dataclass(frozen=True)
class HeldLock:
    """A lock that this process holds. path: of the lock file. file: the same, open."""

    path: Path
    file: TextIO

    def check(self) -> None:
        """Make sure that the folder is still the one that was locked.

        Raises:
            ReportsLost: the folder was deleted, or another one took its place.
        """
        held = os.fstat(self.file.fileno())
        try:
            current = os.stat(self.path)
        except OSError as error:
            raise ReportsLost(
                f"--output: {self.path.parent} went away during the run ({error.strerror}); "
                "nothing was published. Start again."
            ) from error
        if (held.st_dev, held.st_ino) != (current.st_dev, current.st_ino):
            raise ReportsLost(
                f"--output: {self.path.parent} is another folder than at the start; nothing was "
                "published. Start again."
            )


@contextmanager
def exclusive(reports: Path, owner: str) -> Iterator[HeldLock]:
    """Hold the lock of a reports folder inside the block; the folder is made if it is missing.

    Args:
        owner: who holds it, for the message that another run gets.

    Raises:
        ReportsLocked: another run holds it. UsageError: the folder cannot be written.
    """
    path = reports / LOCK_FILE
    try:
        reports.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise UsageError(
            f"--output: cannot write in {reports} ({error.strerror}). Check owner and free space."
        ) from error
    with open(descriptor, "r+", encoding="utf-8", errors="replace") as file:
        lock = HeldLock(path, file)
        _take(lock, owner)
        try:
            with heartbeat(lambda: os.utime(file.fileno())):
                yield lock
        finally:
            _write(file, _FREE)


def holder(reports: Path) -> str:
    """Who holds a reports folder, as the lock file says; empty if nobody does.

    To find out, a free lock is taken for an instant, shared.
    """
    with suppress(OSError), (reports / LOCK_FILE).open(encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read(400).strip()
        text, age = file.read(400), time.time() - os.fstat(file.fileno()).st_mtime
        is_held = _is_held_elsewhere(text) and age < DEAD_AFTER_SECONDS
        return text.strip() if is_held else ""
    return ""


@contextmanager
def heartbeat(beat: Callable[[], object]) -> Iterator[None]:
    """Call `beat` every 30 seconds inside the block, so that the lock stays young.

    Errors are passed over: `check` finds a lock that was lost.
    """

    def beat_quietly() -> None:
        with suppress(OSError):
            beat()

    with run_every(beat_quietly, HEARTBEAT_SECONDS, "heartbeat"):
        yield


def _take(lock: HeldLock, owner: str) -> None:
    for tries_left in range(_TRIES, 0, -1):
        try:
            fcntl.flock(lock.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if tries_left == 1:
                raise _refusal(lock) from error
            time.sleep(_TRY_SECONDS)
    here = os.uname().nodename
    if _is_held_elsewhere(lock.file.read(400)) and _silent_seconds(lock) < DEAD_AFTER_SECONDS:
        raise _refusal(
            lock, f" Or, if that host is down, in {DEAD_AFTER_SECONDS / 60:.0f} minutes."
        )
    _write(lock.file, f"{owner}, process {os.getpid()}, host {here}\n")


def _is_held_elsewhere(text: str) -> bool:
    """Whether a lock file names a holder on another host."""
    return bool(text.strip()) and text != _FREE and f"host {os.uname().nodename}\n" not in text


def _refusal(lock: HeldLock, advice: str = "") -> ReportsLocked:
    lock.file.seek(0)
    holder = lock.file.read(400).strip() or "unknown"
    return ReportsLocked(
        f"--output: another run holds {lock.path.parent} ({holder}). Wait for it to end.{advice}"
    )


def _silent_seconds(lock: HeldLock) -> float:
    """Seconds since the holder's last heartbeat, both times by the file system's own clock."""
    before = os.fstat(lock.file.fileno()).st_mtime
    probe = lock.path.with_name(f"{LOCK_FILE}.{os.getpid()}")
    try:
        probe.touch()
        return probe.stat().st_mtime - before
    finally:
        probe.unlink(missing_ok=True)


def _write(file: TextIO, text: str) -> None:
    """Write without a buffer, which would fail again when the file is closed."""
    with suppress(OSError):  # on a full disk the lock still holds, without its text
        os.ftruncate(file.fileno(), 0)
        os.pwrite(file.fileno(), text.encode(errors="replace"), 0)
