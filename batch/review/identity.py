"""Options that decide which images form a lesion, which lesions a patient, and what is listed.

run.json keeps these options, and a change of one is reported. If one is not given, the value of the
last run is used, since otherwise a forgotten option would make new lesions of known ones. The
lesion pattern is taken over here, the others by the command line (`batch.commands.remembered`).
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
"""Key in run.json."""
_MOST_NIGHTS = 30
_SHOWN = 200


@dataclass(frozen=True)
class Identity:
    """These options, of a night's run.json or of the run that starts.

    lesion_pattern: None if there is none, or none was given.
    identifiers: level, a value of `Identifiers`.
    patient_key_id: name of the key of the pseudonyms.
    include, exclude: rules as `attribute=value`. manifest: the hospital's tables.
    """

    lesion_pattern: str | None = None
    identifiers: str = "uids"
    patient_key_id: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    manifest: tuple[str, ...] = ()


@dataclass(frozen=True)
class GroupingChoice:
    """How a run groups images, and what has changed in that.

    review: options with the pattern that the run uses; None if it uses none.
    last_night: run id of the night with which the options were compared.
    taken_over: whether the pattern comes from that night.
    changed: option to a sentence on its change.
    """

    review: ReviewOptions
    last_night: str | None = None
    taken_over: bool = False
    changed: Mapping[str, str] = field(default_factory=dict)

    def into(self, run: dict[str, Any]) -> None:
        """Add the choice to the content of run.json."""
        run["options"]["lesion_pattern"] = self.review.lesion_pattern
        run[IDENTITY] = {
            "compared_with": self.last_night,
            "lesion_pattern_taken_over": self.taken_over,
            "changed": dict(self.changed),
        }


def choose_grouping(config: JobConfig, reports: LocalReports) -> GroupingChoice:
    """Compare the options of a run with the last night's, and take over the lesion pattern."""
    rules = config.rules
    now = Identity(
        config.review.lesion_pattern,
        rules.identifiers.level.value,
        rules.identifiers.key_id,
        tuple(f"{rule.attribute}={rule.value}" for rule in rules.selection.include),
        tuple(f"{rule.attribute}={rule.value}" for rule in rules.selection.exclude),
        tuple(map(str, config.manifests)),
    )
    last_night, last = last_recorded_identity(reports)
    settled = compare_identities(config.review, now, last_night, last)
    if settled.taken_over:
        logger.info("--lesion-pattern not given: that of night %s is used", last_night)
    for option in settled.changed:
        logger.warning("%s is another than in night %s", option, last_night)
    return settled


def choose_pattern(review: ReviewOptions, run_id: str, run: Mapping[str, Any]) -> GroupingChoice:
    """Choose the pattern for a list that is made anew: the given one, else the night's own."""
    own = identity_of(run) or Identity()
    now = replace(own, lesion_pattern=review.lesion_pattern)
    return compare_identities(review, now, run_id, own)


def compare_identities(
    review: ReviewOptions, now: Identity, last_night: str | None, last: Identity | None
) -> GroupingChoice:
    """Choose the lesion pattern and describe what has changed since a night.

    Args:
        review: options of the run.
        now: as given; lesion_pattern is None if it was not given.
        last_night: run id of the night; None without one.
        last: options of that night; None without one.
    """
    given = now.lesion_pattern
    if last is None:
        return GroupingChoice(replace(review, lesion_pattern=given or None))
    taken_over = given is None and _is_pattern(last.lesion_pattern)
    pattern = last.lesion_pattern if taken_over else given or None
    effective = replace(now, lesion_pattern=pattern)
    return GroupingChoice(
        replace(review, lesion_pattern=pattern), last_night, taken_over,
        dict(_changes(last, effective)),
    )  # fmt: skip


def last_recorded_identity(reports: LocalReports) -> tuple[str | None, Identity | None]:
    """The newest night whose run.json has these options, and the options."""
    for run_id in reports.nights()[:_MOST_NIGHTS]:
        identity = identity_of(read_json(reports.night(run_id) / RUN_FILE) or {})
        if identity is not None:
            return run_id, identity
    return None, None


def identity_of(run: Mapping[str, Any]) -> Identity | None:
    """These options as run.json has them; None if it has no options."""
    options = record_of(run).options
    if options is None or not options.model_fields_set:
        return None
    level = Identity.identifiers if options.identifiers is None else options.identifiers
    return Identity(
        options.lesion_pattern, level, options.patient_key_id, options.include, options.exclude,
        options.manifest,
    )  # fmt: skip


def recorded_changes(run: Mapping[str, Any]) -> tuple[str, ...]:
    """The sentences on changes in run.json."""
    recorded = record_of(run).identity
    return tuple(recorded.changed.values()) if recorded else ()


def identity_lines(run: Mapping[str, Any]) -> list[str]:
    """Lines for the summary: the pattern that was taken over, and what has changed."""
    record = record_of(run)
    pattern = record.options.lesion_pattern if record.options else None
    is_taken_over = record.identity is not None and record.identity.lesion_pattern_taken_over
    lines = [
        f"Lesions    by the last night's --lesion-pattern, since none was given: {pattern}"
    ] * is_taken_over
    return lines + [f"CHANGED    {sentence}" for sentence in recorded_changes(run)]


def _changes(last: Identity, now: Identity) -> Iterator[tuple[str, str]]:
    """Pairs of an option that has changed and a sentence about it."""
    for option, before, after, consequence in (
        ("--lesion-pattern", _by(last), _by(now), _OTHER_LESIONS),
        ("--identifiers", last.identifiers, now.identifiers, _OTHER_LEVEL),
        ("--patient-key-file", _key(last), _key(now), _OTHER_PATIENTS),
        ("--manifest", _tables(last), _tables(now), _OTHER_TABLES),
        ("--include", _rules(last.include), _rules(now.include), _OTHER_OBJECTS),
        ("--exclude", _rules(last.exclude), _rules(now.exclude), _OTHER_OBJECTS),
    ):
        if before != after:
            yield (
                option,
                f"{option}: {_short(before)} last night, {_short(after)} now. {consequence}",
            )


_OTHER_LESIONS = (
    "Images are grouped to other lesions: what looks new may be known under another key, and the "
    "other way round."
)
_OTHER_LEVEL = "DICOM images may be grouped to other lesions and patients."
_OTHER_PATIENTS = (
    "Patients have other pseudonyms, or none: outliers, and lesions known within a patient, are "
    "others."
)
_OTHER_TABLES = "Images may have other lesions and patients, or none."
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


def _tables(identity: Identity) -> str:
    return ", ".join(identity.manifest) or "none"


def _rules(rules: tuple[str, ...]) -> str:
    return ", ".join(sorted(rules)) or "none"


def _short(text: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "\N{HORIZONTAL ELLIPSIS}"
