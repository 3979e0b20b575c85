"""Strict JPEG decoding. The only importer of simplejpeg.

libjpeg treats damaged entropy-coded data as a warning and fills the rest with grey; Pillow passes
that on in silence. Here every warning about the data is a failure. On sound files the pixels are
Pillow's to the bit: both are libjpeg-turbo with the accurate inverse DCT (tests compare them).
"""

from __future__ import annotations

import numpy as np
import simplejpeg

from batch.errors import FailureReason, ImageFailure, Stage

_SCALES = (8, 4, 2)


def decode_rgb(data: bytes, rows: int, columns: int, at_least: int | None) -> np.ndarray:
    """Decode a three-component JPEG.

    Args:
        rows, columns: of the full image. at_least: when given, decode at the smallest of 1/8, 1/4
            and 1/2 scale that divides both sides and keeps them at least that long.

    Returns:
        (h, w, 3) uint8, RGB: a view of pixels of four bytes each, which `raster.resize` takes
        without copying.

    Raises:
        ImageFailure: DECODE_FAILED for truncated or damaged data.
    """
    scale = _scale(rows, columns, at_least)
    try:
        decoded: np.ndarray = simplejpeg.decode_jpeg(
            data,
            "RGBX",
            fastdct=False,
            fastupsample=False,
            min_height=-(-rows // scale),  # rounded up, as libjpeg does
            min_width=-(-columns // scale),
            strict=True,
        )
        return decoded[..., :3]
    except ValueError as error:
        raise ImageFailure(
            Stage.DECODE, FailureReason.DECODE_FAILED, "jpeg: truncated or damaged"
        ) from error


def _scale(rows: int, columns: int, at_least: int | None) -> int:
    """Only what divides both sides: the last pixel would else be mixed with the encoder's padding,
    and the picture stretched by a fraction of a pixel.
    """
    if at_least is None:
        return 1
    room = min(rows // at_least, columns // at_least)
    whole = (scale for scale in _SCALES if rows % scale == columns % scale == 0)
    return next((scale for scale in whole if scale <= room), 1)
