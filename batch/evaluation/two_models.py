"""Two models on the same lesions: agreement, who would move over which threshold, and outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from batch.evaluation.measures import (
    at_threshold,
    auc_interval,
    bootstrap,
    curves,
    has_both,
    melanoma_auc,
)
from batch.evaluation.measures import auc as area_of

MOVES = ("both_alert", "only_ours", "only_silent", "no_alert")


def by_lesion(images: pd.DataFrame) -> pd.DataFrame:
    """Highest scores and alerts of each lesion, as the worklist ranks it.

    Args:
        images: lesion, score and is_alert of the night's model, silent_score and would_alert of the
            silent one (missing where it gave none), and row, which names the image.

    Returns:
        by lesion: score, silent_score, is_alert, would_alert, images, row (the image with the
        highest score of the night's model) and silent_row. Only lesions whose images all have both
        scores: the highest of some of them is no score of the lesion.
    """
    complete = images["silent_score"].notna().groupby(images["lesion"]).transform("all")
    covered = images[complete]
    grouped = covered.groupby("lesion", sort=True)
    return pd.DataFrame(
        {
            "score": grouped["score"].max(),
            "silent_score": grouped["silent_score"].max(),
            "is_alert": grouped["is_alert"].any(),
            "would_alert": grouped["would_alert"].any(),
            "images": grouped.size(),
            "row": covered.loc[grouped["score"].idxmax(), "row"].to_numpy(),
            "silent_row": covered.loc[grouped["silent_score"].idxmax(), "row"].to_numpy(),
        }
    )


def moves(lesions: pd.DataFrame) -> pd.Series:
    """For each lesion one of MOVES."""
    ours, silent = lesions["is_alert"].to_numpy(bool), lesions["would_alert"].to_numpy(bool)
    return pd.Series(
        np.select([ours & silent, ours, silent], MOVES[:3], default=MOVES[3]), lesions.index
    )


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rank correlation; None for fewer than three cases, or where one never varies."""
    if len(first) < 3:
        return None
    ranks = [pd.Series(values).rank().to_numpy() for values in (first, second)]
    if any(np.ptp(values) == 0 for values in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def disagreement(lesions: pd.DataFrame) -> pd.Series:
    """Distance of the two ranks of each lesion, -1..1; above 0 the silent model ranks it higher."""
    count = max(len(lesions), 1)
    return (lesions["silent_score"].rank() - lesions["score"].rank()) / count


def on_outcomes(
    lesions: pd.DataFrame,
    is_melanoma: np.ndarray,
    patients: np.ndarray,
    thresholds: Mapping[str, float],
) -> dict[str, Any]:
    """Both models on the same lesions with an outcome, each at its own threshold.

    Args:
        lesions: of `by_lesion`, those with an outcome.
        is_melanoma: (N,) bool.
        patients: (N,) drawn whole by the bootstrap.
        thresholds: `score` and `silent_score`.
    """
    answer: dict[str, Any] = {
        "lesions": len(lesions),
        "melanomas": int(is_melanoma.sum()),
        "auc_difference": None,
        "auc_difference_interval": None,
    }
    values = {name: lesions[name].to_numpy(float) for name in ("score", "silent_score")}
    for name, scores in values.items():
        answer[name] = {
            "auc": melanoma_auc(is_melanoma, scores),
            "auc_interval": auc_interval(is_melanoma, scores, patients),
            **at_threshold(is_melanoma, scores, thresholds[name]),
        }
    if has_both(is_melanoma):
        ours, silent = (curves(is_melanoma, values[name]) for name in ("score", "silent_score"))
        answer["auc_difference"] = answer["silent_score"]["auc"] - answer["score"]["auc"]
        answer["auc_difference_interval"] = bootstrap(
            lambda weights: [area_of(silent(weights)) - area_of(ours(weights))], patients
        )[0]
    return answer
