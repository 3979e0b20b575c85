"""Bilinear resize with antialiasing. The only importer of cykooz_resizer.

The kernel widens by the shrink factor, which is what makes it antialiased; TensorFlow's default and
OpenCV's do not. Columns are resized first, then rows, each rounded to bytes: the order and the
arithmetic of Pillow's resize, whose results these are but for one grey level in a few of 1,000
samples, on SIMD. Sums are of whole numbers: x86-64's instructions all give the same (tested).
"""

from __future__ import annotations

import threading

import numpy as np
from cykooz_resizer import (
    CropBox,
    FilterType,
    ImageData,
    PixelType,
    ResizeAlg,
    ResizeOptions,
    Resizer,
)

Box = tuple[float, float, float, float]
_BILINEAR = ResizeAlg.convolution(FilterType.bilinear)
_CHANNELS = 3
_own = threading.local()


def resize(pixels: np.ndarray, height: int, width: int, box: Box | None = None) -> np.ndarray:
    """Resize (h, w, 3) uint8 to (height, width, 3) uint8; the aspect ratio is not kept.

    Args:
        box: left, top, right, bottom of what is resized, in pixels; None for all of it.

    Returns:
        read-only; or `pixels` themselves where nothing is to be done.
    """
    rows, columns = pixels.shape[:2]
    left, top, right, bottom = box or (0, 0, columns, rows)
    passes = []
    if (left, right) != (0, columns) or columns != width:
        passes.append((rows, CropBox(left, 0, right - left, rows)))
    if (top, bottom) != (0, rows) or rows != height:
        passes.append((height, CropBox(0, top, width, bottom - top)))
    if not passes:
        return pixels
    image = ImageData(columns, rows, PixelType.U8x3, pixels.tobytes())
    for target_rows, crop in passes:
        source, image = image, ImageData(width, target_rows, PixelType.U8x3)
        _resizer().resize(source, image, ResizeOptions(_BILINEAR, use_alpha=False, crop_box=crop))
    return np.frombuffer(image.get_buffer(), np.uint8).reshape(height, width, _CHANNELS)


def _resizer() -> Resizer:
    """One a thread: two threads would wait for each other at its lock."""
    if not hasattr(_own, "resizer"):
        _own.resizer = Resizer()
    return _own.resizer
