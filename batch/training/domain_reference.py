"""Fits the domain reference of an artifact from features of dermoscopy and of other pictures. Pure.

Every set counts the same, whatever its size. One half of the images, by lesion, fits head and
distances; the other half sets the bounds. So a bound is not flattered by the images that it is
for, and no image of a lesion stands on both sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from batch.core.errors import UsageError
from batch.model.domain import GRID, DomainReference, nearest_distance

DIRECTIONS, STORED, NEIGHBOURS = 64, 512, 5
LEAST_IMAGES = 60
"""Of all sets of dermoscopy together: with fewer a bound at one percent would be a guess."""
HEAD_SHARE, DISTANCE_SHARE = 0.01, 0.005
"""Of sound dermoscopy, flagged by head and by distance, in the half that sets the bounds."""
_RIDGE = 1e-3
_SEED = 0


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of the pictures of one source.

    features: (N, F) float32, finite. lesions: of each picture, or another name of what is its own.
    """

    name: str
    features: np.ndarray
    lesions: Sequence[str]

    def half(self, which: int) -> FeatureSet:
        """The pictures of one half of the lesions, 0 or 1; by a digest, so always the same."""
        rows = [row for row, lesion in enumerate(self.lesions) if half_of(lesion) == which]
        return FeatureSet(self.name, self.features[rows], [self.lesions[row] for row in rows])


def half_of(lesion: str) -> int:
    """0 or 1, by the digest of a lesion's name."""
    return hashlib.sha256(lesion.encode()).digest()[0] & 1


@dataclass(frozen=True, eq=False)
class _Scale:
    """Centre and spread of features, (F,) each, float64."""

    mean: np.ndarray
    spread: np.ndarray


def fit_reference(
    dermoscopy: Sequence[FeatureSet],
    others: Sequence[FeatureSet] = (),
) -> DomainReference:
    """The reference of a model.

    Args:
        dermoscopy: sound pictures of the kind that the model is for.
        others: pictures of other kinds; without any there is no head, and no picture is flagged as
            no dermoscopy.

    Raises:
        UsageError: too few pictures.
    """
    count = sum(len(part.lesions) for part in dermoscopy)
    if count < LEAST_IMAGES:
        raise UsageError(
            f"--dermoscopy: found {count} pictures; needed: {LEAST_IMAGES} or more, as they come."
        )
    fit, check = _halves(dermoscopy)
    scale = _scale(fit)
    projection = _projection(fit, scale)
    points = {part.name: _projected(part.features, scale, projection) for part in fit}
    stored = _stored(points)
    distances = _pooled(
        {p.name: nearest_distance(_projected(p.features, scale, projection), stored, NEIGHBOURS)
         for p in check}
    )  # fmt: skip
    head, bias = _head(fit, [part.half(0) for part in others], scale)
    logits = _pooled({p.name: (p.features - scale.mean) @ head + bias for p in check})
    has_head = bool(others)
    least = float(np.quantile(logits, HEAD_SHARE)) if has_head else -np.inf
    return DomainReference(
        mean=scale.mean.astype(np.float32),
        projection=projection.astype(np.float32),
        stored=stored.astype(np.float32),
        neighbours=NEIGHBOURS,
        distances=np.quantile(distances, np.linspace(0, 1, GRID)).astype(np.float32),
        farthest=float(np.quantile(distances, 1 - DISTANCE_SHARE)),
        head=head.astype(np.float32),
        bias=bias,
        least_score=float(1 / (1 + np.exp(-least))) if has_head else 0.0,
    )


def _halves(sets: Sequence[FeatureSet]) -> tuple[list[FeatureSet], list[FeatureSet]]:
    both = [[part.half(which) for part in sets] for which in (0, 1)]
    fit, check = ([part for part in half if len(part.lesions)] for half in both)
    if not fit or not check:
        raise UsageError("--dermoscopy: found one lesion only; needed: pictures of many lesions.")
    return fit, check


def _pooled(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Values of all sets, each set repeated or thinned to the same number, so that none rules."""
    most = max(len(part) for part in values.values())
    wanted = np.linspace(0.0, 1.0, most)
    return np.concatenate([np.quantile(part, wanted) for part in values.values()])


def _scale(sets: Sequence[FeatureSet]) -> _Scale:
    """Centre of the sets' centres, and spread of a picture about it, every set the same."""
    mean = np.mean([part.features.mean(axis=0, dtype=np.float64) for part in sets], axis=0)
    squares = [((part.features - mean) ** 2).mean(axis=0) for part in sets]
    spread = np.sqrt(np.mean(squares, axis=0))
    return _Scale(mean, np.maximum(spread, _LEAST_SPREAD * max(float(spread.max()), 1e-12)))


_LEAST_SPREAD = 1e-3
"""Of the largest spread; a feature that never changes says nothing."""


def _projection(sets: Sequence[FeatureSet], scale: _Scale) -> np.ndarray:
    """(F, D): scaled features to their first principal directions, with unit variance in each."""
    scaled = [(part.features - scale.mean) / scale.spread for part in sets]
    covariance = np.mean([part.T @ part / len(part) for part in scaled], axis=0)
    variances, directions = np.linalg.eigh(covariance)
    found = min(DIRECTIONS, int((variances > _LEAST_VARIANCE * variances[-1]).sum()))
    kept = directions[:, ::-1][:, :found] / np.sqrt(variances[::-1][:found])
    return kept / scale.spread[:, None]


_LEAST_VARIANCE = 1e-6


def _projected(features: np.ndarray, scale: _Scale, projection: np.ndarray) -> np.ndarray:
    return (features - scale.mean) @ projection


def _stored(points: Mapping[str, np.ndarray]) -> np.ndarray:
    """About the same number of points of every set, drawn once."""
    draw = np.random.default_rng(_SEED)
    share = max(STORED // len(points), NEIGHBOURS)
    chosen = [
        part if len(part) <= share else part[np.sort(draw.choice(len(part), share, replace=False))]
        for part in points.values()
    ]
    return np.concatenate(chosen)


def _head(
    dermoscopy: Sequence[FeatureSet], others: Sequence[FeatureSet], scale: _Scale
) -> tuple[np.ndarray, float]:
    """Weights (F,) and bias of a logistic regression with a ridge; zeros without others."""
    width = len(scale.mean)
    if not others:
        return np.zeros(width), 0.0
    parts = [*dermoscopy, *others]
    values = np.concatenate([(part.features - scale.mean) / scale.spread for part in parts])
    values = np.c_[np.clip(values, -_CLIP, _CLIP), np.ones(len(values))]
    signs = np.concatenate(
        [np.full(len(p.lesions), 1.0 if n < len(dermoscopy) else -1.0) for n, p in enumerate(parts)]
    )
    weights = np.concatenate(
        [np.full(len(part.lesions), 1.0 / len(part.lesions) / len(side))
         for side in (dermoscopy, others) for part in side]
    )  # fmt: skip

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (values @ found)
        slopes = -weights * signs / (1.0 + np.exp(np.clip(margins, -50, 50)))
        ridge = np.r_[found[:-1], 0.0]
        total = float(weights @ np.logaddexp(0.0, -margins) + _RIDGE / 2 * ridge @ ridge)
        return total, slopes @ values + _RIDGE * ridge

    found = minimize(loss, np.zeros(width + 1), jac=True, method="L-BFGS-B").x
    return found[:-1] / scale.spread, float(found[-1])


_CLIP = 10.0
"""Spreads from the centre, when the head is fitted: no single picture rules."""
