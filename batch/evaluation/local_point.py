"""A local operating point from outcomes, judged on lesions that did not choose it. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import betaincinv

from batch.evaluation.thresholds import choose_threshold, rate

FOLDS = 10
FEWEST = 20
"""Of melanomas, and of others, as for `calibrate`."""

MOST = 20_000
"""Further melanomas that are looked at."""


def fold_numbers(groups: Sequence[str], folds: int = FOLDS) -> np.ndarray:
    """(N,) int64, the fold of each lesion; all lesions of a patient are in one fold.

    The folds depend on the names alone, so that the same outcomes give the same figures.

    Args:
        groups: (N,) patient, or lesion where no patient is known.
    """
    names = sorted(set(groups), key=lambda name: (zlib.crc32(name.encode()), name))
    number = {name: place % folds for place, name in enumerate(names)}
    return np.array([number[name] for name in groups], np.int64)


def cross_fitted(
    is_melanoma: np.ndarray,
    scores: np.ndarray,
    groups: Sequence[str],
    target: float,
    bound: float | None = None,
) -> dict[str, Any]:
    """An operating point chosen on all lesions, with figures from folds that did not choose it.

    For each fold a threshold is chosen on the other folds and applied to this one. The hits of all
    folds together give sensitivity and specificity; `apparent` has the flattering figures of the
    lesions that chose the threshold.

    Args:
        is_melanoma: (N,) bool, at least two groups with a melanoma.
        scores: (N,) float.
        groups: as in `fold_numbers`.
        target: sensitivity, 0..1.
        bound: that the lower end of its interval is to reach; None for the target.
    """
    fold = fold_numbers(groups)
    alert = np.zeros(len(scores), bool)
    for number in np.unique(fold):
        held_out = fold == number
        if not (is_melanoma & ~held_out).any():
            raise ValueError("all melanomas are in one fold")
        threshold = choose_threshold(is_melanoma[~held_out], scores[~held_out], target)
        alert[held_out] = scores[held_out] >= threshold
    threshold = choose_threshold(is_melanoma, scores, target)
    apparent = scores >= threshold
    hits, melanomas = int((alert & is_melanoma).sum()), int(is_melanoma.sum())
    others = len(scores) - melanomas
    sensitivity = rate(hits, melanomas)
    specificity = rate(int((~alert & ~is_melanoma).sum()), others)
    return {
        "target_sensitivity": target,
        "threshold": threshold,
        "folds": len(np.unique(fold)),
        "melanomas": melanomas,
        "others": others,
        "sensitivity": sensitivity[0],
        "sensitivity_interval": sensitivity[1],
        "specificity": specificity[0],
        "specificity_interval": specificity[1],
        "apparent": {
            "sensitivity": rate(int((apparent & is_melanoma).sum()), melanomas)[0],
            "specificity": rate(int((~apparent & ~is_melanoma).sum()), others)[0],
        },
        **missing_melanomas(hits, melanomas, target if bound is None else bound),
    }


def lower_bound(hits: int, cases: int) -> float:
    """Lower end of the exact (Clopper-Pearson) 95 % interval; 0 without a hit."""
    return float(betaincinv(hits, cases - hits + 1, 0.025)) if hits else 0.0


def missing_melanomas(hits: int, melanomas: int, bound: float) -> dict[str, Any]:
    """How many more melanomas with an outcome a lower bound of 95 % confidence still needs.

    Args:
        hits: alerts among the melanomas.
        melanomas: with an outcome.
        bound: that the lower end of the interval is to reach, 0..1.

    Returns:
        `lower_bound` now; `missing_if_all_found`, if every further melanoma gets an alert;
        `missing_at_this_rate`, if as many get one as now. None where `MOST` do not suffice; at this
        rate they never do while the rate itself is not above the bound.
    """
    share = hits / melanomas if melanomas else 0.0
    return {
        "bound": bound,
        "lower_bound": lower_bound(hits, melanomas),
        "missing_if_all_found": _least(hits, melanomas, 1.0, bound),
        "missing_at_this_rate": _least(hits, melanomas, share, bound) if share > bound else None,
    }


def _least(hits: int, melanomas: int, share: float, bound: float) -> int | None:
    more = np.arange(MOST + 1)
    found = hits + np.floor(share * more + 1e-9)
    bounds = np.where(
        found > 0, betaincinv(np.maximum(found, 1), melanomas + more - found + 1, 0.025), 0.0
    )
    enough = np.flatnonzero(bounds >= bound)
    return int(enough[0]) if len(enough) else None
