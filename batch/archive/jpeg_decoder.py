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
_AS_STORED = {1: "GRAY", 4: "CMYK"}


def decode_rgb(data: bytes, rows: int, columns: int, at_least: int | None) -> np.ndarray:
    """Decode a three-component JPEG.

    Args:
        rows, columns: of the full image. at_least: when given, decode at the smallest of 1/8, 1/4
            and 1/2 scale that keeps both sides at least that long.

    Returns:
        (h, w, 3) uint8, RGB. h and w are rounded up where the scale does not divide a side: the
        last line then stands for fewer lines of the image, and holds some of the encoder's padding.

    Raises:
        ImageFailure: DECODE_FAILED for truncated or damaged data.
    """
    scale = _scale(rows, columns, at_least)
    try:
        decoded: np.ndarray = simplejpeg.decode_jpeg(
            data,
            "RGB",
            fastdct=False,
            fastupsample=False,
            min_height=-(-rows // scale),  # rounded up, as libjpeg does
            min_width=-(-columns // scale),
            strict=True,
        )
        return decoded
    except ValueError as error:
        raise ImageFailure(
            Stage.DECODE, FailureReason.DECODE_FAILED, "jpeg: truncated or damaged"
        ) from error


def decode_components(data: bytes, components: int) -> np.ndarray:
    """Decode a JPEG of one or four components, which are taken as they are stored.

    Returns:
        (h, w, components) uint8.

    Raises:
        ImageFailure: DECODE_FAILED for truncated or damaged data.
    """
    try:
        decoded: np.ndarray = simplejpeg.decode_jpeg(data, _AS_STORED[components], strict=True)
        return decoded
    except ValueError as error:
        raise ImageFailure(
            Stage.DECODE, FailureReason.DECODE_FAILED, "jpeg: truncated or damaged"
        ) from error


def _scale(rows: int, columns: int, at_least: int | None) -> int:
    if at_least is None:
        return 1
    room = min(rows // at_least, columns // at_least)
    return next((scale for scale in _SCALES if scale <= room), 1)
