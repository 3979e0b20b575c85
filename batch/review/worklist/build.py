"""From images to the ranked list of lesions: which one a person looks at first, and why.

Every lesion of the archive gets a tier. The list holds the lesions that ask for a look, those with
an alert that no mark has closed, and those that were reviewed. The others are only counted; that
does not make them clear. The functions are pure, except that `ListSources` reads tables.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import pandas as pd

from batch.review.worklist.archive_index import ArchiveIndex
from batch.review.worklist.contract import ReviewFacts, ReviewWorklist
from batch.review.worklist.frames import (
    image_frame,
    lesion_frame,
    records,
    tier_changes,
    unreadable_frame,
)
from batch.review.worklist.grouping import group_unscored
from batch.review.worklist.lesion_images import EarlierScore, Lesion, LesionImage
from batch.review.worklist.lesions import departed_row, lesion_row, marks_taken
from batch.review.worklist.mark_assignment import MarkAssignment, assign_marks
from batch.review.worklist.marks import Mark, Marks
from batch.review.worklist.previous_list import LesionLinks, PreviousList, link_lesions
from batch.review.worklist.tiers import (
    among_patients,
    distinct_images,
    lesion_scores,
)

GROUPING_COLUMNS = (
    "image_id", "path", "lesion_id", "study_instance_uid", "patient_pseudonym", "patient_id",
    "issuer_of_patient_id", "melanoma_score", "threshold", "is_reliable", "model_id",
    "model_version", "model_sha256", "run_id", "scored_at",
)  # fmt: skip
"""Columns of `current` that are read for every image of the archive."""


DETAIL_COLUMNS = (
    "path_bytes", "frame_number", "file_format", "rows", "columns", "flags", "sop_instance_uid",
    "acquisition_datetime", "anatomic_region", "laterality", "accession_number", "class_scores",
    "predicted_class", "content_sha256",
)  # fmt: skip
"""Columns of `current` that are read only for images of lesions that may be listed."""


_FOR_CANDIDATES = (
    "lesion_id", "study_instance_uid", "patient_id", "issuer_of_patient_id", "run_id", "scored_at",
)  # fmt: skip


class ListSources(Protocol):
    """Reads what the list needs only for a few images."""

    def details(self, rows: pd.Index) -> pd.DataFrame:
        """`DETAIL_COLUMNS` of these rows of the night's images; with the same index."""
        ...

    def history(self, image_ids: Collection[str]) -> Iterable[tuple[str, EarlierScore]]:
        """Pairs of image_id and a score of an earlier night."""
        ...


@dataclass(frozen=True, eq=False)
class NightTables:
    """The tables of a night.

    images: `GROUPING_COLUMNS` of `current`.
    unscored: the table of that name.
    not_looked_at: as in `ReviewWorklist`.
    facts: what the page says of the night.
    """

    images: pd.DataFrame
    unscored: pd.DataFrame
    not_looked_at: Mapping[str, int]
    facts: ReviewFacts


@dataclass(frozen=True, eq=False)
class _Candidates:
    """The lesions that may be listed, and all other lesions of their patients.

    distinct: each image of a lesion once.
    scores: of the lesions with a readable image, by lesion_key.
    """

    distinct: pd.DataFrame
    scores: pd.DataFrame


