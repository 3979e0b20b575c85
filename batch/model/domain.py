"""Compares an image with what the model learned from, by the model's own features.

The features are means and standard deviations over the maps of some layers of the network, (F,)
for an image, from the call that gives the scores. An artifact may hold a domain reference,
`domain.npz`, fitted by `python -m batch.training.domain`. Two quantities come of it:

- The *distance* to the nearest of a few hundred stored images, after a projection in which the
  features of sound dermoscopy have unit variance, in relation to all distances of the reference.
- The *dermoscopy score* of a linear head that was fitted to tell dermoscopy from other pictures.

A flag drops nothing and takes no alert back. batch/model/README.md says what the flags find.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields

import numpy as np

from batch.core.errors import ArtifactRefused

DOMAIN_FILE = "domain.npz"
MOST_BYTES = 1 << 20
FIT_AGAIN = "Restore the artifact, or fit the reference again: python -m batch.training.domain."

NOT_DERMOSCOPY, OUTSIDE_DOMAIN = "not_dermoscopy", "outside_training_domain"
"""Flags of an image. The second is for pictures that look like dermoscopy and are far away."""

GRID = 201
"""Steps of the distances that the reference keeps: half a percent each."""


@dataclass(frozen=True)
class Domain:
    """What the model's features say of an image.

    percentile: 0..100, share of the reference images that are nearer than this image.
    dermoscopy_score: 0..1, how like dermoscopy it looks; not a probability.
    flags: sorted.
    """

    percentile: float
    dermoscopy_score: float
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class DomainReference:
    """What an artifact keeps of its training images; all arrays finite.

    mean: (F,) float32, of the features of sound dermoscopy.
    projection: (F, D) float32, from centred features to directions of unit variance.
    stored: (M, D) float32, projections of some of these images.
    neighbours: how many of the nearest stored images the distance is averaged over.
    distances: (GRID,) float32, rising: quantiles of the distance of images that are not stored.
    farthest: an image at a larger distance is outside.
    head: (F,) float32, and bias: weights of the linear head on centred features.
    least_score: an image with a lower dermoscopy score is not dermoscopy.
    """

    mean: np.ndarray
    projection: np.ndarray
    stored: np.ndarray
    neighbours: int
    distances: np.ndarray
    farthest: float
    head: np.ndarray
    bias: float
    least_score: float

    @property
    def width(self) -> int:
        """F, the number of features."""
        return len(self.mean)

    def measure(self, features: np.ndarray) -> list[Domain]:
        """The domain of images, (N, F) float32. A row that is not finite is as far as can be."""
        is_finite = np.isfinite(features).all(axis=1)
        known = np.where(is_finite[:, None], features, self.mean)
        distance = np.where(is_finite, self.distance(known), np.inf)
        score = np.where(is_finite, self.dermoscopy_score(known), 0.0)
        percentile = np.interp(distance, self.distances, np.linspace(0.0, 100.0, GRID))
        return [
            Domain(round(float(p), 1), round(float(s), 4), self._flags(float(d), float(s)))
            for p, d, s in zip(percentile, distance, score, strict=True)
        ]

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Mean distance to the nearest stored images, (N,) float64."""
        return nearest_distance(self.project(features), self.stored, self.neighbours)

    def project(self, features: np.ndarray) -> np.ndarray:
        """Features, (N, F), in the directions of the reference, (N, D) float32."""
        return (features - self.mean).astype(np.float32) @ self.projection

    def dermoscopy_score(self, features: np.ndarray) -> np.ndarray:
        """How like dermoscopy images look, (N,) float64, 0..1."""
        logits = (features - self.mean).astype(np.float64) @ self.head.astype(np.float64)
        return 1.0 / (1.0 + np.exp(-np.clip(logits + self.bias, -50.0, 50.0)))

    def _flags(self, distance: float, score: float) -> tuple[str, ...]:
        if score < self.least_score:
            return (NOT_DERMOSCOPY,)
        return (OUTSIDE_DOMAIN,) if distance > self.farthest else ()


def nearest_distance(points: np.ndarray, stored: np.ndarray, neighbours: int) -> np.ndarray:
    """Mean distance, (N,) float64, of points (N, D) to the nearest of stored points (M, D)."""
    squares = (points.astype(np.float64) ** 2).sum(axis=1)[:, None]
    squares = squares + (stored.astype(np.float64) ** 2).sum(axis=1)[None]
    squares -= 2.0 * (points @ stored.T)
    nearest = np.partition(squares, neighbours - 1, axis=1)[:, :neighbours]
    return np.sqrt(np.maximum(nearest, 0.0)).mean(axis=1)


_ARRAYS = ("mean", "projection", "stored", "distances", "head")
_NUMBERS = ("neighbours", "farthest", "bias", "least_score")


def written(reference: DomainReference) -> bytes:
    """The content of `domain.npz`; the same for the same reference."""
    arrays = {name: getattr(reference, name).astype(np.float32) for name in _ARRAYS}
    numbers = {name: np.float64(getattr(reference, name)) for name in _NUMBERS}
    buffer = io.BytesIO()
    np.savez(buffer, **{**arrays, **numbers})
    return buffer.getvalue()


def read_reference(data: bytes) -> DomainReference:
    """Read `domain.npz` without running code from it, and check it.

    Raises:
        ArtifactRefused: it is too large or no such file, or its arrays do not fit each other.
    """
    if len(data) > MOST_BYTES:
        raise _refused(f"{len(data)} bytes", f"at most {MOST_BYTES}")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name].astype(np.float32) for name in _ARRAYS}
            numbers = {name: float(file[name]) for name in _NUMBERS}
    except Exception as error:  # numpy and zipfile raise errors of many types
        raise _refused(type(error).__name__, "a file of this program") from error
    found = DomainReference(
        **arrays,
        neighbours=int(numbers["neighbours"]),
        farthest=numbers["farthest"],
        bias=numbers["bias"],
        least_score=numbers["least_score"],
    )
    _check(found)
    return found


def _check(found: DomainReference) -> None:
    if any(not np.isfinite(getattr(found, item.name)).all() for item in fields(found)):
        raise _refused("a number that is not finite", "finite numbers")
    shapes = {
        "mean": (found.mean.ndim, 1),
        "projection": (found.projection.shape[:1], (found.width,)),
        "stored": (found.stored.shape[1:], found.projection.shape[1:]),
        "distances": (found.distances.shape, (GRID,)),
        "head": (found.head.shape, (found.width,)),
    }
    for name, (actual, allowed) in shapes.items():
        if actual != allowed or getattr(found, name).size == 0:
            raise _refused(f"{name} {getattr(found, name).shape}", allowed)
    if not 1 <= found.neighbours <= len(found.stored):
        raise _refused(f"neighbours {found.neighbours}", f"1 to {len(found.stored)}")
    if np.any(np.diff(found.distances) < 0):
        raise _refused("distances that fall", "rising ones")
    if not 0 <= found.least_score <= 1:
        raise _refused(f"least_score {found.least_score}", "0..1")


def _refused(found: object, allowed: object) -> ArtifactRefused:
    return ArtifactRefused(DOMAIN_FILE, found, allowed, FIT_AGAIN)
