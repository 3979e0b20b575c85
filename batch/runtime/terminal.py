"""Progress and messages on the terminal, where standard streams may be closed or full.

Workers in this process count the files that they read in `FILES_READ`. Workers elsewhere count with
Beam's metrics, and the driver adds what the engine reports of them.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from batch.core.errors import BatchError

logger = logging.getLogger(__name__)


class Counter:
    """A number that threads add to."""

    def __init__(self) -> None:
        self._value = 0
        self._lock = threading.Lock()

    def add(self, count: int = 1) -> None:
        """Add to the count."""
        with self._lock:
            self._value += count

    def raise_to(self, value: int) -> None:
        """Raise the count to a total that others have counted; a lower total changes nothing."""
        with self._lock:
            self._value = max(self._value, value)

    @property
    def value(self) -> int:
        """The count so far, over the life of the process."""
        return self._value


FILES_READ = Counter()
"""Files read by this process and its workers, whatever became of them."""


BAR_SECONDS = 0.5


LOG_EVERY = 60
"""Refreshes of the bar between two progress lines in the log: a line every half minute."""


_FORMAT_WITHOUT_TOTAL = "{desc} {elapsed}"
"""Format of the bar for a phase whose length is unknown."""


class Progress:
    """A progress bar if standard error is a terminal, and progress lines in the log in any case.

    When the terminal goes away, the bar ends and the run goes on.
    """

    def __init__(self, visible: bool | None = None) -> None:
        self._visible = (sys.stderr.isatty() and not _is_silent) if visible is None else visible
        self._lock = threading.Lock()
        self._bar: tqdm | None = None
        self._before = self._settled = self._files = 0
        self._is_scoring = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        with self._lock:
            self._close()

    def phase(self, name: str) -> None:
        """Name the phase that begins now."""
        logger.info("%s begins", name)
        with self._lock:
            self._close()
            self._is_scoring = False
            self._open(name, None)

    def found(self, files: int) -> None:
        """Begin the bar of scoring; `files` is its length."""
        with self._lock:
            self._close(leaves_a_line=False)
            self._files, self._before = files, FILES_READ.value
            self._is_scoring = True
            self._open("scoring", files)

    def done(self, files: int) -> None:
        """Take the number of files settled since the start, at the end of a segment."""
        self._settled = files

    def _open(self, name: str, files: int | None) -> None:
        with suppress(OSError, ValueError):
            self._bar = tqdm(
                desc=name,
                total=files,
                unit="file",
                disable=not self._visible,
                smoothing=0.05,
                bar_format=_FORMAT_WITHOUT_TOTAL if files is None else None,
            )

    def _close(self, leaves_a_line: bool = True) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.leave = leaves_a_line
            with suppress(OSError, ValueError):
                self._show(bar)
                bar.close()

    def _show(self, bar: tqdm) -> None:
        if self._is_scoring:
            bar.update(self._count() - bar.n)
        bar.refresh()

    def _count(self) -> int:
        done = max(self._settled, FILES_READ.value - self._before)
        return min(done, self._files)  # an engine may read a file twice

    def _follow(self) -> None:
        ticks = 0
        while not self._stop.wait(BAR_SECONDS):
            ticks += 1
            with self._lock:
                if self._bar is not None:
                    try:
                        self._show(self._bar)
                    except (OSError, ValueError):  # the terminal is gone
                        self._visible, self._bar = False, None
                if self._is_scoring and ticks % LOG_EVERY == 0:
                    logger.info("%d of %d files read", self._count(), self._files)


_NO_READER = (errno.EPIPE, errno.EIO, errno.EBADF)
"""A reader that has left (`| head`), a terminal that is gone, a stream that is closed."""


def open_streams() -> None:
    """Open /dev/null for each standard stream that was closed at the start (`>&-`).

    Otherwise the next file that is opened, a table or the lock, would get the descriptor of
    standard output, and prints of libraries would land in it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def flush_streams() -> None:
    """Flush the standard streams. A failing flush of the interpreter at its end would change the
    exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        write("", stream)


_is_silent = False


def set_quiet(is_wanted: bool) -> None:
    """Print only errors and answers of commands (`--quiet`), or everything again."""
    global _is_silent
    _is_silent = is_wanted


def say(text: str, stream: TextIO) -> int:
    """Print a notice, unless `--quiet` was given; a closed or full stream is no failure.

    Returns:
        0, or the system's error number.
    """
    if _is_silent and stream is sys.stdout:
        return 0
    return write(text, stream)


def write(text: str, stream: TextIO) -> int:
    """Print like `say`, also with `--quiet`."""
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        return write(text.encode("ascii", "backslashreplace").decode(), stream)
    except ValueError:  # the stream object itself is closed
        return errno.EBADF
    except OSError as error:
        _to_devnull(stream)  # so that the interpreter's flush at exit does not fail, too
        return error.errno or errno.EIO
    return 0


def print_answer(text: str) -> None:
    """Print what a command was asked for. A reader that has left is no failure.

    Raises:
        BatchError: it cannot be written, e.g. into a file on a full disk.
    """
    failed = write(text, sys.stdout)
    if failed and failed not in _NO_READER:
        raise BatchError(
            f"standard output cannot be written ({os.strerror(failed)}); what was written is not "
            "complete. Free space, then start the command again."
        )


def _to_devnull(stream: TextIO) -> None:
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
