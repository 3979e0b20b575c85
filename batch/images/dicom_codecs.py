"""The decoders of compressed DICOM frames, but for lossy JPEG: each is one library's.

The only importer of pylibjpeg-openjpeg, pylibjpeg-rle and pyjpegls. They are called
directly: what pydicom puts between asks the object's header for what the stream itself knows, and
headers are wrong there (Planar Configuration, Bits Stored, offset tables).
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
    """samples: (h, w) or (h, w, components), unsigned, as the stream has them. precision: bits of
    a sample, by the stream.
    """

    samples: np.ndarray
    precision: int


def decode_jpeg_lossless(frame: bytes) -> DecodedFrame:
    """Lossless JPEG, strictly: 8 bits by libjpeg-turbo, which refuses what is missing or invalid.

    What it cannot decode (more bits, other than three components) is decoded by two libraries that
    raise for nothing, and fill up what is missing in different ways. None notices that there is too
    much; then the last codes have no effect. A change within a code is still an image.

    Raises:
        ImageFailure: DECODE_FAILED.
    """
    header = jpeg_headers.read_header(frame)
    stream_headers.require_end(frame, "jpeg lossless")
    # as raw samples: what they mean is for the object's header to say
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
    except RuntimeError:  # it takes the last codes of some sound streams for missing
        return np.asarray(imagecodecs.jpegsof3_decode(frame))


def decode_jpeg_ls(frame: bytes) -> DecodedFrame:
    """JPEG-LS, of any interleave mode."""
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
    """JPEG 2000 or HTJ2K, raw or in a JP2 file; its own colour transform is undone."""
    precision = stream_headers.jpeg_2000_header(frame).precision
    samples = openjpeg.decode(frame)
    if samples.dtype.kind == "i":  # the same bits, as pydicom and others take them
        mask = np.array(2**precision - 1, samples.dtype.str.replace("i", "u"))
        samples = samples.view(mask.dtype) & mask
    return DecodedFrame(samples, precision)


def decode_rle(frame: bytes, rows: int, columns: int, samples: int, allocated: int) -> DecodedFrame:
    """DICOM's RLE: always one plane after the other, whatever Planar Configuration says.

    Raises:
        ImageFailure: HEADER_CONTRADICTS_PIXELS for another number of segments.
    """
    needed, found = samples * allocated // 8, int.from_bytes(frame[:4], "little")
    if found != needed:
        raise ImageFailure(
            Stage.DECODE,
            FailureReason.HEADER_CONTRADICTS_PIXELS,
            f"{found} segments in the RLE data; the header needs {needed}",
        )
    decoded = decode_rle_segments(
        frame, version=2, rows=rows, columns=columns, bits_allocated=allocated, byteorder=_RLE_ORDER
    )
    planes = np.frombuffer(decoded, f"{_RLE_ORDER}u{allocated // 8}").reshape(-1, rows, columns)
    return DecodedFrame(planes[0] if samples == 1 else planes.transpose(1, 2, 0), allocated)


def decode_jpeg_xl(frame: bytes) -> DecodedFrame:
    """JPEG XL; the stream knows its own colours, XYB included."""
    samples = imagecodecs.jpegxl_decode(frame)
    precision = stream_headers.jpeg_xl_header(frame).precision
    return DecodedFrame(samples, precision)


def _end_has_effect(
    frame: bytes, samples: np.ndarray, decode: Callable[[bytes], np.ndarray]
) -> bool:
    """Whether other bits in the last byte that is code for certain give other samples; the very
    last one may be padding. One change alone may be an invalid code, which is read as no change.

    Args:
        samples: what the stream gives.
    """
    scan = jpeg_headers.read_header(frame).segments[-1][2]
    at = len(frame[: frame.rindex(b"\xff\xd9")].rstrip(b"\xff")) - 2
    while at > scan and (frame[at] == 0xFF or frame[at - 1] == 0xFF):  # stuffed, or a marker
        at -= 1
    if at <= scan:
        return True  # too short to tell
    for other in {frame[at] ^ bits for bits in (0x55, 0xAA, 0x0F, 0xF0)} - {0xFF}:
        try:
            changed = decode(frame[:at] + bytes([other]) + frame[at + 1 :])
        except (RuntimeError, ImageFailure):
            return True
        if not np.array_equal(samples, changed):
            return True
    return False
