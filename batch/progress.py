"""How far this process has come: counted by the workers in it, read by the console.

On a runner with workers elsewhere these counts stay at zero and the console moves by segments.
"""

from __future__ import annotations

import threading


class Counter:
    """A number that threads add to."""

    def __init__(self) -> None:
        self._value = 0
        self._lock = threading.Lock()

    def add(self, count: int = 1) -> None:
        """Count more."""
        with self._lock:
            self._value += count

    @property
    def value(self) -> int:
        """The count so far, over the life of the process."""
        return self._value


FILES_READ = Counter()
"""Files that were read in this process, whatever became of them."""
