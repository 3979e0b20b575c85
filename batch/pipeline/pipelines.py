"""The Beam pipelines: scoring a segment, and listing an archive on workers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apache_beam as beam

from batch.archive.access import top_levels
from batch.archive.local import ArchiveStorage
from batch.archive.reader import read_file
from batch.core.errors import Stage
from batch.core.records import ImageLocation, Prediction, QueuedFile, RunFacts, Unscored
from batch.core.rules import ReadingRules
from batch.model.classifier import Classifier
from batch.model.manifest import OutputContract
from batch.model.silent import SilentModel, SilentScore
from batch.pipeline import results as parts
from batch.pipeline import work_files
from batch.pipeline.dofns import ReadDoFn, ResultBatch, ScoreDoFn, ShardDoFn
from batch.pipeline.results import keep_listed_parts
from batch.pipeline.runner import has_one_worker, pipeline_options, run_pipeline
from batch.pipeline.work_files import read_chunk, read_listing, write_folders, write_queue
from batch.runtime.process import available_cores
from batch.storage.shared_folder import SharedFolder, fresh_name


@dataclass
class ReadQueue(beam.PTransform):
    """Reads the files of a segment from the shared folder.

    chunks: names of the queue's chunks.
    spread: whether to spread the files over several workers.
    """

    shared: SharedFolder
    chunks: Sequence[str]
    spread: bool = True

    def expand(self, pbegin: beam.Pipeline) -> beam.PCollection:
        """Give a PCollection of QueuedFile."""
        chunks = pbegin | "Chunks" >> beam.Create(self.chunks, reshuffle=self.spread)
        files = chunks | "ReadChunk" >> beam.FlatMap(partial(read_chunk, self.shared))
        return files | "SpreadFiles" >> beam.Reshuffle() if self.spread else files


@dataclass
class ListFolders(beam.PTransform):
    """Lists many folders, spread over the workers.

    archive: holds the folders.
    shared: gets the lists of files.
    chunks: names from `write_folders`.
    index: name of the file that says which lists count.
    """

    archive: ArchiveStorage
    shared: SharedFolder
    chunks: Sequence[str]
    index: str

    def expand(self, pbegin: beam.Pipeline) -> None:
        """Write the lists of files, and last the index."""
        _ = (
            pbegin
            | "Folders" >> beam.Create(self.chunks)
            | "SpreadFolders" >> beam.Reshuffle()
            | "ListChunk" >> beam.Map(partial(work_files.list_chunk, self.archive, self.shared))
            | "OneIndex" >> beam.WithKeys(0)
            | "AllListed" >> beam.GroupByKey()
            | "WriteIndex" >> beam.MapTuple(partial(_write_index, self.shared, self.index))
        )


@dataclass
class PrepareImages(beam.PTransform):
    """Reads every file once, on a few threads, and makes the model's input of its frames."""

    archive: ArchiveStorage
    rules: ReadingRules
    threads: int

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        """Turn each QueuedFile into a FileReading, and a ModelInput or Unscored for each frame."""
        read = partial(read_file, self.archive, rules=self.rules)
        return files | "Read" >> beam.ParDo(ReadDoFn(read, self.threads))


@dataclass
class ScoreImages(beam.PTransform):
    """Scores images in batches. load: gives the classifier, once in each worker process.

    silent: scores what was scored once more, for a table of its own.
    """

    load: Callable[[], Classifier]
    output: OutputContract
    batch_size: int
    threads: int = 1
    silent: SilentModel | None = None

    def expand(self, prepared: beam.PCollection) -> beam.PCollection:
        """Turn each ModelInput into a Prediction or Unscored; other items pass through.

        With a silent model each Prediction is followed by a SilentScore.
        """
        score = ScoreDoFn(self.load, self.output, self.batch_size, self.threads, self.silent)
        return prepared | "Score" >> beam.ParDo(score)


@dataclass
class WriteReports(beam.PTransform):
    """Writes the parts of every table to the shared folder, and last the list of those that count.

    All results of a file are in one shard, so its rows in all tables come from one attempt.
    """

    shared: SharedFolder
    facts: RunFacts
    shards: int
    list_name: str
    silent: RunFacts | None = None

    def expand(self, results: beam.PCollection) -> None:
        """Write predictions, alerts, unscored and files."""
        write = partial(_write_shard, self.shared, self.facts, self.silent)
        # a PTransform costs a segment about 8 ms, so all results share one key and one group
        _ = (
            results
            | "Shard" >> beam.ParDo(ShardDoFn(self.shards))
            | "OfOneShard" >> beam.GroupByKey()
            | "WriteShard" >> beam.FlatMapTuple(write)
            | "AllParts" >> beam.GroupByKey()
            | "WriteList" >> beam.MapTuple(partial(_write_list, self.shared, self.list_name))
        )


def _write_shard(
    shared: SharedFolder,
    facts: RunFacts,
    silent: RunFacts | None,
    shard: int,
    collected: Iterable[ResultBatch],
) -> list[tuple[int, parts.Part]]:
    """Write the parts of a shard; all parts get the same key, so that one list names them."""
    results = (result for some in collected for result in some.items)
    written = parts.write_parts(shared, shard, parts.shard_rows(results, facts, silent))
    return [(0, part) for part in written]


def _write_index(
    shared: SharedFolder, name: str, _key: int, written: Iterable[tuple[str, str]]
) -> None:
    work_files.write_index(shared, name, written)


def _write_list(shared: SharedFolder, name: str, _key: int, written: Iterable[parts.Part]) -> None:
    parts.write_list(shared, name, written)


