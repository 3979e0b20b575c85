"""Decodes compressed DICOM frames, except lossy JPEG, with a library for each codec.

The libraries are called directly and not through pydicom. pydicom would take facts from the
object's header that the stream itself knows, and headers are often wrong (Planar Configuration,
Bits Stored, offset tables).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import jpeg_ls
import numpy as np
import openjpeg
from rle.utils import decode_pixel_data as decode_rle_segments

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images import jpeg_decoder, jpeg_headers, stream_headers
from batch.images.refusals import damaged

_RLE_ORDER = "<"


@dataclass(frozen=True, eq=False)
class DecodedFrame:
    """A decoded frame.

    samples: (h, w) or (h, w, components), unsigned, as in the stream.
    precision: bits of a sample, by the stream.
    """

    samples: np.ndarray
    precision: int


def decode_jpeg_lossless(frame: bytes) -> DecodedFrame:
    """Decode lossless JPEG, and refuse missing, invalid or additional data.

    Frames of 8 bits and three components are decoded by libjpeg-turbo, which notices missing and
    invalid data. Others are decoded by two libraries that report no errors but fill missing data in
    different ways, and the results are compared. No library notices additional data; they show by
    last codes without effect. A changed code alone is not noticed.

    Raises:
        ImageFailure: DECODE_FAILED.
    """
    header = jpeg_headers.read_header(frame)
    stream_headers.require_end(frame, "jpeg lossless")
    # decode raw samples, because the object's header says what they mean
    frame = jpeg_headers.state_colour(frame, header, jpeg_headers.StreamColour.RGB)
    is_common = header.precision == 8 and len(header.component_ids) == 3

    def decode(data: bytes) -> np.ndarray:
        if is_common:
            return jpeg_decoder.decode_rgb(data, header, None)
        return np.asarray(imagecodecs.jpeg8_decode(data))

    samples = decode(frame)
    if not is_common and not np.array_equal(samples, _decoded_again(frame)):
        raise damaged("jpeg lossless: truncated or damaged")
    if not _end_has_effect(frame, samples, decode):
        raise damaged("jpeg lossless: more data than pixels")
    return DecodedFrame(samples, header.precision)


def _decoded_again(frame: bytes) -> np.ndarray:
    try:
        return np.asarray(imagecodecs.ljpeg_decode(frame))
    except RuntimeError:  # it reports the last codes of some good streams as missing
        return np.asarray(imagecodecs.jpegsof3_decode(frame))


def decode_jpeg_ls(frame: bytes) -> DecodedFrame:
    """Decode JPEG-LS of any interleave mode."""
    buffer, info = jpeg_ls.decode_pixel_data(frame)
    precision, components = info["bits_per_sample"], info["components"]
    samples = np.frombuffer(buffer, np.uint8 if precision <= 8 else "<u2")
    size = info["height"], info["width"]
    if components == 1:
        samples = samples.reshape(size)
    elif info["interleave_mode"] == 0:  # one plane after the other
        samples = samples.reshape(components, *size).transpose(1, 2, 0)
    else:
        samples = samples.reshape(*size, components)
    return DecodedFrame(samples, precision)


def decode_jpeg_2000(frame: bytes) -> DecodedFrame:
    """Decode JPEG 2000 or HTJ2K, raw or in a JP2 file, and undo its own colour transform."""
    precision = stream_headers.jpeg_2000_header(frame).precision
    samples = openjpeg.decode(frame)
    if samples.dtype.kind == "i":  # take the same bits as unsigned, as pydicom and others do
        mask = np.array(2**precision - 1, samples.dtype.str.replace("i", "u"))
        samples = samples.view(mask.dtype) & mask
    return DecodedFrame(samples, precision)


def decode_rle(frame: bytes, rows: int, columns: int, samples: int, allocated: int) -> DecodedFrame:
    """Decode DICOM's RLE, which always has one plane after the other, for any Planar Configuration.

    Raises:
        ImageFailure: HEADER_CONTRADICTS_PIXELS for a wrong number of segments.
    """
    needed, segments = samples * allocated // 8, int.from_bytes(frame[:4], "little")
    if segments != needed:
        raise ImageFailure(
            Stage.DECODE,
            FailureReason.HEADER_CONTRADICTS_PIXELS,
            f"{segments} segments in the RLE data; the header needs {needed}",
        )
    decoded = decode_rle_segments(
        frame, version=2, rows=rows, columns=columns, bits_allocated=allocated, byteorder=_RLE_ORDER
    )
    planes = np.frombuffer(decoded, f"{_RLE_ORDER}u{allocated // 8}").reshape(-1, rows, columns)
    return DecodedFrame(planes[0] if samples == 1 else planes.transpose(1, 2, 0), allocated)


def decode_jpeg_xl(frame: bytes) -> DecodedFrame:
    """Decode JPEG XL; the stream knows its own colour space, also XYB."""
    samples = imagecodecs.jpegxl_decode(frame)
    precision = stream_headers.jpeg_xl_header(frame).precision
    return DecodedFrame(samples, precision)


def _end_has_effect(
    frame: bytes, samples: np.ndarray, decode: Callable[[bytes], np.ndarray]
) -> bool:
    """Whether a change in the last byte of code changes the samples.

    The very last byte may be padding, so the byte before it is changed. Several changes are tried,
    because one may be an invalid code without effect.

    Args:
        frame: the stream.
        samples: that it gives.
        decode: decodes a stream.
    """
    scan = jpeg_headers.read_header(frame).segments[-1][2]
    at = len(frame[: frame.rindex(b"\xff\xd9")].rstrip(b"\xff")) - 2
    while at > scan and (frame[at] == 0xFF or frame[at - 1] == 0xFF):  # stuffed, or a marker
        at -= 1
    if at <= scan:
        return True  # too short for this test
    for other in {frame[at] ^ bits for bits in (0x55, 0xAA, 0x0F, 0xF0)} - {0xFF}:
        try:
            changed = decode(frame[:at] + bytes([other]) + frame[at + 1 :])
        except (RuntimeError, ImageFailure):
            return True
        if not np.array_equal(samples, changed):
            return True
    return False
