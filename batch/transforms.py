"""PTransforms and DoFns: wiring, buffering and counters only.

If an `if` about pixels, UIDs, scores or thresholds seems needed here, it belongs one layer down,
in a function that is tested with numbers. What stays here is Beam's business: which element goes
to which output, what waits for a bundle's end, and what is counted.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from batch.archive.frames import FrameResult
from batch.archive.reader import read_file
from batch.archive.rules import ReadingRules
from batch.archive.storage import ArchiveStorage
from batch.model.classifier import Classifier
from batch.model.manifest import OutputContract
from batch.model.scoring import score_batch
from batch.progress import FILES_READ
from batch.records import (
    FileReading,
    ModelInput,
    Prediction,
    QueuedFile,
    Unscored,
)
from batch.reports import listing, parts
from batch.reports.queue import read_chunk
from batch.reports.rows import RunFacts
from batch.reports.shared import SharedFolder

UNSCORED, READINGS = "unscored", "readings"
METRICS, FILES = "batch", "files_read"
"""Namespace of our counters, and the counter of files that were read."""
READ_AHEAD_FILES = 96
"""Files read before the model asks for them: decoding goes on while batches are scored."""
READ_AHEAD_FRAMES = 128
"""Frames that may wait for the model: a few files of many frames are ahead far enough."""


class Prepared(NamedTuple):
    """What PrepareImages gives: inputs for the model, unscored frames, one reading a file."""

    inputs: beam.PCollection
    unscored: beam.PCollection
    readings: beam.PCollection


class Scored(NamedTuple):
    """What ScoreImages gives."""

    predictions: beam.PCollection
    unscored: beam.PCollection


@dataclass
class ReadQueue(beam.PTransform):
    """The files of a segment, spread over the workers. chunks: names of the queue's chunks."""

    shared: SharedFolder
    chunks: Sequence[str]

    def expand(self, pbegin: beam.Pipeline) -> beam.PCollection:
        """Give a PCollection of QueuedFile."""
        return (
            pbegin
            | "Chunks" >> beam.Create(self.chunks)
            | "SpreadChunks" >> beam.Reshuffle()
            | "ReadChunk" >> beam.FlatMap(partial(read_chunk, self.shared))
            | "SpreadFiles" >> beam.Reshuffle()
        )


@dataclass
class ListFolders(beam.PTransform):
    """List what lies below many folders, spread over the workers. chunks: of `write_folders`."""

    archive: ArchiveStorage
    shared: SharedFolder
    chunks: Sequence[str]
    index: str

    def expand(self, pbegin: beam.Pipeline) -> None:
        """Write the files found, and last the index of what counts."""
        _ = (
            pbegin
            | "Folders" >> beam.Create(self.chunks)
            | "SpreadFolders" >> beam.Reshuffle()
            | "ListChunk" >> beam.Map(partial(listing.list_chunk, self.archive, self.shared))
            | "OneIndex" >> beam.WithKeys(0)
            | "AllListed" >> beam.GroupByKey()
            | "WriteIndex" >> beam.MapTuple(partial(_write_index, self.shared, self.index))
        )


@dataclass
class PrepareImages(beam.PTransform):
    """Read every file once, on a few threads, and bring its frames to the model's input."""

    archive: ArchiveStorage
    rules: ReadingRules
    threads: int

    def expand(self, files: beam.PCollection) -> Prepared:
        """Give `Prepared` from a PCollection of QueuedFile."""
        read = partial(read_file, self.archive, rules=self.rules)
        outputs = files | "Read" >> beam.ParDo(_ReadDoFn(read, self.threads)).with_outputs(
            UNSCORED, READINGS, main="inputs"
        )
        return Prepared(outputs.inputs, outputs[UNSCORED], outputs[READINGS])


@dataclass
class ScoreImages(beam.PTransform):
    """Batch the images through the classifier; `load` gives it, once a worker process."""

    load: Callable[[], Classifier]
    output: OutputContract
    batch_size: int
    threads: int = 1

    def expand(self, inputs: beam.PCollection) -> Scored:
        """Give `Scored` from a PCollection of ModelInput."""
        outputs = inputs | "Score" >> beam.ParDo(
            _ScoreDoFn(self.load, self.output, self.batch_size, self.threads)
        ).with_outputs(UNSCORED, main="predictions")
        return Scored(outputs.predictions, outputs[UNSCORED])


