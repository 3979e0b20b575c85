"""One run: lock, memory, listing, plan, segments, ledger, publication."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from batch.archive.access import open_archive
from batch.archive.local import ArchiveStorage
from batch.core.config import JobConfig, Listing, Order
from batch.core.errors import ArchiveLost, NoImagesFound, PendingReason, ReportsLost
from batch.core.location import Place
from batch.core.records import Canary, ImageLocation
from batch.model.artifact import shared_classifier
from batch.model.classifier import Classifier
from batch.reports.access import hold
from batch.reports.ledger import Counts, check_balance, equation
from batch.reports.local import LocalReports, Staging
from batch.reports.rows import segment_facts
from batch.review.identity import choose_grouping
from batch.review.make_review import NightPlace, Pictures, make_review
from batch.run.memory import Memory, remember
from batch.run.merge import Done, count_night, gather_night
from batch.run.plan import Plan, check_not_shrunk, make_plan
from batch.run.run_json import Stopwatch, by_reason, finish, run_json
from batch.run.schedule import Allowance
from batch.run.settings import Settings, resolve_model
from batch.runtime import signals
from batch.runtime.logs import traceback_lines
from batch.runtime.process import freeze_imports

logger = logging.getLogger(__name__)
FILES_OF_ONE_DRIVER = 1_000_000
"""An archive that had as many in the last night is listed by workers, where there are some."""


class Listener(Protocol):
    """Hears how the run comes along; the console is one."""

    def phase(self, name: str) -> None:
        """What the run is at from now on."""

    def found(self, files: int) -> None:
        """The plan is made: so many files are to be read."""

    def done(self, files: int) -> None:
        """So many files are settled since the start, at a segment's end."""


@dataclass(frozen=True)
class Night:
    """A published run. where: its folder. run: the content of run.json. stopped: why it ended
    early, if it did.
    """

    where: Place
    counts: Counts
    settings: Settings
    run: dict[str, Any]
    stopped: PendingReason | None


def run_night(config: JobConfig, listener: Listener, monotonic: Callable[[], float]) -> Night:
    """Score what is new in the archive and publish the night.

    Args:
        monotonic: seconds on a clock that never jumps, for durations and the deadline.

    Raises:
        BatchError: with the exit code of its kind; then nothing new is published, and the next
            run takes up the segments that were committed.
    """
    published: list[Night] = []
    try:
        _run_night(config, listener, monotonic, published)
    except Exception as error:
        if not published:
            raise
        for line in traceback_lines(error):  # giving back the lock failed: that undoes no night
            logger.warning("after the publication: %s", line)
    return published[0]


def _run_night(
    config: JobConfig, listener: Listener, monotonic: Callable[[], float], published: list[Night]
) -> None:
    """See `run_night`. published: takes the night in the instant in which readers see it."""
    clock = Stopwatch(monotonic)
    if config.beam_options:
        from batch.pipeline.runner import pipeline_options

        pipeline_options(config.beam_options)
    archive = open_archive(config.archive)
    with hold(config.reports, config.reports_url, f"run {config.run_id}") as (reports, lock):
        reports.check_layout()
        reports.recover()
        settings = resolve_model(config)
        identity = choose_grouping(config, reports)
        root_id = archive.root_id()

        def ground() -> None:
            """Archive and reports are still what they were."""
            archive.check_same(root_id)
            lock.check()

        staging = reports.start(config.run_id)
        with _keeping_segments(reports, staging):
            lister = partial(_list_archive, config, archive, staging)
            listener.phase("listing")
            plan = plan_night(config, settings, reports, lister)
            clock.lap("plan")
            logger.info("%d files found, %d to be read", len(plan), len(plan.queue))
            _warn_of_damage(plan)
            listener.phase("scoring")
            listener.found(len(plan.queue))
            work, canary = _start(config, settings, plan, archive, staging, clock)
            signals.check()
            with signals.orderly():
                done = work(staging, ground, listener.done, clock.total)
                clock.lap("segments")
                listener.phase("gathering")
                counts = _gather(config, settings, plan, staging, done)
                ground()
                clock.lap("reports")
                stopped = done.waiting if done.files < len(plan.queue) else None
                manifest = settings.artifact.manifest
                run = run_json(config, manifest, settings.facts, plan, counts, clock, stopped)
                identity.into(run)
                night = NightPlace(reports, staging.night, run, manifest.provenance, canary)
                pictures = None if stopped else _pictures(config, settings, listener.phase)
                del plan, work  # of a million files: the review needs the room
                listener.phase("review")
                run["review"] = make_review(night, staging.night, identity.review, pictures)
                clock.lap("review")
                finish(run, config, clock)
                lock.check()
                listener.phase("publishing")
                with signals.finishing():
                    reports.publish(staging, run)
                    signals.ignore_further()
                    where = reports.place / "runs" / config.run_id
                    published.append(Night(where, counts, settings, run, stopped))
                    logger.info("published: %s", equation(counts))
                    reports.discard_work()


