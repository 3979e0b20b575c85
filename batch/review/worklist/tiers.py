"""Scores to lesions: tier, numbers, place among the patient's lesions. Pure.

The band below the threshold starts at half its odds: score / (1 - score) at least half of
threshold / (1 - threshold), which is a score of threshold / (2 - threshold). It hangs on nothing
but the threshold: what else the night holds moves no lesion in or out. Half the odds is the same
step for a strict and for a lenient threshold, and none reaches beyond 0 or 1.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from batch.review.worklist.contract import Tier

TIERS = (Tier.ALERT, Tier.NEAR_THRESHOLD, Tier.UNREADABLE, Tier.BELOW)
"""Codes are places in here: a lower one asks more."""

OUTLIER_LESIONS = 3
"""Fewer lesions of one patient tell nothing of what is usual for that patient."""
OUTLIER_SCORE = 3.5
"""Modified z-score from which a lesion stands out (Iglewicz and Hoaglin, 1993)."""
OUTLIER_SPREAD = 0.2
"""Least spread (median absolute deviation) of the log odds: equal lesions make no outlier."""


def near_from(threshold: float) -> float:
    """The lowest score, 0..1, of the band below a threshold of 0..1: half its odds."""
    return threshold / (2 - threshold)


def tier_codes(score: pd.Series, threshold: pd.Series) -> pd.Series:
    """Code in `TIERS` of each image: an alert at the threshold itself, near at the band's start."""
    alert, near = score >= threshold, score >= threshold / (2 - threshold)
    codes = np.select(
        [alert, near], [TIERS.index(Tier.ALERT), TIERS.index(Tier.NEAR_THRESHOLD)],
        TIERS.index(Tier.BELOW),
    )  # fmt: skip
    return pd.Series(codes, index=score.index, dtype="int64")


def distinct_images(images: pd.DataFrame) -> pd.DataFrame:
    """Each image of a lesion once, by lesion, then tier, score and id: the first one decides.

    Copies of an image count once, and where they have different scores (two contents under one
    UID) the one that asks more. Adds code, and copies (int: rows that this one stands for).
    """
    rows = images.assign(code=tier_codes(images["melanoma_score"], images["threshold"]))
    rows = rows.sort_values(
        ["lesion_key", "code", "melanoma_score", "image_id", "path"],
        ascending=[True, True, False, True, True],
        kind="stable",
    )
    same = rows.groupby(["lesion_key", "image_id"], sort=False, observed=True)["code"]
    return rows.assign(copies=same.transform("size")).drop_duplicates(["lesion_key", "image_id"])


def lesion_scores(distinct: pd.DataFrame) -> pd.DataFrame:
    """One row a lesion with a readable image, by lesion_key.

    Args:
        distinct: as `distinct_images` gives it.

    Returns:
        index lesion_key; code, max_score, mean_score, threshold, margin, model_version (of the
        deciding image), scored (images), models (different ones), patient_key (the first of
        several), patients (different known ones).
    """
    groups = distinct.groupby("lesion_key", sort=True, observed=True)
    found = pd.DataFrame(
        {
            "code": groups["code"].min(),
            "max_score": groups["melanoma_score"].max(),
            "mean_score": groups["melanoma_score"].mean(),
            "scored": groups.size(),
            "models": groups["model_version"].nunique(),
            "patients": groups["patient_key"].nunique(),
        }
    )
    found.index = found.index.astype(object)
    first = distinct.drop_duplicates("lesion_key")  # in the order of the groups
    found["patient_key"] = _first_patients(distinct)
    found["threshold"] = first["threshold"].to_numpy()
    found["margin"] = (first["melanoma_score"] - first["threshold"]).to_numpy()
    found["model_version"] = first["model_version"].to_numpy()
    return found


def _first_patients(distinct: pd.DataFrame) -> pd.Series:
    """The first patient of each lesion, by name; lesions without one are absent."""
    pairs = distinct[["lesion_key", "patient_key"]].drop_duplicates()
    pairs = pairs[pairs["patient_key"].notna()].sort_values(["lesion_key", "patient_key"])
    first = pairs.drop_duplicates("lesion_key")
    return first.set_index(first["lesion_key"].astype(object))["patient_key"]


def among_patients(lesions: pd.DataFrame) -> pd.DataFrame:
    """How each lesion stands among the same patient's.

    Args:
        lesions: index lesion_key; code, max_score, mean_score, model_version, patient_key.

    Returns:
        same index; rank_in_patient (Int64, 1 is the highest), lesions_of_patient (Int64),
        is_outlier: at least `OUTLIER_LESIONS` lesions, all scored by one model, and the log odds
        of its highest score lie `OUTLIER_SCORE` spreads or more above the patient's median.
    """
    known = in_order(lesions.reset_index()).set_index("lesion_key")
    known = known[known["patient_key"].notna()]
    groups = known.groupby("patient_key", sort=False, observed=True)
    odds = _log_odds(known["max_score"])
    middle = odds.groupby(known["patient_key"], observed=True).transform("median")
    distance = (odds - middle).abs()
    spread = distance.groupby(known["patient_key"], observed=True).transform("median")
    z = 0.6745 * (odds - middle) / spread.clip(lower=OUTLIER_SPREAD)
    size = groups["code"].transform("size")
    one_model = groups["model_version"].transform("nunique") == 1
    answer = pd.DataFrame(
        {
            "rank_in_patient": groups.cumcount() + 1,
            "lesions_of_patient": size,
            "is_outlier": (z >= OUTLIER_SCORE) & (size >= OUTLIER_LESIONS) & one_model,
        }
    ).reindex(lesions.index)
    numbers = answer[["rank_in_patient", "lesions_of_patient"]].astype("Int64")
    return numbers.assign(is_outlier=answer["is_outlier"].eq(True))


def in_order(lesions: pd.DataFrame) -> pd.DataFrame:
    """By tier, then maximum and mean score, highest first, then key; the index is kept.

    Args:
        lesions: code, max_score, mean_score (NaN last), lesion_key, unique.
    """
    return lesions.sort_values(
        ["code", "max_score", "mean_score", "lesion_key"], ascending=[True, False, False, True]
    )


def _log_odds(score: pd.Series) -> pd.Series:
    inside = score.clip(1e-6, 1 - 1e-6)
    return inside.map(lambda p: math.log(p / (1 - p))).astype(float)
