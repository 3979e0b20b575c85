"""How far this run has come: counted by the workers in this process, read by the console.

Workers elsewhere count with Beam's metrics, and what the engine tells of them is added here.
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
