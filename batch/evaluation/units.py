"""Lesions and patients of predictions, and measures by them, as the worklist counts them.

A lesion has the highest score of its images, those without a label included, and is melanoma if one
of its labelled images is. A patient is counted in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from batch.core.privacy import LISTED_LESION
from batch.evaluation.measures import at_threshold, ranking_measures

_UID = re.compile("[0-9.]+")
LABEL = "_label"
"""What `matching.match` puts behind a label's column that the predictions have, too."""


def highest_scores(scores: pd.Series, keys: pd.Series) -> pd.Series:
    """The score of each lesion or patient: the highest of its images. Index: key, sorted.

    The worklist ranks by it, too. Images without a key are left out.
    """
    return scores.groupby(keys, sort=True, observed=True).max()


def _filled(rows: pd.DataFrame, name: str) -> pd.Series:
    """A column as text, "" for missing."""
    return rows[name].astype(object).where(rows[name].notna(), "")


def patient_names(rows: pd.DataFrame, pattern: re.Pattern[str] | None = None) -> pd.Series:
    """A name for the patient of each prediction, or ""."""
    patient, issuer = _filled(rows, "patient_id"), _filled(rows, "issuer_of_patient_id")
    pseudonym = _filled(rows, "patient_pseudonym")
    by_id = (issuer + "|" + patient).where(patient != "", _in_paths(rows, pattern)[1])
    return pseudonym.where(pseudonym != "", by_id)


def archive_lesions(rows: pd.DataFrame, pattern: re.Pattern[str] | None = None) -> pd.Series:
    """A name for the lesion of each prediction, or "".

    A tracking UID and a lesion of a hospital's table are unique by themselves (`NightUnits` keeps
    patients apart that share one), a TrackingID such as "1" only within a patient or study.

    Args:
        pattern: of `--lesion-pattern`, for images whose file and table name no lesion.
    """
    lesion, study = _filled(rows, "lesion_id"), _filled(rows, "study_instance_uid")
    patient = patient_names(rows, pattern)
    within = patient.where(patient != "", study)
    scoped = (within + "/" + lesion).where(within != "", "")
    named = lesion.where(_is_unscoped(lesion), scoped)
    return named.where(lesion != "", _in_paths(rows, pattern)[0])


def _is_unscoped(lesion: pd.Series) -> np.ndarray:
    return np.array(
        [_UID.fullmatch(name) is not None or name.startswith(LISTED_LESION) for name in lesion],
        bool,
    )


def _in_paths(rows: pd.DataFrame, pattern: re.Pattern[str] | None) -> tuple[pd.Series, pd.Series]:
    """Lesion and patient that the pattern finds in each path, or ""."""
    empty = pd.Series("", rows.index, dtype=object)
    if pattern is None:
        return empty, empty
    lesions, patients = [], []
    for path in rows["path"]:
        groups = match.groupdict() if (match := pattern.search(path)) else {}
        patient = f"PATTERN:{groups['patient']}" if groups.get("patient") else ""
        patients.append(patient)
        lesions.append(f"{patient}/PATTERN:{groups['lesion']}" if groups.get("lesion") else "")
    return (
        pd.Series(lesions, rows.index, dtype=object),
        pd.Series(patients, rows.index, dtype=object),
    )


def shared_names(names: pd.Series, patients: pd.Series) -> frozenset[str]:
    """The names that images of several known patients bear; unknown patients are ""."""
    known = (names != "") & (patients != "")
    pairs = pd.DataFrame({"name": names[known], "patient": patients[known]}).drop_duplicates()
    return frozenset(pairs["name"][pairs["name"].duplicated()])


def kept_apart(names: pd.Series, patients: pd.Series, shared: frozenset[str]) -> pd.Series:
    """Names with the patient behind those that several patients bear, as on the worklist."""
    if not shared:
        return names
    within = names + "@" + patients.where(patients != "", "?")
    return names.where(~names.isin(shared), within)


@dataclass(frozen=True, eq=False)
class NightUnits:
    """Lesions and patients of a whole night.

    lesion, patient: name to the highest score of all its images.
    shared: names of lesions that several patients bear; they are kept apart.
    without_lesion: images that name no lesion; each is a lesion by itself.
    pattern: of `--lesion-pattern`; None without one.
    """

    lesion: pd.Series
    patient: pd.Series
    shared: frozenset[str] = frozenset()
    without_lesion: int = 0
    pattern: re.Pattern[str] | None = None

    def lesions(self, rows: pd.DataFrame) -> pd.Series:
        """The name of the lesion of each prediction, or ""."""
        return kept_apart(archive_lesions(rows, self.pattern), self.patients(rows), self.shared)

    def patients(self, rows: pd.DataFrame) -> pd.Series:
        """The name of the patient of each prediction, or ""."""
        return patient_names(rows, self.pattern)

    def judged_lesions(self, judged: pd.DataFrame) -> pd.Series:
        """The lesion of each judged image: of the labels (`group`), else of the archive, else "".

        The lesion of the labels is kept apart where several patients have it.
        """
        archive = self.lesions(judged)
        if "group" not in judged:
            return archive
        groups, patients = judged["group"], self.patients(judged)
        for name in ("patient_id", "patient_pseudonym"):
            if f"{name}{LABEL}" in judged:
                patients = judged[f"{name}{LABEL}"]
        groups = kept_apart(groups, patients, shared_names(groups, patients))
        return archive.where(judged["group"] == "", "group " + groups)


