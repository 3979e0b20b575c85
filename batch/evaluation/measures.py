"""Measures of scores against labels, as functions on arrays. A measure is None if not defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from batch.evaluation.thresholds import rate, sensitivity_and_specificity

MIN_SENSITIVITY = 0.8
"""For the partial AUC as in the ISIC 2024 challenge; its largest value is then 0.2."""


MIN_SPECIFICITY = 0.8
"""For the sensitivity at a given specificity."""


Curve = tuple[np.ndarray, np.ndarray]


_ROUNDING = 1e-9  # rounding error of a share times a count


def curves(is_melanoma: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], Curve]:
    """Make a function that gives the curve for weights, (N,), of the cases.

    A curve has the weights of melanomas and of others at or above each different score, falling.

    Args:
        is_melanoma: (N,) bool, N at least 1.
        scores: (N,) float.
    """
    order = np.argsort(-scores, kind="stable")
    positive, falling = is_melanoma[order], scores[order]
    last_of_score = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))

    def curve(weights: np.ndarray) -> Curve:
        weight = weights[order]
        caught, alarmed = np.cumsum(weight * positive), np.cumsum(weight * ~positive)
        return np.append(0.0, caught[last_of_score]), np.append(0.0, alarmed[last_of_score])

    return curve


def auc(curve: Curve) -> float:
    """Area under the ROC curve. This and the measures below are NaN if one kind has no weight."""
    caught, alarmed = curve
    if not (caught[-1] and alarmed[-1]):
        return float("nan")
    return float(np.trapezoid(caught, alarmed) / (caught[-1] * alarmed[-1]))


def average_precision(curve: Curve) -> float:
    """Mean precision over the melanomas, without interpolation."""
    caught, alarmed = curve
    if not (caught[-1] and alarmed[-1]):
        return float("nan")
    alerts = caught[1:] + alarmed[1:]
    precision = caught[1:] / np.where(alerts > 0, alerts, 1)
    return float(np.sum(np.diff(caught) * precision) / caught[-1])


def partial_auc(curve: Curve) -> float:
    """Area under the ROC curve above a sensitivity of 0.8: 0.2 at best, 0.02 by chance."""
    caught, alarmed = curve
    if not (caught[-1] and alarmed[-1]):
        return float("nan")
    sensitivity, false_alarms = caught / caught[-1], alarmed / alarmed[-1]
    first = int(np.searchsorted(sensitivity, MIN_SENSITIVITY, side="left"))
    entry = np.interp(
        MIN_SENSITIVITY, sensitivity[first - 1 : first + 1], false_alarms[first - 1 : first + 1]
    )
    height = np.append(MIN_SENSITIVITY, sensitivity[first:])
    return float(np.trapezoid(1 - np.append(entry, false_alarms[first:]), height))


def sensitivity_at_specificity(curve: Curve) -> tuple[float, int]:
    """The highest sensitivity at a specificity of at least 0.8, and its step of the curve.

    It is reached at a real threshold, without interpolation. At step 0 there are no alerts.
    """
    caught, alarmed = curve
    if not (caught[-1] and alarmed[-1]):
        return float("nan"), 0
    allowed = (1 - MIN_SPECIFICITY) * alarmed[-1] + _ROUNDING
    inside = caught[: int(np.searchsorted(alarmed, allowed, side="right"))]
    step = int(np.searchsorted(inside, inside[-1], side="left"))  # the highest such threshold
    return float(inside[step] / caught[-1]), step


BOOTSTRAP_ROUNDS = 1000


CALIBRATION_BINS = 15
"""Of equal width, as in Guo et al. 2017, On Calibration of Modern Neural Networks."""


Interval = tuple[float, float] | None


def calibration_error(is_melanoma: np.ndarray, scores: np.ndarray) -> float:
    """Expected calibration error: |share of melanomas − mean score| of bins, averaged by cases."""
    bins = np.minimum((scores * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, is_melanoma.astype(float) - scores, CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(scores))


def bootstrap(
    statistic: Callable[[np.ndarray], list[float]], groups: np.ndarray, seed: int = 0
) -> list[Interval]:
    """95 % percentile intervals of a statistic's values, by drawing whole groups (lesions).

    Args:
        statistic: gives values for weights, (N,), which say how often each case was drawn; NaN if a
            value is not defined.
        groups: (N,), hashable.
        seed: of the draws.
    """
    number: dict[object, int] = {}
    codes = np.array([number.setdefault(group, len(number)) for group in groups])
    rng = np.random.default_rng(seed)
    rounds = []
    for _ in range(BOOTSTRAP_ROUNDS):
        drawn = np.bincount(rng.integers(0, len(number), len(number)), minlength=len(number))
        rounds.append(statistic(drawn[codes].astype(float)))
    intervals: list[Interval] = []
    for values in np.array(rounds).T:
        defined = values[~np.isnan(values)]
        low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (None, None)
        intervals.append(None if low is None or high is None else (float(low), float(high)))
    return intervals


def melanoma_auc(is_melanoma: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve; None if there are only melanomas or none."""
    if not has_both(is_melanoma):
        return None
    return auc(curves(is_melanoma, scores)(np.ones(len(scores))))


