"""Options of one run: frozen, checked when they are made, without input or output.

The start time is one of them, so no worker asks a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from batch.core.errors import UsageError
from batch.core.location import ObjectUrl, Place
from batch.core.rules import ReadingRules

LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
"""Named in full: Beam's `DirectRunner` may try to download another runner, and a hospital's
machine without network must not see that."""


DEFAULT_SEGMENT_SIZE = 2000


DEFAULT_BATCH_SIZE = 16
"""As fast as 32, with less memory, and an image waits less for the others of its batch."""


YOUNG_SECONDS = 600
"""A file that cannot be decoded and was modified less than ten minutes before the run may still be
being written: it is left for the next run."""


REVIEW_BUDGET = 12
"""Lesions that a person is asked to look at in one morning, where nobody says how many."""

PAGE_LANGUAGES = ("en", "de")


class Order(StrEnum):
    """In which order files are read; what comes last may have to wait at a deadline."""

    NEWEST = "newest"
    OLDEST = "oldest"
    PATH = "path"


class Listing(StrEnum):
    """Who lists the archive."""

    AUTO = "auto"
    DRIVER = "driver"
    WORKERS = "workers"


@dataclass(frozen=True)
class ReviewOptions:
    """How the review worklist is made.

    lesion_pattern: regular expression over paths, with the group `lesion`; None: as in the last
    night; empty: none. reviewed: files with marks; none: `reviewed*.csv` and the like in the
    reports folder.
    explain: lesions, from the first, with the model's attention. pictures: of the listed images, on
    the page. single_file: they stand within the page, and no files are made. budget: lesions of the
    list that are tonight's work, 1 or more. language: of the page, `en` or `de`; None: the
    browser's. score_spread: how much the listed scores depend on harmless changes.
    """

    lesion_pattern: str | None = None
    reviewed: tuple[Path, ...] = ()
    explain: int = 0
    pictures: bool = True
    single_file: bool = False
    budget: int = REVIEW_BUDGET
    language: str | None = None
    score_spread: bool = True


@dataclass(frozen=True)
class JobConfig:
    """What `melanoma-batch score` was asked to do.

    archive: a folder, absolute (`whole_path`), or a prefix of an object store. reports: folder of
    the reports, absolute; with reports_url, which names them in an object store, the copy of them
    that this machine works on. model: bundled id or artifact folder.
    operating_point: its name; None for the artifact's default. started_at: with time zone, UTC.
    segment_size: files in one Beam pipeline, 0 for all in one. batch_size: images in one call of
    the model. processes: of this machine that score segments side by side. decode_threads: of each
    worker process; None for its share of the cores and one more.
    max_unscored_rate: share (0..1) of the images tried above which the exit code says so. rules:
    how files are read. order: of reading. settle_seconds: files modified less than so long before
    the start wait for the next run. seconds_allowed: no segment is begun that would end later;
    deadline, max_duration: the words that it was made of. accept_shrunken_archive: most of the
    files may be gone. beam_options: passed to the runner as they are. review: of the worklist.
    listing: who lists the archive. patient_key_file: where the key of `rules` was read from.
    manifests: tables about the images; manifest_map: `theirs=ours` for their columns.
    silent_model: bundled id or artifact folder of a second model; backfill: it also scores images
    that are not read tonight otherwise.
    """

    archive: Place
    reports: Path
    model: str
    run_id: str
    started_at: datetime
    operating_point: str | None = None
    segment_size: int = DEFAULT_SEGMENT_SIZE
    batch_size: int = DEFAULT_BATCH_SIZE
    processes: int = 1
    decode_threads: int | None = None
    max_unscored_rate: float = 0.1
    rules: ReadingRules = field(default_factory=ReadingRules)
    order: Order = Order.NEWEST
    settle_seconds: int = 0
    deadline: str | None = None
    max_duration: str | None = None
    seconds_allowed: float | None = None
    accept_shrunken_archive: bool = False
    beam_options: tuple[str, ...] = ()
    review: ReviewOptions = field(default_factory=ReviewOptions)
    reports_url: ObjectUrl | None = None
    listing: Listing = Listing.AUTO
    patient_key_file: Path | None = None
    manifests: tuple[Place, ...] = ()
    manifest_map: tuple[str, ...] = ()
    silent_model: str | None = None
    backfill: bool = False

    def __post_init__(self) -> None:
        """Check ranges, and that archive and reports lie apart.

        Raises:
            UsageError: says option, value, allowed range.
        """
        if self.backfill and self.silent_model is None:
            raise UsageError("--backfill: it needs --silent-model, whose scores it completes.")
        for option, value, low, high in (
            ("--segment-size", self.segment_size, 0, None),
            ("--batch-size", self.batch_size, 1, 1024),
            ("--processes", self.processes, 1, 256),
            ("--decode-threads", 1 if self.decode_threads is None else self.decode_threads, 1, 256),
            ("--max-unscored-rate", self.max_unscored_rate, 0, 1),
            ("--settle", self.settle_seconds, 0, 7 * 86_400),
        ):
            if not value >= low or (high is not None and not value <= high):
                limit = f"{low} to {high}" if high is not None else f"{low} or more"
                raise UsageError(f"{option}: found {value}; allowed: {limit}.")
        if self.processes > 1 and self.beam_options:
            raise UsageError(
                f"--processes: found {self.processes}, with Beam options after `--`; allowed: 1. "
                "There the runner says how many workers there are."
            )
        check_apart(self.archive, self.reports_url or self.reports)

    @property
    def settled_before_ns(self) -> int | None:
        """Files modified after this instant wait for the next run; None: no file waits for that."""
        if not self.settle_seconds:
            return None
        return nanoseconds(self.started_at) - self.settle_seconds * 10**9


def nanoseconds(instant: datetime) -> int:
    """Nanoseconds since 1970, as file systems count them."""
    return round(instant.timestamp() * 1e6) * 1000


def check_apart(archive: Place, reports: Place) -> None:
    """Make sure that neither the archive nor the reports lie inside the other.

    Raises:
        UsageError: one lies inside the other.
    """
    if isinstance(archive, ObjectUrl) and isinstance(reports, ObjectUrl):
        nested = archive.holds(reports) or reports.holds(archive)
    elif isinstance(archive, Path) and isinstance(reports, Path):
        nested = archive in (reports, *reports.parents) or reports in archive.parents
    else:
        nested = False
    if nested:
        raise UsageError(
            f"--output: {reports} and the archive {archive} hold each other; reports would be read "
            "as archive files. Choose a folder beside the archive."
        )
