"""The Beam pipeline of one segment, on one screen."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from batch.archive.rules import ReadingRules
from batch.archive.storage import ArchiveStorage
from batch.config import LOCAL_RUNNER
from batch.errors import UsageError
from batch.model.classifier import Classifier
from batch.model.manifest import OutputContract
from batch.records import ImageLocation
from batch.reports.rows import RunFacts
from batch.transforms import PrepareImages, ReadArchive, ScoreImages, WriteReports

ROWS_PER_SHARD = 50_000


@dataclass(frozen=True)
class SegmentJob:
    """What a segment's pipeline needs, but for its files.

    load: gives the classifier, once a worker process. beam_options: as given after `--`.
    """

    archive: ArchiveStorage
    load: Callable[[], Classifier]
    output: OutputContract
    facts: RunFacts
    batch_size: int
    decode_threads: int
    rules: ReadingRules
    beam_options: tuple[str, ...]


def run_segment(
    job: SegmentJob,
    locations: Sequence[ImageLocation],
    folder: Path,
    known: frozenset[str] = frozenset(),
) -> None:
    """Score a segment's files and write its table parts below `folder`; returns when done.

    Args:
        known: digests of content that needs no scoring again.
    """
    shards = max(1, math.ceil(len(locations) / ROWS_PER_SHARD))
    with beam.Pipeline(options=pipeline_options(job.beam_options)) as pipeline:
        files = pipeline | "ReadArchive" >> ReadArchive(locations)
        prepared = files | "PrepareImages" >> PrepareImages(
            job.archive, job.rules, job.decode_threads, known
        )
        scored = prepared.inputs | "ScoreImages" >> ScoreImages(
            job.load, job.output, job.batch_size
        )
        _ = (prepared, scored) | "WriteReports" >> WriteReports(folder, job.facts, shards)


def pipeline_options(arguments: Sequence[str]) -> PipelineOptions:
    """Beam's options, the local runner named explicitly unless another one is given.

    Raises:
        UsageError: an option that no part of Beam knows. With another runner than the local one,
            options are the runner's to judge.
    """
    if {"-h", "--help"} & set(arguments):
        raise UsageError("Beam options after `--`: no help there; see Apache Beam's documentation.")
    options = PipelineOptions(list(arguments))
    standard = options.view_as(StandardOptions)
    if standard.runner is None or standard.runner == LOCAL_RUNNER:
        standard.runner = LOCAL_RUNNER
        if unknown := _unknown_options(arguments):
            raise UsageError(
                f"Beam options after `--`: unknown {unknown}; allowed: options of Apache Beam's "
                "PipelineOptions. Other options of this program stand before `--`."
            )
        return options
    try:
        create_runner(standard.runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(
            f"Beam options after `--`: no runner {standard.runner!r} here; allowed: "
            f"{', '.join(StandardOptions.KNOWN_RUNNER_NAMES)}, or a class by its full name."
        ) from error
    return options


def _unknown_options(arguments: Sequence[str]) -> list[str]:
    """Beam itself drops what it does not know with a log line; a misspelt option must stop us."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for part in PipelineOptions.__subclasses__():
        try:
            part._add_argparse_args(parser)
        except argparse.ArgumentError:  # the same option in two parts
            continue
    return parser.parse_known_args(list(arguments))[1]
