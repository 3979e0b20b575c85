"""Counts a night's images for run.json, so that later nights can compare with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from batch.core.records import MAX_DEVICE_NAME, device_name

GRID_VERSION = 1


PREDICTION_COLUMNS = (
    "melanoma_score", "rows", "columns", "mean_red", "mean_green", "mean_blue", "file_format",
    "manufacturer", "manufacturer_model_name",
)  # fmt: skip
"""Columns of `predictions` from which a night's figures are counted."""


@dataclass(frozen=True)
class Quantity:
    """A quantity of which every image has a number.

    name, label: for machines and for people.
    edges: lower ends of the bins.
    shown: those of them that a chart shows.
    digits: of its mean in a sentence.
    """

    name: str
    label: str
    edges: tuple[float, ...]
    shown: tuple[float, ...]
    digits: int


def _steps(first: float, last: float, step: float) -> tuple[float, ...]:
    count = round((last - first) / step)
    return tuple(round(first + step * number, 6) for number in range(count + 1))


_TENTHS = _steps(0, 0.9, 0.1)


_PIXELS = (0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 48)


_ASPECTS = (0, 0.6, 0.71, 0.85, 0.95, 1.05, 1.2, 1.4, 1.6, 1.9)


_LOW_SCORES = (0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07)


QUANTITIES = (
    Quantity(
        "melanoma_score", "melanoma score",
        (*_LOW_SCORES, *_steps(0.1, 0.95, 0.05), 0.98, 0.99), _TENTHS, 3,
    ),
    Quantity("brightness", "brightness (0 to 255)", _steps(0, 250, 10), _steps(0, 240, 20), 0),
    Quantity(
        "red_share", "share of red", (0, *_steps(0.2, 0.6, 0.01)), (0, *_steps(0.26, 0.56, 0.03)), 3
    ),
    Quantity(
        "blue_share", "share of blue", (0, *_steps(0.1, 0.45, 0.01)),
        (0, *_steps(0.13, 0.43, 0.03)), 3,
    ),
    Quantity("megapixels", "size in megapixels", _PIXELS, _PIXELS, 2),
    Quantity("aspect_ratio", "width divided by height", _ASPECTS, _ASPECTS, 2),
)  # fmt: skip


DEVICE, DEVICE_LABEL = "device", "device"


OTHER_DEVICES = "other devices"


MAX_DEVICES = 20


