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

from batch.images.jpeg_headers import (
    APP2,
    ICC_NAME,
    SEQUENTIAL,
    START_OF_FRAME,
    JpegHeader,
    colour_marker,
    read_header,
    stream_colour,
)
from batch.images.jpeg_scans import scans

_DECIDING = START_OF_FRAME | {0xC4, 0xDB, 0xDD}
"""Frame headers, Huffman tables, quantisation tables, restart interval."""
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
    """Headers that decide pixels, then the scans and what is between them."""
    colour, _ = stream_colour(header, None)
    parts = [b"\xff\xd8", colour_marker(header, colour)]
    parts += [data[start:end] for marker, start, end in header.segments if marker in _DECIDING]
    written: int | None = None
    for start, coded, end in scans(data):
        parts.append(b"" if written is None else data[written:start])
        parts.append(_scan_header(data[start:coded], header))
        parts.append(data[coded:end] if padded else _without_padding(data[coded:end]))
        written = end
    parts.append(b"" if written is None else data[written:])
    return b"".join(parts)


def _scan_header(segment: bytes, header: JpegHeader) -> bytes:
    return segment[:-3] + _WHOLE_BLOCK if header.process in SEQUENTIAL else segment


def _without_padding(scan: bytes) -> bytes:
    last = scan[-1:]
    if last != b"\x00":
        bare = scan.rstrip(last)
        scan = bare if len(scan) - len(bare) >= _RUN else scan
    return _ZEROS.sub(b"", scan)
