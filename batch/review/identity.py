"""Options that decide which images are one lesion, which lesions one patient, and what is listed.

They are remembered with the reports, and a change of any is said. Where one is not given the last
run's holds: otherwise a forgotten word would make known lesions new ones. The command line takes up
all but the lesion pattern (`batch.commands.remembered`); the pattern is taken up here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from batch.core.config import JobConfig, ReviewOptions
from batch.core.errors import UsageError
from batch.core.rules import lesion_pattern
from batch.reports.local import RUN_FILE, LocalReports
from batch.reports.run_record import record_of
from batch.storage.files import read_json

logger = logging.getLogger(__name__)
IDENTITY = "identity"
"""The key of run.json."""
_MOST_NIGHTS = 30
_SHOWN = 200


@dataclass(frozen=True)
class Identity:
    """What a night's run.json tells, or what a run is asked for."""

    lesion_pattern: str | None = None
    identifiers: str = "uids"
    patient_key_id: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settled:
    """What a run groups by.

    review: with the pattern that counts, None for none. last_night: the run id of the night that it
    was compared with. taken_over: the pattern is that night's. changed: option to sentence.
    """

    review: ReviewOptions
    last_night: str | None = None
    taken_over: bool = False
    changed: Mapping[str, str] = field(default_factory=dict)

    def into(self, run: dict[str, Any]) -> None:
        """Add it to run.json."""
        run["options"]["lesion_pattern"] = self.review.lesion_pattern
        run[IDENTITY] = {
            "compared_with": self.last_night,
            "lesion_pattern_taken_over": self.taken_over,
            "changed": dict(self.changed),
        }


def settle_identity(config: JobConfig, reports: LocalReports) -> Settled:
    """Compare a run's options with those of the last night, and take over its lesion pattern."""
    rules = config.rules
    now = Identity(
        config.review.lesion_pattern,
        rules.identifiers.level.value,
        rules.identifiers.key_id,
        tuple(f"{rule.attribute}={rule.value}" for rule in rules.selection.include),
        tuple(f"{rule.attribute}={rule.value}" for rule in rules.selection.exclude),
    )
    last_night, last = last_identity(reports)
    settled = settle(config.review, now, last_night, last)
    if settled.taken_over:
        logger.info("--lesion-pattern not given: that of night %s is used", last_night)
    for option in settled.changed:
        logger.warning("%s is another than in night %s", option, last_night)
    return settled


def settle_pattern(review: ReviewOptions, run_id: str, run: Mapping[str, Any]) -> Settled:
    """The pattern of a list that is made anew: the night's own, unless one is given."""
    its = identity_of(run) or Identity()
    now = replace(its, lesion_pattern=review.lesion_pattern)
    return settle(review, now, run_id, its)


def settle(
    review: ReviewOptions, now: Identity, last_night: str | None, last: Identity | None
) -> Settled:
    """What counts, and what has changed. Pure.

    Args:
        now: as it was asked for; a pattern of None was not given. last: None without a night.
    """
    given = now.lesion_pattern
    if last is None:
        return Settled(replace(review, lesion_pattern=given or None))
    taken_over = given is None and _is_pattern(last.lesion_pattern)
    pattern = last.lesion_pattern if taken_over else given or None
    asked = replace(now, lesion_pattern=pattern)
    return Settled(
        replace(review, lesion_pattern=pattern), last_night, taken_over,
        dict(_changes(last, asked)),
    )  # fmt: skip


def last_identity(reports: LocalReports) -> tuple[str | None, Identity | None]:
    """The newest night whose run.json tells its options, and these."""
    for run_id in reports.nights()[:_MOST_NIGHTS]:
        found = identity_of(read_json(reports.night(run_id) / RUN_FILE) or {})
        if found is not None:
            return run_id, found
    return None, None


def identity_of(run: Mapping[str, Any]) -> Identity | None:
    """What run.json tells; None when it tells no options."""
    told = record_of(run).options
    if told is None or not told.model_fields_set:
        return None
    level = Identity.identifiers if told.identifiers is None else told.identifiers
    return Identity(told.lesion_pattern, level, told.patient_key_id, told.include, told.exclude)


def told_changes(run: Mapping[str, Any]) -> tuple[str, ...]:
    """The sentences on changes that run.json has."""
    told = record_of(run).identity
    return tuple(told.changed.values()) if told else ()


def identity_lines(run: Mapping[str, Any]) -> list[str]:
    """What a summary says: which pattern is used that nobody gave, and what has changed."""
    record = record_of(run)
    pattern = record.options.lesion_pattern if record.options else None
    taken = record.identity is not None and record.identity.lesion_pattern_taken_over
    lines = [
        f"Lesions    by the last night's --lesion-pattern, since none was given: {pattern}"
    ] * taken
    return lines + [f"CHANGED    {sentence}" for sentence in told_changes(run)]


def _changes(last: Identity, now: Identity) -> Iterator[tuple[str, str]]:
    """Option to sentence."""
    for option, before, after, so in (
        ("--lesion-pattern", _by(last), _by(now), _OTHER_LESIONS),
        ("--identifiers", last.identifiers, now.identifiers, _OTHER_LEVEL),
        ("--patient-key-file", _key(last), _key(now), _OTHER_PATIENTS),
        ("--include", _rules(last.include), _rules(now.include), _OTHER_OBJECTS),
        ("--exclude", _rules(last.exclude), _rules(now.exclude), _OTHER_OBJECTS),
    ):
        if before != after:
            yield option, f"{option}: {_short(before)} last night, {_short(after)} now. {so}"


_OTHER_LESIONS = (
    "Images are grouped to other lesions: what looks new may be known under another key, and the "
    "other way round."
)
_OTHER_LEVEL = "DICOM images may be grouped to other lesions and patients."
_OTHER_PATIENTS = (
    "Patients have other pseudonyms, or none: outliers, and lesions known within a patient, are "
    "others."
)
_OTHER_OBJECTS = "DICOM objects are scored that were not, or the other way round."


def _is_pattern(text: str | None) -> bool:
    try:
        return text is not None and bool(lesion_pattern(text))
    except UsageError:  # a damaged run.json
        return False


def _by(identity: Identity) -> str:
    return identity.lesion_pattern or "none"


def _key(identity: Identity) -> str:
    return f"the key {identity.patient_key_id}" if identity.patient_key_id else "no key"


def _rules(rules: tuple[str, ...]) -> str:
    return ", ".join(sorted(rules)) or "none"


def _short(text: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "\N{HORIZONTAL ELLIPSIS}"
