"""The Beam pipelines, on one screen: of one segment, and of a listing that many make."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from batch.archive.access import top_levels
from batch.archive.local import ArchiveStorage
from batch.core.records import ImageLocation, QueuedFile, RunFacts
from batch.core.rules import ReadingRules
from batch.model.classifier import Classifier
from batch.model.manifest import OutputContract
from batch.reports.listing import read_listing, write_folders
from batch.reports.parts import settle_parts
from batch.reports.queue import write_queue
from batch.runners import has_one_worker, pipeline_options, run_pipeline
from batch.runtime.process import available_cores
from batch.storage.shared_folder import SharedFolder, fresh_name
from batch.transforms import ListFolders, PrepareImages, ReadQueue, ScoreImages, WriteReports

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
    settle_parts(shared, segment.folder, list_name, segment.files)
