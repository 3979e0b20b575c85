"""A stream written anew without what libjpeg warns of although no pixel depends on it.

libjpeg's warnings are what tells damage, and some of them are about headers only: cameras and
programs write an unknown JFIF revision, a colour profile of which chunks are missing, scan
parameters that a sequential scan does not use, stray bytes between segments, padding before a
marker. Nothing that decides a pixel is touched, so a stream whose coded data is damaged fails in
every form. Only a stream that failed as it is comes here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from batch.archive.jpeg import (
    APP2,
    EOI,
    ICC_NAME,
    SEQUENTIAL,
    SOS,
    START_OF_FRAME,
    JpegHeader,
    StreamColour,
    colour_marker,
    end_of_scan,
    read_header,
    stream_colour,
    walk,
)

_DECIDING = START_OF_FRAME | {0xC4, 0xDB, 0xDD, EOI}
"""Frame headers, Huffman tables, quantisation tables, restart interval, end of the image."""
_WHOLE_BLOCK = b"\x00\x3f\x00"
"""All coefficients, at once: the only scan parameters that a sequential JPEG can mean."""

_ZEROS = re.compile(rb"(?:(?<![\xff\x00])|(?<=\xff\x00))\x00+(?=\xff+[\xd0-\xd7]|\Z)")
"""Zeros after the last code of a restart interval or a scan; never the zero that T.81 stuffs after
a byte 0xFF of data."""
_RUN = 16
"""Bytes of another value are padding only as a run of one value: what is left over of damaged data
looks like data."""


def forms(data: bytes) -> Iterator[bytes]:
    """The stream as it is, with clean headers, and without padding too; each if it differs.

    Args:
        data: a stream of three or four components that says its colour, see `jpeg.state_colour`.
    """
    yield data
    header = read_header(data)
    clean = _rewritten(data, header, padded=True)
    if clean != data:
        yield clean
    bare = _rewritten(data, header, padded=False)
    if bare != clean:
        yield bare


def readable(data: bytes) -> Iterator[bytes]:
    """The stream, and what to open in its place when a header segment stops the reader of metadata.

    First without the segments that point to other pictures of the file, then without any that
    decides no pixel. For metadata only.
    """
    yield data
    header = read_header(data)
    kept = [
        data[start:end]
        for marker, start, end in header.segments
        if marker != APP2 or data.startswith(ICC_NAME, start + 4)
    ]
    yield b"\xff\xd8" + b"".join(kept)
    yield _rewritten(data, header, padded=True)


def _rewritten(data: bytes, header: JpegHeader, padded: bool) -> bytes:
    """Headers that decide pixels, and scans, from the start of the image to its end."""
    colour, _ = stream_colour(header, None)
    parts = [b"\xff\xd8", colour_marker(header, colour)]
    position: int | None = 2
    while position is not None:
        segments, position = walk(data, position), None
        for marker, start, end in segments:
            if marker in _DECIDING:
                parts.append(data[start:end])
            elif marker == SOS:
                parts.append(_scan_header(data[start:end], header))
                position = end_of_scan(data, end)
                scan = data[end:position]
                parts.append(scan if padded else _without_padding(scan))
    return b"".join(parts)


def _scan_header(segment: bytes, header: JpegHeader) -> bytes:
    return segment[:-3] + _WHOLE_BLOCK if header.process in SEQUENTIAL else segment


def _without_padding(scan: bytes) -> bytes:
    last = scan[-1:]
    if last != b"\x00":
        bare = scan.rstrip(last)
        scan = bare if len(scan) - len(bare) >= _RUN else scan
    return _ZEROS.sub(b"", scan)