def build_worklist(
    tonight: NightTables,
    remembered: PreviousList,
    marks: Marks,
    sources: ListSources,
    pattern: re.Pattern[str] | None = None,
) -> ReviewWorklist:
    """Make the list of a night.

    Args:
        tonight: the night's tables.
        remembered: the list of the last night that has one.
        marks: what people decided, of all files.
        sources: reads details and earlier scores.
        pattern: of `--lesion-pattern`.
    """
    archive = ArchiveIndex.of(tonight.images, pattern)
    unscored = _grouped_unscored(tonight, archive, pattern)
    unreadable_lesions = set(unscored["lesion_key"])
    keys = archive.with_score(_lesion_names(remembered, marks)) | unreadable_lesions
    lesions_of = _lesions_of(archive, unscored, _image_names(remembered, marks))
    links = link_lesions(remembered, keys, lesions_of)
    departed = {row["lesion_key"]: row for row in links.departed}
    for key, row in departed.items():
        for image_id in row["image_ids"]:
            lesions_of.setdefault(image_id, set()).add(key)
    distinct_marks = _without_repetitions(marks)
    assigned = assign_marks(distinct_marks, keys | departed.keys(), lesions_of, remembered.rows)
    newly_alerted = _lesions_of(archive, unscored, remembered.alerted.keys())
    keys_of_candidates = (
        archive.asking() | (unreadable_lesions - archive.with_score(unreadable_lesions))
        | links.by_key.keys() | links.by_image.keys() | assigned.keys()
        | {key for keys_of_image in newly_alerted.values() for key in keys_of_image}
    ) - departed.keys()  # fmt: skip
    distinct = distinct_images(archive.with_other_lesions(keys_of_candidates))
    candidates = _Candidates(distinct, lesion_scores(distinct))
    lesions = _lesions(tonight, candidates, unscored, keys_of_candidates, sources, remembered)
    rows = _rows(tonight, candidates, lesions, links, assigned, remembered)
    listed = {row["lesion_key"] for row in rows}
    frame = lesion_frame(rows)
    taken = len(marks_taken(assigned, lesions, departed, links, remembered, tonight.facts.night))
    mark_counts = {"taken": taken, "without_effect": len(distinct_marks) - taken}
    facts = _facts(tonight, archive.counts(unscored), marks, assigned, remembered)
    facts = _with_marks(facts, mark_counts, len(assigned.unmatched))
    return ReviewWorklist(
        lesions=frame,
        images=image_frame(
            frame, [lesions[key] for key in listed - departed.keys()], departed, links, facts.night
        ),
        unreadable=unreadable_frame(unscored, frame, remembered, facts.night),
        not_looked_at=dict(tonight.not_looked_at),
        changes=tier_changes(remembered, frame, candidates.scores, lesions, links),
        facts=facts,
    )


def _without_repetitions(marks: Marks) -> list[Mark]:
    """The marks, without the repetitions of a second download; the last of equal ones stays."""
    return list(dict.fromkeys(reversed(marks.found)))[::-1]


def _lesion_names(remembered: PreviousList, marks: Marks) -> set[str]:
    """Names of lesions in the last list and in marks."""
    named = {mark.lesion_key for mark in marks.found if mark.lesion_key}
    return {row["lesion_key"] for row in remembered.rows} | named | set(map(str.strip, named))


def _image_names(remembered: PreviousList, marks: Marks) -> set[str]:
    """Names of images in the last list and in marks."""
    named = {mark.image_id for mark in marks.found if mark.image_id}
    return remembered.image_ids() | named | set(map(str.strip, named))


def _lesions_of(
    archive: ArchiveIndex, unscored: pd.DataFrame, image_ids: Collection[str]
) -> dict[str, set[str]]:
    """Map image ids to lesion_keys, of images with and without a score."""
    lesions = archive.lesions_of(image_ids)
    named_rows = unscored[unscored["image_id"].isin(list(image_ids))]
    for image_id, key in zip(named_rows["image_id"], named_rows["lesion_key"], strict=True):
        lesions.setdefault(image_id, set()).add(key)
    return lesions


def _grouped_unscored(
    tonight: NightTables, archive: ArchiveIndex, pattern: re.Pattern[str] | None
) -> pd.DataFrame:
    """The images without a score, with lesion and patient."""
    unscored = tonight.unscored
    of_paths = _groups_of_paths(archive.in_files(list(unscored["path"])))
    bearers = archive.bearers(set(unscored["lesion_id"].dropna()))
    grouped = group_unscored(unscored, pattern, of_paths, bearers)
    rows = unscored.drop(columns="image_id").join(grouped)
    return rows.assign(named_id=unscored["image_id"])


def _groups_of_paths(images: pd.DataFrame) -> dict[str, tuple[str | None, str | None]]:
    """Map a path to lesion and patient, where all scored frames of the file agree; else None.

    A frame that is a lesion by itself gives its key to no other frame.
    """
    groups: dict[str, tuple[str | None, str | None]] = {}
    for row in records(images[["path", "image_id", "lesion_key", "patient_key"]]):
        is_own = row["lesion_key"] in (row["image_id"], f"IMAGE:{row['image_id']}")
        group = (None if is_own else row["lesion_key"]), row["patient_key"]
        lesion, patient = groups.setdefault(row["path"], group)
        agreed = lesion if lesion == group[0] else None
        groups[row["path"]] = agreed, patient if patient == group[1] else None
    return groups


