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

import numpy as np
import pandas as pd

from batch.review.worklist.contract import ReviewFacts, ReviewWorklist, Tier
from batch.review.worklist.frames import (
    changes,
    image_frame,
    lesion_frame,
    model_names,
    records,
    unreadable_frame,
)
from batch.review.worklist.grouping import Bearers, Groups, group_images, group_unscored
from batch.review.worklist.lesion_images import EarlierScore, Lesion, LesionImage
from batch.review.worklist.lesions import left_row, lesion_row, marks_taken
from batch.review.worklist.mark_assignment import Assigned, assign
from batch.review.worklist.marks import Mark, Marks
from batch.review.worklist.previous_list import Links, Remembered, link
from batch.review.worklist.tiers import (
    TIERS,
    among_patients,
    distinct_images,
    lesion_scores,
    tier_codes,
)

_BELOW = TIERS.index(Tier.BELOW)


@dataclass(frozen=True, eq=False)
class Whole:
    """images: `worklist.GROUPING_COLUMNS` of every image. codes: (lesions,) tier of each lesion, a
    place in `TIERS`, by lesion number of `groups`.
    """

    images: pd.DataFrame
    groups: Groups
    codes: np.ndarray

    @staticmethod
    def of(images: pd.DataFrame, pattern: re.Pattern[str] | None) -> Whole:
        """An archive's images, grouped. pattern: of `--lesion-pattern`."""
        groups = group_images(images, pattern)
        tiers = tier_codes(images["melanoma_score"], images["threshold"]).to_numpy()
        codes = np.full(len(groups.lesion.words), _BELOW)
        np.minimum.at(codes, groups.lesion.codes, tiers)
        return Whole(images, groups, codes)

    def asking(self) -> set[str]:
        """Lesions in tier alert or near_threshold."""
        return set(self.groups.lesion.words[self.codes < _BELOW])

    def known(self, names: Collection[str]) -> set[str]:
        """Those of some names that are lesions with a score."""
        words = self.groups.lesion.words
        return set(words[words.isin(list(names))])

    def lesions_of(self, image_ids: Collection[str]) -> dict[str, set[str]]:
        """image_id to lesion_keys, of images with a score."""
        rows = np.flatnonzero(self.images["image_id"].isin(list(image_ids)))
        found: dict[str, set[str]] = defaultdict(set)
        for image_id, row in zip(self.images["image_id"].iloc[rows], rows.tolist(), strict=True):
            found[image_id].add(str(self.groups.lesion.at(row)))
        return found

    def closely(self, names: Collection[str]) -> pd.DataFrame:
        """Images of some lesions, and of all others of their patients: all but their details."""
        lesion, patient = self.groups.lesion, self.groups.patient
        of_lesions = lesion.words.isin(list(names)).to_numpy(bool)[lesion.codes]
        patients = np.unique(patient.codes[of_lesions & (patient.codes >= 0)])
        of_patients = np.zeros(len(lesion.words), bool)
        of_patients[lesion.codes[np.isin(patient.codes, patients)]] = True
        return self.rows(np.flatnonzero(of_lesions | of_patients[lesion.codes]))

    def in_files(self, paths: Collection[str]) -> pd.DataFrame:
        """Images that lie in some files."""
        return self.rows(np.flatnonzero(self.images["path"].isin(list(paths))))

    def bearers(self, uids: Collection[str]) -> dict[str, Bearers]:
        """Who bears some tracking UIDs, of those that an image with a score has."""
        places = np.flatnonzero(self.images["lesion_id"].isin(list(uids)))
        patients: dict[str, set[str]] = defaultdict(set)
        apart: set[str] = set()
        for uid, place in zip(self.images["lesion_id"].iloc[places], places.tolist(), strict=True):
            who = self.groups.patient.at(place)
            patients[uid] |= {who} if who is not None else set()
            apart |= {uid} if self.groups.shared[place] else set()
        return {uid: Bearers(frozenset(who), uid in apart) for uid, who in patients.items()}

    def rows(self, places: np.ndarray) -> pd.DataFrame:
        """Images by place: image_id, path, melanoma_score, threshold, model_version, and the
        columns of `Groups.frame`.
        """
        some = self.images.iloc[places]
        rows = some[["image_id", "path", "melanoma_score", "threshold"]].join(
            self.groups.frame(places, some.index)
        )
        return rows.assign(model_version=model_names(some))

    def counts(self, unscored: pd.DataFrame) -> dict[str, int]:
        """The archive in numbers, for `ReviewFacts.archive`.

        Args:
            unscored: with lesion_key and patient_key.
        """
        lesion, patient = self.groups.lesion, self.groups.patient
        image = pd.factorize(self.images["image_id"])[0]
        pairs = np.unique(lesion.codes * (image.max(initial=0) + 1) + image)
        return {
            "images": len(pairs),
            "unreadable": len(unscored),
            "lesions": _all_of(lesion.words, unscored["lesion_key"]),
            "patients": _all_of(patient.words, unscored["patient_key"]),
            "below": int((self.codes == _BELOW).sum()),
        }


