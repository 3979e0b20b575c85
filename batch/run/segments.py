"""Processes the queue of a night in segments; each is one pipeline, and durable at its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from batch.archive.local import ArchiveStorage
from batch.core.config import JobConfig
from batch.core.errors import PendingReason
from batch.core.records import Canary
from batch.model.artifact import self_test, shared_classifier
from batch.pipeline.pipelines import QueuedSegment, SegmentJob, queue_segment, run_segment
from batch.pipeline.process_pool import ProcessPool
from batch.pipeline.runner import is_local
from batch.reports.local import Staging
from batch.reports.rows import segment_facts
from batch.run.merge import QueueProgress
from batch.run.plan import Plan
from batch.run.schedule import TimeAllowance
from batch.run.settings import Settings
from batch.run.silent import SilentRun
from batch.runtime import signals
from batch.runtime.process import available_cores

logger = logging.getLogger(__name__)


def start_model(
    config: JobConfig,
    settings: Settings,
    archive: ArchiveStorage,
    staging: Staging,
    silent: SilentRun,
) -> tuple[SegmentJob, Canary]:
    """Open the model and check it with its golden images.

    For workers on other machines the files of the model are written to the shared folder; each of
    them compares the digests before opening them.

    Returns:
        what the pipeline of every segment needs, and the result of the check.

    Raises:
        ArtifactRefused: the check failed.
    """
    artifact = settings.artifact
    _, canary = self_test(artifact, config.batch_size)
    logger.info(
        "model %s %s passed its checks", artifact.manifest.model_id, artifact.manifest.model_sha256
    )
    read = artifact.read_file
    if not is_local(config.beam_options):  # a worker elsewhere sees only the shared folder
        shared = staging.shared()
        for name in artifact.manifest.model_files:
            shared.write(name, artifact.read_file(name))
        read = shared.read
    job = SegmentJob(
        archive=archive,
        load=partial(shared_classifier, read, artifact.manifest, config.batch_size),
        output=artifact.manifest.output,
        facts=settings.facts,
        batch_size=config.batch_size,
        decode_threads=config.decode_threads,
        rules=config.rules,
        beam_options=config.beam_options,
        silent=silent.start(staging, not is_local(config.beam_options)),
    )
    return job, canary


@dataclass(frozen=True)
class _RunningSegment:
    """A segment that is being processed.

    number: from 0.
    end: number of files of the queue up to its end.
    begun: when it began, in seconds since the run's start.
    segment: its files.
    """

    number: int
    end: int
    begun: float
    segment: QueuedSegment


def process_queue(
    plan: Plan,
    job: SegmentJob,
    segment_size: int,
    processes: int,
    allowance: TimeAllowance,
    staging: Staging,
    check_unchanged: Callable[[], None],
    on_done: Callable[[int], None],
    now: Callable[[], float],
) -> QueueProgress:
    """Run segments until the queue is empty, the time is over, or somebody stops the run.

    Args:
        plan: of the night.
        job: what every segment needs.
        segment_size: files of a segment; 0 for all in one.
        processes: most segments side by side.
        allowance: decides whether another segment fits into the time.
        staging: holds the segments.
        check_unchanged: raises if archive or reports have been replaced; called before a segment is
            made durable.
        on_done: gets the number of files settled so far.
        now: seconds since the run's start, by a monotonic clock.
    """
    total = len(plan.queue)
    size = segment_size or total
    done = QueueProgress(total)

    def start_segments() -> Iterator[_RunningSegment]:
        nonlocal done
        for number, start in enumerate(range(0, total, size)):
            count = min(size, total - start)
            if signals.is_requested():
                done = QueueProgress(start, PendingReason.STOPPED)
                return
            at = now()
            if not allowance.fits(at, count):
                done = QueueProgress(start, PendingReason.OUT_OF_TIME)
                return
            folder = staging.segment_at_work(number).resolve()
            files = plan.queued(start, start + count)
            segment = queue_segment(files, staging.shared(number), folder)
            yield _RunningSegment(number, start + count, at, segment)

    try:
        side_by_side = min(processes, -(-total // size))
        with closing(_finish_in_order(start_segments(), job, side_by_side)) as finished:
            for done_segment in finished:
                number, end = done_segment.number, done_segment.end
                check_unchanged()
                staging.commit(number, segment_facts(job.facts))
                allowance.learn(done_segment.segment.files, now() - done_segment.begun)
                logger.info("segment %d done: %d of %d files", number, end, total)
                on_done(end)
    except Exception:  # Beam may hide a signal or a lost folder, which make a better message
        signals.check_at_once()
        check_unchanged()
        raise
    return done


def _finish_in_order(
    segments: Iterator[_RunningSegment], job: SegmentJob, processes: int
) -> Generator[_RunningSegment]:
    """Process segments, and give each when it is done, in order; closing ends the processes."""
    do = partial(_run, replace(job, cores=-(-available_cores() // processes)))
    if processes == 1:
        for running in segments:
            do(running)
            yield running
        return
    with ProcessPool(do, processes) as pool:
        yield from pool.finished(segments)


def _run(job: SegmentJob, running: _RunningSegment) -> None:
    run_segment(job, running.segment)
