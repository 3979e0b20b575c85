"""Chooses thresholds and temperatures from scores of labelled images."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betaincinv, logsumexp

from batch.core.records import OperatingPoint

TARGET_SENSITIVITY = 0.95


PROVISIONAL_BELOW = 100
"""Melanomas. With fewer, the 95 % interval of a sensitivity of 0.95 is wider than 0.09."""


def choose_threshold(
    is_melanoma: np.ndarray, scores: np.ndarray, target_sensitivity: float
) -> float:
    """The highest threshold whose sensitivity on these cases is at least the target.

    Args:
        is_melanoma: (N,) bool, at least one True.
        scores: (N,) float.
        target_sensitivity: 0..1.
    """
    melanoma_scores = np.sort(scores[is_melanoma])[::-1]
    needed = math.ceil(target_sensitivity * len(melanoma_scores) - 1e-9)
    return float(melanoma_scores[max(needed, 1) - 1])


def rate(hits: int, cases: int) -> tuple[float | None, tuple[float, float] | None]:
    """A proportion with its exact (Clopper-Pearson) 95 % interval; None without cases."""
    if cases == 0:
        return None, None
    low = betaincinv(hits, cases - hits + 1, 0.025) if hits else 0.0
    high = betaincinv(hits + 1, cases - hits, 0.975) if hits < cases else 1.0
    return hits / cases, (float(low), float(high))


def sensitivity_and_specificity(
    is_melanoma: np.ndarray, scores: np.ndarray, threshold: float
) -> dict[str, object]:
    """Both rates at `score >= threshold`, with intervals and the four counts."""
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
    """The operating point for a target sensitivity, chosen and measured on the same cases."""
    threshold = choose_threshold(is_melanoma, scores, target_sensitivity)
    return point_at(
        threshold, is_melanoma, scores, model_sha256, validation_set, target_sensitivity
    )


def point_at(
    threshold: float,
    is_melanoma: np.ndarray,
    scores: np.ndarray,
    model_sha256: str,
    validation_set: str,
    target_sensitivity: float,
) -> OperatingPoint:
    """The operating point at a threshold that was chosen for a target, measured on these cases."""
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


BOUND = 20.0
"""The search covers factors from 1/20 to 20. A result at a bound means that no temperature fits."""


_TINY = float(np.finfo(np.float32).tiny)
"""A score of zero counts as the smallest normal number of float32."""


def rescaled(scores: np.ndarray, factor: float) -> np.ndarray:
    """The scores that the job would give with the temperature times `factor`.

    Args:
        scores: (N, K) float, rows adding up to 1.
        factor: positive; 1 changes nothing.

    Returns:
        (N, K) float64, rows adding up to 1. A score of exactly 0 stays 0, as in the job.
    """
    with np.errstate(divide="ignore"):
        logits = np.log(np.asarray(scores, np.float64)) / factor
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_factor(scores: np.ndarray, truth: np.ndarray) -> float | None:
    """The factor between 1/20 and 20 with the least negative log-likelihood of the true class.

    The loss is convex in 1/factor, so there is one minimum, and a bounded search (Brent's, to 1e-6
    of the logarithm) always finds it.

    Args:
        scores: (N, K) float.
        truth: (N,) int, index of each image's true class.

    Returns:
        None if the minimum is at a bound, because the classes have no errors or are no better than
        chance.
    """
    from scipy.optimize import minimize_scalar  # slow to import, and needed here only

    logs = np.log(np.maximum(np.asarray(scores, np.float64), _TINY))
    rows = np.arange(len(truth))

    def loss(log_factor: float) -> float:
        logits = logs * math.exp(-log_factor)
        return float(np.mean(logsumexp(logits, axis=1) - logits[rows, truth]))

    bound = math.log(BOUND)
    minimum = minimize_scalar(
        loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-6}
    )
    return None if abs(minimum.x) > bound - 1e-3 else math.exp(float(minimum.x))


def negative_log_likelihood(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean over images of minus the logarithm of the true class's score.

    Args:
        scores: (N, K) float.
        truth: (N,) int, index of the true class.
    """
    true_scores = scores[np.arange(len(truth)), truth]
    return float(-np.mean(np.log(np.maximum(true_scores, _TINY))))


def brier_score(is_melanoma: np.ndarray, scores: np.ndarray) -> float:
    """Mean squared difference of melanoma score, (N,), and truth, (N,) bool; 0 is perfect."""
    return float(np.mean((scores - is_melanoma) ** 2))


def alerts_per_thousand(prevalence: float, sensitivity: float, specificity: float) -> float:
    """Expected alerts among 1,000 images.

    Args:
        prevalence: share of melanomas among these images, 0..1.
        sensitivity, specificity: 0..1, measured on any images.
    """
    return 1000 * (prevalence * sensitivity + (1 - prevalence) * (1 - specificity))
