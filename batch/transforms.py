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
from pathlib import Path
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
    ImageLocation,
    ModelInput,
    OperatingPoint,
    Prediction,
    Unscored,
)
from batch.reports import rows, tables
from batch.reports.ledger import conclude_file
from batch.reports.rows import Row, RunFacts
from batch.review.alerts import alert_for

UNSCORED, READINGS = "unscored", "readings"
READ_AHEAD_PER_THREAD = 4


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
class ReadArchive(beam.PTransform):
    """The locations of a segment, spread over the workers."""

    locations: Sequence[ImageLocation]

    def expand(self, pbegin: beam.Pipeline) -> beam.PCollection:
        """Give a PCollection of ImageLocation."""
        return pbegin | "Locations" >> beam.Create(self.locations) | beam.Reshuffle()


@dataclass
class PrepareImages(beam.PTransform):
    """Read every file once, on a few threads, and bring its frames to the model's input."""

    archive: ArchiveStorage
    rules: ReadingRules
    threads: int
    known: frozenset[str] = frozenset()

    def expand(self, locations: beam.PCollection) -> Prepared:
        """Give `Prepared` from a PCollection of ImageLocation."""
        read = partial(read_file, self.archive, rules=self.rules, known=self.known)
        outputs = locations | "Read" >> beam.ParDo(_ReadDoFn(read, self.threads)).with_outputs(
            UNSCORED, READINGS, main="inputs"
        )
        return Prepared(outputs.inputs, outputs[UNSCORED], outputs[READINGS])


@dataclass
class ScoreImages(beam.PTransform):
    """Batch the images through the classifier; `load` gives it, once a worker process."""

    load: Callable[[], Classifier]
    output: OutputContract
    batch_size: int

    def expand(self, inputs: beam.PCollection) -> Scored:
        """Give `Scored` from a PCollection of ModelInput."""
        outputs = inputs | "Score" >> beam.ParDo(
            _ScoreDoFn(self.load, self.output, self.batch_size)
        ).with_outputs(UNSCORED, main="predictions")
        return Scored(outputs.predictions, outputs[UNSCORED])


@dataclass
class RaiseAlerts(beam.PTransform):
    """The alerts among the predictions."""

    operating_point: OperatingPoint

    def expand(self, predictions: beam.PCollection) -> beam.PCollection:
        """Give a PCollection of Alert."""
        return (
            predictions
            | "Compare" >> beam.Map(alert_for, self.operating_point)
            | "Raised" >> beam.Filter(bool)
        )


@dataclass
class ConcludeFiles(beam.PTransform):
    """Join what a file held with what became of each frame."""

    def expand(self, parts: tuple[Prepared, Scored]) -> beam.PCollection:
        """Give a PCollection of FileOutcome, one a file."""
        prepared, scored = parts
        unscored = (prepared.unscored, scored.unscored) | "AllUnscored" >> beam.Flatten()
        keyed = {
            "readings": prepared.readings
            | "KeyReadings" >> beam.Map(lambda reading: (_key(reading.location.path), reading)),
            "scored": scored.predictions
            | "KeyPredictions" >> beam.Map(lambda prediction: (_key(prediction.record.path), 1)),
            "unscored": unscored | "KeyUnscored" >> beam.Map(lambda item: (_key(item.path), item)),
        }
        return (
            keyed
            | beam.CoGroupByKey()
            | "Conclude" >> beam.MapTuple(lambda _, found: conclude_file(**found))
        )


