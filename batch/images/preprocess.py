"""Makes the model's input from RGB pixels; training, evaluation and scoring share this function.

Rule `squash-bilinear-antialias`: both sides become 180 pixels, for any aspect ratio (as in the ISIC
sets), bilinear with antialiasing, without cropping. Colours of another space than sRGB are then
converted by the embedded profile; nothing else changes a colour. EXIF orientation is not applied,
because the training images were not turned either.
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

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images.colour_profiles import UNCHANGED, Conversion

Box = tuple[float, float, float, float]


_BILINEAR = ResizeAlg.convolution(FilterType.bilinear)


_CHANNELS = 3


_own = threading.local()


def resize(pixels: np.ndarray, height: int, width: int, box: Box | None = None) -> np.ndarray:
    """Resize pixels, (h, w, 3), uint8, to (height, width, 3) without keeping the aspect ratio.

    Args:
        box: left, top, right, bottom of the part to resize, in pixels; None for all.

    Returns:
        a read-only array, or `pixels` themselves if there is nothing to do.
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
        resizer().resize(source, image, ResizeOptions(_BILINEAR, use_alpha=False, crop_box=crop))
    return np.frombuffer(image.get_buffer(), np.uint8).reshape(height, width, _CHANNELS)


def resizer() -> Resizer:
    """A resizer for each thread, since threads would wait for each other at its lock."""
    if not hasattr(_own, "resizer"):
        _own.resizer = Resizer()
    return _own.resizer


SCALES = (1, 2, 4, 8)


def scale_of(pixels: np.ndarray, rows: int, columns: int) -> int:
    """The scale, 1, 2, 4 or 8, at which an image of rows by columns was decoded to these pixels.

    Raises:
        ValueError: the size fits no scale of libjpeg.
    """
    for scale in SCALES:
        if pixels.shape[:2] == (-(-rows // scale), -(-columns // scale)):
            return scale
    raise ValueError(f"{pixels.shape} pixels of an image of {rows} by {columns}")


def resize_reduced(
    pixels: np.ndarray, rows: int, columns: int, height: int, width: int
) -> np.ndarray:
    """Resize pixels of reduced scale such that the result is as for the full image.

    Args:
        pixels: (h, w, 3) uint8.
        rows, columns: of the full image.
        height, width: at most h / 2 and w / 2 if the scale does not divide rows or columns, so that
            only the last line of the result is affected.

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
    """Resize a line, (n, 3), that covers `total` pixels of the image, to (target, 3)."""
    resized = resize(line[np.newaxis], 1, target, (0, 0, total / scale, 1))[0]
    if total % scale:
        resized = resized.copy()
        resized[-1] = _last(line, scale, total, target)
    return resized


def _last(lines: np.ndarray, scale: int, total: int, target: int) -> np.ndarray:
    """The last of `target` lines made of lines, (n, …), that cover `total` lines of the image.

    The bilinear kernel of the full image is summed over the lines that each decoded line covers.
    """
    shrink = total / target
    centre = total - shrink / 2
    first = int((centre - shrink) // scale)
    at = np.arange(first * scale, total)
    weights = np.maximum(0.0, 1.0 - np.abs(at + 0.5 - centre) / shrink)
    weights = np.add.reduceat(weights, np.arange(0, len(at), scale)) / weights.sum()
    return np.rint(np.tensordot(weights, lines[first:], 1)).astype(np.uint8)


HEIGHT = WIDTH = 180


CHANNELS = 3


RESIZE_RULE = "squash-bilinear-antialias"


PREPROCESSING_VERSION = "4"
"""Changes whenever the same file would give other pixels; part of every manifest and row."""


DECODE_AT_LEAST = 5 * HEIGHT // 2
"""A JPEG may be decoded at reduced scale, down to two and a half times the target. The final resize
then still averages, and the scores stay within the bound that the tests state. With twice the
target, which is a little cheaper, they do not."""


def preprocess(
    pixels: np.ndarray,
    rows: int | None = None,
    columns: int | None = None,
    colours: Conversion = UNCHANGED,
) -> np.ndarray:
    """Make the model's input of an image.

    Args:
        pixels: (h, w, 3) uint8, RGB.
        rows, columns: of the full image, if the pixels may have a reduced scale; None if they are
            the full image.
        colours: the conversion of the image's profile.

    Returns:
        (180, 180, 3) uint8, sRGB, contiguous.

    Raises:
        ImageFailure: MODEL_INPUT_INVALID for another shape or dtype.
    """
    if pixels.ndim != 3 or pixels.shape[2] != CHANNELS or pixels.dtype != np.uint8:
        raise ImageFailure(
            Stage.DECODE,
            FailureReason.MODEL_INPUT_INVALID,
            f"pixels {pixels.shape} {pixels.dtype}; allowed: (h, w, 3) uint8",
        )
    if rows is None or columns is None:
        rows, columns = pixels.shape[:2]
    resized = np.ascontiguousarray(resize_reduced(pixels, rows, columns, HEIGHT, WIDTH))
    return colours.convert(resized)


def mean_colour(pixels: np.ndarray) -> tuple[float, float, float]:
    """The mean of each channel, by which nights compare brightness and colour.

    Args:
        pixels: (h, w, 3) uint8, RGB: the model's input.

    Returns:
        red, green, blue, 0..255, to a tenth of a grey level.
    """
    # rows first: summing an image at once is slower (480 against 27 microseconds)
    sums = pixels.sum(axis=0, dtype=np.uint32).sum(axis=0, dtype=np.uint64)
    count = pixels.shape[0] * pixels.shape[1]
    red, green, blue = (round(float(channel_sum) / count, 1) for channel_sum in sums)
    return red, green, blue
