"""Something done again and again on a thread of its own, beside what takes long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(work: Callable[[], object], seconds: float, name: str) -> Iterator[None]:
    """While this is open, `work` every so many seconds; at its end no call is under way.

    Args:
        work: raises nothing; what it raised would end the repeating unheard.
        name: of the thread.
    """
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(seconds):
            work()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
