"""A night's images in counts small enough for run.json: what later nights compare with. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from batch.review.quantities import (
    DEVICE,
    GRID_VERSION,
    MAX_DEVICE_NAME,
    MAX_DEVICES,
    OTHER_DEVICES,
    QUANTITIES,
    Quantity,
    device,
    values,
)

_MAX_COUNT = 1 << 53


@dataclass(frozen=True, eq=False)
class Histogram:
    """Images by bin of a quantity's grid, (bins,) int64, and the sum of their values."""

    counts: np.ndarray
    total: float

    @property
    def images(self) -> int:
        """How many were counted."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float | None:
        """None without images."""
        return self.total / self.images if self.images else None


@dataclass(frozen=True, eq=False)
class NightFigures:
    """Of one night, or of several together. histograms: by quantity; devices: images by name."""

    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    devices: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Lower edge of a bin to images, for bins that hold any; and every mean."""
        told: dict[str, Any] = {"grid_version": GRID_VERSION}
        for quantity in QUANTITIES:
            histogram = self.histograms.get(quantity.name)
            if histogram is not None and histogram.images:
                counts = zip(quantity.edges, histogram.counts.tolist(), strict=True)
                told[quantity.name] = {
                    "mean": round(histogram.total / histogram.images, 6),
                    "images_from": {f"{edge:g}": count for edge, count in counts if count},
                }
        return {**told, DEVICE: _most(self.devices)}


def figures_of(columns: Mapping[str, np.ndarray]) -> NightFigures:
    """Count images.

    Args:
        columns: `PREDICTION_COLUMNS`, (N,) each; words as objects, None where absent.
    """
    words = (columns[name] for name in ("manufacturer", "manufacturer_model_name", "file_format"))
    devices = Counter(zip(*words, strict=True))
    named: Counter[str] = Counter()
    for identity, count in devices.items():
        named[device(*identity)] += count
    measured = values(columns)
    return NightFigures(
        {each.name: histogram_of(measured[each.name], each) for each in QUANTITIES}, named
    )


def histogram_of(measured: np.ndarray, quantity: Quantity) -> Histogram:
    """Count (N,) values on a quantity's grid; NaN and infinity are not counted."""
    known = measured[np.isfinite(measured)]
    at = np.searchsorted(quantity.edges, known, side="right") - 1
    counts = np.bincount(np.maximum(at, 0), minlength=len(quantity.edges))
    return Histogram(counts.astype(np.int64), float(known.sum()))


def nothing(quantity: Quantity) -> Histogram:
    """No image counted."""
    return histogram_of(np.empty(0), quantity)


def together(parts: Iterable[NightFigures]) -> NightFigures:
    """The figures of all images: every image counts once, whatever night it is of."""
    sums: dict[str, Histogram] = {}
    devices: Counter[str] = Counter()
    for part in parts:
        devices.update(part.devices)
        for name, new in part.histograms.items():
            old = sums.get(name)
            sums[name] = Histogram(old.counts + new.counts, old.total + new.total) if old else new
    return NightFigures(sums, devices)


def figures_from_json(told: object) -> NightFigures | None:
    """What `to_json` told; None when it is damaged or was counted on another grid."""
    if not isinstance(told, Mapping) or told.get("grid_version") != GRID_VERSION:
        return None
    try:
        histograms = {
            each.name: _histogram(told[each.name], each) for each in QUANTITIES if each.name in told
        }
        devices = {str(name)[:MAX_DEVICE_NAME]: _count(n) for name, n in told[DEVICE].items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return NightFigures(histograms, devices)


def _histogram(told: Any, quantity: Quantity) -> Histogram:
    place = {f"{edge:g}": number for number, edge in enumerate(quantity.edges)}
    counts = np.zeros(len(quantity.edges), np.int64)
    for edge, count in told["images_from"].items():
        counts[place[edge]] = _count(count)
    mean = float(told["mean"])
    if not np.isfinite(mean):
        raise ValueError("a mean that is no number")
    return Histogram(counts, mean * int(counts.sum()))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MAX_COUNT:
        raise ValueError("a count that is none")
    return value


def _most(devices: Mapping[str, int]) -> dict[str, int]:
    """The most frequent devices, and how many images all others took."""
    ranked = sorted(devices.items(), key=lambda item: (-item[1], item[0]))
    kept = Counter(dict(ranked[:MAX_DEVICES]))
    if rest := sum(count for _, count in ranked[MAX_DEVICES:]):
        kept[OTHER_DEVICES] += rest
    return dict(kept)
