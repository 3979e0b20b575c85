"""Requests to stop (SIGINT, SIGTERM) that are not lost, even if they arrive inside a library."""

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
    """Let SIGINT and SIGTERM raise KeyboardInterrupt inside the block, and remember them.

    Raising alone is not enough: a native library prints and drops an exception that arrives inside
    its callback, and the run would go on. So `check` raises again at the next safe place.
    """
    global _current
    _REQUESTED.clear()
    _AT_ONCE.clear()
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers; here the calling program handles signals
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
    """Let the first signal inside the block only set `is_requested`: the run stops in order.

    A SIGINT after that raises KeyboardInterrupt, because the person at the terminal does not want
    to wait.
    """
    with _mode(_Mode.ORDERLY):
        yield


@contextmanager
def finishing() -> Iterator[None]:
    """Let no signal raise inside the block, for seconds of work that must not be interrupted."""
    with _mode(_Mode.FINISHING):
        yield


def ignore_further() -> None:
    """Let no signal raise from here to the end of `stop_on_signals`.

    The night is published then, and only the closing report is left to do.
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
    """Whether a signal came since the block of `stop_on_signals` began."""
    return _REQUESTED.is_set()


def check() -> None:
    """Stop here if a signal asked for it.

    Raises:
        KeyboardInterrupt: a signal came since the block of `stop_on_signals` began.
    """
    if _REQUESTED.is_set():
        raise KeyboardInterrupt


def check_at_once() -> None:
    """Stop here if a second SIGINT inside `orderly` asked for it, which a library may have dropped.

    Raises:
        KeyboardInterrupt: a second SIGINT came.
    """
    if _AT_ONCE.is_set():
        raise KeyboardInterrupt


def _request(kind: int, _frame: FrameType | None) -> None:
    is_second = _REQUESTED.is_set()
    _REQUESTED.set()
    if _current == _Mode.AT_ONCE:
        raise KeyboardInterrupt
    if _current == _Mode.ORDERLY and is_second and kind == signal.SIGINT:
        _AT_ONCE.set()
        raise KeyboardInterrupt
    if not is_second and _current == _Mode.ORDERLY:
        with suppress(OSError):  # the terminal is gone, which must not end the run
            os.write(2, _NOTICE)  # print is not safe inside a signal handler
