"""Measures by lesion and by patient, as the worklist counts them.

A lesion has the highest score of its images, those without a label included, and is melanoma if one
of its labelled images is. A patient is counted in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from batch.evaluation.measures import at_threshold, ranking_measures

_UID = re.compile("[0-9.]+")


def highest_scores(scores: pd.Series, keys: pd.Series) -> pd.Series:
    """The score of each lesion or patient: the highest of its images. Index: key, sorted.

    The worklist ranks by it, too. Images without a key are left out.
    """
    return scores.groupby(keys, sort=True, observed=True).max()


def patient_names(rows: pd.DataFrame) -> pd.Series:
    """A name for the patient of each prediction, or ""."""
    pseudonym, patient, issuer = (
        rows[name].astype(object).where(rows[name].notna(), "")
        for name in ("patient_pseudonym", "patient_id", "issuer_of_patient_id")
    )
    by_id = (issuer + "|" + patient).where(patient != "", "")
    return pseudonym.where(pseudonym != "", by_id)


def archive_lesions(rows: pd.DataFrame) -> pd.Series:
    """A name for the lesion of each prediction, or "".

    A tracking UID is unique by itself, a TrackingID such as "1" only within a patient or study.
    """
    lesion = rows["lesion_id"].astype(object).where(rows["lesion_id"].notna(), "")
    study = rows["study_instance_uid"].astype(object).where(rows["study_instance_uid"].notna(), "")
    patient = patient_names(rows)
    within = patient.where(patient != "", study)
    is_uid = np.array([_UID.fullmatch(name) is not None for name in lesion], bool)
    scoped = (within + "/" + lesion).where(within != "", "")
    return lesion.where((lesion == "") | is_uid, scoped)


def lesions_and_patients(
    judged: pd.DataFrame,
    is_melanoma: np.ndarray,
    highest: Mapping[str, pd.Series],
    points: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, Any] | None]:
    """Measures `by_lesion` and `by_patient`; None where no image has a name for it.

    Args:
        judged: a row for each judged image; `group`, where there is one, is that of the labels.
        is_melanoma: (N,) bool.
        highest: `lesion` and `patient`: highest score in the whole night, by name.
        points: with `name`, `threshold` and `found_in`.
    """
    patients = patient_names(judged)
    own = pd.Series([f"image {number}" for number in range(len(judged))], judged.index)
    archive = archive_lesions(judged)
    # not `lesion_names`: it takes one TrackingID of two patients for one lesion
    grouped = judged["group"] if "group" in judged else pd.Series("", judged.index, dtype=object)
    grouped = archive.where(archive != "", own).where(grouped == "", "lesion " + grouped)
    scores = judged["melanoma_score"]
    of_lesion = pd.concat([scores, archive.map(highest["lesion"])], axis=1).max(axis=1)
    of_patient = pd.concat([scores, patients.map(highest["patient"])], axis=1).max(axis=1)
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
