"""Decodes JPEG strictly.

For damaged coded data libjpeg only warns and fills the rest with grey, and Pillow ignores the
warning. Here every warning about the data is a failure. A stream that fails is tried again without
faults of its headers. For good files the pixels are exactly Pillow's: both use libjpeg-turbo with
the accurate inverse DCT.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import simplejpeg

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images import jpeg_entropy, jpeg_repair
from batch.images.jpeg_blocks import DamagedError
from batch.images.jpeg_headers import LOSSLESS, JpegHeader
from batch.images.jpeg_scans import has_every_scan
from batch.images.jpeg_support import is_read_by_turbojpeg

_SCALES = (8, 4, 2)
_AS_STORED = {1: "GRAY", 4: "CMYK"}

Result = TypeVar("Result")


def decode_rgb(
    data: bytes, header: JpegHeader, at_least: int | None, eighths: int | None = None
) -> np.ndarray:
    """Decode a JPEG of three components whose sampling TurboJPEG knows.

    Args:
        data: a stream that says its colour, see `jpeg_headers.state_colour`.
        header: of the stream.
        at_least: when given, decode at the smallest of 1/8, 1/4 and 1/2 scale that
            keeps both sides at least that long.
        eighths: when given, decode at so many eighths of the size, 1 to 8, instead.

    Returns:
        (h, w, 3) uint8, RGB. h and w are rounded up if the scale does not divide a side; the last
        line then covers fewer lines of the image, and some of the encoder's padding.

    Raises:
        ImageFailure: DECODE_FAILED for truncated or damaged data.
    """
    scale = 1 if header.process == LOSSLESS else _scale(header.rows, header.columns, at_least)
    rows, columns = -(-header.rows // scale), -(-header.columns // scale)  # as libjpeg does
    if eighths is not None and header.process != LOSSLESS:
        rows, columns = (-(-side * eighths // 8) for side in (header.rows, header.columns))
    return _first_that_passes(data, header, lambda form: _decode(form, "RGB", rows, columns))


def whole_stream(data: bytes, header: JpegHeader) -> bytes:
    """Check a stream for a decoder that would not notice missing or damaged data.

    It is used for CMYK, and for samplings that TurboJPEG does not know.

    Returns:
        data, or a form of it that libjpeg reads without a warning.


    Raises:
        ImageFailure: DECODE_FAILED.
    """

    def check(form: bytes) -> bytes:
        if is_read_by_turbojpeg(header.sampling):
            _decode(form, "CMYK" if len(header.component_ids) == 4 else "RGB")
        else:
            jpeg_entropy.check_whole(form)
        return form

    return _first_that_passes(data, header, check)


def _decode(data: bytes, colours: str, rows: int = 0, columns: int = 0) -> np.ndarray:
    decoded: np.ndarray = simplejpeg.decode_jpeg(
        data,
        colours,
        fastdct=False,
        fastupsample=False,
        min_height=rows,
        min_width=columns,
        strict=True,
    )
    return decoded


def _first_that_passes(
    data: bytes, header: JpegHeader, attempt: Callable[[bytes], Result]
) -> Result:
    if not has_every_scan(data, header):
        raise ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, "jpeg: truncated or damaged")
    failure: Exception | None = None
    for form in jpeg_repair.forms(data):
        try:
            return attempt(form)
        except (ValueError, DamagedError) as error:
            failure = error
    raise ImageFailure(
        Stage.DECODE, FailureReason.DECODE_FAILED, "jpeg: truncated or damaged"
    ) from failure


def decode_components(data: bytes, components: int) -> np.ndarray:
    """Decode a JPEG of one or four components, without a conversion of colours.


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