def auc_interval(
    is_melanoma: np.ndarray, scores: np.ndarray, groups: np.ndarray, seed: int = 0
) -> Interval:
    """95 % interval of the AUC, by bootstrap of groups."""
    if not has_both(is_melanoma):
        return None
    curve = curves(is_melanoma, scores)
    return bootstrap(lambda weights: [auc(curve(weights))], groups, seed)[0]


def has_both(is_melanoma: np.ndarray) -> bool:
    """Whether there are melanomas and others."""
    return bool(is_melanoma.any() and not is_melanoma.all())


_RANKING = ("melanoma_auc", "average_precision", "partial_auc", "brier")


def ranking_measures(
    is_melanoma: np.ndarray, scores: np.ndarray, groups: np.ndarray
) -> dict[str, Any]:
    """Measures that need no threshold, each with `<name>_interval` (95 %, by group), or None.

    The calibration error has no interval, because a bootstrap adds noise that it counts as error.

    Args:
        is_melanoma: (N,) bool.
        scores: (N,) melanoma score.
        groups: (N,) lesion or duplicate group.
    """
    chosen: dict[str, Any] = dict.fromkeys(("sensitivity", "interval", "specificity", "threshold"))
    measures: dict[str, Any] = {
        key: None for name in _RANKING for key in (name, f"{name}_interval")
    }
    measures |= {
        "expected_calibration_error": None,
        "sensitivity_at_specificity": {"specificity_at_least": MIN_SPECIFICITY, **chosen},
    }
    if not has_both(is_melanoma):
        return measures
    curve, losses = curves(is_melanoma, scores), (scores - is_melanoma) ** 2

    def values(weights: np.ndarray) -> list[float]:
        current_curve = curve(weights)
        brier = float(weights @ losses / weights.sum())
        at_specificity_of_draw = sensitivity_at_specificity(current_curve)[0]
        areas = auc(current_curve), average_precision(current_curve), partial_auc(current_curve)
        return [*areas, brier, at_specificity_of_draw]

    everything = np.ones(len(scores))
    *ranking, at_specificity = values(everything)
    *intervals, at_interval = bootstrap(values, groups)
    for name, value, interval in zip(_RANKING, ranking, intervals, strict=True):
        measures |= {name: value, f"{name}_interval": interval}
    measures["expected_calibration_error"] = calibration_error(is_melanoma, scores)
    step = sensitivity_at_specificity(curve(everything))[1]
    falling = np.unique(scores)[::-1]
    measures["sensitivity_at_specificity"] |= {
        "sensitivity": at_specificity,
        "interval": at_interval,
        "specificity": 1 - float(curve(everything)[1][step]) / int(np.sum(~is_melanoma)),
        "threshold": float(falling[step - 1]) if step else None,
    }
    return measures


def at_threshold(is_melanoma: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, Any]:
    """Sensitivity, specificity, PPV and NPV at `score >= threshold`, exact intervals, and counts.

    Predictive values hold only for the share of melanomas among these cases. They are None if there
    are only melanomas or none.
    """
    measures: dict[str, Any] = dict(sensitivity_and_specificity(is_melanoma, scores, threshold))
    for name, right, wrong in (
        ("ppv", "true_positive", "false_positive"),
        ("npv", "true_negative", "false_negative"),
    ):
        cases = measures[right] + measures[wrong] if has_both(is_melanoma) else 0
        measures[name], measures[f"{name}_interval"] = rate(measures[right], cases)
    return measures


def melanoma_measures(
    is_melanoma: np.ndarray, scores: np.ndarray, groups: np.ndarray, threshold: float
) -> dict[str, Any]:
    """Measures of melanoma against the rest, with and without a threshold.

    Args:
        is_melanoma: (N,) bool.
        scores: (N,) melanoma score.
        groups: (N,) lesion or duplicate group.
        threshold: 0..1.
    """
    return {
        "images": len(is_melanoma),
        "melanomas": int(is_melanoma.sum()),
        **ranking_measures(is_melanoma, scores, groups),
        "threshold": threshold,
        "at_operating_point": at_threshold(is_melanoma, scores, threshold),
    }


def class_measures(
    labels: np.ndarray, predicted: np.ndarray, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Accuracy, balanced accuracy over the classes that occur, and each class's sensitivity.

    Args:
        labels, predicted: (N,) class names.
    """
    right = labels == predicted
    recalls = {name: float(np.mean(right[labels == name])) for name in dict.fromkeys(labels)}
    return {
        "accuracy": float(np.mean(right)) if len(labels) else None,
        "balanced_accuracy": float(np.mean(list(recalls.values()))) if recalls else None,
        "per_class": {
            name: {
                "images": int(np.sum(labels == name)),
                "predicted": int(np.sum(predicted == name)),
                "sensitivity": recalls.get(name),
            }
            for name in class_names
        },
    }


def confusion(
    labels: np.ndarray, predicted: np.ndarray, class_names: tuple[str, ...]
) -> dict[str, dict[str, int]]:
    """Images by label and predicted class: `table[label][predicted]`."""
    return {
        name: {other: int(np.sum((labels == name) & (predicted == other))) for other in class_names}
        for name in class_names
    }
