"""Measures whether a picture can be judged: sharpness, noise, exposure, dark surround.

Sharpness and noise are measured on the green channel at one size: the longest side of the picture
has at most 512 pixels (a smaller picture is measured as it is). The middle half of both sides is
looked at, where the lesion is, because the whole would cost four times as much. Exposure and shares
are measured on the model's input. A flag says that the score is not to be relied on; it drops
nothing and takes no alert back.

`QualityBounds` says from where on a picture is flagged. `python -m tests.tools.quality FOLDER …`
measures pictures as they are, and again blurred, darkened and lightened; batch/images/README.md has
its table.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from cykooz_resizer import FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions

from batch.core.rules import QualityBounds
from batch.images.preprocess import resizer
from batch.images.uniform import NEARLY_UNIFORM

LONGEST_SIDE = 512
BLURRY, UNDEREXPOSED, OVEREXPOSED = "blurry", "underexposed", "overexposed"
UNRELIABLE_FLAGS = frozenset({BLURRY, UNDEREXPOSED, OVEREXPOSED, NEARLY_UNIFORM})
"""Flags with which a score below the threshold is no statement about the lesion."""

_OCTAVES = 3
_LEAST_VARIANCE = 1e-3
"""Of a Laplacian, in squared grey levels: a plane without any structure."""
_STEP = 2
"""Of the model's input every second row and column is looked at, for brightness and shares."""
_MIDDLE = 0.45
"""Radius of the disc in the middle, as a share of the side: within a dark surround."""
_DARK, _SATURATED = 24, 250
_BILINEAR = ResizeAlg.convolution(FilterType.bilinear)


@dataclass(frozen=True)
class Quality:
    """What was measured of a picture.

    sharpness: natural logarithm of the variance of the Laplacian, minus half the logarithm of the
        same three octaves coarser. So contrast and camera hardly count, but detail that is missing
        where coarse structure is there. The lower of two: from the full size, and from half of it,
        where rounding to whole grey levels no longer looks like detail.
    noise: standard deviation of noise in grey levels, by the median of second differences along
        the rows; skin and hair hardly count in a median.
    bright_level: 90th percentile of the brightest channel in the middle, 0..255.
    dark_surround_share: of pixels whose brightest channel is 24 or less, 0..1.
    saturated_share: of pixels with a channel of 250 or more; white_share: with all of them.
    """

    sharpness: float
    noise: float
    bright_level: float
    dark_surround_share: float
    saturated_share: float
    white_share: float


def quality_flags(quality: Quality, bounds: QualityBounds) -> tuple[str, ...]:
    """Flags of a picture, sorted."""
    named = {
        BLURRY: quality.sharpness < bounds.sharpness,
        OVEREXPOSED: quality.saturated_share >= bounds.saturated_share
        or quality.white_share >= bounds.white_share,
        UNDEREXPOSED: quality.bright_level < bounds.bright_level,
    }
    return tuple(sorted(name for name, is_so in named.items() if is_so))


def is_reliable(flags: Collection[str]) -> bool:
    """Whether no flag of a picture says that it cannot be judged."""
    return UNRELIABLE_FLAGS.isdisjoint(flags)


def measure_quality(pixels: np.ndarray, model_input: np.ndarray) -> Quality:
    """Measure a picture.

    Args:
        pixels: (h, w, 3) uint8, RGB, as decoded, perhaps at reduced scale.
        model_input: (180, 180, 3) uint8, made of them.
    """
    green = middle_green(pixels)
    seen = np.ascontiguousarray(model_input[::_STEP, ::_STEP].transpose(2, 0, 1))
    lightest, darkest = seen.max(axis=0), seen.min(axis=0)
    return Quality(
        sharpness=round(_sharpness(green), 3),
        noise=round(_noise(green), 2),
        bright_level=_bright_level(lightest[_disc(lightest.shape)]),
        dark_surround_share=_share(lightest <= _DARK),
        saturated_share=_share(lightest >= _SATURATED),
        white_share=_share(darkest >= _SATURATED),
    )


