"""Rewrites a stream without faults of which libjpeg warns but on which no pixel depends.

Warnings of libjpeg show damage, but some are about headers only: an unknown JFIF revision, missing
chunks of a colour profile, scan parameters that a sequential scan does not use, stray bytes between
segments, padding before a marker. Nothing that decides a pixel is changed, so a stream with damaged
coded data fails in every form. Only a stream that has failed is rewritten.
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
"""All coefficients at once: the only scan parameters that are possible in a sequential JPEG."""

_ZEROS = re.compile(rb"(?:(?<![\xff\x00])|(?<=\xff\x00))\x00+(?=\xff+[\xd0-\xd7]|\Z)")
"""Zeros after the last code of a restart interval or a scan, without the zero that T.81 stuffs
after a byte 0xFF of data."""
_RUN = 16
"""Least length of padding with another byte than zero. It must be a run of one value, which the
rest of damaged data is not."""


def forms(data: bytes) -> Iterator[bytes]:
    """The stream as it is, then with clean headers, then also without padding, if these differ.

    Args:
        data: a stream of three or four components that states its colour, see
            `jpeg_headers.state_colour`.
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
    """The stream, and simpler forms for a reader of metadata that fails on a header segment.

    The second form lacks segments that point to other pictures of the file; the third has only
    segments that decide pixels.
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
    """The headers that decide pixels, and then the scans and the segments between them."""
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
