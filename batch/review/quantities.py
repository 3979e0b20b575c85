"""What is measured of a night's images, and the fixed grids on which it is counted. Pure.

The grids are fixed so that the counts of any two nights can be compared without their images.
Bins reach from one edge to below the next; the last one has no end. Another grid is another
`GRID_VERSION`, and then earlier nights are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

GRID_VERSION = 1

PREDICTION_COLUMNS = (
    "melanoma_score", "rows", "columns", "mean_red", "mean_green", "mean_blue", "file_format",
    "manufacturer", "manufacturer_model_name",
)  # fmt: skip
"""Of `predictions`: all that a night's figures are made of."""


@dataclass(frozen=True)
class Quantity:
    """Something that every image has one number of.

    edges: lower ends of the bins. shown: of these the ones that a chart has, evenly spaced or
    named. digits: of its mean in a sentence.
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
MAX_DEVICES, MAX_DEVICE_NAME = 20, 64


def values(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every quantity of every image, (N,) float; NaN where it is not known.

    brightness: luma of the mean colour (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B), 0 to 255.
    red_share, blue_share: of R + G + B; NaN for a black image.

    Args:
        columns: `PREDICTION_COLUMNS` but for the words, (N,) numbers.
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


def device(manufacturer: str | None, model: str | None, file_format: str) -> str:
    """One name for what took an image; for a file that does not tell, its kind."""
    named = " ".join(part.strip() for part in (manufacturer, model) if part and part.strip())
    if not named:
        return "DICOM without a device" if file_format == "dicom" else f"{file_format} file"
    printable = "".join(letter if letter.isprintable() else "?" for letter in named)
    return printable[:MAX_DEVICE_NAME]
