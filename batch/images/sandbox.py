"""Decodes files in watched processes, so that a decoder that hangs or crashes costs only one file.

A watched process is started when it is first needed and kept for further files. Its memory is
limited (RLIMIT_AS), and it is killed when it takes longer than allowed; the next file gets a new
one. It imports neither TensorFlow nor Beam, and it ends when this process ends.

If a process cannot be started, or ends before it is ready, the machine is at fault and not a file.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import queue
import re
import resource
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np

from batch.core.errors import DecoderNotStarted, FailureReason, ImageFailure, Stage
from batch.images import jpeg_headers
from batch.images.dicom_kinds import Codec
from batch.images.formats import FileFormat
from batch.images.jpeg_scans import count_scans
from batch.images.jpeg_support import is_read_by_turbojpeg

_CONTEXT = multiprocessing.get_context("spawn")  # a fork of a threaded process may deadlock


READY_SECONDS = 120.0
"""Longest time for a process to import its decoders, which may be slow from a network disk."""


PATIENCE, PAUSE_SECONDS = 3, 10.0
"""After so many failed starts in a row, no start is tried for a while, since each may take long and
leave a dead process."""


class _Worker:
    """A watched process and the pipe to it.

    Raises:
        DecoderNotStarted: the process cannot be started.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._ready_for: set[Callable[..., Any]] = set()
        ends: tuple[Connection, ...] = ()
        try:
            ends = self._pipe, theirs = _CONTEXT.Pipe()
            self._process: SpawnProcess = _CONTEXT.Process(
                target=_serve, args=(theirs, memory_bytes), name="decoder", daemon=True
            )
            self._process.start()
        except Exception as error:  # also a library that can no longer be loaded
            for end in ends:
                end.close()
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""
            raise DecoderNotStarted(why or type(error).__name__) from error
        _STARTED.add(self)
        theirs.close()

    def make_ready(self, function: Callable[..., Any]) -> None:
        """Let the process import what a function needs, before it gets a file.

        Raises:
            DecoderNotStarted: the process failed and has been killed.
        """
        if function in self._ready_for:
            return
        why = ""
        try:
            self._pipe.send((function, None))
            if not self._pipe.poll(READY_SECONDS):
                why = f"not ready after {READY_SECONDS:.0f} s"
            elif (answer := self._pipe.recv())[0]:
                why = f"not ready: {type(answer[1]).__name__}"
        except (EOFError, OSError):
            self._process.join(1)
            why = f"ended before it was ready, exit code {self._process.exitcode}"
        if why:
            self.kill()
            raise DecoderNotStarted(why)
        self._ready_for.add(function)

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> Any:
        """Call the function in the process and return its value; its errors are raised here.

        Raises:
            ImageFailure: DECODER_TIMED_OUT or DECODER_CRASHED; the process has been killed.
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

    @property
    def is_alive(self) -> bool:
        """Whether the process still lives; somebody may have killed it while it was idle."""
        return self._process.is_alive()

    def kill(self) -> None:
        _STARTED.discard(self)
        self._process.kill()
        self._process.join()
        self._pipe.close()


_STARTED: set[_Worker] = set()


@atexit.register
def _kill_all() -> None:
    """Kill all processes at exit; multiprocessing would wait, since they ignore its signal."""
    for worker in list(_STARTED):
        worker.kill()


_IDLE: queue.LifoQueue[tuple[int, _Worker]] = queue.LifoQueue()


class _Starts:
    """Starts processes, and pauses after repeated failures."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed, self._not_before, self._why = 0, 0.0, ""

    def start(self, memory_bytes: int, function: Callable[..., Any]) -> _Worker:
        """Start a process and make it ready for a function.

        Raises:
            DecoderNotStarted: it failed, or starts are paused.
        """
        with self._lock:
            if self._failed >= PATIENCE and time.monotonic() < self._not_before:
                raise DecoderNotStarted(self._why)
        try:
            worker = _Worker(memory_bytes)
            worker.make_ready(function)
        except DecoderNotStarted as error:
            with self._lock:
                self._failed, self._why = self._failed + 1, error.detail
                self._not_before = time.monotonic() + PAUSE_SECONDS
            raise
        with self._lock:
            self._failed = 0
        return worker


_STARTS = _Starts()


def call_in_sandbox(
    function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float, memory_bytes: int
) -> Any:
    """Call a module-level function in a watched process; its errors are raised here.

    Each thread that calls at the same time gets a process of its own.

    Args:
        function: public, since the process finds it by its name.
        arguments: of the function.
        seconds: allowed for the call.
        memory_bytes: limit of the process.

    Raises:
        ImageFailure: DECODER_TIMED_OUT, DECODER_CRASHED.
        DecoderNotStarted: there is no process, which is not due to the arguments.
    """
    worker = _ready_worker(memory_bytes, function, seconds)
    try:
        return worker.call(function, arguments, seconds)
    except ImageFailure as failure:
        if failure.reason in (FailureReason.DECODER_TIMED_OUT, FailureReason.DECODER_CRASHED):
            worker = None  # type: ignore[assignment]
        raise
    finally:
        if worker is not None:
            _IDLE.put((memory_bytes, worker))