def _lesions(
    tonight: NightTables,
    candidates: _Candidates,
    unscored: pd.DataFrame,
    keys: Collection[str],
    sources: ListSources,
    remembered: PreviousList,
) -> dict[str, Lesion]:
    """Some lesions, each with its images, earlier scores, and images without a score."""
    images = candidates.distinct[candidates.distinct["lesion_key"].isin(list(keys))]
    images = images.join(tonight.images[list(_FOR_CANDIDATES)])
    details = sources.details(images.index).loc[images.index, list(DETAIL_COLUMNS)]
    history: dict[str, list[EarlierScore]] = defaultdict(list)
    for image_id, earlier in sources.history(set(images["image_id"])):
        history[image_id].append(earlier)
    night = datetime.fromisoformat(tonight.facts.night)
    lesions = {key: Lesion(key) for key in keys}
    for row, detail in zip(records(images), records(details), strict=True):
        is_new = row["run_id"] == tonight.facts.run_id
        image = LesionImage.of({**row, **detail}, night, is_new, history.get(row["image_id"], ()))
        lesions[row["lesion_key"]].images.append(image)
    since = remembered.without_score()
    for row in records(unscored[unscored["lesion_key"].isin(list(keys))]):
        pair = row["lesion_key"], row["image_id"]
        # an image on the last list was there in that night at the latest
        first_seen = since.get(pair) or (remembered.night if pair in since else None)
        row["since"] = datetime.fromisoformat(first_seen) if first_seen else night
        lesions[row["lesion_key"]].unreadable.append(row)
    return lesions


def _rows(
    tonight: NightTables,
    candidates: _Candidates,
    lesions: Mapping[str, Lesion],
    links: LesionLinks,
    assigned: MarkAssignment,
    remembered: PreviousList,
) -> list[dict[str, Any]]:
    night = tonight.facts.night
    numbers = candidates.scores.join(among_patients(candidates.scores))
    numbers = numbers[numbers.index.isin(list(lesions))]
    by_key = dict(zip(numbers.index, records(numbers), strict=True))
    rows = [
        lesion_row(lesion, by_key.get(key), links, assigned, remembered, night)
        for key, lesion in lesions.items()
    ]
    rows += [departed_row(row, assigned, night) for row in links.departed]
    return [row for row in rows if row is not None]


def _facts(
    tonight: NightTables,
    counted: Mapping[str, int],
    marks: Marks,
    assigned: MarkAssignment,
    remembered: PreviousList,
) -> ReviewFacts:
    archive = {
        **counted,
        "marks": len(set(marks.found)),
        "marks_unmatched": len(assigned.unmatched),
    }
    notes = list(tonight.facts.notes) + list(marks.problems[:_MOST_PROBLEMS])
    if len(marks.problems) > _MOST_PROBLEMS:
        notes.append(f"{len(marks.problems) - _MOST_PROBLEMS} more lines of marks do not count.")
    unmatched = [f"{mark.place} {_NAMES_NOTHING}." for mark in assigned.unmatched if mark.place]
    if count := len(assigned.unmatched):
        marks_name = "1 mark names" if count == 1 else f"{count} marks name"
        notes.append(f"{marks_name} no lesion or image that is known here.")
        notes += unmatched[:_MOST_PROBLEMS]
    return replace(
        tonight.facts,
        archive={**tonight.facts.archive, **archive},
        previous_night=remembered.night,
        notes=tuple(notes),
        marks_of_nobody=tuple(unmatched),
    )


def _with_marks(facts: ReviewFacts, counted: Mapping[str, int], unmatched: int) -> ReviewFacts:
    notes = [*facts.notes]
    if old := counted["without_effect"] - unmatched:
        marks = (
            "1 mark closes nothing: it is" if old == 1 else f"{old} marks close nothing: they are"
        )
        notes.append(
            f"{marks} older than every image of the lesion, or of one image while another one asks "
            "for a look."
        )
    return replace(facts, marks=dict(counted), notes=tuple(notes))


_MOST_PROBLEMS = 20


_NAMES_NOTHING = "names no lesion or image that is known here"
