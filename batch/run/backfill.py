"""Reads unchanged images again for the silent model (`--backfill`), while time is left.

Its segments are not kept for a run that follows a killed one: that one reads their files again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.core.records import ImageLocation, QueuedFile
from batch.pipeline.pipelines import SegmentJob, queue_segment, run_silent_segment
from batch.reports.local import Staging
from batch.run.memory import keys_of
from batch.run.plan import Plan
from batch.run.schedule import TimeAllowance
from batch.runtime import signals
from batch.runtime.logs import traceback_lines

logger = logging.getLogger(__name__)
_FIRST_NUMBER = 900_000
"""Of the segments at work, above those of the queue."""


@dataclass
class Backfilled:
    """folders: with parts of `silent_predictions`. stopped: why images were left, or None."""

    folders: list[Path] = field(default_factory=list)
    stopped: str | None = None


def backfill(
    missing: pa.Table,
    plan: Plan,
    job: SegmentJob,
    segment_size: int,
    allowance: TimeAllowance,
    staging: Staging,
    now: Callable[[], float],
) -> Backfilled:
    """Score images with the silent model alone.

    Args:
        missing: path and path_bytes of the images, with one row or more for a file.
        plan: of the night, whose listing has the files.
        job: with the silent model.
        segment_size: files of a segment; 0 for all in one.
        allowance: decides whether another segment fits into the time.
        staging: gets the segments.
        now: seconds since the run's start.

    Returns:
        what was done; a failure ends it and loses nothing that was done before.
    """
    locations = _locations(missing, plan)
    size, done = segment_size or len(locations), Backfilled()
    try:
        for number, start in enumerate(range(0, len(locations), size)):
            part, at = locations[start : start + size], now()
            if signals.is_requested():
                done.stopped = "stopped"
            elif not allowance.fits(at, len(part)):
                done.stopped = "out_of_time"
            if done.stopped is not None:
                break
            folder = staging.segment_at_work(_FIRST_NUMBER + number).resolve()
            files = (QueuedFile(location, ()) for location in part)
            segment = queue_segment(files, staging.shared(_FIRST_NUMBER + number), folder)
            run_silent_segment(job, segment)
            done.folders.append(folder)
            allowance.learn(len(part), now() - at)
            logger.info("backfill: %d of %d files", start + len(part), len(locations))
    except Exception as error:  # the night goes on with what was done
        done.stopped = f"failed: {type(error).__name__}"
        for line in traceback_lines(error):
            logger.warning("backfill: %s", line)
    return done


def _locations(missing: pa.Table, plan: Plan) -> list[ImageLocation]:
    """The files of these images, as they were listed; those that were not listed are left out."""
    wanted = pc.unique(keys_of(missing))
    rows = np.flatnonzero(
        pc.is_in(plan.listing["key"], value_set=wanted).to_numpy(zero_copy_only=False)
    )
    listed = plan.listing.take(pa.array(rows))
    columns = (listed[name].to_pylist() for name in ("key", "size", "mtime_ns"))
    return [
        ImageLocation(os.fsdecode(key), size, mtime_ns)
        for key, size, mtime_ns in zip(*columns, strict=True)
    ]
