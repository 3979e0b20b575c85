"""The DoFns of the pipelines, which only buffer and count.

`read_file` and `score_batch` do the work.
"""

from __future__ import annotations

import os
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from batch.archive.reader import FrameResult
from batch.core.records import FileReading, ModelInput, QueuedFile, Unscored
from batch.model.classifier import Classifier
from batch.model.manifest import OutputContract
from batch.model.scoring import score_batch
from batch.model.silent import SilentModel
from batch.pipeline.results import Result, path_of
from batch.runtime.terminal import FILES_READ
from batch.runtime.threads import OrderedPrefetch

METRICS, FILES = "batch", "files_read"
"""Namespace of our counters, and name of the counter of files read."""
Reading = tuple[FileReading, tuple[FrameResult, ...]]
"""The result of reading a file, and of each of its frames."""

READ_AHEAD_FILES = 96
"""Most files read ahead of the model, so that decoding goes on while batches are scored."""
READ_AHEAD_FRAMES = 128
"""Most frames that wait for the model, so that a few files with many frames do not fill memory."""

RESULTS_A_BATCH = 256
"""Results that travel as one element. Each alone would repeat the names of class and fields, and
cost the main thread half a millisecond."""


class ReadDoFn(beam.DoFn):
    """Reads files ahead on threads. Codecs release the interpreter lock, so all cores decode."""

    def __init__(
        self,
        read: Callable[..., Reading],
        threads: int,
    ) -> None:
        self._read, self._threads = read, threads
        self._files = Metrics.counter(METRICS, FILES)

    def setup(self) -> None:
        """See `beam.DoFn`."""
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")

    def start_bundle(self) -> None:
        """See `beam.DoFn`."""
        self._ahead = OrderedPrefetch(
            self._pool, self._threads, self._read_file, _count_frames, READ_AHEAD_FRAMES
        )

    def process(self, file: QueuedFile) -> Iterator[Any]:
        """See `beam.DoFn`."""
        self._ahead.add(file)
        while self._ahead.is_next_done() or self._is_far_ahead():
            yield from self._emit()

    def finish_bundle(self) -> Iterator[Any]:
        """See `beam.DoFn`."""
        while self._ahead:
            yield from map(_at_bundle_end, self._emit())

    def teardown(self) -> None:
        """See `beam.DoFn`."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read_file(self, file: QueuedFile) -> Reading:
        return self._read(file.location, known=file.known)

    def _is_far_ahead(self) -> bool:
        return len(self._ahead) >= READ_AHEAD_FILES or self._ahead.weight >= READ_AHEAD_FRAMES

    def _emit(self) -> Iterator[Any]:
        reading, results = self._ahead.take()
        self._files.inc()
        FILES_READ.add()
        yield reading
        yield from results


def _count_frames(read: Reading) -> int:
    return len(read[1])


class ScoreDoFn(beam.DoFn):
    """Collects images to full batches and scores them; the rest is scored at the bundle's end.

    Other items pass through, because separate outputs would need another stage to join them. The
    model works on threads of its own, so that reading goes on meanwhile.
    """

    def __init__(
        self,
        load: Callable[[], Classifier],
        output: OutputContract,
        batch_size: int,
        threads: int,
        silent: SilentModel | None = None,
    ) -> None:
        self._load, self._output, self._batch_size = load, output, batch_size
        self._threads, self._silent = threads, silent
        self._images = Metrics.counter(METRICS, "images_to_model")

    def setup(self) -> None:
        """See `beam.DoFn`."""
        self._classifier = self._load()
        self._silent_scorer = self._silent.loaded() if self._silent else None
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="score")

    def start_bundle(self) -> None:
        """See `beam.DoFn`."""
        self._batch: list[ModelInput] = []
        self._under_way: deque[Future] = deque()

    def process(self, item: ModelInput | FileReading | Unscored) -> Iterator[Any]:
        """See `beam.DoFn`."""
        if isinstance(item, FileReading | Unscored):
            yield item
            return
        self._batch.append(item)
        if len(self._batch) >= self._batch_size:
            self._hand_over()
            yield from self._scored(self._threads)

    def finish_bundle(self) -> Iterator[Any]:
        """See `beam.DoFn`."""
        self._hand_over()
        yield from map(_at_bundle_end, self._scored(0))

    def teardown(self) -> None:
        """See `beam.DoFn`."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _hand_over(self) -> None:
        batch, self._batch = self._batch, []
        self._images.inc(len(batch))
        self._under_way.append(self._pool.submit(self._score, batch))

    def _score(self, batch: list[ModelInput]) -> list[Result]:
        results = score_batch(self._classifier, self._output, batch)
        if self._silent_scorer is None:
            return list(results)
        return [*results, *self._silent_scorer.score(batch, results)]

    def _scored(self, most: int) -> Iterator[Any]:
        """Results in order; waits until at most `most` batches are being scored."""
        while self._under_way and (len(self._under_way) > most or self._under_way[0].done()):
            yield from self._under_way.popleft().result()


@dataclass(frozen=True)
class ResultBatch:
    """Results that travel together. Beam encodes an object of this class as a whole."""

    items: tuple[Result, ...]


class ShardDoFn(beam.DoFn):
    """Collects results by shard; all results of a file go to the same shard."""

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def start_bundle(self) -> None:
        """See `beam.DoFn`."""
        self._waiting: defaultdict[int, list[Result]] = defaultdict(list)

    def process(self, result: Result) -> Iterator[tuple[int, ResultBatch]]:
        """See `beam.DoFn`."""
        name = os.fsencode(path_of(result))  # may not be UTF-8
        shard = zlib.crc32(name) % self._shards
        self._waiting[shard].append(result)
        if len(self._waiting[shard]) >= RESULTS_A_BATCH:
            yield shard, ResultBatch(tuple(self._waiting.pop(shard)))

    def finish_bundle(self) -> Iterator[Any]:
        """See `beam.DoFn`."""
        for shard, results in self._waiting.items():
            yield _at_bundle_end((shard, ResultBatch(tuple(results))))


def _at_bundle_end(element: Any) -> Any:
    """Add the window and time that Beam needs at a bundle's end; there is only one window."""
    return WindowedValue(element, MIN_TIMESTAMP, (GlobalWindow(),))
