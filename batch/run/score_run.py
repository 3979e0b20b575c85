"""One run from its lock to publication: memory, listing, plan, segments, ledger, review."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

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
from batch.review.inputs import earlier_nights
from batch.review.make_review import NightPlace, make_review
from batch.review.monitoring.own_bounds import own_bounds
from batch.review.page_pictures import Pictures
from batch.run.hospital_tables import HospitalTables
from batch.run.memory import Memory, remember
from batch.run.merge import QueueProgress, count_night, gather_night
from batch.run.plan import Plan, check_not_shrunk, make_plan
from batch.run.run_json import Stopwatch, by_reason, finish, run_json
from batch.run.schedule import TimeAllowance
from batch.run.settings import Settings, resolve_model
from batch.run.silent import SilentRun
from batch.runtime import signals
from batch.runtime.logs import traceback_lines
from batch.runtime.process import freeze_imports

if TYPE_CHECKING:
    from batch.run.backfill import Backfilled

logger = logging.getLogger(__name__)
FILES_OF_ONE_DRIVER = 1_000_000
"""An archive with at least so many files in the last night is listed by workers, if any exist."""


class Listener(Protocol):
    """Shows the progress of a run, e.g. on the terminal."""

    def phase(self, name: str) -> None:
        """Take the name of the phase that begins."""

    def found(self, files: int) -> None:
        """Take the number of files to be read, once the plan is made."""

    def done(self, files: int) -> None:
        """Take the number of files settled since the start, at the end of a segment."""


@dataclass(frozen=True)
class Night:
    """A published run.

    where: its folder.
    counts: of its tables.
    settings: model and operating point.
    run: content of run.json.
    stopped: why it ended early, or None.
    """

    where: Place
    counts: Counts
    settings: Settings
    run: dict[str, Any]
    stopped: PendingReason | None


def run_night(config: JobConfig, listener: Listener, monotonic: Callable[[], float]) -> Night:
    """Score what is new in the archive and publish the night.

    Args:
        config: options of the run.
        listener: shows the progress.
        monotonic: seconds of a monotonic clock, for durations and the deadline.

    Raises:
        BatchError: nothing was published; the next run takes up the committed segments.
    """
    published: list[Night] = []
    try:
        _run_night(config, listener, monotonic, published)
    except Exception as error:
        if not published:
            raise
        for line in traceback_lines(error):  # e.g. the lock could not be removed
            logger.warning("after the publication: %s", line)
    return published[0]


def _run_night(
    config: JobConfig, listener: Listener, monotonic: Callable[[], float], published: list[Night]
) -> None:
    """See `run_night`. published: gets the night as soon as readers see it."""
    clock = Stopwatch(monotonic)
    if config.beam_options:
        from batch.pipeline.runner import pipeline_options

        pipeline_options(config.beam_options)
    tables = HospitalTables(config)
    archive = open_archive(config.archive)
    with hold(config.reports, config.reports_url, f"run {config.run_id}") as (reports, lock):
        reports.check_layout()
        reports.recover()
        settings = resolve_model(config)
        silent = SilentRun(config, settings.facts)
        bounds = own_bounds(config.rules.quality, earlier_nights(reports, config.run_id))
        config = replace(config, rules=replace(config.rules, quality=bounds.rules))
        identity = choose_grouping(config, reports)
        root_id = archive.root_id()

        def check_unchanged() -> None:
            """Make sure that archive and reports are still the same folders."""
            archive.check_same(root_id)
            lock.check()

        staging = reports.start(config.run_id)
        with _discard_on_failure(reports, staging):
            lister = partial(_list_archive, config, archive, staging)
            listener.phase("listing")
            plan = plan_night(config, settings, reports, lister)
            tables.check(plan)
            clock.lap("plan")
            logger.info("%d files found, %d to be read", len(plan), len(plan.queue))
            _warn_of_damage(plan)
            listener.phase("scoring")
            listener.found(len(plan.queue))
            work, canary = _prepare_work(config, settings, plan, archive, staging, clock, silent)
            signals.check()
            with signals.orderly():
                done = work(staging, check_unchanged, listener.done, clock.total)
                clock.lap("segments")
                listener.phase("gathering")
                counts = _gather(config, settings, plan, staging, done, tables)
                backfill = partial(
                    _backfill, config, settings, plan, archive, staging, clock, silent
                )
                silent.gather(staging, plan.memory, backfill)
                check_unchanged()
                clock.lap("reports")
                stopped = done.waiting if done.files < len(plan.queue) else None
                manifest = settings.artifact.manifest
                run = run_json(config, manifest, settings.facts, plan, counts, clock, stopped)
                identity.into(run)
                tables.into(run)
                silent.into(run)
                run["quality_bounds"] = bounds.to_json()
                night = NightPlace(reports, staging.night, run, manifest.provenance, canary)
                source = None if stopped else _pictures(config, settings, listener, clock)
                del plan, work  # of a million files: the review needs the room
                listener.phase("review")
                run["review"] = make_review(night, staging.night, identity.review, source)
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
    """List the archive and compare it with the memory.

    Args:
        config: options of the run.
        settings: model and fingerprints.
        reports: hold the memory.
        lister: lists the archive; it gets the memory.

    Raises:
        NoImagesFound: the archive is empty. ArchiveShrunk: most of its files are gone.
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
    """List the archive by the driver, or by the workers of an engine if it is large."""
    is_large = len(memory.files) >= FILES_OF_ONE_DRIVER and config.beam_options
    on_workers = {Listing.AUTO: is_large, Listing.DRIVER: False, Listing.WORKERS: True}
    if not on_workers[config.listing]:
        return archive.list_files()
    from batch.pipeline.pipelines import list_on_workers

    return list_on_workers(archive, staging.shared(), config.beam_options)


