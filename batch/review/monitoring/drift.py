"""Measures how much tonight's images differ from earlier ones: the population stability index.

PSI is the sum over bins of (p - q) ln(p / q), where p and q are the shares of a bin on the two
sides. This is Jeffreys' divergence; it is symmetric, and 0 for equal shares. The rule of thumb
(Lewis 1994; Siddiqi, Credit Risk Scorecards, 2006) says: below 0.1 no change, from 0.1 some change,
from 0.25 a large change.

The rule ignores the sample size. For samples of n and m images of equal populations, PSI times
n m / (n + m) is close to chi-squared with bins - 1 degrees of freedom (Yurdakul and Naranjo,
Statistical properties of the population stability index, 2020). So 100 images would exceed 0.1 by
chance in most nights. A change is reported only if PSI exceeds both the rule's value and the value
that chance alone exceeds once in 1,000 times. Images of one patient resemble each other, so chance
exceeds it somewhat more often.

Bins: neighbours on a fixed grid are merged until a bin holds a tenth of the images (mean of both
sides' shares), so there are at most ten. Of categories, the nine most frequent count one by one,
and all others together. Smoothing: half an image of the smaller side is added to the share of every
bin, on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

SHIFTED, UNUSUAL = 0.1, 0.25
MIN_IMAGES = 50
"""Least images on each side to judge a change: a tenth of them, which is a bin, is five images."""

BINS = 10
SMOOTHING = 0.5
_CHI_SQUARED = (0.0, 10.828, 13.816, 16.266, 18.467, 20.515, 22.458, 24.322, 26.124, 27.877)
"""Values exceeded once in 1,000 times; the index is the degrees of freedom."""


class Level(StrEnum):
    """How large a change is."""

    NOT_JUDGED = "not judged"
    STABLE = "stable"
    SHIFTED = "shifted"
    UNUSUAL = "unusual"


@dataclass(frozen=True)
class Comparison:
    """A comparison of tonight with a reference, in one quantity.

    value: PSI; None if there are too few images to judge.
    by_chance: PSI that equal populations of these sizes exceed once in 1,000 times.
    level: of the change.
    tonight, reference: numbers of images.
    bins: number after merging.
    """

    value: float | None
    by_chance: float | None
    level: Level
    tonight: int
    reference: int
    bins: int = 0


def psi(tonight: Sequence[float] | np.ndarray, reference: Sequence[float] | np.ndarray) -> float:
    """Population stability index of counts in the same bins, without bins empty on both sides.

    Args:
        tonight, reference: (bins,) counts, not negative.

    Raises:
        ValueError: the numbers of bins differ, or a side has no count.
    """
    p, q = np.asarray(tonight, float), np.asarray(reference, float)
    if p.shape != q.shape or not p.sum() > 0 or not q.sum() > 0:
        raise ValueError("psi: needed: counts in the same bins, and at least one on each side")
    is_filled = (p > 0) | (q > 0)
    half_an_image = SMOOTHING / min(p.sum(), q.sum())
    p, q = _shares(p[is_filled]) + half_an_image, _shares(q[is_filled]) + half_an_image
    p, q = _shares(p), _shares(q)
    return float(np.sum((p - q) * np.log(p / q)))


def by_chance(tonight: int, reference: int, bins: int) -> float:
    """PSI that two samples of one population exceed once in 1,000 times.

    Args:
        tonight, reference: numbers of images, 1 or more.
        bins: 1 to 10.
    """
    return (1 / tonight + 1 / reference) * _CHI_SQUARED[bins - 1]


def compare_bins(tonight: np.ndarray, reference: np.ndarray) -> Comparison:
    """Compare counts, (bins,) int, on the same grid."""
    sizes = int(np.sum(tonight)), int(np.sum(reference))
    if min(sizes) < MIN_IMAGES:
        return Comparison(None, None, Level.NOT_JUDGED, *sizes)
    group = merge_bins(_shares(np.asarray(tonight)) / 2 + _shares(np.asarray(reference)) / 2)
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
    """The level of a PSI. chance: value that chance alone rarely exceeds."""
    if value <= chance or value < SHIFTED:
        return Level.STABLE
    return Level.UNUSUAL if value >= UNUSUAL else Level.SHIFTED


def merge_bins(shares: np.ndarray) -> np.ndarray:
    """Merge neighbouring bins until each holds at least a tenth.

    A rest of less than a twentieth at the end joins its neighbour.

    Args:
        shares: (bins,), adding up to 1.

    Returns:
        (bins,) int, the number of the merged bin, from 0, for each bin.
    """
    group, share_of_group, current = np.zeros(len(shares), int), 0.0, 0
    for bin_, share in enumerate(shares):
        group[bin_] = current
        share_of_group += share
        if share_of_group >= 1 / BINS - 1e-9:
            current, share_of_group = current + 1, 0.0
    if current and share_of_group < 0.5 / BINS:
        group[group == current] = current - 1
    return group


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum()
