"""Which images are decoded in a watched process rather than here. Pure rules on headers.

A watched process costs the way of the bytes through a pipe, up to a fifth of the rate of the fast
codecs and nothing for the slow ones (`python -m tests.decoders`). So the common, most hardened path
stays here: 8-bit JPEG with an ordinary number of scans, PNG, and uncompressed DICOM. Every other
codec, JPEGs of unusual sampling, and huge PNG and DICOM images are watched.
"""

from __future__ import annotations

import re

import numpy as np

from batch.archive import jpeg
from batch.archive.dicom_objects import Codec
from batch.archive.formats import FileFormat
from batch.archive.jpeg_scans import count_scans
from batch.archive.jpeg_support import is_read_by_turbojpeg
from batch.core.errors import ImageFailure

MAX_SCANS = 64
"""Ordinary progressive JPEGs have about ten scans; thousands of them keep a decoder busy for
minutes, each scan passing over the whole image."""

MAX_STREAMS = 64
"""Of one file, whose scans are counted one by one."""

MAX_PIXELS_HERE = 50_000_000
_SCAN = (0xFF, 0xDA)
_CHUNK = 1 << 20
_HEADERS = 1 << 17
"""Bytes that hold the headers of a stream, unless a large profile stands in them."""
_STREAM = re.compile(rb"(?:\A|\xfe\xff\x00\xe0.{4})\xff\xd8", re.DOTALL)
"""Where a JPEG begins: with the file, or with an item of encapsulated pixel data (PS3.5 A.4)."""


def is_suspicious_raster(data: bytes, file_format: FileFormat) -> bool:
    """Whether a plain file is decoded in the watched process."""
    if file_format == FileFormat.JPEG:
        return has_many_scans(data) or has_unusual_sampling(data)
    if file_format == FileFormat.PNG:
        columns, rows = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        return rows * columns > MAX_PIXELS_HERE
    return True


def is_suspicious_object(codec: Codec | None, pixel_data: bytes, rows: int, columns: int) -> bool:
    """Whether a DICOM object's frames are decoded in the watched process."""
    if rows * columns > MAX_PIXELS_HERE:
        return True
    if codec == Codec.JPEG:
        return has_many_scans(pixel_data) or has_unusual_sampling(pixel_data)
    return codec not in (None, Codec.NATIVE)


def has_many_scans(data: bytes) -> bool:
    """Whether a stream in a plain file, or in the items of pixel data, has more scans than honest.

    Counted well only where a quick look finds enough: segments and what follows the image may hold
    anything that looks like a scan or like the start of another stream.
    """
    if _count_scans(data) <= MAX_SCANS:
        return False
    starts = [found.end() - 2 for found in _STREAM.finditer(data)]
    if len(starts) > MAX_STREAMS:
        return True
    return any(count_scans(data, start) > MAX_SCANS for start in starts)


def has_unusual_sampling(data: bytes) -> bool:
    """Whether the first stream is read code by code, slowly, before it is decoded."""
    found = _STREAM.search(data)
    if found is None:
        return False
    start = found.end() - 2
    try:
        sampling = jpeg.read_header(data[start : start + _HEADERS] if start else data).sampling
    except ImageFailure:
        return False
    return len(sampling) in (3, 4) and not is_read_by_turbojpeg(sampling)


def _count_scans(data: bytes) -> int:
    """`data.count` would take four times as long, and keep every other thread waiting."""
    scans = 0
    for start in range(0, len(data) - 1, _CHUNK):
        octets = np.frombuffer(data, np.uint8, min(_CHUNK + 1, len(data) - start), start)
        is_marker = (octets[:-1] == _SCAN[0]) & (octets[1:] == _SCAN[1])
        scans += int(np.count_nonzero(is_marker))
    return scans
