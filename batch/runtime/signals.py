"""A request to stop (SIGINT, SIGTERM) that is not lost, wherever in a library it arrives."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from types import FrameType


class _Mode(Enum):
    AT_ONCE = 0
    ORDERLY = 1
    FINISHING = 2
    OVER = 3


_REQUESTED, _AT_ONCE = threading.Event(), threading.Event()
_current = _Mode.AT_ONCE
_NOTICE = b"\nstopping at the end of this segment; Ctrl-C stops at once\n"


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """While this is open, SIGINT and SIGTERM raise KeyboardInterrupt and are remembered.

    Raising alone is not enough: an exception that arrives inside a callback of a native library
    is printed and dropped, and the run would go on. `check` raises again at the next safe place.
    """
    global _current
    _REQUESTED.clear()
    _AT_ONCE.clear()
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread; somebody else's program handles them
        return
    _current = _Mode.AT_ONCE
    kept = {kind: signal.signal(kind, _request) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        _current = _Mode.AT_ONCE
        for kind, handler in kept.items():
            signal.signal(kind, handler)


@contextmanager
def orderly() -> Iterator[None]:
    """While this is open, the first signal only asks: `is_requested` tells, and nothing raises.

    A SIGINT after that raises KeyboardInterrupt: the person at the terminal does not want to wait.
    """
    with _mode(_Mode.ORDERLY):
        yield


@contextmanager
def finishing() -> Iterator[None]:
    """While this is open, no signal raises: seconds of work that must not be told half."""
    with _mode(_Mode.FINISHING):
        yield


def no_more() -> None:
    """From here to the end of `stop_on_signals` no signal stops anything: the night is published,
    and what is left to do is to say so.
    """
    global _current
    if threading.current_thread() is threading.main_thread():
        _current = _Mode.OVER


@contextmanager
def _mode(mode: _Mode) -> Iterator[None]:
    global _current
    before, _current = _current, mode
    try:
        yield
    finally:
        if _current != _Mode.OVER:
            _current = before


def is_requested() -> bool:
    """Whether a signal came since `stop_on_signals` was opened."""
    return _REQUESTED.is_set()


def check() -> None:
    """Stop here when a signal asked for it.

    Raises:
        KeyboardInterrupt: a signal came since `stop_on_signals` was opened.
    """
    if _REQUESTED.is_set():
        raise KeyboardInterrupt


def check_at_once() -> None:
    """Stop here when somebody did not want to wait; a library may have swallowed that.

    Raises:
        KeyboardInterrupt: it was raised before, and did not get here.
    """
    if _AT_ONCE.is_set():
        raise KeyboardInterrupt


def _request(kind: int, _frame: FrameType | None) -> None:
    again = _REQUESTED.is_set()
    _REQUESTED.set()
    if _current == _Mode.AT_ONCE:
        raise KeyboardInterrupt
    if _current == _Mode.ORDERLY and again and kind == signal.SIGINT:
        _AT_ONCE.set()
        raise KeyboardInterrupt
    if not again and _current == _Mode.ORDERLY:
        with suppress(OSError):  # nobody listens any more: no reason to fail
            os.write(2, _NOTICE)  # the only way to speak that is safe inside a signal handler
