"""A request to stop (SIGINT, SIGTERM) that is not lost, wherever in a library it arrives."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_REQUESTED = threading.Event()


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """While this is open, SIGINT and SIGTERM raise KeyboardInterrupt and are remembered.

    Raising alone is not enough: an exception that arrives inside a callback of a native library
    is printed and dropped, and the run would go on. `check` raises again at the next safe place.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread; somebody else's program handles them
        return
    _REQUESTED.clear()
    kept = {kind: signal.signal(kind, _request) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in kept.items():
            signal.signal(kind, handler)


def check() -> None:
    """Stop here when a signal asked for it.

    Raises:
        KeyboardInterrupt: a signal came since `stop_on_signals` was opened.
    """
    if _REQUESTED.is_set():
        raise KeyboardInterrupt


def _request(_kind: int, _frame: FrameType | None) -> None:
    _REQUESTED.set()
    raise KeyboardInterrupt
