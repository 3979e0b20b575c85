"""Where the scans of a JPEG are, how many, and whether all of them are there.

A progressive picture comes in about ten scans, and one whose components are not interleaved in one
for each. libjpeg shows what there is, without a warning: a file that was cut between two scans and
closed is blurred, or has lost its colours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from batch.images.jpeg_headers import PROGRESSIVE, SOS, JpegHeader, walk

_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""What ends coded data: a marker that is neither a stuffed zero nor a restart."""
_COEFFICIENTS = 64


def count_scans(data: bytes, start: int = 0) -> int:
    """Scans of the stream that begins at `start`; what looks like one in a segment is none."""
    return sum(1 for _ in scans(data, start))


def scans(data: bytes, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yield (start of its header, start of its coded data, end of that) of every scan."""
    position: int | None = start + 2
    while position is not None:
        headers, position = walk(data, position), None
        for marker, found, coded in headers:
            if marker == SOS:
                position = end_of_scan(data, coded)
                yield found, coded, position


def end_of_scan(data: bytes, position: int) -> int:
    """Where the coded data at `position` ends: at a marker, fill bytes before it, or the end."""
    found = _AFTER_SCAN.search(data, position)
    if found is None:
        return len(data)
    return position + len(data[position : found.start()].rstrip(b"\xff"))


def has_every_scan(data: bytes, header: JpegHeader) -> bool:
    """Whether the scans bring every coefficient of every component, to its last bit.

    The standard does not ask for that; what an encoder left out is not told from what was lost.

    Args:
        header: of the stream. Where its first scan is its only one, nothing is searched.
    """
    count = len(header.component_ids)
    if header.process != PROGRESSIVE and header.scan_components == count:
        return True
    missing = [bytearray(b"\x01" * _COEFFICIENTS) for _ in range(count)]
    for found, coded, _ in scans(data):
        payload = data[found + 4 : coded]
        first, last, approximation = payload[-3:] if len(payload) > 3 else (0, 0, 1)
        if header.process != PROGRESSIVE:
            first, last, approximation = 0, _COEFFICIENTS - 1, 0
        if approximation & 15:
            continue
        for component in payload[1:-3:2]:
            if component in header.component_ids:
                band = bytes(last + 1 - first)
                missing[header.component_ids.index(component)][first : last + 1] = band
    return not any(map(any, missing))
