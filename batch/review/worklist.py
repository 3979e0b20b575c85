"""Images to a ranked list of lesions: who is looked at first, and why. Pure but for `Sources`.

Every lesion of the archive gets a tier; listed are those that ask for a look, those whose alert no
mark closed, and those that were reviewed. The others are counted, and nobody calls them clear.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import pandas as pd

from batch.review.closing import Assigned, assign
from batch.review.contract import ReviewFacts, ReviewWorklist, Tier
from batch.review.frames import image_frame, lesion_frame, model_names, records, unreadable_frame
from batch.review.grouping import group_images, group_unscored
from batch.review.lesion_rows import Lesion, LesionImage, left_row, lesion_row
from batch.review.marks import Marks
from batch.review.remembered import Links, Remembered, link
from batch.review.tier_changes import changes
from batch.review.tiers import TIERS, among_patients, distinct_images, lesion_scores

GROUPING_COLUMNS = (
    "image_id", "path", "lesion_id", "study_instance_uid", "patient_pseudonym", "patient_id",
    "issuer_of_patient_id", "melanoma_score", "threshold", "model_id", "model_version",
    "model_sha256", "run_id", "scored_at",
)  # fmt: skip
"""Of `current`: needed of every image of the archive."""

DETAIL_COLUMNS = (
    "path_bytes", "frame_number", "file_format", "rows", "columns", "flags", "sop_instance_uid",
    "acquisition_datetime", "anatomic_region", "laterality", "accession_number", "class_scores",
    "predicted_class",
)  # fmt: skip
"""Of `current`: needed of the listed images only."""


_OF_FEW = (
    "study_instance_uid", "patient_id", "issuer_of_patient_id", "run_id", "scored_at",
)  # fmt: skip


class Sources(Protocol):
    """Where the list gets what it needs of few images only."""

    def details(self, rows: pd.Index) -> pd.DataFrame:
        """`DETAIL_COLUMNS` of these rows of the night's images; same index."""
        ...

    def history(self, image_ids: Collection[str]) -> Iterable[tuple[str, datetime, float, str]]:
        """Scores of all nights: image_id, night (UTC), score, `model_name`."""
        ...


@dataclass(frozen=True, eq=False)
class Tonight:
    """A night's tables. images: `GROUPING_COLUMNS` of `current`. unscored: that table."""

    images: pd.DataFrame
    unscored: pd.DataFrame
    not_looked_at: Mapping[str, int]
    facts: ReviewFacts


@dataclass(frozen=True, eq=False)
class _Grouped:
    """distinct: each image of a lesion once. scores: of lesions with a readable image, by
    lesion_key. unscored: with lesion and patient.
    """

    distinct: pd.DataFrame
    scores: pd.DataFrame
    unscored: pd.DataFrame

    def lesions_of(self, image_ids: Collection[str]) -> dict[str, set[str]]:
        """image_id to lesion_keys."""
        found: dict[str, set[str]] = defaultdict(set)
        for rows in (self.distinct, self.unscored):
            some = rows[rows["image_id"].isin(list(image_ids))]
            for image_id, key in zip(some["image_id"], some["lesion_key"], strict=True):
                found[image_id].add(key)
        return found


def build(
    tonight: Tonight,
    remembered: Remembered,
    marks: Marks,
    sources: Sources,
    pattern: re.Pattern[str] | None = None,
) -> ReviewWorklist:
    """The list of a night.

    Args:
        pattern: of `--lesion-pattern`.
    """
    grouped = _group(tonight, pattern)
    places = among_patients(grouped.scores)
    unreadable = set(grouped.unscored["lesion_key"]) - set(grouped.scores.index)
    keys = set(grouped.scores.index) | unreadable
    wanted = remembered.image_ids() | {mark.image_id for mark in marks.found if mark.image_id}
    lesions_of = grouped.lesions_of(wanted)
    links = link(remembered, keys, lesions_of)
    left = {row["lesion_key"]: row for row in links.left}
    for key, row in left.items():
        for image_id in row["image_ids"]:
            lesions_of.setdefault(image_id, set()).add(key)
    assigned = assign(marks.found, keys | left.keys(), lesions_of, remembered.rows)
    asking = grouped.scores.index[grouped.scores["code"] < TIERS.index(Tier.BELOW)]
    alerted = grouped.lesions_of(remembered.alerted.keys())
    candidates = (
        set(asking) | unreadable | links.by_key.keys() | links.by_image.keys() | assigned.keys()
        | {key for found in alerted.values() for key in found}
    ) - left.keys()  # fmt: skip
    lesions = _lesions(tonight, grouped, candidates, sources, remembered)
    rows = _rows(tonight, grouped, places, lesions, links, assigned, remembered)
    listed = {row["lesion_key"] for row in rows}
    frame = lesion_frame(rows)
    facts = _facts(tonight, grouped, marks, assigned, remembered)
    return ReviewWorklist(
        lesions=frame,
        images=image_frame(frame, [lesions[key] for key in listed - left.keys()], left),
        unreadable=unreadable_frame(grouped.unscored, frame, remembered, facts.night),
        not_looked_at=dict(tonight.not_looked_at),
        changes=changes(remembered, frame, grouped.scores, keys, lesions, links),
        facts=facts,
    )


