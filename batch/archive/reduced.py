"""JPEGs that were decoded at 1/2, 1/4 or 1/8 scale, resized as if they were whole.

Where the scale does not divide a side, the decoded picture ends in a line that stands for fewer
lines of the image than its neighbours. The resize is told the fraction, so nothing is stretched;
it weighs such a line like any other, and archives hold images whose last line is a white or
black one, so the last line of the result is computed here with the weights of the whole image.
"""

from __future__ import annotations

import numpy as np

from batch.archive.resizing import resize

SCALES = (1, 2, 4, 8)


def scale_of(pixels: np.ndarray, rows: int, columns: int) -> int:
    """At which part of its size an image of rows by columns was decoded to (h, w, 3) pixels.

    Raises:
        ValueError: at none that libjpeg gives.
    """
    for scale in SCALES:
        if pixels.shape[:2] == (-(-rows // scale), -(-columns // scale)):
            return scale
    raise ValueError(f"{pixels.shape} pixels of an image of {rows} by {columns}")


def resize_reduced(
    pixels: np.ndarray, rows: int, columns: int, height: int, width: int
) -> np.ndarray:
    """Resize like `resizing.resize`, as the whole image would have been.

    Args:
        pixels: (h, w, 3) uint8. rows, columns: of the image that they were decoded from.
        height, width: at most h / 2 and w / 2 where a fraction of a line is left, so that only
            the last line of the result sees it.

    Returns:
        (height, width, 3) uint8.
    """
    scale = scale_of(pixels, rows, columns)
    box = (0, 0, columns / scale, rows / scale)
    resized = resize(pixels, height, width, box)
    if rows % scale == columns % scale == 0:
        return resized
    resized = resized.copy()
    if rows % scale:
        bottom = _last(pixels, scale, rows, height)
        resized[-1] = _resize_line(bottom, scale, columns, width)
    if columns % scale:
        right = _last(pixels.swapaxes(0, 1), scale, columns, width)
        resized[:, -1] = _resize_line(right, scale, rows, height)
    return resized


def _resize_line(line: np.ndarray, scale: int, total: int, target: int) -> np.ndarray:
    """(n, 3) pixels that stand for `total` of the image to (target, 3)."""
    resized = resize(line[np.newaxis], 1, target, (0, 0, total / scale, 1))[0]
    if total % scale:
        resized = resized.copy()
        resized[-1] = _last(line, scale, total, target)
    return resized


def _last(lines: np.ndarray, scale: int, total: int, target: int) -> np.ndarray:
    """The last of `target` lines made of (n, …) lines, which stand for `total` of the image.

    The bilinear kernel of the whole image, summed over the lines that each decoded one stands for.
    """
    shrink = total / target
    centre = total - shrink / 2
    first = int((centre - shrink) // scale)
    at = np.arange(first * scale, total)
    weights = np.maximum(0.0, 1.0 - np.abs(at + 0.5 - centre) / shrink)
    weights = np.add.reduceat(weights, np.arange(0, len(at), scale)) / weights.sum()
    return np.rint(np.tensordot(weights, lines[first:], 1)).astype(np.uint8)