def _prepare_work(
    config: JobConfig,
    settings: Settings,
    plan: Plan,
    archive: ArchiveStorage,
    staging: Staging,
    clock: Stopwatch,
    silent: SilentRun,
) -> tuple[Callable[..., QueueProgress], Canary | None]:
    """A function that processes the queue, and the check of the golden images.

    A night with an empty queue loads neither Beam nor the model; its check is None.
    """
    if not len(plan.queue):
        return (lambda *_: QueueProgress(0)), None
    with freeze_imports():
        from batch.run.segments import process_queue, start_model

        job, canary = start_model(config, settings, archive, staging, silent)
    clock.lap("model")
    allowance = TimeAllowance(config.seconds_allowed)
    return partial(
        process_queue, plan, job, config.segment_size, config.processes, allowance
    ), canary


def _backfill(
    config: JobConfig,
    settings: Settings,
    plan: Plan,
    archive: ArchiveStorage,
    staging: Staging,
    clock: Stopwatch,
    silent: SilentRun,
    missing: pa.Table,
) -> Backfilled:
    """Let the silent model score images that were not read tonight."""
    with freeze_imports():
        from batch.run.backfill import backfill
        from batch.run.segments import start_model

        job, _ = start_model(config, settings, archive, staging, silent)
    allowance = TimeAllowance(config.seconds_allowed)
    return backfill(missing, plan, job, config.segment_size, allowance, staging, clock.total)


def _pictures(
    config: JobConfig, settings: Settings, listener: Listener, clock: Stopwatch
) -> Pictures:
    """Where the page's pictures come from; the model is opened only to explain."""
    artifact, output = settings.artifact, settings.artifact.manifest.output

    def model() -> tuple[Classifier, int]:
        batch_size = config.batch_size
        classifier = shared_classifier(artifact.read_file, artifact.manifest, batch_size)
        return classifier, output.class_names.index(output.melanoma_class)

    def goes_on() -> bool:
        """Whether there is time for another picture; the night itself is done."""
        allowed = config.seconds_allowed
        return not signals.is_requested() and (allowed is None or clock.total() < allowed)

    archive = open_archive(config.archive)
    return Pictures(archive, config.rules.limits, model, listener.phase, goes_on)


def _gather(
    config: JobConfig,
    settings: Settings,
    plan: Plan,
    staging: Staging,
    done: QueueProgress,
    tables: HospitalTables,
) -> Counts:
    """Write the night's tables, count them, and check that the counts add up."""
    gathered = gather_night(staging, plan, done, settings.facts, tables.listed_facts)
    counts = count_night(staging.night, len(plan), config.run_id, gathered)
    check_balance(counts)
    if not counts.images:
        reasons = counts.non_image_reasons, counts.unscored_reasons, counts.pending_reasons
        by_state = "; ".join(by_reason(counted) for counted in reasons if counted)
        raise NoImagesFound(
            f"ARCHIVE: {counts.files_found} files below {config.archive}, and no image that could "
            f"be settled ({by_state}). Is this the archive's folder?"
        )
    return counts


@contextmanager
def _discard_on_failure(reports: LocalReports, staging: Staging) -> Iterator[None]:
    """Clean up if the block fails.

    Committed segments stay for the next run, unless the run may have failed because of them.
    """
    try:
        yield
    except (OSError, ArchiveLost, ReportsLost, KeyboardInterrupt):
        reports.discard_unfinished(staging)
        raise
    except Exception:
        if staging.night.exists():  # gathering failed, perhaps because of the segments
            reports.discard_work()
        reports.discard_unfinished(staging)
        raise


def _warn_of_damage(plan: Plan) -> None:
    for run_id in plan.memory.damaged:
        logger.warning("night %s is damaged and is not used as memory", run_id)