@dataclass
class UnitCollector:
    """Gathers `NightUnits` a part of the predictions at a time.

    pattern: of `--lesion-pattern`; None without one.
    """

    pattern: re.Pattern[str] | None = None
    _parts: list[pd.DataFrame] = field(default_factory=list)
    _alone: int = 0

    def add(self, rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
        """Take some predictions; their lesions, not yet kept apart, and their patients."""
        lesion, patient = archive_lesions(rows, self.pattern), patient_names(rows, self.pattern)
        named = (lesion != "") | (patient != "")
        part = pd.DataFrame(
            {"lesion": lesion[named], "patient": patient[named],
             "score": rows["melanoma_score"][named]}
        )  # fmt: skip
        self._parts.append(part.groupby(["lesion", "patient"], as_index=False, sort=False).max())
        self._alone += int((lesion == "").sum())
        return lesion, patient

    def units(self) -> NightUnits:
        """What all parts together say."""
        if not self._parts:
            empty = pd.Series(dtype=float)
            return NightUnits(empty, empty, pattern=self.pattern)
        rows = pd.concat(self._parts, ignore_index=True)
        lesion, patient = rows["lesion"], rows["patient"]
        shared = shared_names(lesion, patient)
        names = kept_apart(lesion, patient, shared)
        return NightUnits(
            highest_scores(rows["score"][lesion != ""], names[lesion != ""]),
            highest_scores(rows["score"][patient != ""], patient[patient != ""]),
            shared,
            self._alone,
            self.pattern,
        )


def lesion_groups(judged: pd.DataFrame, units: NightUnits) -> np.ndarray:
    """(N,) names of groups for the bootstrap; an image without a lesion is a group by itself."""
    names = units.judged_lesions(judged)
    own = [f"image {number}" for number in range(len(judged))]
    return np.where(names != "", "lesion " + names, own)


def lesions_and_patients(
    judged: pd.DataFrame,
    is_melanoma: np.ndarray,
    units: NightUnits,
    points: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, Any] | None]:
    """Measures `by_lesion` and `by_patient`; None where no image has a name for it.

    Args:
        judged: a row for each judged image; `group`, where there is one, is that of the labels.
        is_melanoma: (N,) bool.
        units: of the whole night.
        points: with `name`, `threshold` and `found_in`.
    """
    patients, archive = units.patients(judged), units.lesions(judged)
    grouped = pd.Series(lesion_groups(judged, units), judged.index, dtype=object)
    scores = judged["melanoma_score"]
    of_lesion = pd.concat([scores, archive.map(units.lesion)], axis=1).max(axis=1)
    of_patient = pd.concat([scores, patients.map(units.patient)], axis=1).max(axis=1)
    truth = pd.Series(is_melanoma, judged.index)
    known = patients != ""
    return {
        "by_lesion": _measures(of_lesion, truth, grouped, patients.where(known, grouped), points),
        "by_patient": _measures(
            of_patient[known], truth[known], patients[known], patients[known], points
        ),
    }


def _measures(
    scores: pd.Series,
    truth: pd.Series,
    names: pd.Series,
    groups: pd.Series,
    points: Sequence[Mapping[str, Any]],
) -> dict[str, Any] | None:
    """Measures of the named units. groups: drawn whole by the bootstrap."""
    if names.empty:
        return None
    unit_scores = highest_scores(scores, names)
    by_name = truth.groupby(names, sort=True)
    is_melanoma = by_name.any().to_numpy(bool)
    first_group = groups.groupby(names, sort=True).first().to_numpy()
    values = unit_scores.to_numpy(float)
    return {
        "units": len(values),
        "images": len(names),
        "melanomas": int(is_melanoma.sum()),
        "others": int((~is_melanoma).sum()),
        "with_both_labels": int((by_name.any() & ~by_name.all()).sum()),
        **ranking_measures(is_melanoma, values, first_group),
        "operating_points": [
            {**point, **at_threshold(is_melanoma, values, point["threshold"])} for point in points
        ],
    }


TARGETS = (1.0, 0.99, 0.975, 0.95, 0.9, 0.85, 0.8, 0.7, 0.5)
"""Sensitivities of the table over thresholds."""


def over_thresholds(is_melanoma: np.ndarray, scores: np.ndarray) -> list[dict[str, Any]]:
    """Rates at the highest threshold that reaches each of `TARGETS` on these cases.

    Chosen on the cases that they are measured on, so they are too good for others.
    """
    falling = np.sort(scores[is_melanoma])[::-1]
    rows = []
    for target in TARGETS if len(falling) else ():
        needed = int(np.ceil(target * len(falling) - 1e-9))
        threshold = float(falling[needed - 1])
        rows.append({"target_sensitivity": target, "threshold": threshold,
                     **at_threshold(is_melanoma, scores, threshold)})  # fmt: skip
    return rows