@dataclass
class WriteReports(beam.PTransform):
    """Write the parts of every table into a segment's folder."""

    folder: Path
    facts: RunFacts
    shards: int

    def expand(self, parts: tuple[Prepared, Scored]) -> None:
        """Write predictions, alerts, unscored and files."""
        prepared, scored = parts
        alerts = scored.predictions | "RaiseAlerts" >> RaiseAlerts(self.facts.operating_point)
        unscored = (prepared.unscored, scored.unscored) | "Unscored" >> beam.Flatten()
        files = (prepared, scored) | "ConcludeFiles" >> ConcludeFiles()
        self._write(scored.predictions, "predictions", rows.prediction_row)
        self._write(alerts, "alerts", rows.alert_row)
        self._write(unscored, "unscored", rows.unscored_row)
        self._write(files, "files", rows.file_row)

    def _write(
        self, records: beam.PCollection, table: str, to_row: Callable[[Any, RunFacts], Row]
    ) -> None:
        _ = (
            records
            | f"Rows_{table}" >> beam.Map(to_row, self.facts)
            | f"Shard_{table}" >> beam.WithKeys(partial(_shard, count=self.shards))
            | f"Group_{table}" >> beam.GroupByKey()
            | f"Write_{table}" >> beam.MapTuple(partial(_write_shard, table, self.folder))
        )


class _ReadDoFn(beam.DoFn):
    """Reads ahead on threads: codecs release the interpreter, so decoding fills the cores."""

    def __init__(
        self,
        read: Callable[[ImageLocation], tuple[FileReading, tuple[FrameResult, ...]]],
        threads: int,
    ) -> None:
        self._read, self._threads = read, threads

    def setup(self) -> None:
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")

    def start_bundle(self) -> None:
        self._waiting: deque[Future] = deque()

    def process(self, location: ImageLocation) -> Iterator[Any]:
        self._waiting.append(self._pool.submit(self._read, location))
        if len(self._waiting) >= self._threads * READ_AHEAD_PER_THREAD:
            yield from self._emit(self._waiting.popleft())

    def finish_bundle(self) -> Iterator[Any]:
        while self._waiting:
            yield from map(_at_bundle_end, self._emit(self._waiting.popleft()))

    def teardown(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _emit(self, future: Future) -> Iterator[Any]:
        reading, results = future.result()
        FILES_READ.add()
        yield TaggedOutput(READINGS, reading)
        yield from map(_tagged, results)


class _ScoreDoFn(beam.DoFn):
    """Collects images to full batches; what is left is scored at the bundle's end."""

    def __init__(
        self, load: Callable[[], Classifier], output: OutputContract, batch_size: int
    ) -> None:
        self._load, self._output, self._batch_size = load, output, batch_size
        self._images = Metrics.counter("batch", "images_to_model")

    def setup(self) -> None:
        self._classifier = self._load()

    def start_bundle(self) -> None:
        self._batch: list[ModelInput] = []

    def process(self, item: ModelInput) -> Iterator[Any]:
        self._batch.append(item)
        if len(self._batch) >= self._batch_size:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[Any]:
        yield from map(_at_bundle_end, self._flush())

    def _flush(self) -> Iterator[Any]:
        batch, self._batch = self._batch, []
        self._images.inc(len(batch))
        yield from map(_tagged, score_batch(self._classifier, self._output, batch))


def _tagged(result: ModelInput | Prediction | Unscored) -> Any:
    return TaggedOutput(UNSCORED, result) if isinstance(result, Unscored) else result


def _at_bundle_end(element: Any) -> Any:
    """Beam wants window and time of what a bundle's end gives; a night has one window."""
    if isinstance(element, TaggedOutput):
        return TaggedOutput(element.tag, _at_bundle_end(element.value))
    return WindowedValue(element, MIN_TIMESTAMP, (GlobalWindow(),))


def _key(path: str) -> bytes:
    return os.fsencode(path)  # a file name need not be UTF-8, and Beam's text coder insists on it


def _shard(row: Row, count: int) -> int:
    return zlib.crc32(str(row["path"]).encode()) % count


def _write_shard(table: str, folder: Path, shard: int, shard_rows: Iterable[Row]) -> int:
    """A retried bundle writes the same name with the same rows: one result, never two."""
    return tables.write_part(table, shard_rows, folder / table / f"part-{shard:05d}.parquet")
