"""Finds the scans of a JPEG, and checks that none is missing.

A progressive picture has about ten scans, and one without interleaved components has a scan for
each. libjpeg does not warn of missing scans: a file that was cut between two scans and closed is
blurred, or has lost its colours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from batch.images.jpeg_headers import PROGRESSIVE, SOS, JpegHeader, walk

_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The end of coded data: a marker that is neither a stuffed zero nor a restart."""
_COEFFICIENTS = 64


def count_scans(data: bytes, start: int = 0) -> int:
    """Number of scans of the stream at `start`; scan markers inside segments do not count."""
    return sum(1 for _ in scans(data, start))


def scans(data: bytes, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yield (start of the header, start of the coded data, end of the data) of every scan."""
    position: int | None = start + 2
    while position is not None:
        headers, position = walk(data, position), None
        for marker, start_of_header, coded in headers:
            if marker == SOS:
                position = end_of_scan(data, coded)
                yield start_of_header, coded, position


def end_of_scan(data: bytes, position: int) -> int:
    """Where the coded data at `position` ends: before fill bytes and a marker, or at the end."""
    match = _AFTER_SCAN.search(data, position)
    if match is None:
        return len(data)
    return position + len(data[position : match.start()].rstrip(b"\xff"))


def has_every_scan(data: bytes, header: JpegHeader) -> bool:
    """Whether the scans hold every coefficient of every component to its last bit.

    The standard does not demand that, but nobody can tell scans left out from scans that were lost.

    Args:
        data: the stream.
        header: of the stream; a stream with only one scan is not searched.
    """
    count = len(header.component_ids)
    if header.process != PROGRESSIVE and header.scan_components == count:
        return True
    missing = [bytearray(b"\x01" * _COEFFICIENTS) for _ in range(count)]
    for start_of_header, coded, _ in scans(data):
        payload = data[start_of_header + 4 : coded]
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