def middle_green(pixels: np.ndarray) -> np.ndarray:
    """The middle half of both sides of (h, w, 3) uint8, its green channel, uint8.

    It is shrunk as a picture would be whose longest side becomes 512.
    """
    scale = LONGEST_SIDE / max(pixels.shape[:2])
    top, left = (side // 4 for side in pixels.shape[:2])
    bottom, right = pixels.shape[0] - top, pixels.shape[1] - left
    green = np.ascontiguousarray(pixels[top:bottom, left:right, 1])
    if scale >= 1:
        return green
    rows, columns = green.shape
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    source = ImageData(columns, rows, PixelType.U8, green.tobytes())
    target = ImageData(width, height, PixelType.U8)
    resizer().resize(source, target, ResizeOptions(_BILINEAR, use_alpha=False))
    return np.frombuffer(target.get_buffer(), np.uint8).reshape(height, width)


def _sharpness(green: np.ndarray) -> float:
    plane = green.astype(np.float32)
    logs = [_log_variance(green.astype(np.int16))]
    for _ in range(_OCTAVES + 1):
        plane = _halved(plane)
        logs.append(_log_variance(plane))
    return min(logs[at] - 0.5 * logs[at + _OCTAVES] for at in (0, 1))


def _log_variance(plane: np.ndarray) -> float:
    """Logarithm of the variance of the Laplacian; of the least where there is no room for one."""
    if min(plane.shape) < 3:
        return math.log(_LEAST_VARIANCE)
    laplacian = plane[1:-1, 1:-1] * 4
    laplacian -= plane[:-2, 1:-1]
    laplacian -= plane[2:, 1:-1]
    laplacian -= plane[1:-1, :-2]
    laplacian -= plane[1:-1, 2:]
    values = laplacian.astype(np.float32).ravel()
    mean = float(values.mean())
    variance = float(np.dot(values, values)) / len(values) - mean * mean
    return math.log(max(variance, _LEAST_VARIANCE))


def _halved(plane: np.ndarray) -> np.ndarray:
    """Means of two by two pixels; an odd last row or column is left out."""
    rows, columns = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    if not (rows and columns):
        return plane
    even = plane[:rows, :columns]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4


def _noise(green: np.ndarray) -> float:
    if min(green.shape) < 3:
        return 0.0
    plane = green[::4].astype(np.int16)  # a quarter of the rows suffices
    across = plane[:, :-2] - 2 * plane[:, 1:-1] + plane[:, 2:]
    counts = np.bincount(np.minimum(np.abs(across.ravel()), 255), minlength=256)
    # the grouped median of whole numbers; of a second difference of white noise, sigma times √6
    middle = counts.sum() / 2
    below = np.concatenate([[0], np.cumsum(counts)])
    at = int(np.searchsorted(below, middle, side="right")) - 1
    median = at - 0.5 + (middle - below[at]) / counts[at] if at else 0.5 * middle / counts[0]
    return float(median) / 0.6745 / math.sqrt(6)


_discs: dict[tuple[int, ...], np.ndarray] = {}


def _disc(shape: tuple[int, ...]) -> np.ndarray:
    """(h, w) bool: the disc in the middle."""
    if shape not in _discs:
        down, across = (np.arange(side) - (side - 1) / 2 for side in shape)
        radius = _MIDDLE * min(shape)
        _discs[shape] = down[:, None] ** 2 + across[None] ** 2 < radius**2
    return _discs[shape]


def _bright_level(levels: np.ndarray) -> float:
    at = len(levels) * 9 // 10
    return float(np.partition(levels, at)[at])  # np.percentile takes five times as long


def _share(mask: np.ndarray) -> float:
    return round(int(np.count_nonzero(mask)) / mask.size, 4)