def plan_night(
    config: JobConfig,
    settings: Settings,
    reports: LocalReports,
    lister: Callable[[Memory], Iterable[ImageLocation]],
) -> Plan:
    """List the archive and compare it with what is remembered.

    Args:
        lister: gives everything in the archive, told what is remembered.

    Raises:
        NoImagesFound: the archive is empty. ArchiveShrunk: most of it is gone.
    """
    memory = remember(reports, segment_facts(settings.facts))
    plan = make_plan(
        lister(memory),
        memory,
        settings.facts.fingerprints,
        Order(config.order),
        config.settled_before_ns,
    )
    if not len(plan):
        raise NoImagesFound(f"ARCHIVE: no file below {config.archive}. Is the archive mounted?")
    if not config.accept_shrunken_archive:
        check_not_shrunk(plan, config.archive)
    return plan


def _list_archive(
    config: JobConfig, archive: ArchiveStorage, staging: Staging, memory: Memory
) -> Iterable[ImageLocation]:
    """By the driver alone, or by the workers of an engine where the archive is large."""
    is_large = len(memory.files) >= FILES_OF_ONE_DRIVER and config.beam_options
    wanted = {Listing.AUTO: is_large, Listing.DRIVER: False, Listing.WORKERS: True}
    if not wanted[config.listing]:
        return archive.list_files()
    from batch.pipeline.pipelines import list_on_workers

    return list_on_workers(archive, staging.shared(), config.beam_options)


def _start(
    config: JobConfig,
    settings: Settings,
    plan: Plan,
    archive: ArchiveStorage,
    staging: Staging,
    clock: Stopwatch,
) -> tuple[Callable[..., Done], Canary | None]:
    """How the queue is worked off: with model and Beam, which a night without work never loads.

    And what the golden images measured, when the model was opened.
    """
    if not len(plan.queue):
        return (lambda *_: Done(0)), None
    with freeze_imports():
        from batch.run.segments import start_model, work_off

        job, canary = start_model(config, settings, archive, staging)
    clock.lap("model")
    allowance = Allowance(config.seconds_allowed)
    return partial(work_off, plan, job, config.segment_size, config.processes, allowance), canary


def _pictures(config: JobConfig, settings: Settings, on_phase: Callable[[str], None]) -> Pictures:
    """Where the page's pictures come from; the model is opened only to explain."""
    artifact, output = settings.artifact, settings.artifact.manifest.output

    def model() -> tuple[Classifier, int]:
        batch_size = config.batch_size
        classifier = shared_classifier(artifact.read_model, artifact.manifest, batch_size)
        return classifier, output.class_names.index(output.melanoma_class)

    return Pictures(open_archive(config.archive), config.rules.limits, model, on_phase)


def _gather(
    config: JobConfig, settings: Settings, plan: Plan, staging: Staging, done: Done
) -> Counts:
    """The night's tables, counted from the disk; the counts add up, or nothing is published."""
    gathered = gather_night(staging, plan, done, settings.facts)
    counts = count_night(staging.night, len(plan), config.run_id, gathered)
    check_balance(counts)
    if not counts.images:
        reasons = counts.non_image_reasons, counts.unscored_reasons, counts.pending_reasons
        found = "; ".join(by_reason(each) for each in reasons if each)
        raise NoImagesFound(
            f"ARCHIVE: {counts.files_found} files below {config.archive}, and no image that could "
            f"be settled ({found}). Is this the archive's folder?"
        )
    return counts


@contextmanager
def _keeping_segments(reports: LocalReports, staging: Staging) -> Iterator[None]:
    """What a failed run leaves: its committed segments, for the next; after a failure that may lie
    in them, nothing.
    """
    try:
        yield
    except (OSError, ArchiveLost, ReportsLost, KeyboardInterrupt):
        reports.discard_unfinished(staging)
        raise
    except Exception:
        if staging.night.exists():  # it failed on what the segments hold
            reports.discard_work()
        reports.discard_unfinished(staging)
        raise


def _warn_of_damage(plan: Plan) -> None:
    for run_id in plan.memory.damaged:
        logger.warning("night %s is damaged and was passed over as memory", run_id)
