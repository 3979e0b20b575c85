"""Gates: a run stands still at one file of its archive until the test lets it pass.

The kernel asks us (fanotify, with permission events) before somebody opens or reads the file, so a
fault strikes at one exact place of the run and no test depends on the speed of the machine.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pytest

# linux/fanotify.h
_CLASS_CONTENT, _CLOEXEC, _MARK_ADD, _ALLOW = 0x4, 0x1, 0x1, 0x1
_EVENT, _RESPONSE = struct.Struct("=IBBHQii"), struct.Struct("=iI")
OPEN, READ = 0x10000, 0x20000
"""FAN_OPEN_PERM: before a file is opened. FAN_ACCESS_PERM: before an opened file is read."""

_LIBC = ctypes.CDLL(None, use_errno=True)


class Gate:
    """Holds up whoever opens or reads a file. Closed gates are open: nobody is held for ever."""

    def __init__(self, file: Path, moment: int = OPEN) -> None:
        self._fanotify = _LIBC.fanotify_init(_CLASS_CONTENT | _CLOEXEC, os.O_RDONLY | os.O_CLOEXEC)
        if self._fanotify < 0:
            pytest.skip(f"holding a run at a file needs root and fanotify ({_error()})")
        if _LIBC.fanotify_mark(
            self._fanotify, _MARK_ADD, ctypes.c_uint64(moment), -100, os.fsencode(file)
        ):
            error = _error()
            self.close()
            pytest.skip(f"holding a run at a file needs fanotify's permission events ({error})")
        self._held: int | None = None

    def __enter__(self) -> Gate:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def wait(self, given_up: Callable[[], bool] = lambda: False, seconds: float = 120) -> bool:
        """Wait until somebody stands at the gate; False when `given_up` says that nobody will."""
        end = time.monotonic() + seconds
        while not given_up():
            assert time.monotonic() < end, "nobody came to the gate"
            if select.select([self._fanotify], [], [], 0.02)[0]:
                event = os.read(self._fanotify, _EVENT.size)  # one at a time
                self._held = _EVENT.unpack(event)[5]
                return True
        return False

    def let_pass(self) -> None:
        """Let the one who stands here pass; the next is held again."""
        assert self._held is not None
        os.write(self._fanotify, _RESPONSE.pack(self._held, _ALLOW))
        os.close(self._held)
        self._held = None

    def close(self) -> None:
        """Let everybody pass from now on."""
        if self._fanotify >= 0:
            if getattr(self, "_held", None) is not None:
                self.let_pass()
            os.close(self._fanotify)
            self._fanotify = -1


@contextmanager
def when_reached(
    file: Path, act: Callable[[], object], moment: int = OPEN, times: int = 1
) -> Iterator[None]:
    """Within this, `act` runs while somebody waits to open (or read) the file.

    Args:
        times: the how-manieth one has to wait for it.
    """
    over = False

    def watch() -> bool:
        try:
            for _ in range(times - 1):
                if not gate.wait(lambda: over):
                    return False
                gate.let_pass()
            if not gate.wait(lambda: over):
                return False
            act()
            return True
        finally:
            gate.close()

    with Gate(file, moment) as gate, ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            over = True
        assert watching.result(), "the run never came to the file"


def _error() -> str:
    return os.strerror(ctypes.get_errno())