def _all_of(words: pd.Series, others: pd.Series) -> int:
    """Different words of both."""
    more = pd.Series(others.dropna().unique(), dtype="str")
    return len(words) + int((~more.isin(words[words.isin(more)])).sum())


GROUPING_COLUMNS = (
    "image_id", "path", "lesion_id", "study_instance_uid", "patient_pseudonym", "patient_id",
    "issuer_of_patient_id", "melanoma_score", "threshold", "model_id", "model_version",
    "model_sha256", "run_id", "scored_at",
)  # fmt: skip
"""Of `current`: needed of every image of the archive."""


DETAIL_COLUMNS = (
    "path_bytes", "frame_number", "file_format", "rows", "columns", "flags", "sop_instance_uid",
    "acquisition_datetime", "anatomic_region", "laterality", "accession_number", "class_scores",
    "predicted_class", "content_sha256",
)  # fmt: skip
"""Of `current`: needed of the listed images only."""


_OF_FEW = (
    "lesion_id", "study_instance_uid", "patient_id", "issuer_of_patient_id", "run_id", "scored_at",
)  # fmt: skip


class Sources(Protocol):
    """Where the list gets what it needs of few images only."""

    def details(self, rows: pd.Index) -> pd.DataFrame:
        """`DETAIL_COLUMNS` of these rows of the night's images; same index."""
        ...

    def history(self, image_ids: Collection[str]) -> Iterable[tuple[str, EarlierScore]]:
        """Scores of earlier nights, by image_id."""
        ...


@dataclass(frozen=True, eq=False)
class Tonight:
    """A night's tables. images: `GROUPING_COLUMNS` of `current`. unscored: that table."""

    images: pd.DataFrame
    unscored: pd.DataFrame
    not_looked_at: Mapping[str, int]
    facts: ReviewFacts


@dataclass(frozen=True, eq=False)
class _Listed:
    """Lesions that might be listed, and the others of their patients.

    distinct: each image of a lesion once. scores: of lesions with a readable image, by lesion_key.
    """

    distinct: pd.DataFrame
    scores: pd.DataFrame


