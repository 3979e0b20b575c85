"""A pool of processes on this machine; each runs one segment's pipeline at a time.

One process gains little from more than about four cores, because Python's interpreter lock lets
only one thread run at a time. Each process here has its own interpreter, model and decoding
threads, and lives until the last segment. The result of a segment does not depend on the process.
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
TASKS_A_PROCESS = 2
"""Tasks that may be started, for each process. A process that is done early gets another task while
the oldest task is not done."""
REPORT_SECONDS = 1.0
"""Between two reports of a process on its progress."""
RECEIVE_SECONDS = 1.0
"""How long to wait for a message; a signal may be noticed so much later."""
_CONTEXT = multiprocessing.get_context("spawn")  # a fork of a threaded process may deadlock
_READY, _DONE, _FAILED, _READ = "ready", "done", "failed", "read"


NOT_STARTED = (
    "--processes: this machine could not start a process ({}); nothing was published. Allow fewer "
    "processes, or raise its limits (memory, processes, open files: ulimit), then start again."
)


class ProcessPool(Generic[Task]):
    """A context manager with processes that do tasks; it ends them all at its end.

    Args:
        do: does one task in a process; a function at module level, or a partial of one.
        size: number of processes.
    """

    def __init__(self, do: Callable[[Task], None], size: int) -> None:
        self._do, self._size = do, size

    def __enter__(self) -> ProcessPool[Task]:
        """Start the processes; if the machine allows fewer, these do all the work.

        Raises:
            BatchError: no process could be started.
        """
        self._processes: list[_PoolProcess] = []
        try:
            while len(self._processes) < self._size:
                self._processes.append(_PoolProcess(self._do))
        except _NotStarted as error:
            if not self._processes:
                raise BatchError(NOT_STARTED.format(error)) from error
            started = len(self._processes)
            logger.warning("%d of %d processes started: %s", started, self._size, error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()

    def finished(self, tasks: Iterator[Task]) -> Iterator[Task]:
        """Do tasks, and give each when it is done, in their order.

        The next task is taken from `tasks` when a process is free.

        Raises:
            BatchError: a process ended. Also the error of a task, as `portable_error` gives it.
        """
        started: deque[_StartedTask[Task]] = deque()
        most = TASKS_A_PROCESS * len(self._processes)
        is_more = True
        while True:
            while is_more and len(started) < most and (free := self._free()) is not None:
                task = next(tasks, None)
                is_more = task is not None
                if task is not None:
                    started.append(_StartedTask(task))
                    free.begin(started[-1])
            if not started:
                return
            if started[0].is_done:
                yield started.popleft().task
            else:
                self._receive()

    def _free(self) -> _PoolProcess | None:
        return next((process for process in self._processes if process.is_free), None)

    def _receive(self) -> None:
        ready = wait([process.pipe for process in self._processes], RECEIVE_SECONDS)
        for process in self._processes:
            if process.pipe in ready:
                process.receive()


class _NotStarted(Exception):
    """The system could not start a process."""


@dataclass
class _StartedTask(Generic[Task]):
    task: Task
    is_done: bool = field(default=False)


class _PoolProcess:
    """A process and the pipe to it. It is not daemonic, because it starts watched processes."""

    def __init__(self, do: Callable[[Any], None]) -> None:
        self._work: _StartedTask[Any] | None = None
        self._is_ready = False
        ends: tuple[Connection, ...] = ()
        try:
            ends = self.pipe, theirs = _CONTEXT.Pipe()
            self._process = _CONTEXT.Process(target=_serve, args=(theirs,), name="segments")
            self._process.start()
        except Exception as error:  # also a library that can no longer be loaded
            for end in ends:
                end.close()
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""
            raise _NotStarted(why or type(error).__name__) from error
        theirs.close()
        self._send(do)

    @property
    def is_free(self) -> bool:
        """Whether it has no task."""
        return self._work is None

    def begin(self, work: _StartedTask[Any]) -> None:
        """Give it a task."""
        self._send(work.task)
        self._work = work

    def receive(self) -> None:
        """Handle one message of the process."""
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

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self.pipe.close()
        self._process.kill()
        self._process.join()

    def _send(self, message: object) -> None:
        try:
            self.pipe.send(message)
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> BatchError:
        self._process.join()
        with suppress(EOFError, OSError):  # messages that it sent before it ended
            while self.pipe.poll():
                self._is_ready |= self.pipe.recv()[0] == _READY
        if not self._is_ready:
            code = self._process.exitcode
            return BatchError(NOT_STARTED.format(f"it ended before it was ready, exit code {code}"))
        return BatchError(
            f"--processes: a process ended (exit code {self._process.exitcode}); nothing was "
            "published. Exit code -9 means that memory ran out: allow fewer processes, then start "
            "again. The next run goes on from the last complete segment."
        )


def _serve(pipe: Connection) -> None:
    """Run in the process: receive `do`, then do one task after the other until the pipe closes.

    `do` comes by the pipe and not as an argument, because receiving it imports libraries, which
    must be silenced before.
    """
    for kind in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group; the driver decides
        signal.signal(kind, signal.SIG_IGN)
    limit_malloc_arenas()
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    logging.getLogger().addHandler(logging.NullHandler())  # messages of libraries may quote values
    warnings.simplefilter("ignore")
    try:
        with freeze_imports():
            do = pipe.recv()
        pipe.send((_READY, None))
    except (EOFError, OSError):
        return
    send_lock = threading.Lock()
    reported = 0

    def report_files_read() -> None:
        nonlocal reported
        with send_lock:
            count = FILES_READ.value
            if count > reported:
                with suppress(OSError):  # the driver is gone
                    pipe.send((_READ, count - reported))
                reported = count

    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            with run_every(report_files_read, REPORT_SECONDS, "report"):
                do(task)
        except Exception as error:
            with send_lock:
                pipe.send((_FAILED, (portable_error(error), traceback_lines(error))))
        else:
            report_files_read()
            with send_lock:
                pipe.send((_DONE, None))


def _end_with_parent() -> None:
    """End this process when the driver ends, in whatever way."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
