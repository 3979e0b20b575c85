"""One run: lock, inventory, segments, ledger, publication."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from batch import interrupt
from batch.archive.inventory import list_archive
from batch.archive.preprocess import PREPROCESSING_VERSION
from batch.config import JobConfig
from batch.errors import ArchiveLost, NoImagesFound
from batch.model.artifact import ModelArtifact, find_artifact, shared_classifier, verify_artifact
from batch.pipeline import SegmentJob, pipeline_options, run_segment
from batch.records import ImageLocation
from batch.reports.counting import gather_night
from batch.reports.ledger import Counts, check_balance, equation
from batch.reports.publish import discard_staging, exclusive, publish, start_staging
from batch.reports.rows import RunFacts
from batch.reports.run_json import Stopwatch, by_reason, run_json

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Hears how the run comes along; the console is one."""

    def found(self, files: int) -> None:
        """The inventory is complete."""

    def done(self, files: int) -> None:
        """So many files are settled since the start, at a segment's end."""


@dataclass(frozen=True)
class Night:
    """A published run. seconds: wall time of each part."""

    folder: Path
    counts: Counts
    artifact: ModelArtifact
    facts: RunFacts
    seconds: dict[str, float]


def run_night(config: JobConfig, listener: Listener, monotonic: Callable[[], float]) -> Night:
    """Score the archive and publish the night.

    Args:
        monotonic: seconds on a clock that never jumps, for the durations in run.json.

    Raises:
        BatchError: with the exit code of its kind; then nothing new is published.
    """
    pipeline_options(config.beam_options)
    clock = Stopwatch(monotonic)
    with exclusive(config.reports, config.run_id):
        artifact, job = _start_model(config)
        clock.lap("model")
        root = config.archive.stat()
        locations = list(list_archive(config.archive))
        clock.lap("inventory")
        logger.info("%d files found", len(locations))
        if not locations:
            raise NoImagesFound(f"ARCHIVE: no file below {config.archive}. Is the archive mounted?")
        listener.found(len(locations))
        staging = start_staging(config.reports, config.run_id)
        try:
            _score_segments(config, job, locations, staging, listener)
            clock.lap("segments")
            counts = gather_night(staging, len(locations))
            _check_counts(config, counts)
            interrupt.check()
            _check_still_there(config.archive, root)
            clock.lap("reports")
            summary = run_json(config, artifact.manifest, job.facts, counts, clock)
            folder = publish(config.reports, staging, summary)
        finally:
            discard_staging(config.reports)
    logger.info("published: %s", equation(counts))
    return Night(folder, counts, artifact, job.facts, clock.seconds)


def _start_model(config: JobConfig) -> tuple[ModelArtifact, SegmentJob]:
    artifact = find_artifact(config.model)
    manifest = artifact.manifest
    operating_point = manifest.operating_point(config.operating_point)
    verify_artifact(artifact, config.batch_size)
    logger.info("model %s %s passed its checks", manifest.model_id, manifest.model_sha256)
    facts = RunFacts(
        run_id=config.run_id,
        started_at=config.started_at,
        model_id=manifest.model_id,
        model_version=manifest.model_version,
        model_sha256=manifest.model_sha256,
        preprocessing_version=PREPROCESSING_VERSION,
        operating_point=operating_point,
    )
    job = SegmentJob(
        archive=config.archive.resolve(),
        load=partial(shared_classifier, artifact.folder, manifest, config.batch_size),
        output=manifest.output,
        facts=facts,
        batch_size=config.batch_size,
        decode_threads=config.decode_threads,
        rules=config.rules,
        beam_options=config.beam_options,
    )
    return artifact, job


def _check_counts(config: JobConfig, counts: Counts) -> None:
    check_balance(counts)
    if not counts.images:
        reasons = counts.non_image_reasons, counts.unscored_reasons, counts.pending_reasons
        found = "; ".join(by_reason(each) for each in reasons if each)
        raise NoImagesFound(
            f"ARCHIVE: {counts.files_found} files below {config.archive}, and no image that could "
            f"be settled ({found}). Is this the archive's folder?"
        )


def _check_still_there(archive: Path, root: os.stat_result) -> None:
    """An archive that was unmounted or moved away would leave a night of vanished images."""
    try:
        now = archive.stat()
        os.scandir(archive).close()
    except OSError as error:
        raise ArchiveLost(
            f"ARCHIVE: {archive} went away during the run ({error.strerror}); nothing "
            "was published."
        ) from error
    if (now.st_dev, now.st_ino) != (root.st_dev, root.st_ino):
        raise ArchiveLost(
            f"ARCHIVE: {archive} is another folder than at the start; nothing was published."
        )


def _score_segments(
    config: JobConfig,
    job: SegmentJob,
    locations: Sequence[ImageLocation],
    staging: Path,
    listener: Listener,
) -> None:
    size = config.segment_size or len(locations)
    for number, start in enumerate(range(0, len(locations), size)):
        interrupt.check()
        segment = locations[start : start + size]
        run_segment(job, segment, (staging / "segments" / f"{number:06d}").resolve())
        logger.info("segment %d done: %d of %d files", number, start + len(segment), len(locations))
        listener.done(start + len(segment))
