"""What a person sees while a run works, and standard streams that may be closed or full.

Workers in this process count files in `FILES_READ`; workers elsewhere count with Beam's metrics,
and what the engine tells of them is added.
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
        """Count more."""
        with self._lock:
            self._value += count

    def raise_to(self, value: int) -> None:
        """Count what others counted for us; what is counted already is not counted twice."""
        with self._lock:
            self._value = max(self._value, value)

    @property
    def value(self) -> int:
        """The count so far, over the life of the process."""
        return self._value


FILES_READ = Counter()
"""Files that were read for this process, whatever became of them."""


BAR_SECONDS = 0.5


LOG_EVERY = 60
"""Bar refreshes between two progress lines in the log: one line in half a minute."""


_ALONE = "{desc} {elapsed}"
"""Of a phase whose length nobody knows."""


class Progress:
    """A bar on a terminal; on anything else silence, and lines in the log in both cases.

    A terminal that is gone ends the bar, not the run.
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
        """What the run is at from now on."""
        logger.info("%s begins", name)
        with self._lock:
            self._close()
            self._is_scoring = False
            self._open(name, None)

    def found(self, files: int) -> None:
        """The inventory is complete: the bar's length is known."""
        with self._lock:
            self._close(leaves_a_line=False)
            self._files, self._before = files, FILES_READ.value
            self._is_scoring = True
            self._open("scoring", files)

    def done(self, files: int) -> None:
        """So many files are settled since the start, at a segment's end."""
        self._settled = files

    def _open(self, name: str, files: int | None) -> None:
        with suppress(OSError, ValueError):
            self._bar = tqdm(
                desc=name,
                total=files,
                unit="file",
                disable=not self._visible,
                smoothing=0.05,
                bar_format=_ALONE if files is None else None,
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


_NOBODY = (errno.EPIPE, errno.EIO, errno.EBADF)
"""A reader that has left (`| head`), a terminal that is gone, a stream that is closed."""


def open_streams() -> None:
    """Give the standard streams that were closed (`>&-`) to nobody.

    Otherwise the next file that is opened, a table or the lock, has the number of standard output,
    and whatever a library prints lands in it.
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


def settle_streams() -> None:
    """Bring out what is still to be printed, the help for one. The interpreter's own attempt
    at its end would change the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        write("", stream)


_is_silent = False


def silence(is_wanted: bool) -> None:
    """Print nothing but errors and what a command is asked for (`--quiet`), or all again."""
    global _is_silent
    _is_silent = is_wanted


def say(text: str, stream: TextIO) -> int:
    """Print what was done; a closed or full terminal does not undo it.

    Returns:
        0, or the number of the system's error.
    """
    if _is_silent and stream is sys.stdout:
        return 0
    return write(text, stream)


def write(text: str, stream: TextIO) -> int:
    """As `say`, whatever `--quiet` says."""
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        return write(text.encode("ascii", "backslashreplace").decode(), stream)
    except ValueError:  # the stream object itself is closed
        return errno.EBADF
    except OSError as error:  # let the interpreter's own flush at exit not fail either
        _to_nobody(stream)
        return error.errno or errno.EIO
    return 0


def tell(text: str) -> None:
    """Print what a command was asked for. It counts as told when nobody wants to read it.

    Raises:
        BatchError: somebody does, and it cannot be written: a file on a full disk would end in the
            middle.
    """
    failed = write(text, sys.stdout)
    if failed and failed not in _NOBODY:
        raise BatchError(
            f"standard output cannot be written ({os.strerror(failed)}); what it holds is not "
            "whole. Free space, then ask again."
        )


def _to_nobody(stream: TextIO) -> None:
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
