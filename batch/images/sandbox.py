"""Decoding in a watched process: a decoder that hangs or crashes costs one file, not the night.

A watched process is started when it is first needed, kept for the files that follow, bounded in
memory (RLIMIT_AS) and killed when it takes longer than allowed; the next file gets a new one. It
imports no TensorFlow and no Beam. It ends by itself when this process does.

A process that cannot be started, or ends before it has said that it is ready, is this machine's
fault: no file is blamed for it.
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
"""From the start of a process until it has imported its decoders; a slow network disk is slow."""


PATIENCE, PAUSE_SECONDS = 3, 10.0
"""After so many failed starts in a row none is tried for a while: each may wait long and leave a
dead process behind."""


class _Worker:
    """One watched process and the pipe to it.

    Raises:
        DecoderNotStarted: there is no process.
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
        except Exception as error:  # a library that cannot be loaded any more, too
            for end in ends:
                end.close()
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""
            raise DecoderNotStarted(why or type(error).__name__) from error
        _STARTED.add(self)
        theirs.close()

    def make_ready(self, function: Callable[..., Any]) -> None:
        """Have the process import what a function needs, before any file is handed over.

        Raises:
            DecoderNotStarted: it cannot; the worker is dead then.
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

    @property
    def is_alive(self) -> bool:
        """Whether it is there still: somebody may have killed it while it had nothing to do."""
        return self._process.is_alive()

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


class _Starts:
    """Starts processes, and leaves off for a while when that keeps failing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed, self._not_before, self._why = 0, 0.0, ""

    def start(self, memory_bytes: int, function: Callable[..., Any]) -> _Worker:
        """A process that is ready.

        Raises:
            DecoderNotStarted: there is none.
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
    """Call a module-level function in a watched process; what it raises is raised here.

    Threads that call at once get a process each; the one used last is used again first.

    Raises:
        ImageFailure: DECODER_TIMED_OUT, DECODER_CRASHED. DecoderNotStarted: no process could be
            had; that says nothing of the arguments.
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
    """Whether this is a watched process itself: being daemonic, it can start none."""
    return multiprocessing.current_process().daemon


def _ready_worker(memory_bytes: int, function: Callable[..., Any], seconds: float) -> _Worker:
    while (worker := _idle_worker(memory_bytes)) is not None:
        with suppress(DecoderNotStarted):  # it is dead; a new one tells why
            worker.make_ready(function)
            return worker
    try:
        return _STARTS.start(memory_bytes, function)
    except DecoderNotStarted:
        if not _STARTED:
            raise
        # where the machine allows fewer processes than threads want, they take turns
        worker = _idle_worker(memory_bytes, seconds)
        if worker is None:
            raise
        worker.make_ready(function)
        return worker


def _idle_worker(memory_bytes: int, seconds: float = 0.0) -> _Worker | None:
    """A process that has nothing to do, within so many seconds."""
    while True:
        try:
            bound, worker = _IDLE.get(timeout=seconds) if seconds else _IDLE.get_nowait()
        except queue.Empty:
            return None
        if bound == memory_bytes and worker.is_alive:
            return worker
        worker.kill()


def _serve(pipe: Connection, memory_bytes: int) -> None:
    """The watched process: one call after the other until the other end closes.

    A function without arguments is only to be imported, which receiving it does.
    """
    for kind in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the parent decides
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
        except Exception as error:  # handed to the caller
            answer = (True, error)
        del received
        try:
            pipe.send(answer)
        except Exception as error:  # an exception that cannot be pickled, or no memory for it
            pipe.send((True, RuntimeError(type(error).__name__)))


MAX_SCANS = 64
"""Ordinary progressive JPEGs have about ten scans; thousands of them keep a decoder busy for
minutes, each scan passing over the whole image."""


MAX_STREAMS = 64
"""Of one file, whose scans are counted one by one."""


MAX_PIXELS_HERE = 50_000_000


_SCAN = (0xFF, 0xDA)


_CHUNK = 1 << 20


_HEADERS = 1 << 17
"""Bytes that hold the headers of a stream, unless a large profile stands in them."""


_STREAM = re.compile(rb"(?:\A|\xfe\xff\x00\xe0.{4})\xff\xd8", re.DOTALL)
"""Where a JPEG begins: with the file, or with an item of encapsulated pixel data (PS3.5 A.4)."""


def raster_needs_sandbox(data: bytes, file_format: FileFormat) -> bool:
    """Whether a plain file is decoded in the watched process."""
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
    """Whether a stream in a plain file, or in the items of pixel data, has more scans than honest.

    Counted well only where a quick look finds enough: segments and what follows the image may hold
    anything that looks like a scan or like the start of another stream.
    """
    if _count_scans(data) <= MAX_SCANS:
        return False
    starts = [found.end() - 2 for found in _STREAM.finditer(data)]
    if len(starts) > MAX_STREAMS:
        return True
    return any(count_scans(data, start) > MAX_SCANS for start in starts)


def has_unusual_sampling(data: bytes) -> bool:
    """Whether the first stream is read code by code, slowly, before it is decoded."""
    found = _STREAM.search(data)
    if found is None:
        return False
    start = found.end() - 2
    try:
        sampling = jpeg_headers.read_header(
            data[start : start + _HEADERS] if start else data
        ).sampling
    except ImageFailure:
        return False
    return len(sampling) in (3, 4) and not is_read_by_turbojpeg(sampling)


def _count_scans(data: bytes) -> int:
    """`data.count` would take four times as long, and keep every other thread waiting."""
    scans = 0
    for start in range(0, len(data) - 1, _CHUNK):
        octets = np.frombuffer(data, np.uint8, min(_CHUNK + 1, len(data) - start), start)
        is_marker = (octets[:-1] == _SCAN[0]) & (octets[1:] == _SCAN[1])
        scans += int(np.count_nonzero(is_marker))
    return scans
