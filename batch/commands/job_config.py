"""Makes the frozen options of a run from the command line's options."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from batch.archive.access import check_archive
from batch.core.config import YOUNG_SECONDS, JobConfig, Listing, Order, ReviewOptions, nanoseconds
from batch.core.errors import UsageError
from batch.core.location import ObjectUrl, Place, whole_path
from batch.core.privacy import IdentifierPolicy, Identifiers, read_key
from batch.core.rules import ReadingRules, Selection, lesion_pattern, parse_limits, parse_rules
from batch.run.schedule import duration_seconds, seconds_until
from batch.runtime.process import default_processes
from batch.storage.object_store import check_store

NO_RULE = "none"
CACHE_VARIABLE = "MELANOMA_BATCH_CACHE"
"""Environment variable: the folder in which copies of reports in object storage are kept."""


def job_config(
    options: SimpleNamespace, beam: Sequence[str], started_at: datetime, local_time: datetime
) -> JobConfig:
    """Make the frozen options of a run, and check that archive and reports can be reached.

    Args:
        options: of the command line.
        beam: words after `--`.
        started_at: now, in UTC.
        local_time: now, in local time without zone, for a deadline.

    Raises:
        UsageError: an option cannot be used; the message says option, value and what is allowed.
    """
    config = _checked(options, beam, started_at, local_time)
    check_reachable(config)
    return config


def check_values(options: SimpleNamespace, beam: Sequence[str]) -> None:
    """Make sure that a run could begin with these options; reaches for no archive and no reports.

    Raises:
        UsageError: as `job_config`.
    """
    _checked(options, beam, datetime.now(UTC), datetime.now())


def _checked(
    options: SimpleNamespace, beam: Sequence[str], started_at: datetime, local_time: datetime
) -> JobConfig:
    archive = options.archive
    reports, url = reports_place("--output", options.output)
    return JobConfig(
        archive=archive if isinstance(archive, ObjectUrl) else whole_path("ARCHIVE", archive),
        reports=reports,
        reports_url=url,
        model=options.model,
        run_id=new_run_id(started_at),
        started_at=started_at,
        operating_point=options.operating_point,
        segment_size=options.segment_size,
        batch_size=options.batch_size,
        processes=_processes(options.processes, beam),
        decode_threads=options.decode_threads,
        max_unscored_rate=getattr(options, "max_unscored_rate", 1.0),
        rules=_reading_rules(options, started_at),
        order=Order(options.order),
        listing=Listing(options.listing),
        settle_seconds=options.settle,
        deadline=options.deadline,
        max_duration=options.max_duration,
        seconds_allowed=_seconds_allowed(options, local_time),
        accept_shrunken_archive=options.accept_shrunken_archive,
        beam_options=tuple(beam),
        review=review_options(options),
        patient_key_file=(
            whole_path("--patient-key-file", options.patient_key_file)
            if options.patient_key_file
            else None
        ),
        manifests=tuple(_manifest_place(place) for place in _given(options, "manifest")),
        manifest_map=tuple(_given(options, "map")),
        silent_model=options.silent_model,
        backfill=options.backfill,
    )


def check_reachable(config: JobConfig) -> None:
    """Make sure that archive and reports can be reached.

    Raises:
        UsageError: says which cannot.
        StoreFailed: an object store refuses, or does not answer.
    """
    check_archive(config.archive)
    if config.reports_url is not None:
        check_store("--output", config.reports_url)
    try:
        is_wrong = config.reports.exists() and not config.reports.is_dir()
    except OSError as error:
        raise UsageError(
            f"--output: cannot look into {config.reports} ({error.strerror}). Check its "
            "permissions."
        ) from error
    if is_wrong:
        raise UsageError(f"--output: {config.reports} is a file; needed: a folder, or a new name.")


def new_run_id(started_at: datetime) -> str:
    """A new name for a run; names sort by the start."""
    return f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def _processes(given: int | None, beam: Sequence[str]) -> int:
    if given is not None:
        return given
    return 1 if beam else default_processes()


def reports_place(option: str, given: Place) -> tuple[Path, ObjectUrl | None]:
    """The folder of the reports on this machine and, if that is a copy, their URL.

    Only the owner can read a copy.

    Raises:
        UsageError: the path cannot be resolved, or the folder cannot be made.
    """
    if not isinstance(given, ObjectUrl):
        return whole_path(option, given), None
    named = hashlib.sha256(str(given).encode()).hexdigest()[:16]
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = os.environ.get(CACHE_VARIABLE) or os.path.join(caches, "melanoma-batch")
    copy = whole_path(CACHE_VARIABLE, Path(folder) / named)
    try:
        copy.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{CACHE_VARIABLE}: cannot make {copy} ({error.strerror}). Name another folder."
        ) from error
    return copy, given


def review_options(options: SimpleNamespace) -> ReviewOptions:
    """Read the options of the worklist; a command without these options gets the defaults.

    Raises:
        UsageError: the pattern is not valid, or a file with marks does not exist.
    """
    pattern = getattr(options, "lesion_pattern", None)
    if pattern is not None and pattern.strip().lower() in ("", "none"):
        pattern = ""
    elif pattern is not None:
        lesion_pattern(pattern)
    files = [whole_path("--reviewed", file) for file in getattr(options, "reviewed", ())]
    for file in files:
        if not file.is_file():
            raise UsageError(f"--reviewed: no file {file}; needed: a .csv or .parquet with marks.")
    default = ReviewOptions()
    return ReviewOptions(
        lesion_pattern=pattern,
        reviewed=tuple(files),
        explain=getattr(options, "explain", default.explain),
        pictures=getattr(options, "pictures", default.pictures),
        single_file=getattr(options, "single_file", default.single_file),
        budget=getattr(options, "review_budget", default.budget),
        language=getattr(options, "language", default.language),
        score_spread=getattr(options, "score_spread", default.score_spread),
    )


def _seconds_allowed(options: SimpleNamespace, local_time: datetime) -> float | None:
    allowed = []
    if options.deadline is not None:
        allowed.append(seconds_until(options.deadline, local_time))
    if options.max_duration is not None:
        allowed.append(duration_seconds(options.max_duration))
    return min(allowed) if allowed else None


def _reading_rules(options: SimpleNamespace, started_at: datetime) -> ReadingRules:
    key = read_key(options.patient_key_file) if options.patient_key_file else None
    return ReadingRules(
        limits=parse_limits(list(options.limit)),
        selection=Selection(
            include=parse_rules("--include", _rules(options.include)),
            exclude=parse_rules("--exclude", _rules(options.exclude)),
        ),
        identifiers=IdentifierPolicy(Identifiers(options.identifiers), key),
        young_after_ns=nanoseconds(started_at) - YOUNG_SECONDS * 10**9,
    )


def _manifest_place(place: Place) -> Place:
    return place if isinstance(place, ObjectUrl) else whole_path("--manifest", place)


def _given(options: SimpleNamespace, name: str) -> list[Any]:
    """The values of an option, without the word `none`, which forgets those of the last run."""
    return [value for value in getattr(options, name, ()) if str(value).strip().lower() != NO_RULE]


def _rules(given: Sequence[str]) -> list[str]:
    """The rules without the word `none`, which removes the rules of the last run."""
    return [rule for rule in given if rule.strip().lower() != NO_RULE]
