"""The queue of a night, worked off in segments: each one a pipeline, then durable."""

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
from batch.model.manifest import MODEL_FILE
from batch.pipeline.pipelines import QueuedSegment, SegmentJob, queue_segment, run_segment
from batch.pipeline.process_pool import Crew
from batch.pipeline.runner import is_local
from batch.reports.local import Staging
from batch.reports.rows import segment_facts
from batch.run.merge import Done
from batch.run.plan import Plan
from batch.run.schedule import Allowance
from batch.run.settings import Settings
from batch.runtime import signals
from batch.runtime.process import available_cores

logger = logging.getLogger(__name__)


def start_model(
    config: JobConfig, settings: Settings, archive: ArchiveStorage, staging: Staging
) -> tuple[SegmentJob, Canary]:
    """Open the model and let it prove itself; what every segment's pipeline needs, and the proof.

    For workers elsewhere the model file is laid into the run's own folder; each of them compares
    its digest before opening it.

    Raises:
        ArtifactRefused: a start-up check failed.
    """
    artifact = settings.artifact
    _, canary = self_test(artifact, config.batch_size)
    logger.info(
        "model %s %s passed its checks", artifact.manifest.model_id, artifact.manifest.model_sha256
    )
    read = artifact.read_model
    if not is_local(config.beam_options):  # a worker elsewhere has the shared folder, and no more
        shared = staging.shared()
        shared.write(MODEL_FILE, artifact.read_model())
        read = partial(shared.read, MODEL_FILE)
    job = SegmentJob(
        archive=archive,
        load=partial(shared_classifier, read, artifact.manifest, config.batch_size),
        output=artifact.manifest.output,
        facts=settings.facts,
        batch_size=config.batch_size,
        decode_threads=config.decode_threads,
        rules=config.rules,
        beam_options=config.beam_options,
    )
    return job, canary


@dataclass(frozen=True)
class _AtWork:
    """A segment that is being worked off. begun: when, on the clock of `now`."""

    number: int
    end: int
    begun: float
    segment: QueuedSegment


def work_off(
    plan: Plan,
    job: SegmentJob,
    segment_size: int,
    processes: int,
    allowance: Allowance,
    staging: Staging,
    check_ground: Callable[[], None],
    on_done: Callable[[int], None],
    now: Callable[[], float],
) -> Done:
    """Run segments until the queue, the time or somebody's patience ends.

    Args:
        segment_size: files; 0 for all in one. processes: segments side by side, at most.
            check_ground: raises when archive or reports are no longer what they were; asked before
            a segment is made durable. on_done: told the files settled so far. now: seconds since
            the run's start, on a clock that never jumps.
    """
    total = len(plan.queue)
    size = segment_size or total
    done = Done(total)

    def begun() -> Iterator[_AtWork]:
        nonlocal done
        for number, start in enumerate(range(0, total, size)):
            count = min(size, total - start)
            if signals.is_requested():
                done = Done(start, PendingReason.STOPPED)
                return
            at = now()
            if not allowance.fits(at, count):
                done = Done(start, PendingReason.OUT_OF_TIME)
                return
            folder = staging.segment_at_work(number).resolve()
            files = plan.queued(start, start + count)
            segment = queue_segment(files, staging.shared(number), folder)
            yield _AtWork(number, start + count, at, segment)

    try:
        with closing(_finished(begun(), job, min(processes, -(-total // size)))) as finished:
            for one in finished:
                check_ground()
                staging.commit(one.number, segment_facts(job.facts))
                allowance.learn(one.segment.files, now() - one.begun)
                logger.info("segment %d done: %d of %d files", one.number, one.end, total)
                on_done(one.end)
    except Exception:  # Beam wraps what it meets; what lies behind it is told better
        signals.check_at_once()
        check_ground()
        raise
    return done


def _finished(segments: Iterator[_AtWork], job: SegmentJob, processes: int) -> Generator[_AtWork]:
    """Each segment when it is done, in order; closing it ends its processes."""
    do = partial(_run, replace(job, cores=-(-available_cores() // processes)))
    if processes == 1:
        for one in segments:
            do(one)
            yield one
        return
    with Crew(do, processes) as crew:
        yield from crew.finished(segments)


def _run(job: SegmentJob, one: _AtWork) -> None:
    run_segment(job, one.segment)
