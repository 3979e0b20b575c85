"""Whether tonight's images are unlike those before: the population stability index. Pure.

PSI = sum over bins of (p - q) ln(p / q), p and q the shares of a bin on the two sides: Jeffreys'
divergence, symmetric, 0 for equal shares. Rule of thumb (Lewis 1994; Siddiqi, Credit Risk
Scorecards, 2006): below 0.1 no change, from 0.1 some, from 0.25 a large one. The rule knows no
sample size: between equal populations PSI times n m / (n + m) is close to chi-squared with bins - 1
degrees of freedom (Yurdakul and Naranjo, Statistical properties of the population stability index,
2020), so that 100 images would pass 0.1 by chance most nights. A change is claimed only where
PSI passes the rule and what chance alone passes once in 1,000 times as well. Images of one patient
resemble each other, so chance passes it somewhat more often than that.

Bins: neighbours of a fixed grid, put together until a bin holds a tenth of the images (mean of both
sides' shares): at most ten. Of categories the nine most frequent count, and all others as one.
Smoothing: half an image of the smaller side is added to the share of every bin, on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

SHIFTED, UNUSUAL = 0.1, 0.25
MIN_IMAGES = 50
"""On each side; below, nothing is claimed: a bin of a tenth would expect fewer than five images."""

BINS = 10
SMOOTHING = 0.5
_CHI_SQUARED = (0.0, 10.828, 13.816, 16.266, 18.467, 20.515, 22.458, 24.322, 26.124, 27.877)
"""Passed once in 1,000 times, by degrees of freedom."""


class Level(StrEnum):
    """What is claimed of a change."""

    NOT_JUDGED = "not judged"
    STABLE = "stable"
    SHIFTED = "shifted"
    UNUSUAL = "unusual"


@dataclass(frozen=True)
class Comparison:
    """Tonight against a reference, in one quantity.

    value: PSI, None when nothing is claimed. by_chance: what equal populations of these sizes pass
    once in 1,000 times. tonight, reference: images. bins: after merging.
    """

    value: float | None
    by_chance: float | None
    level: Level
    tonight: int
    reference: int
    bins: int = 0


def psi(tonight: Sequence[float] | np.ndarray, reference: Sequence[float] | np.ndarray) -> float:
    """Population stability index of counts in the same bins; bins empty on both sides do not count.

    Args:
        tonight, reference: (bins,) counts, not negative.

    Raises:
        ValueError: different numbers of bins, or a side without any count.
    """
    p, q = np.asarray(tonight, float), np.asarray(reference, float)
    if p.shape != q.shape or not p.sum() > 0 or not q.sum() > 0:
        raise ValueError("psi: needed are counts in the same bins, and some on each side")
    there = (p > 0) | (q > 0)
    half_an_image = SMOOTHING / min(p.sum(), q.sum())
    p, q = _shares(p[there]) + half_an_image, _shares(q[there]) + half_an_image
    p, q = _shares(p), _shares(q)
    return float(np.sum((p - q) * np.log(p / q)))


def by_chance(tonight: int, reference: int, bins: int) -> float:
    """PSI that two samples of one population pass once in 1,000 times.

    Args:
        tonight, reference: images, 1 or more. bins: 1 to 10.
    """
    return (1 / tonight + 1 / reference) * _CHI_SQUARED[bins - 1]


def compare_bins(tonight: np.ndarray, reference: np.ndarray) -> Comparison:
    """Compare counts on the same grid, (bins,) int, in the grid's order."""
    sizes = int(np.sum(tonight)), int(np.sum(reference))
    if min(sizes) < MIN_IMAGES:
        return Comparison(None, None, Level.NOT_JUDGED, *sizes)
    group = merged(_shares(np.asarray(tonight)) / 2 + _shares(np.asarray(reference)) / 2)
    counts = [np.bincount(group, weights=side) for side in (tonight, reference)]
    value, chance = psi(*counts), by_chance(*sizes, len(counts[0]))
    return Comparison(value, chance, level(value, chance), *sizes, len(counts[0]))


def compare_categories(tonight: Mapping[str, int], reference: Mapping[str, int]) -> Comparison:
    """Compare counts by name."""
    sizes = sum(tonight.values()), sum(reference.values())
    if min(sizes) < MIN_IMAGES:
        return Comparison(None, None, Level.NOT_JUDGED, *sizes)

    def rank(name: str) -> tuple[float, str]:
        share = tonight.get(name, 0) / sizes[0] + reference.get(name, 0) / sizes[1]
        return -share, name

    names = sorted({*tonight, *reference}, key=rank)
    group = np.minimum(np.arange(len(names)), BINS - 1)
    counts = [
        np.bincount(group, weights=[side.get(name, 0) for name in names])
        for side in (tonight, reference)
    ]
    value, chance = psi(*counts), by_chance(*sizes, len(counts[0]))
    return Comparison(value, chance, level(value, chance), *sizes, len(counts[0]))


def level(value: float, chance: float) -> Level:
    """What a PSI says, where chance alone rarely passes `chance`."""
    if value <= chance or value < SHIFTED:
        return Level.STABLE
    return Level.UNUSUAL if value >= UNUSUAL else Level.SHIFTED


def merged(shares: np.ndarray) -> np.ndarray:
    """(bins,) int: the bin of at least a tenth, 0 first, that each bin of the grid falls into.

    What is left at the end joins its neighbour when it is less than half of that.

    Args:
        shares: (bins,), adding up to 1.
    """
    group, held, at = np.zeros(len(shares), int), 0.0, 0
    for bin_, share in enumerate(shares):
        group[bin_] = at
        held += share
        if held >= 1 / BINS - 1e-9:
            at, held = at + 1, 0.0
    if at and held < 0.5 / BINS:
        group[group == at] = at - 1
    return group


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum()
