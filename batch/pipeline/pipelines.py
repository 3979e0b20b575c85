"""The Beam pipelines, on one screen: of one segment, and of a listing that many make."""

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
from batch.core.records import ImageLocation, QueuedFile, RunFacts
from batch.core.rules import ReadingRules
from batch.model.classifier import Classifier
from batch.model.manifest import OutputContract
from batch.pipeline import results as parts
from batch.pipeline import work_files
from batch.pipeline.dofns import ReadDoFn, Results, ScoreDoFn, ShardDoFn
from batch.pipeline.results import keep_listed_parts
from batch.pipeline.runner import has_one_worker, pipeline_options, run_pipeline
from batch.pipeline.work_files import read_chunk, read_listing, write_folders, write_queue
from batch.runtime.process import available_cores
from batch.storage.shared_folder import SharedFolder, fresh_name


@dataclass
class ReadQueue(beam.PTransform):
    """The files of a segment. chunks: names of the queue's chunks. spread: over the workers, of
    which there are several.
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
            | "ListChunk" >> beam.Map(partial(work_files.list_chunk, self.archive, self.shared))
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

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        """From QueuedFile: FileReading, one a file, and ModelInput or Unscored, one a frame."""
        read = partial(read_file, self.archive, rules=self.rules)
        return files | "Read" >> beam.ParDo(ReadDoFn(read, self.threads))


@dataclass
class ScoreImages(beam.PTransform):
    """Batch the images through the classifier; `load` gives it, once a worker process."""

    load: Callable[[], Classifier]
    output: OutputContract
    batch_size: int
    threads: int = 1

    def expand(self, prepared: beam.PCollection) -> beam.PCollection:
        """For ModelInput Prediction or Unscored; FileReading and Unscored pass through."""
        score = ScoreDoFn(self.load, self.output, self.batch_size, self.threads)
        return prepared | "Score" >> beam.ParDo(score)


@dataclass
class WriteReports(beam.PTransform):
    """Write the parts of every table to the shared folder, and last the list of those that count.

    All that became of a file meets in one shard, so its rows in all tables are of one attempt.
    """

    shared: SharedFolder
    facts: RunFacts
    shards: int
    list_name: str

    def expand(self, results: beam.PCollection) -> None:
        """Write predictions, alerts, unscored and files, from all that became of the files."""
        # a PTransform costs a segment some 8 ms: one key and one group for all kinds of result
        _ = (
            results
            | "Shard" >> beam.ParDo(ShardDoFn(self.shards))
            | "OfOneShard" >> beam.GroupByKey()
            | "WriteShard" >> beam.FlatMapTuple(partial(_write_shard, self.shared, self.facts))
            | "AllParts" >> beam.GroupByKey()
            | "WriteList" >> beam.MapTuple(partial(_write_list, self.shared, self.list_name))
        )


def _write_shard(
    shared: SharedFolder, facts: RunFacts, shard: int, collected: Iterable[Results]
) -> list[tuple[int, parts.Part]]:
    """All under one key: one list tells of every shard."""
    results = (result for some in collected for result in some.items)
    written = parts.write_parts(shared, shard, parts.shard_rows(results, facts))
    return [(0, part) for part in written]


def _write_index(
    shared: SharedFolder, name: str, _key: int, written: Iterable[tuple[str, str]]
) -> None:
    work_files.write_index(shared, name, written)


def _write_list(shared: SharedFolder, name: str, _key: int, written: Iterable[parts.Part]) -> None:
    parts.write_list(shared, name, written)


FILES_PER_SHARD = 20_000
"""All that became of so many files is in one worker's memory while it writes: about 100 MB."""


@dataclass(frozen=True)
class SegmentJob:
    """What a segment's pipeline needs, but for its files.

    load: gives the classifier, once a worker process. cores: of a worker process, for
    so many batches at once, but no more than decode_threads; None for those that it may use.
    decode_threads: None for one more, so that one can wait for the archive. beam_options: as
    given after `--`.
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


def list_on_workers(
    archive: ArchiveStorage, shared: SharedFolder, beam_options: tuple[str, ...]
) -> Iterator[ImageLocation]:
    """The archive's listing as `archive.list_files` gives it, made by many at once.

    Raises:
        RunnerFailed: an engine gave up.
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
    """A segment whose files are written down where workers find them.

    shared: what the workers read and write; the folder itself, or another place. folder: gets the
    table parts. chunks: names of the queue's chunks. files: so many are in them.
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
    """Score a segment's files and write its table parts below its folder; returns when they are all
    there, each once, whatever the runner had to do twice.

    Raises:
        RunnerFailed: an engine gave up. ReportsLost: what workers wrote is not here in full.
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
        job.load, job.output, job.batch_size, min(cores, threads)
    )
    shards = max(1, math.ceil(segment.files / FILES_PER_SHARD))
    _ = results | "WriteReports" >> WriteReports(shared, job.facts, shards, list_name)
    run_pipeline(pipeline, options)
    keep_listed_parts(shared, segment.folder, list_name, segment.files)
