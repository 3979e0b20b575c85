"""How a run comes along, on a terminal: a bar while files are scored, and a line for each phase."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress
from types import TracebackType

from tqdm import tqdm

from batch.progress import FILES_READ

logger = logging.getLogger(__name__)
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
        self._visible = sys.stderr.isatty() if visible is None else visible
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
