"""Decoding in a watched process: a decoder that hangs or crashes costs one file, not the night.

A watched process is started when it is first needed, kept for the files that follow, bounded in
memory (RLIMIT_AS) and killed when it takes longer than allowed; the next file gets a new one. It
imports no TensorFlow and no Beam. It ends by itself when this process does.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import queue
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from batch.errors import FailureReason, ImageFailure, Stage

_CONTEXT = multiprocessing.get_context("spawn")  # a fork of a threaded process may deadlock


class _Worker:
    """One watched process and the pipe to it."""

    def __init__(self, memory_bytes: int) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process: SpawnProcess = _CONTEXT.Process(
            target=_serve, args=(theirs, memory_bytes), name="decoder", daemon=True
        )
        self._process.start()
        _STARTED.add(self)
        theirs.close()

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> Any:
        """The function's value there.

        Raises:
            ImageFailure: DECODER_TIMED_OUT or DECODER_CRASHED; the worker is dead then.
        """
        try:
            self._pipe.send((function, arguments))
            if not self._pipe.poll(seconds):
                self.kill()
                raise ImageFailure(
                    Stage.DECODE, FailureReason.DECODER_TIMED_OUT, f"allowed: {seconds} s"
                )
            failed, value = self._pipe.recv()
        except (EOFError, OSError) as error:
            self.kill()
            code = self._process.exitcode
            raise ImageFailure(
                Stage.DECODE, FailureReason.DECODER_CRASHED, f"exit code {code}"
            ) from error
        if failed:
            raise value
        return value

    def kill(self) -> None:
        _STARTED.discard(self)
        self._process.kill()
        self._process.join()
        self._pipe.close()


_STARTED: set[_Worker] = set()


@atexit.register
def _kill_all() -> None:
    """Before multiprocessing, which would ask them with a signal that they ignore, and wait."""
    for worker in list(_STARTED):
        worker.kill()


_IDLE: queue.LifoQueue[tuple[int, _Worker]] = queue.LifoQueue()


def call_watched(
    function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float, memory_bytes: int
) -> Any:
    """Call a module-level function in a watched process; what it raises is raised here.

    Threads that call at once get a process each; the one used last is used again first.

    Raises:
        ImageFailure: DECODER_TIMED_OUT, DECODER_CRASHED.
    """
    worker = _idle_worker(memory_bytes)
    try:
        return worker.call(function, arguments, seconds)
    except ImageFailure as failure:
        if failure.reason in (FailureReason.DECODER_TIMED_OUT, FailureReason.DECODER_CRASHED):
            worker = None  # type: ignore[assignment]
        raise
    finally:
        if worker is not None:
            _IDLE.put((memory_bytes, worker))


def is_watched() -> bool:
    """Whether this is a watched process itself: being daemonic, it can start none."""
    return multiprocessing.current_process().daemon


def _idle_worker(memory_bytes: int) -> _Worker:
    while True:
        try:
            bound, worker = _IDLE.get_nowait()
        except queue.Empty:
            return _Worker(memory_bytes)
        if bound == memory_bytes:
            return worker
        worker.kill()


def _serve(pipe: Connection, memory_bytes: int) -> None:
    """The watched process: one call after the other until the other end closes."""
    for kind in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the parent decides
        signal.signal(kind, signal.SIG_IGN)
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"  # numpy, imported below the limit, reserves memory for each thread
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold a patient's image
    while True:
        try:
            function, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = (False, function(*arguments))
        except Exception as error:  # handed to the caller
            answer = (True, error)
        try:
            pipe.send(answer)
        except Exception as error:  # an exception that cannot be pickled, or no memory for it
            pipe.send((True, RuntimeError(type(error).__name__)))