def is_in_sandbox() -> bool:
    """Whether this process is a watched process; it is daemonic, and cannot start others."""
    return multiprocessing.current_process().daemon


def _ready_worker(memory_bytes: int, function: Callable[..., Any], seconds: float) -> _Worker:
    while (worker := _idle_worker(memory_bytes)) is not None:
        with suppress(DecoderNotStarted):  # it is dead; starting a new one gives the reason
            worker.make_ready(function)
            return worker
    try:
        return _STARTS.start(memory_bytes, function)
    except DecoderNotStarted:
        if not _STARTED:
            raise
        # if the machine allows fewer processes than there are threads, threads take turns
        worker = _idle_worker(memory_bytes, seconds)
        if worker is None:
            raise
        worker.make_ready(function)
        return worker


def _idle_worker(memory_bytes: int, seconds: float = 0.0) -> _Worker | None:
    """An idle process, or None after so many seconds."""
    while True:
        try:
            bound, worker = _IDLE.get(timeout=seconds) if seconds else _IDLE.get_nowait()
        except queue.Empty:
            return None
        if bound == memory_bytes and worker.is_alive:
            return worker
        worker.kill()


def _serve(pipe: Connection, memory_bytes: int) -> None:
    """Run in the watched process: handle one call after the other until the pipe closes.

    A function without arguments is only imported, which receiving it does.
    """
    for kind in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group; the parent decides
        signal.signal(kind, signal.SIG_IGN)
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"  # numpy, imported below the limit, reserves memory for each thread
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    bound = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold a patient's image
    while True:
        try:
            received = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            function, arguments = pickle.loads(received)
            answer = (False, None if arguments is None else function(*arguments))
        except Exception as error:  # the caller raises it
            answer = (True, error)
        del received
        try:
            pipe.send(answer)
        except Exception as error:  # an exception that cannot be pickled, or no memory for it
            pipe.send((True, RuntimeError(type(error).__name__)))


MAX_SCANS = 64
"""Usual progressive JPEGs have about ten scans. Thousands of scans keep a decoder busy for minutes,
since each goes over the whole image."""


MAX_STREAMS = 64
"""Most streams of a file whose scans are counted."""


MAX_PIXELS_HERE = 50_000_000


_SCAN = (0xFF, 0xDA)


_CHUNK = 1 << 20


_HEADERS = 1 << 17
"""Bytes that hold the headers of a stream, unless there is a large profile in them."""


_STREAM = re.compile(rb"(?:\A|\xfe\xff\x00\xe0.{4})\xff\xd8", re.DOTALL)
"""Start of a JPEG, in a file or in an item of encapsulated pixel data (PS3.5 A.4)."""


def raster_needs_sandbox(data: bytes, file_format: FileFormat) -> bool:
    """Whether a photograph is decoded in the watched process."""
    if file_format == FileFormat.JPEG:
        return has_many_scans(data) or has_unusual_sampling(data)
    if file_format == FileFormat.PNG:
        columns, rows = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        return rows * columns > MAX_PIXELS_HERE
    return True


def object_needs_sandbox(codec: Codec | None, pixel_data: bytes, rows: int, columns: int) -> bool:
    """Whether a DICOM object's frames are decoded in the watched process."""
    if rows * columns > MAX_PIXELS_HERE:
        return True
    if codec == Codec.JPEG:
        return has_many_scans(pixel_data) or has_unusual_sampling(pixel_data)
    return codec not in (None, Codec.NATIVE)


def has_many_scans(data: bytes) -> bool:
    """Whether a JPEG stream, in a file or in items of pixel data, has more than `MAX_SCANS` scans.

    They are counted exactly only if a quick count is too high, since segments and bytes after the
    image may look like scans or like further streams.
    """
    if _count_scans(data) <= MAX_SCANS:
        return False
    starts = [match.end() - 2 for match in _STREAM.finditer(data)]
    if len(starts) > MAX_STREAMS:
        return True
    return any(count_scans(data, start) > MAX_SCANS for start in starts)


def has_unusual_sampling(data: bytes) -> bool:
    """Whether the first stream has a sampling for which it is slowly checked code by code."""
    match = _STREAM.search(data)
    if match is None:
        return False
    start = match.end() - 2
    try:
        sampling = jpeg_headers.read_header(
            data[start : start + _HEADERS] if start else data
        ).sampling
    except ImageFailure:
        return False
    return len(sampling) in (3, 4) and not is_read_by_turbojpeg(sampling)


def _count_scans(data: bytes) -> int:
    """Quick count of scan markers; `data.count` takes four times as long and blocks all threads."""
    scans = 0
    for start in range(0, len(data) - 1, _CHUNK):
        octets = np.frombuffer(data, np.uint8, min(_CHUNK + 1, len(data) - start), start)
        is_marker = (octets[:-1] == _SCAN[0]) & (octets[1:] == _SCAN[1])
        scans += int(np.count_nonzero(is_marker))
    return scans