def build_worklist(
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
    whole = Whole.of(tonight.images, pattern)
    unscored = _unscored(tonight, whole, pattern)
    blind = set(unscored["lesion_key"])
    keys = whole.known(_lesion_names(remembered, marks)) | blind
    lesions_of = _lesions_of(whole, unscored, _image_names(remembered, marks))
    links = link(remembered, keys, lesions_of)
    left = {row["lesion_key"]: row for row in links.left}
    for key, row in left.items():
        for image_id in row["image_ids"]:
            lesions_of.setdefault(image_id, set()).add(key)
    made = _each_once(marks)
    assigned = assign(made, keys | left.keys(), lesions_of, remembered.rows)
    alerted = _lesions_of(whole, unscored, remembered.alerted.keys())
    candidates = (
        whole.asking() | (blind - whole.known(blind)) | links.by_key.keys() | links.by_image.keys()
        | assigned.keys() | {key for found in alerted.values() for key in found}
    ) - left.keys()  # fmt: skip
    distinct = distinct_images(whole.closely(candidates))
    close = _Listed(distinct, lesion_scores(distinct))
    lesions = _lesions(tonight, close, unscored, candidates, sources, remembered)
    rows = _rows(tonight, close, lesions, links, assigned, remembered)
    listed = {row["lesion_key"] for row in rows}
    frame = lesion_frame(rows)
    taken = len(marks_taken(assigned, lesions, left, links, remembered, tonight.facts.night))
    counted = {"taken": taken, "without_effect": len(made) - taken}
    facts = _facts(tonight, whole.counts(unscored), marks, assigned, remembered)
    facts = _with_marks(facts, counted, len(assigned.unmatched))
    return ReviewWorklist(
        lesions=frame,
        images=image_frame(
            frame, [lesions[key] for key in listed - left.keys()], left, links, facts.night
        ),
        unreadable=unreadable_frame(unscored, frame, remembered, facts.night),
        not_looked_at=dict(tonight.not_looked_at),
        changes=changes(remembered, frame, close.scores, lesions, links),
        facts=facts,
    )


def _each_once(marks: Marks) -> list[Mark]:
    """The marks without repetitions, which a second download brings; the last of each stays."""
    return list(dict.fromkeys(reversed(marks.found)))[::-1]


def _lesion_names(remembered: Remembered, marks: Marks) -> set[str]:
    """Names under which earlier nights and marks know lesions."""
    named = {mark.lesion_key for mark in marks.found if mark.lesion_key}
    return {row["lesion_key"] for row in remembered.rows} | named | set(map(str.strip, named))


def _image_names(remembered: Remembered, marks: Marks) -> set[str]:
    """Names under which they know images."""
    named = {mark.image_id for mark in marks.found if mark.image_id}
    return remembered.image_ids() | named | set(map(str.strip, named))


def _lesions_of(
    whole: Whole, unscored: pd.DataFrame, image_ids: Collection[str]
) -> dict[str, set[str]]:
    """image_id to lesion_keys."""
    found = whole.lesions_of(image_ids)
    some = unscored[unscored["image_id"].isin(list(image_ids))]
    for image_id, key in zip(some["image_id"], some["lesion_key"], strict=True):
        found.setdefault(image_id, set()).add(key)
    return found


def _unscored(tonight: Tonight, whole: Whole, pattern: re.Pattern[str] | None) -> pd.DataFrame:
    """The images without a score, with lesion and patient."""
    unscored = tonight.unscored
    of_paths = _of_paths(whole.in_files(list(unscored["path"])))
    bearers = whole.bearers(set(unscored["lesion_id"].dropna()))
    grouped = group_unscored(unscored, pattern, of_paths, bearers)
    rows = unscored.drop(columns="image_id").join(grouped)
    return rows.assign(named_id=unscored["image_id"])


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
    close: _Listed,
    unscored: pd.DataFrame,
    keys: Collection[str],
    sources: Sources,
    remembered: Remembered,
) -> dict[str, Lesion]:
    """What is known of the images of some lesions."""
    images = close.distinct[close.distinct["lesion_key"].isin(list(keys))]
    images = images.join(tonight.images[list(_OF_FEW)])
    details = sources.details(images.index).loc[images.index, list(DETAIL_COLUMNS)]
    history: dict[str, list[EarlierScore]] = defaultdict(list)
    for image_id, earlier in sources.history(set(images["image_id"])):
        history[image_id].append(earlier)
    night = datetime.fromisoformat(tonight.facts.night)
    found = {key: Lesion(key) for key in keys}
    for row, detail in zip(records(images), records(details), strict=True):
        is_new = row["run_id"] == tonight.facts.run_id
        image = LesionImage.of({**row, **detail}, night, is_new, history.get(row["image_id"], ()))
        found[row["lesion_key"]].images.append(image)
    since = remembered.without_score()
    for row in records(unscored[unscored["lesion_key"].isin(list(keys))]):
        pair = row["lesion_key"], row["image_id"]
        # a lesion that was listed with it on the last list: there by then, at the latest
        listed = since.get(pair) or (remembered.night if pair in since else None)
        row["since"] = datetime.fromisoformat(listed) if listed else night
        found[row["lesion_key"]].unreadable.append(row)
    return found


def _rows(
    tonight: Tonight,
    close: _Listed,
    lesions: Mapping[str, Lesion],
    links: Links,
    assigned: Assigned,
    remembered: Remembered,
) -> list[dict[str, Any]]:
    night = tonight.facts.night
    numbers = close.scores.join(among_patients(close.scores))
    numbers = numbers[numbers.index.isin(list(lesions))]
    by_key = dict(zip(numbers.index, records(numbers), strict=True))
    found = [
        lesion_row(lesion, by_key.get(key), links, assigned, remembered, night)
        for key, lesion in lesions.items()
    ]
    found += [left_row(row, assigned, night) for row in links.left]
    return [row for row in found if row is not None]


def _facts(
    tonight: Tonight,
    counted: Mapping[str, int],
    marks: Marks,
    assigned: Assigned,
    remembered: Remembered,
) -> ReviewFacts:
    archive = {
        **counted,
        "marks": len(set(marks.found)),
        "marks_unmatched": len(assigned.unmatched),
    }
    notes = list(tonight.facts.notes) + list(marks.problems[:_PROBLEMS_TOLD])
    if len(marks.problems) > _PROBLEMS_TOLD:
        notes.append(f"{len(marks.problems) - _PROBLEMS_TOLD} more lines of marks do not count.")
    of_nobody = [f"{mark.place} {_NAMES_NOTHING}." for mark in assigned.unmatched if mark.place]
    if count := len(assigned.unmatched):
        marks_name = "1 mark names" if count == 1 else f"{count} marks name"
        notes.append(f"{marks_name} no lesion or image that is known here.")
        notes += of_nobody[:_PROBLEMS_TOLD]
    return replace(
        tonight.facts,
        archive={**tonight.facts.archive, **archive},
        previous_night=remembered.night,
        notes=tuple(notes),
        marks_of_nobody=tuple(of_nobody),
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


_PROBLEMS_TOLD = 20


_NAMES_NOTHING = "names no lesion or image that is known here"
