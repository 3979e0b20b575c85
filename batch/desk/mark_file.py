"""`REPORTS/reviewed-desk.csv`: marks are added at its end, and on the disk before anybody is told.

One process writes it, under a lock of its own: nights go on meanwhile and read it like any other
file with marks. What a crash cuts off is a mark that nobody was told was saved.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from batch.core.errors import ReportsLocked, UsageError
from batch.desk.mark_rows import Decision, DeskMark, NotOurRows, heads, read_rows, row, whole_rows
from batch.review.worklist.marks import MOST_BYTES
from batch.storage.files import sync

logger = logging.getLogger(__name__)
NAME = "reviewed-desk.csv"
LOCK = ".desk.lock"
_AFTER = timedelta(microseconds=1)
_MODE = 0o640
_NOTHING = (0, 0, 0, 0)


class Overtaken(Exception):
    """The lesion has another newest mark than the page knew. mark: the newest; None for none."""

    def __init__(self, mark: DeskMark | None) -> None:
        self.mark = mark
        super().__init__()


class NotSaved(Exception):
    """The mark is not in the file. The message says why, for a person, and quotes no value."""


@contextmanager
def only_writer(reports: Path) -> Iterator[None]:
    """Be the only desk that takes marks for these reports.

    Raises:
        ReportsLocked: another one does. UsageError: the folder cannot be written.
    """
    try:
        descriptor = os.open(
            reports / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644
        )
    except OSError as error:
        raise UsageError(
            f"REPORTS: cannot write in {reports} ({error.strerror}). Check owner and permissions, "
            "or serve with --read-only."
        ) from error
    with open(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ReportsLocked(
                f"REPORTS: another desk takes marks for {reports}. Use that one, end it, or serve "
                "with --read-only."
            ) from error
        yield


class MarkFile:
    """The marks of the desk. Safe to use from several threads.

    edition: names the file as it was read; another one after somebody moved or changed it.
    """

    def __init__(self, reports: Path, is_private: bool, is_writer: bool = True) -> None:
        """Read what there is.

        Args:
            is_private: whether the reports hold patient IDs; then the file is its owner's alone.
            is_writer: False for a desk that takes no marks: then it changes nothing.

        Raises:
            UsageError: there is a file of this name that the desk did not write.
        """
        self.path = reports / NAME
        self.edition = ""
        self._mode = 0o600 if is_private else _MODE
        self._is_writer = is_writer
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int, int] | None = None
        self._rows = 0
        self._newest: dict[str, DeskMark] = {}
        self._by_id: dict[str, DeskMark] = {}
        try:
            with self._lock:
                self._read()
        except (NotOurRows, OSError) as error:
            raise UsageError(f"REPORTS: {_complaint(error)}") from error

    def marks(self, edition: str, after: int) -> tuple[str, list[DeskMark]]:
        """The edition there is now, and its newest marks of each lesion.

        Args:
            edition, after: what the asker has; of this edition only marks after that row are told.

        Raises:
            NotSaved: the file cannot be read.
        """
        with self._lock:
            self._follow()
            start = after if edition == self.edition else 0
            found = [mark for mark in self._newest.values() if mark.number > start]
            return self.edition, found

    def newest(self, lesion_key: str) -> DeskMark | None:
        """The newest mark of a lesion."""
        with self._lock:
            return self._newest.get(lesion_key)

    def add(self, told: Decision, known: str, now: datetime) -> DeskMark:
        """Add a mark; when this returns it is on the disk.

        Args:
            known: `mark_id` of the lesion's newest mark that the person had before them, empty for
                none. now: with a time zone.

        Raises:
            Overtaken: the lesion has another newest mark. NotSaved: it could not be written.
        """
        with self._lock:
            self._follow()
            if (same := self._by_id.get(told.mark_id)) is not None:
                return same  # the answer to the first try was lost
            before = self._newest.get(told.lesion_key)
            if (before.told.mark_id if before else "") != known:
                raise Overtaken(before)
            # a clock that was set back must not make a new decision the older one
            at = max(now, before.reviewed_at + _AFTER) if before else now
            self._append(row(told, at))
            mark = DeskMark(self._rows + 1, at, told)
            self._remember(mark)
            return mark

    def _remember(self, mark: DeskMark) -> None:
        self._rows += 1
        self._by_id[mark.told.mark_id] = mark
        before = self._newest.get(mark.told.lesion_key)
        if before is None or mark.reviewed_at >= before.reviewed_at:
            self._newest[mark.told.lesion_key] = mark

    def _append(self, line: bytes) -> None:
        size = self._seen[2] if self._seen else 0
        data = line if size else heads() + line
        if size + len(data) > MOST_BYTES:
            raise NotSaved(
                f"{NAME} is as large as a night reads ({MOST_BYTES // 10**6} MB). Rename it to "
                "reviewed-desk-1.csv; it is still read, and a new one begins."
            )
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(self.path, flags, self._mode)
            try:
                _write_all(descriptor, data, size)
                self._seen = _identity(os.fstat(descriptor))
            finally:
                os.close(descriptor)
            if not size:
                sync(self.path.parent)
        except OSError as error:
            self._seen = None  # read it again before the next one
            logger.error(
                "a mark was not saved: %s", errno.errorcode.get(error.errno or 0, "OSError")
            )
            raise NotSaved(
                f"The mark was not saved: {NAME} cannot be written ({error.strerror}). Tell the "
                "people who run this desk."
            ) from error

    def _follow(self) -> None:
        """Read the file again when it is another one than this desk knows."""
        try:
            if _there(self.path) != self._seen:
                self._read()
        except (NotOurRows, OSError) as error:
            self._seen = None
            raise NotSaved(_complaint(error)) from error

    def _read(self) -> None:
        self._seen, self._rows, self._newest, self._by_id = None, 0, {}, {}
        self.edition = secrets.token_hex(8)
        if _there(self.path) != _NOTHING:
            data = self.path.read_bytes()
            size, end = whole_rows(data)
            if not size and not heads().startswith(data):
                raise NotOurRows("its columns are not the desk's")
            for mark in read_rows(data[:size]) if size else ():
                self._remember(mark)
            if self._is_writer and (size != len(data) or end):
                self._mend(size, end, len(data))
        self._seen = _there(self.path)

    def _mend(self, size: int, end: bytes, length: int) -> None:
        """Cut a row off that a crash left unfinished, or give a whole one its end."""
        with self.path.open("r+b") as file:
            file.truncate(size)
            file.seek(size)
            file.write(end)
            file.flush()
            os.fsync(file.fileno())
        logger.warning("%s: %d bytes of an unfinished row were cut off", NAME, length - size)


def _write_all(descriptor: int, data: bytes, size: int) -> None:
    """All of it to the disk, or none of it."""
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def _there(path: Path) -> tuple[int, int, int, int]:
    """Device, inode, size and time of change of a file; `_NOTHING` where there is none."""
    try:
        return _identity(os.lstat(path))
    except FileNotFoundError:
        return _NOTHING


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _complaint(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{NAME} cannot be read ({error.strerror}). Check its permissions."
    return (
        f"{NAME}: {error}. Rename it to reviewed-old.csv: a night still reads it, and the desk "
        "begins a new one."
    )
