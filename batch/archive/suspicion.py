"""Which images are decoded in a watched process rather than here. Pure rules on headers.

A watched process costs the way of the bytes through a pipe, up to a fifth of the rate of the fast
codecs and nothing for the slow ones (`python -m tests.decoders`). So the common, most hardened path
stays here: 8-bit JPEG with an ordinary number of scans, PNG, and uncompressed DICOM; every other
codec, and anything huge, is watched.
"""

from __future__ import annotations

import numpy as np

from batch.archive.dicom_objects import Codec
from batch.archive.formats import FileFormat

MAX_SCANS = 64
"""Ordinary progressive JPEGs have about ten scans; thousands of them keep a decoder busy for
minutes, each scan passing over the whole image."""

MAX_PIXELS_HERE = 50_000_000
_SCAN = (0xFF, 0xDA)
_CHUNK = 1 << 20


def is_suspicious_raster(data: bytes, file_format: FileFormat) -> bool:
    """Whether a plain file is decoded in the watched process."""
    if file_format == FileFormat.JPEG:
        return has_many_scans(data)
    if file_format == FileFormat.PNG:
        columns, rows = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        return rows * columns > MAX_PIXELS_HERE
    return True


def is_suspicious_object(codec: Codec | None, pixel_data: bytes, rows: int, columns: int) -> bool:
    """Whether a DICOM object's frames are decoded in the watched process."""
    if rows * columns > MAX_PIXELS_HERE:
        return True
    if codec == Codec.JPEG:
        return has_many_scans(pixel_data)
    return codec not in (None, Codec.NATIVE)


def has_many_scans(data: bytes) -> bool:
    """More scans than an honest JPEG has; each frame of many in one object has its own."""
    scans = _count_scans(data)
    return scans > MAX_SCANS and scans > MAX_SCANS * data.count(b"\xff\xd8\xff")


def _count_scans(data: bytes) -> int:
    """`data.count` would take four times as long, and keep every other thread waiting."""
    scans = 0
    for start in range(0, len(data) - 1, _CHUNK):
        octets = np.frombuffer(data, np.uint8, min(_CHUNK + 1, len(data) - start), start)
        is_marker = (octets[:-1] == _SCAN[0]) & (octets[1:] == _SCAN[1])
        scans += int(np.count_nonzero(is_marker))
    return scans