def quantities_of(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every quantity of every image, (N,) float; NaN where it is unknown.

    brightness is the luma of the mean colour (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B), 0 to 255.
    red_share and blue_share are shares of R + G + B, and NaN for a black image.

    Args:
        columns: the numeric ones of `PREDICTION_COLUMNS`, (N,) each.
    """
    red, green, blue = (
        np.asarray(columns[name], float) for name in ("mean_red", "mean_green", "mean_blue")
    )
    rows, width = (np.asarray(columns[name], float) for name in ("rows", "columns"))
    total = red + green + blue
    total = np.where(total > 0, total, np.nan)
    return {
        "melanoma_score": np.asarray(columns["melanoma_score"], float),
        "brightness": 0.299 * red + 0.587 * green + 0.114 * blue,
        "red_share": red / total,
        "blue_share": blue / total,
        "megapixels": rows * width / 1e6,
        "aspect_ratio": width / np.where(rows > 0, rows, np.nan),
    }


_MAX_COUNT = 1 << 53


@dataclass(frozen=True, eq=False)
class Histogram:
    """Images by bin of a quantity's grid.

    counts: (bins,) int64.
    total: sum of the values.
    """

    counts: np.ndarray
    total: float

    @property
    def images(self) -> int:
        """Number of images counted."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float | None:
        """Mean of the values; None without images."""
        return self.total / self.images if self.images else None


@dataclass(frozen=True, eq=False)
class NightFigures:
    """Counts of one night, or of several.

    histograms: by name of the quantity.
    devices: images by device.
    """

    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    devices: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The form in run.json: of every quantity the mean, and images by lower edge of a bin."""
        content: dict[str, Any] = {"grid_version": GRID_VERSION}
        for quantity in QUANTITIES:
            histogram = self.histograms.get(quantity.name)
            if histogram is not None and histogram.images:
                counts = zip(quantity.edges, histogram.counts.tolist(), strict=True)
                content[quantity.name] = {
                    "mean": round(histogram.total / histogram.images, 6),
                    "images_from": {f"{edge:g}": count for edge, count in counts if count},
                }
        return {**content, DEVICE: _most_frequent(self.devices)}


def figures_of(columns: Mapping[str, np.ndarray]) -> NightFigures:
    """Count images.

    Args:
        columns: `PREDICTION_COLUMNS`, (N,) each; texts as objects, None if missing.
    """
    words = (columns[name] for name in ("manufacturer", "manufacturer_model_name", "file_format"))
    devices = Counter(zip(*words, strict=True))
    by_name: Counter[str] = Counter()
    for identity, count in devices.items():
        by_name[device_name(*identity)] += count
    numbers = quantities_of(columns)
    return NightFigures(
        {quantity.name: histogram_of(numbers[quantity.name], quantity) for quantity in QUANTITIES},
        by_name,
    )


def histogram_of(numbers: np.ndarray, quantity: Quantity) -> Histogram:
    """Count numbers, (N,), on a quantity's grid; NaN and infinity do not count."""
    finite = numbers[np.isfinite(numbers)]
    bin_number = np.searchsorted(quantity.edges, finite, side="right") - 1
    counts = np.bincount(np.maximum(bin_number, 0), minlength=len(quantity.edges))
    return Histogram(counts.astype(np.int64), float(finite.sum()))


def empty_histogram(quantity: Quantity) -> Histogram:
    """A histogram without images."""
    return histogram_of(np.empty(0), quantity)


def combine(parts: Iterable[NightFigures]) -> NightFigures:
    """Add up figures; every image counts once."""
    sums: dict[str, Histogram] = {}
    devices: Counter[str] = Counter()
    for part in parts:
        devices.update(part.devices)
        for name, new in part.histograms.items():
            old = sums.get(name)
            sums[name] = Histogram(old.counts + new.counts, old.total + new.total) if old else new
    return NightFigures(sums, devices)


def figures_from_json(content: object) -> NightFigures | None:
    """Read the result of `NightFigures.to_json`; None if it is damaged or has another grid."""
    if not isinstance(content, Mapping) or content.get("grid_version") != GRID_VERSION:
        return None
    try:
        histograms = {
            quantity.name: _histogram(content[quantity.name], quantity)
            for quantity in QUANTITIES
            if quantity.name in content
        }
        devices = {str(name)[:MAX_DEVICE_NAME]: _count(n) for name, n in content[DEVICE].items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return NightFigures(histograms, devices)


def _histogram(content: Any, quantity: Quantity) -> Histogram:
    bin_of_edge = {f"{edge:g}": number for number, edge in enumerate(quantity.edges)}
    counts = np.zeros(len(quantity.edges), np.int64)
    for edge, count in content["images_from"].items():
        counts[bin_of_edge[edge]] = _count(count)
    mean = float(content["mean"])
    if not np.isfinite(mean):
        raise ValueError("a mean that is no number")
    return Histogram(counts, mean * int(counts.sum()))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MAX_COUNT:
        raise ValueError("a count that is none")
    return value


def _most_frequent(devices: Mapping[str, int]) -> dict[str, int]:
    """The most frequent devices, and the images of all others together."""
    ranked = sorted(devices.items(), key=lambda item: (-item[1], item[0]))
    kept = Counter(dict(ranked[:MAX_DEVICES]))
    if rest := sum(count for _, count in ranked[MAX_DEVICES:]):
        kept[OTHER_DEVICES] += rest
    return dict(kept)