@dataclass
class WriteReports(beam.PTransform):
    """Write the parts of every table to the shared folder, and last the list of those that count.

    All that became of a file meets in one shard, so its rows in all tables are of one attempt.
    """

    shared: SharedFolder
    facts: RunFacts
    shards: int
    list_name: str

    def expand(self, results: tuple[Prepared, Scored]) -> None:
        """Write predictions, alerts, unscored and files."""
        prepared, scored = results
        shard = partial(_shard, count=self.shards)
        unscored = (prepared.unscored, scored.unscored) | "AllUnscored" >> beam.Flatten()
        sharded = {
            "readings": prepared.readings
            | "ShardReadings" >> beam.Map(lambda reading: (shard(reading.location.path), reading)),
            "predictions": scored.predictions
            | "ShardPredictions" >> beam.Map(lambda found: (shard(found.record.path), found)),
            "unscored": unscored
            | "ShardUnscored" >> beam.Map(lambda item: (shard(item.path), item)),
        }
        _ = (
            sharded
            | beam.CoGroupByKey()
            | "WriteShard" >> beam.FlatMapTuple(partial(_write_shard, self.shared, self.facts))
            | "OneList" >> beam.WithKeys(0)
            | "AllParts" >> beam.GroupByKey()
            | "WriteList" >> beam.MapTuple(partial(_write_list, self.shared, self.list_name))
        )


class _ReadDoFn(beam.DoFn):
    """Reads ahead on threads: codecs release the interpreter, so decoding fills the cores."""

    def __init__(
        self,
        read: Callable[..., tuple[FileReading, tuple[FrameResult, ...]]],
        threads: int,
    ) -> None:
        self._read, self._threads = read, threads
        self._files = Metrics.counter(METRICS, FILES)

    def setup(self) -> None:
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")

    def start_bundle(self) -> None:
        self._waiting: deque[Future] = deque()

    def process(self, file: QueuedFile) -> Iterator[Any]:
        self._waiting.append(self._pool.submit(self._read, file.location, known=file.known))
        while self._waiting and (self._waiting[0].done() or self._is_far_ahead()):
            yield from self._emit(self._waiting.popleft())

    def finish_bundle(self) -> Iterator[Any]:
        while self._waiting:
            yield from map(_at_bundle_end, self._emit(self._waiting.popleft()))

    def teardown(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _is_far_ahead(self) -> bool:
        frames = sum(len(future.result()[1]) for future in self._waiting if future.done())
        return len(self._waiting) >= READ_AHEAD_FILES or frames >= READ_AHEAD_FRAMES

    def _emit(self, future: Future) -> Iterator[Any]:
        reading, results = future.result()
        self._files.inc()
        FILES_READ.add()
        yield TaggedOutput(READINGS, reading)
        yield from map(_tagged, results)


class _ScoreDoFn(beam.DoFn):
    """Collects images to full batches; what is left is scored at the bundle's end.

    The model works on threads of its own, so that reading and collecting go on meanwhile.
    """

    def __init__(
        self, load: Callable[[], Classifier], output: OutputContract, batch_size: int, threads: int
    ) -> None:
        self._load, self._output, self._batch_size = load, output, batch_size
        self._threads = threads
        self._images = Metrics.counter(METRICS, "images_to_model")

    def setup(self) -> None:
        self._classifier = self._load()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="score")

    def start_bundle(self) -> None:
        self._batch: list[ModelInput] = []
        self._under_way: deque[Future] = deque()

    def process(self, item: ModelInput) -> Iterator[Any]:
        self._batch.append(item)
        if len(self._batch) >= self._batch_size:
            self._hand_over()
            yield from self._scored(self._threads)

    def finish_bundle(self) -> Iterator[Any]:
        self._hand_over()
        yield from map(_at_bundle_end, self._scored(0))

    def teardown(self) -> None:
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
            yield from map(_tagged, self._under_way.popleft().result())


def _tagged(result: ModelInput | Prediction | Unscored) -> Any:
    return TaggedOutput(UNSCORED, result) if isinstance(result, Unscored) else result


def _at_bundle_end(element: Any) -> Any:
    """Beam wants window and time of what a bundle's end gives; a night has one window."""
    if isinstance(element, TaggedOutput):
        return TaggedOutput(element.tag, _at_bundle_end(element.value))
    return WindowedValue(element, MIN_TIMESTAMP, (GlobalWindow(),))


def _shard(path: str, count: int) -> int:
    return zlib.crc32(os.fsencode(path)) % count  # a file name need not be UTF-8


def _write_shard(
    shared: SharedFolder, facts: RunFacts, shard: int, found: dict[str, Iterable[Any]]
) -> list[parts.Part]:
    return parts.write_parts(shared, shard, parts.shard_rows(**found, facts=facts))


def _write_index(
    shared: SharedFolder, name: str, _key: int, written: Iterable[tuple[str, str]]
) -> None:
    listing.write_index(shared, name, written)


def _write_list(shared: SharedFolder, name: str, _key: int, written: Iterable[parts.Part]) -> None:
    parts.write_list(shared, name, written)
