"""Tiers and scores of lesions, and the rank of each among its patient's lesions.

The band below the threshold begins at half the odds of the threshold, that is at a score of
threshold / (2 - threshold). It depends on the threshold only, so other lesions move no lesion in or
out. Half the odds is the same step for a strict and for a lenient threshold.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from batch.evaluation.units import highest_scores
from batch.review.worklist.contract import Tier

TIERS = (Tier.ALERT, Tier.NEAR_THRESHOLD, Tier.UNREADABLE, Tier.UNRELIABLE, Tier.BELOW)
"""A tier's code is its index here; a lower code asks more urgently for a look."""

OUTLIER_LESIONS = 3
"""Least lesions of a patient; with fewer nobody can say what is usual for this patient."""
OUTLIER_SCORE = 3.5
"""A lesion with at least this modified z-score is an outlier (Iglewicz and Hoaglin, 1993)."""
OUTLIER_SPREAD = 0.2
"""Least spread (median absolute deviation) of the log odds, so that among nearly equal lesions none
is an outlier."""


def near_from(threshold: float) -> float:
    """The lowest score, 0..1, of the band below a threshold, 0..1."""
    return threshold / (2 - threshold)


def tier_codes(images: pd.DataFrame) -> pd.Series:
    """The tier of each image, as index of `TIERS`.

    Args:
        images: melanoma_score, threshold, and is_reliable (null where it is not known). A low score
            of a picture that cannot be judged says nothing, so it is never below the band.
    """
    score, threshold = images["melanoma_score"], images["threshold"]
    chosen: dict[Tier, np.ndarray] = {
        Tier.ALERT: (score >= threshold).to_numpy(bool),
        Tier.NEAR_THRESHOLD: (score >= threshold / (2 - threshold)).to_numpy(bool),
        Tier.UNRELIABLE: ~images["is_reliable"].ne(False).fillna(True).to_numpy(bool),
    }
    codes = np.full(len(images), TIERS.index(Tier.BELOW))
    for tier, is_so in reversed(chosen.items()):
        codes[is_so] = TIERS.index(tier)
    return pd.Series(codes, index=images.index, dtype="int64")


def distinct_images(images: pd.DataFrame) -> pd.DataFrame:
    """Keep each image of a lesion once, sorted by lesion, tier, score and id.

    The first image of a lesion decides its tier. Of copies of an image one counts; if they have
    different scores (two contents under one UID), the one with the more urgent tier.

    Returns:
        the rows, with code (index of `TIERS`) and copies (int: rows that this one stands for).
    """
    rows = images.assign(code=tier_codes(images))
    rows = rows.sort_values(
        ["lesion_key", "code", "melanoma_score", "image_id", "path"],
        ascending=[True, True, False, True, True],
        kind="stable",
    )
    same = rows.groupby(["lesion_key", "image_id"], sort=False, observed=True)["code"]
    return rows.assign(copies=same.transform("size")).drop_duplicates(["lesion_key", "image_id"])


def lesion_scores(distinct: pd.DataFrame) -> pd.DataFrame:
    """One row for each lesion with a readable image, by lesion_key.

    Args:
        distinct: as `distinct_images` gives it.

    Returns:
        index lesion_key; code, max_score, mean_score, scored (number of images), models (number of
        models), patients (number of known patients), patient_key (the first of several); and
        threshold, margin and model_version of the deciding image.
    """
    groups = distinct.groupby("lesion_key", sort=True, observed=True)
    scores = pd.DataFrame(
        {
            "code": groups["code"].min(),
            "max_score": highest_scores(distinct["melanoma_score"], distinct["lesion_key"]),
            "mean_score": groups["melanoma_score"].mean(),
            "scored": groups.size(),
            "models": groups["model_version"].nunique(),
            "patients": groups["patient_key"].nunique(),
        }
    )
    scores.index = scores.index.astype(object)
    first = distinct.drop_duplicates("lesion_key")  # in the order of the groups
    scores["patient_key"] = _first_patients(distinct)
    scores["threshold"] = first["threshold"].to_numpy()
    scores["margin"] = (first["melanoma_score"] - first["threshold"]).to_numpy()
    scores["model_version"] = first["model_version"].to_numpy()
    return scores


def _first_patients(distinct: pd.DataFrame) -> pd.Series:
    """The first patient_key of each lesion in sorted order; lesions without one are absent."""
    pairs = distinct[["lesion_key", "patient_key"]].drop_duplicates()
    pairs = pairs[pairs["patient_key"].notna()].sort_values(["lesion_key", "patient_key"])
    first = pairs.drop_duplicates("lesion_key")
    return first.set_index(first["lesion_key"].astype(object))["patient_key"]


def among_patients(lesions: pd.DataFrame) -> pd.DataFrame:
    """Compare each lesion with the other lesions of its patient.

    A lesion is an outlier if the patient has at least `OUTLIER_LESIONS` lesions, one model scored
    all of them, and the log odds of the lesion's highest score lie `OUTLIER_SCORE` spreads or more
    above the patient's median.

    Args:
        lesions: index lesion_key; code, max_score, mean_score, model_version, patient_key.

    Returns:
        same index; rank_in_patient (Int64, 1 is the highest), lesions_of_patient (Int64),
        is_outlier (bool).
    """
    ranked = in_order(lesions.reset_index()).set_index("lesion_key")
    ranked = ranked[ranked["patient_key"].notna()]
    groups = ranked.groupby("patient_key", sort=False, observed=True)
    odds = _log_odds(ranked["max_score"])
    median_odds = odds.groupby(ranked["patient_key"], observed=True).transform("median")
    distance = (odds - median_odds).abs()
    spread = distance.groupby(ranked["patient_key"], observed=True).transform("median")
    z = 0.6745 * (odds - median_odds) / spread.clip(lower=OUTLIER_SPREAD)
    size = groups["code"].transform("size")
    one_model = groups["model_version"].transform("nunique") == 1
    result = pd.DataFrame(
        {
            "rank_in_patient": groups.cumcount() + 1,
            "lesions_of_patient": size,
            "is_outlier": (z >= OUTLIER_SCORE) & (size >= OUTLIER_LESIONS) & one_model,
        }
    ).reindex(lesions.index)
    numbers = result[["rank_in_patient", "lesions_of_patient"]].astype("Int64")
    return numbers.assign(is_outlier=result["is_outlier"].eq(True))


def in_order(lesions: pd.DataFrame) -> pd.DataFrame:
    """Sort lesions by tier, then highest and mean score, highest first, then key.

    Args:
        lesions: code, max_score, mean_score (NaN comes last) and lesion_key, which is unique; the
            index is kept.
    """
    return lesions.sort_values(
        ["code", "max_score", "mean_score", "lesion_key"], ascending=[True, False, False, True]
    )


def _log_odds(score: pd.Series) -> pd.Series:
    inside = score.clip(1e-6, 1 - 1e-6)
    return inside.map(lambda p: math.log(p / (1 - p))).astype(float)
