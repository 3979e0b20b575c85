"""From validation scores to a threshold with its evidence. Pure functions on arrays."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binomtest

from batch.core.records import OperatingPoint

TARGET_SENSITIVITY = 0.95
PROVISIONAL_BELOW = 100
"""Melanomas. With fewer, the 95 % interval of a sensitivity of 0.95 is wider than 0.09."""


def choose_threshold(
    is_melanoma: np.ndarray, scores: np.ndarray, target_sensitivity: float
) -> float:
    """The highest threshold whose sensitivity on these cases is at least the target.

    Args:
        is_melanoma: (N,) bool, at least one True. scores: (N,) float.
    """
    melanoma_scores = np.sort(scores[is_melanoma])[::-1]
    needed = math.ceil(target_sensitivity * len(melanoma_scores) - 1e-9)
    return float(melanoma_scores[max(needed, 1) - 1])


def rate(hits: int, cases: int) -> tuple[float | None, tuple[float, float] | None]:
    """A proportion with its exact (Clopper-Pearson) 95 % interval; None without cases."""
    if cases == 0:
        return None, None
    interval = binomtest(hits, cases).proportion_ci(confidence_level=0.95, method="exact")
    return hits / cases, (float(interval.low), float(interval.high))


def sensitivity_and_specificity(
    is_melanoma: np.ndarray, scores: np.ndarray, threshold: float
) -> dict[str, object]:
    """Both rates at `score >= threshold`, with intervals and the four counts behind them."""
    alert = scores >= threshold
    counts = {
        "true_positive": int(np.sum(alert & is_melanoma)),
        "false_negative": int(np.sum(~alert & is_melanoma)),
        "true_negative": int(np.sum(~alert & ~is_melanoma)),
        "false_positive": int(np.sum(alert & ~is_melanoma)),
    }
    sensitivity = rate(counts["true_positive"], int(np.sum(is_melanoma)))
    specificity = rate(counts["true_negative"], int(np.sum(~is_melanoma)))
    return {
        "sensitivity": sensitivity[0],
        "sensitivity_interval": sensitivity[1],
        "specificity": specificity[0],
        "specificity_interval": specificity[1],
        **counts,
    }


def choose(
    is_melanoma: np.ndarray,
    scores: np.ndarray,
    model_sha256: str,
    validation_set: str,
    target_sensitivity: float = TARGET_SENSITIVITY,
) -> OperatingPoint:
    """The operating point for a target sensitivity, measured on the cases that it was chosen on."""
    threshold = choose_threshold(is_melanoma, scores, target_sensitivity)
    rates = sensitivity_and_specificity(is_melanoma, scores, threshold)
    melanomas = int(np.sum(is_melanoma))
    return OperatingPoint(
        name=f"sensitivity-{target_sensitivity:g}",
        threshold=threshold,
        target_sensitivity=target_sensitivity,
        sensitivity=rates["sensitivity"],  # type: ignore[arg-type]
        sensitivity_interval=rates["sensitivity_interval"],  # type: ignore[arg-type]
        specificity=rates["specificity"],  # type: ignore[arg-type]
        specificity_interval=rates["specificity_interval"],  # type: ignore[arg-type]
        melanomas=melanomas,
        others=len(is_melanoma) - melanomas,
        validation_set=validation_set,
        model_sha256=model_sha256,
        provisional=melanomas < PROVISIONAL_BELOW,
    )
