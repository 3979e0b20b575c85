"""Segments side by side: processes of this machine, each of which runs one pipeline at a time.

One process gains little beyond some four cores, because Python's interpreter lock admits one thread
at a time. Each process here has an interpreter, a model and decoding threads of its own, and lives
until the night's last segment. What a segment leaves is the same, whoever ran it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Generic, TypeVar

from batch.core.errors import BatchError
from batch.runtime.logs import traceback_lines
from batch.runtime.process import freeze_imports, limit_malloc_arenas
from batch.runtime.terminal import FILES_READ
from batch.runtime.threads import run_every
from batch.storage.failures import portable_error

logger = logging.getLogger(__name__)
Task = TypeVar("Task")
WAITING_A_PROCESS = 2
"""Tasks under way, a process: one that is done early has another while the oldest is not done."""
TELL_SECONDS = 1.0
"""Between two words of a process on how far it is."""
LISTEN_SECONDS = 1.0
"""A signal that comes just before the waiting begins is heard this much later."""
_CONTEXT = multiprocessing.get_context("spawn")  # a fork of a threaded process may deadlock
_READY, _DONE, _FAILED, _READ = "ready", "done", "failed", "read"


NOT_STARTED = (
    "--processes: this machine could not start a process ({}); nothing was published. Allow fewer "
    "processes, or raise its limits (memory, processes, open files: ulimit), then start again."
)


class Crew(Generic[Task]):
    """Processes that do tasks; a context manager. Nothing of them is left behind it.

    Args:
        do: a function at module level, or a partial of one; does one task, in a process.
        size: processes.
    """

    def __init__(self, do: Callable[[Task], None], size: int) -> None:
        self._do, self._size = do, size

    def __enter__(self) -> Crew[Task]:
        """Start the processes; where the machine allows fewer, those do it.

        Raises:
            BatchError: not one could be started.
        """
        self._members: list[_Member] = []
        try:
            while len(self._members) < self._size:
                self._members.append(_Member(self._do))
        except _NotStarted as error:
            if not self._members:
                raise BatchError(NOT_STARTED.format(error)) from error
            logger.warning("%d of %d processes started: %s", len(self._members), self._size, error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for member in self._members:
            member.dismiss()

    def finished(self, tasks: Iterator[Task]) -> Iterator[Task]:
        """Have tasks done, and give each when it is done, in their order.

        A task is asked for when a process is free for it.

        Raises:
            BatchError: a process ended. What a task raised, as far as another process may be told.
        """
        under_way: deque[_UnderWay[Task]] = deque()
        most = WAITING_A_PROCESS * len(self._members)
        is_more = True
        while True:
            while is_more and len(under_way) < most and (free := self._free()) is not None:
                task = next(tasks, None)
                is_more = task is not None
                if task is not None:
                    under_way.append(_UnderWay(task))
                    free.begin(under_way[-1])
            if not under_way:
                return
            if under_way[0].is_done:
                yield under_way.popleft().task
            else:
                self._listen()

    def _free(self) -> _Member | None:
        return next((member for member in self._members if member.is_free), None)

    def _listen(self) -> None:
        heard = wait([member.pipe for member in self._members], LISTEN_SECONDS)
        for member in self._members:
            if member.pipe in heard:
                member.hear()


class _NotStarted(Exception):
    """The system gave no process."""


@dataclass
class _UnderWay(Generic[Task]):
    task: Task
    is_done: bool = field(default=False)


class _Member:
    """One process and the pipe to it. Not daemonic: it has watched decoders of its own."""

    def __init__(self, do: Callable[[Any], None]) -> None:
        self._work: _UnderWay[Any] | None = None
        self._is_ready = False
        ends: tuple[Connection, ...] = ()
        try:
            ends = self.pipe, theirs = _CONTEXT.Pipe()
            self._process = _CONTEXT.Process(target=_serve, args=(theirs,), name="segments")
            self._process.start()
        except Exception as error:  # a library that cannot be loaded any more, too
            for end in ends:
                end.close()
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""
            raise _NotStarted(why or type(error).__name__) from error
        theirs.close()
        self._send(do)

    @property
    def is_free(self) -> bool:
        """Whether it has nothing to do."""
        return self._work is None

    def begin(self, work: _UnderWay[Any]) -> None:
        """Hand over one task."""
        self._send(work.task)
        self._work = work

    def hear(self) -> None:
        """Take one message."""
        try:
            word, value = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if word == _READY:
            self._is_ready = True
        elif word == _READ:
            FILES_READ.add(value)
        elif word == _DONE and self._work is not None:
            self._work.is_done, self._work = True, None
        elif word == _FAILED:
            failure, lines = value
            for line in lines:
                logger.error("in a process: %s", line)
            raise failure

    def dismiss(self) -> None:
        """End the process, whatever it does; what it was at has no reader any more."""
        self.pipe.close()
        self._process.kill()
        self._process.join()

    def _send(self, thing: object) -> None:
        try:
            self.pipe.send(thing)
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> BatchError:
        self._process.join()
        with suppress(EOFError, OSError):  # what it said before it ended
            while self.pipe.poll():
                self._is_ready |= self.pipe.recv()[0] == _READY
        if not self._is_ready:
            code = self._process.exitcode
            return BatchError(NOT_STARTED.format(f"it ended before it was ready, exit code {code}"))
        return BatchError(
            f"--processes: one of them ended (exit code {self._process.exitcode}); nothing was "
            "published. -9 is what the system does when memory runs out: allow fewer processes, "
            "then start again. The next run goes on from the last complete segment."
        )


def _serve(pipe: Connection) -> None:
    """The process: what to do, then one task after the other until the other end closes.

    What to do comes by the pipe: receiving it imports libraries, which must be quiet by then.
    """
    for kind in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the driver decides
        signal.signal(kind, signal.SIG_IGN)
    limit_malloc_arenas()
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    logging.getLogger().addHandler(logging.NullHandler())  # what libraries say may quote
    warnings.simplefilter("ignore")
    try:
        with freeze_imports():
            do = pipe.recv()
        pipe.send((_READY, None))
    except (EOFError, OSError):
        return
    speak = threading.Lock()
    told = 0

    def tell() -> None:
        nonlocal told
        with speak:
            count = FILES_READ.value
            if count > told:
                with suppress(OSError):  # nobody listens any more
                    pipe.send((_READ, count - told))
                told = count

    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            with run_every(tell, TELL_SECONDS, "tell"):
                do(task)
        except Exception as error:
            with speak:
                pipe.send((_FAILED, (portable_error(error), traceback_lines(error))))
        else:
            tell()
            with speak:
                pipe.send((_DONE, None))


def _end_with_parent() -> None:
    """A driver that was killed takes its processes along: nobody waits for what they do."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
