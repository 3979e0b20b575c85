"""The ROC curve of melanoma against the rest, and what can be read from it. Pure, on arrays.

A curve is the pair (caught, alarmed): weights of melanomas and of others at or above each distinct
score, from the highest down, beginning with nobody. Sorted once, each further weighting of the same
cases (a round of a bootstrap) costs one pass over them. scikit-learn's functions are the oracle in
the tests; they sort anew for each weighting, which is minutes where this is seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

MIN_SENSITIVITY = 0.8
"""Of the partial AUC: as the ISIC 2024 challenge has it, whose largest value is then 0.2."""
MIN_SPECIFICITY = 0.8
"""Of the sensitivity at a given specificity."""

Curve = tuple[np.ndarray, np.ndarray]
_ROUNDING = 1e-9  # of a product of a share and a count


def curves(is_melanoma: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], Curve]:
    """A function from weights (N,) of the cases to their curve.

    Args:
        is_melanoma: (N,) bool, N at least 1. scores: (N,) float.
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
    """Area under the ROC curve; NaN where a kind has no weight, as for the others below."""
    caught, alarmed = curve
    if not (caught[-1] and alarmed[-1]):
        return float("nan")
    return float(np.trapezoid(caught, alarmed) / (caught[-1] * alarmed[-1]))


def average_precision(curve: Curve) -> float:
    """Mean precision over the melanomas, by steps (no interpolation)."""
    caught, alarmed = curve
    if not (caught[-1] and alarmed[-1]):
        return float("nan")
    alerts = caught[1:] + alarmed[1:]
    precision = caught[1:] / np.where(alerts > 0, alerts, 1)
    return float(np.sum(np.diff(caught) * precision) / caught[-1])


def partial_auc(curve: Curve) -> float:
    """Area between the ROC curve and a sensitivity of 0.8: 0.2 at best, 0.02 by chance."""
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
    """The highest sensitivity at a specificity of at least 0.8, and the curve's step it is at.

    A real threshold, no interpolation; step 0 alerts nobody.
    """
    caught, alarmed = curve
    if not (caught[-1] and alarmed[-1]):
        return float("nan"), 0
    allowed = (1 - MIN_SPECIFICITY) * alarmed[-1] + _ROUNDING
    inside = caught[: int(np.searchsorted(alarmed, allowed, side="right"))]
    step = int(np.searchsorted(inside, inside[-1], side="left"))  # no lower threshold than needed
    return float(inside[step] / caught[-1]), step
