"""The DoFns of the pipelines: read, score, count, write parts. They only buffer and count.

What is decided about a file or a batch is decided in `read_file` and `score_batch`.
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
from batch.pipeline.results import Result, path_of
from batch.runtime.terminal import FILES_READ
from batch.runtime.threads import OrderedPrefetch

METRICS, FILES = "batch", "files_read"
"""Namespace of our counters, and the counter of files that were read."""
Reading = tuple[FileReading, tuple[FrameResult, ...]]
"""What a file held, and each of its frames."""

READ_AHEAD_FILES = 96
"""Files read before the model asks for them: decoding goes on while batches are scored."""
READ_AHEAD_FRAMES = 128
"""Frames that may wait for the model: a few files of many frames are ahead far enough."""

RESULTS_TOGETHER = 256
"""Results that travel as one element: each alone would name its class and fields again, and cost
the main thread half a millisecond."""


class ReadDoFn(beam.DoFn):
    """Reads ahead on threads: codecs release the interpreter, so decoding fills the cores."""

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
    """Collects images to full batches; what is left is scored at the bundle's end. What is no image
    passes through: outputs apart would have to be brought together again, at the cost of a stage.

    The model works on threads of its own, so that reading and collecting go on meanwhile.
    """

    def __init__(
        self, load: Callable[[], Classifier], output: OutputContract, batch_size: int, threads: int
    ) -> None:
        self._load, self._output, self._batch_size = load, output, batch_size
        self._threads = threads
        self._images = Metrics.counter(METRICS, "images_to_model")

    def setup(self) -> None:
        """See `beam.DoFn`."""
        self._classifier = self._load()
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
        self._under_way.append(
            self._pool.submit(score_batch, self._classifier, self._output, batch)
        )

    def _scored(self, left: int) -> Iterator[Any]:
        """What is done, waiting until no more than `left` batches are under way."""
        while self._under_way and (len(self._under_way) > left or self._under_way[0].done()):
            yield from self._under_way.popleft().result()


@dataclass(frozen=True)
class Results:
    """What travels together; of a class of its own, so that Beam encodes it as a whole."""

    items: tuple[Result, ...]


class ShardDoFn(beam.DoFn):
    """Collects the results of each shard; all that becomes of a file goes to the same one."""

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def start_bundle(self) -> None:
        """See `beam.DoFn`."""
        self._waiting: defaultdict[int, list[Result]] = defaultdict(list)

    def process(self, result: Result) -> Iterator[tuple[int, Results]]:
        """See `beam.DoFn`."""
        name = os.fsencode(path_of(result))  # it need not be UTF-8
        shard = zlib.crc32(name) % self._shards
        self._waiting[shard].append(result)
        if len(self._waiting[shard]) >= RESULTS_TOGETHER:
            yield shard, Results(tuple(self._waiting.pop(shard)))

    def finish_bundle(self) -> Iterator[Any]:
        """See `beam.DoFn`."""
        for shard, results in self._waiting.items():
            yield _at_bundle_end((shard, Results(tuple(results))))


def _at_bundle_end(element: Any) -> Any:
    """Beam wants window and time of what a bundle's end gives; a night has one window."""
    return WindowedValue(element, MIN_TIMESTAMP, (GlobalWindow(),))
