"""A JPEG without its metadata, copied without decoding: its pixels stay as they are, to the bit.

A copy is made only of what is understood from the first byte to the last: one frame, baseline or
progressive, 8 bits, grey or YCbCr. Everything else is refused, and the caller decodes and encodes.
That the coded data are sound is for a decoder to say; nothing here looks into them.

Source: ITU-T T.81 annex B; JFIF 1.02; Adobe TN 5116. Pure.
"""

from __future__ import annotations

import re

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images.jpeg_headers import (
    APP0,
    APP14,
    EOI,
    PROGRESSIVE,
    SEQUENTIAL,
    SOI,
    SOS,
    StreamColour,
    read_header,
    stream_colour,
)
from batch.images.jpeg_scans import end_of_scan

MOST_SCANS = 100
"""Encoders write about ten. Thousands, each over the whole picture, keep a browser busy."""

_MARKER = re.compile(rb"\xff+[^\x00\xff]")
"""Fill bytes, then a marker."""
_HUFFMAN, _QUANTIZATION, _RESTARTS, _COMMENT = 0xC4, 0xDB, 0xDD, 0xFE
_TABLES = frozenset({_HUFFMAN, _QUANTIZATION, _RESTARTS})
_FRAMES = SEQUENTIAL | {PROGRESSIVE}
_APPLICATION = range(0xE0, 0xF0)
_JFIF, _ADOBE = b"JFIF\x00", b"Adobe"
_JFIF_BYTES, _ADOBE_BYTES = 14, 12
_JFIF_SIZE_OF_THUMBNAIL = 12
_COLOURS = frozenset({StreamColour.GREY, StreamColour.YCBCR})
_BITS = 8


def without_metadata(data: bytes) -> bytes:
    """The same picture with nothing but what a decoder needs.

    What stays: tables, the frame, the scans, JFIF's marker (without its small picture) and Adobe's,
    which say what the components are. What goes: every other application segment (Exif with place
    and time, profiles, further pictures), comments, fill bytes, and all that follows the end.

    Args:
        data: a whole file.

    Returns:
        a JPEG that decodes to the same samples.

    Raises:
        ImageFailure: UNSUPPORTED_FORMAT for a kind of JPEG that is not copied; DECODE_FAILED where
            the stream is cut short, or holds what does not belong there.
    """
    if data[:2] != bytes([0xFF, SOI]):
        raise _broken("no start of image")
    parts, position, scans, seen = [data[:2]], 2, 0, set[int]()
    while True:
        marker, start, end = _segment(data, position)
        if marker == EOI:
            break
        if marker == SOS:
            scans, end = scans + 1, end_of_scan(data, end)
            if scans > MOST_SCANS:
                raise _refused("more scans than a browser should be asked for")
        parts.append(_kept(marker, data[start:end], seen))
        position = end
    if not scans:
        raise _broken("no scan")
    copy = b"".join([*parts, bytes([0xFF, EOI])])
    _check_kind(copy)
    return copy


def _segment(data: bytes, position: int) -> tuple[int, int, int]:
    """(marker, start, end) of the segment at a position; its start is after fill bytes."""
    found = _MARKER.match(data, position)
    if found is None:
        raise _broken("no marker where one belongs")
    start = found.end() - 2
    marker = data[start + 1]
    if marker == EOI:
        return marker, start, start + 2
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    end = start + 2 + length
    if length < 2 or end > len(data) or len(data) < start + 4:
        raise _broken("a segment that ends outside of the file")
    return marker, start, end


def _kept(marker: int, segment: bytes, seen: set[int]) -> bytes:
    """What stays of a segment.

    Args:
        segment: with its marker and length; of a scan also the coded data. seen: markers of which
            there may be one only, added to.
    """
    payload = segment[4:]
    if marker == SOS or marker in _TABLES:
        return segment
    if marker in _FRAMES:
        _once(-1, seen)
        return segment
    if marker == APP0 and payload[:5] == _JFIF and len(payload) >= _JFIF_BYTES:
        _once(marker, seen)
        return _rebuilt(marker, payload[:_JFIF_SIZE_OF_THUMBNAIL] + b"\x00\x00")
    if marker == APP14 and payload[:5] == _ADOBE and len(payload) >= _ADOBE_BYTES:
        _once(marker, seen)
        return _rebuilt(marker, payload[:_ADOBE_BYTES])
    if marker in _APPLICATION or marker == _COMMENT:
        return b""
    raise _refused(f"segment {marker:#04x}")


def _rebuilt(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload


def _once(marker: int, seen: set[int]) -> None:
    if marker in seen:
        raise _refused("several frames, or several marks of the colours")
    seen.add(marker)


def _check_kind(data: bytes) -> None:
    """Make sure that a viewer without our rules shows what we would."""
    header = read_header(data)
    colour, is_ambiguous = stream_colour(header, None)
    if colour not in _COLOURS or is_ambiguous or header.process not in _FRAMES:
        raise _refused("other colours than grey or YCbCr")
    if header.precision != _BITS or not header.rows or not header.columns:
        raise _refused("other than 8 bits, or a size that is told later")


def _broken(detail: str) -> ImageFailure:
    return ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, f"jpeg: {detail}")


def _refused(detail: str) -> ImageFailure:
    return ImageFailure(
        Stage.DECODE, FailureReason.UNSUPPORTED_FORMAT, f"jpeg not copied: {detail}"
    )