FILES_PER_SHARD = 20_000
"""A worker holds the results of so many files in memory while it writes them, about 100 MB."""


@dataclass(frozen=True)
class SegmentJob:
    """What the pipeline of every segment needs.

    archive: holds the files.
    load: gives the classifier, once in each worker process.
    output: output contract of the model.
    facts: repeated in every row.
    batch_size: images in one call of the model.
    decode_threads: of a worker process; None for one more than `cores`, so that one thread can wait
        for the archive.
    rules: for reading files.
    beam_options: as given after `--`.
    silent: a second model, or None.
    cores: cores that a worker process uses; so many batches are scored at once, but at most
        decode_threads. None for those available.
    """

    archive: ArchiveStorage
    load: Callable[[], Classifier]
    output: OutputContract
    facts: RunFacts
    batch_size: int
    decode_threads: int | None
    rules: ReadingRules
    beam_options: tuple[str, ...]
    cores: int | None = None
    silent: SilentJob | None = None


@dataclass(frozen=True)
class SilentJob:
    """The second model of a run. facts: repeated in every row that it makes."""

    model: SilentModel
    facts: RunFacts


def list_on_workers(
    archive: ArchiveStorage, shared: SharedFolder, beam_options: tuple[str, ...]
) -> Iterator[ImageLocation]:
    """List the archive on workers, in the same order as `archive.list_files`.

    Raises:
        RunnerFailed: the engine gave up.
    """
    top = top_levels(archive)
    chunks = write_folders(shared, [entry for entry in top if isinstance(entry, str)])
    index = f"listing-{fresh_name()}.json"
    if chunks:
        options = pipeline_options(beam_options)
        pipeline = beam.Pipeline(options=options)
        _ = pipeline | "ListFolders" >> ListFolders(archive, shared, chunks, index)
        run_pipeline(pipeline, options)
    return read_listing(shared, top, chunks, index)


@dataclass(frozen=True)
class QueuedSegment:
    """A segment whose files are written to the shared folder.

    shared: read and written by workers; it may be `folder` itself.
    folder: gets the table parts.
    chunks: names of the queue's chunks.
    files: number of files in them.
    """

    shared: SharedFolder
    folder: Path
    chunks: tuple[str, ...]
    files: int


def queue_segment(files: Iterable[QueuedFile], shared: SharedFolder, folder: Path) -> QueuedSegment:
    """Write the files of a segment to the shared folder.

    Raises:
        OSError: it cannot be written.
    """
    chunks, total = write_queue(shared, files)
    return QueuedSegment(shared, folder, tuple(chunks), total)


def run_segment(job: SegmentJob, segment: QueuedSegment) -> None:
    """Score the files of a segment and write its table parts below its folder.

    Every part is there once at the end, even if the runner did work twice.

    Raises:
        RunnerFailed: the engine gave up. ReportsLost: a file of a worker is missing or damaged.
    """
    shared, list_name = segment.shared, f"parts-{fresh_name()}.json"
    options = pipeline_options(job.beam_options)
    pipeline = beam.Pipeline(options=options)
    spread = not has_one_worker(options)
    cores = job.cores or available_cores()
    threads = job.decode_threads or cores + 1
    queue = pipeline | "ReadQueue" >> ReadQueue(shared, segment.chunks, spread)
    prepared = queue | "PrepareImages" >> PrepareImages(job.archive, job.rules, threads)
    results = prepared | "ScoreImages" >> ScoreImages(
        job.load, job.output, job.batch_size, min(cores, threads),
        job.silent.model if job.silent else None,
    )  # fmt: skip
    silent_facts = job.silent.facts if job.silent else None
    shards = max(1, math.ceil(segment.files / FILES_PER_SHARD))
    _ = results | "WriteReports" >> WriteReports(shared, job.facts, shards, list_name, silent_facts)
    run_pipeline(pipeline, options)
    keep_listed_parts(shared, segment.folder, list_name, segment.files)


def run_silent_segment(job: SegmentJob, segment: QueuedSegment) -> None:
    """Score the files of a segment with the silent model alone; only its table gets parts.

    Raises:
        RunnerFailed: the engine gave up. ReportsLost: a file of a worker is missing or damaged.
    """
    if job.silent is None:
        return
    shared, list_name = segment.shared, f"parts-{fresh_name()}.json"
    options = pipeline_options(job.beam_options)
    pipeline = beam.Pipeline(options=options)
    cores = job.cores or available_cores()
    threads = job.decode_threads or cores + 1
    spread = not has_one_worker(options)
    queue = pipeline | "ReadQueue" >> ReadQueue(shared, segment.chunks, spread)
    prepared = queue | "PrepareImages" >> PrepareImages(job.archive, job.rules, threads)
    results = prepared | "ScoreImages" >> ScoreImages(
        job.silent.model.load, job.silent.model.output, job.batch_size, min(cores, threads)
    )
    silent = results | "Silent" >> beam.FlatMap(_silent_only)
    shards = max(1, math.ceil(segment.files / FILES_PER_SHARD))
    _ = silent | "WriteReports" >> WriteReports(
        shared, job.facts, shards, list_name, job.silent.facts
    )
    run_pipeline(pipeline, options)
    keep_listed_parts(shared, segment.folder, list_name, None)


def _silent_only(result: parts.Result) -> Iterator[SilentScore]:
    if isinstance(result, Prediction) or (
        isinstance(result, Unscored) and result.stage == Stage.SCORE
    ):
        yield SilentScore(result)