def _group(tonight: Tonight, pattern: re.Pattern[str] | None) -> _Grouped:
    images = tonight.images[["image_id", "path", "melanoma_score", "threshold"]].join(
        group_images(tonight.images, pattern)
    )
    images["model_version"] = model_names(tonight.images)
    distinct = distinct_images(images)
    unscored = tonight.unscored
    of_paths = _of_paths(images[images["path"].isin(list(unscored["path"]))])
    grouped = group_unscored(unscored, pattern, of_paths)
    rows = unscored.drop(columns="image_id").join(grouped)
    rows = rows.assign(named_id=unscored["image_id"])
    return _Grouped(distinct, lesion_scores(distinct), rows)


def _of_paths(images: pd.DataFrame) -> dict[str, tuple[str | None, str | None]]:
    """Lesion and patient of files with several frames: the one that their frames agree on.

    A frame that is a lesion by itself lends its key to no other.
    """
    found: dict[str, tuple[str | None, str | None]] = {}
    for row in records(images[["path", "image_id", "lesion_key", "patient_key"]]):
        is_own = row["lesion_key"] in (row["image_id"], f"IMAGE:{row['image_id']}")
        here = (None if is_own else row["lesion_key"]), row["patient_key"]
        lesion, patient = found.setdefault(row["path"], here)
        same = lesion if lesion == here[0] else None
        found[row["path"]] = same, patient if patient == here[1] else None
    return found


def _lesions(
    tonight: Tonight,
    grouped: _Grouped,
    keys: Collection[str],
    sources: Sources,
    remembered: Remembered,
) -> dict[str, Lesion]:
    """What is known of the images of some lesions."""
    images = grouped.distinct[grouped.distinct["lesion_key"].isin(list(keys))]
    images = images.join(tonight.images[list(_OF_FEW)])
    details = sources.details(images.index).loc[images.index, list(DETAIL_COLUMNS)]
    history: dict[str, list[tuple[datetime, float, str]]] = defaultdict(list)
    for image_id, when, score, by in sources.history(set(images["image_id"])):
        history[image_id].append((when, score, by))
    night = datetime.fromisoformat(tonight.facts.night)
    found = {key: Lesion(key) for key in keys}
    for row, detail in zip(records(images), records(details), strict=True):
        is_new = row["run_id"] == tonight.facts.run_id
        image = LesionImage.of({**row, **detail}, night, is_new, history.get(row["image_id"], ()))
        found[row["lesion_key"]].images.append(image)
    unscored = grouped.unscored[grouped.unscored["lesion_key"].isin(list(keys))]
    since = remembered.without_score()
    for row in records(unscored):
        pair = row["lesion_key"], row["image_id"]
        # a lesion that was listed with it on the last list: there by then, at the latest
        listed = since.get(pair) or (remembered.night if pair in since else None)
        row["since"] = datetime.fromisoformat(listed) if listed else night
        found[row["lesion_key"]].unreadable.append(row)
    return found


def _rows(
    tonight: Tonight,
    grouped: _Grouped,
    places: pd.DataFrame,
    lesions: Mapping[str, Lesion],
    links: Links,
    assigned: Assigned,
    remembered: Remembered,
) -> list[dict[str, Any]]:
    night = tonight.facts.night
    scored = [key for key in lesions if key in grouped.scores.index]
    rows = grouped.scores.loc[scored].join(places)
    numbers = dict(zip(scored, records(rows), strict=True))
    found = [
        lesion_row(lesion, numbers.get(key), links, assigned, remembered, night)
        for key, lesion in lesions.items()
    ]
    found += [left_row(row, assigned, night) for row in links.left]
    return [row for row in found if row is not None]


def _facts(
    tonight: Tonight, grouped: _Grouped, marks: Marks, assigned: Assigned, remembered: Remembered
) -> ReviewFacts:
    scores = grouped.scores
    patients = set(scores["patient_key"].dropna()) | set(grouped.unscored["patient_key"].dropna())
    archive = {
        "images": len(grouped.distinct),
        "unreadable": len(grouped.unscored),
        "lesions": len(set(scores.index) | set(grouped.unscored["lesion_key"])),
        "patients": len(patients),
        "below": int((scores["code"] == TIERS.index(Tier.BELOW)).sum()),
        "marks": len(marks.found),
        "marks_unmatched": assigned.unmatched,
    }
    notes = list(tonight.facts.notes) + list(marks.problems[:_PROBLEMS_TOLD])
    if len(marks.problems) > _PROBLEMS_TOLD:
        notes.append(f"{len(marks.problems) - _PROBLEMS_TOLD} more lines of marks do not count.")
    if assigned.unmatched:
        notes.append(f"{assigned.unmatched} marks name no lesion or image that is known here.")
    return replace(
        tonight.facts,
        archive={**tonight.facts.archive, **archive},
        previous_night=remembered.night,
        notes=tuple(notes),
    )


_PROBLEMS_TOLD = 20
