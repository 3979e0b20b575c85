"""Which images are decoded in a watched process rather than here. Pure rules on headers.

A watched process costs the way of the bytes through a pipe, up to a fifth of the rate of the fast
codecs and nothing for the slow ones (`python -m tests.decoders`). So the common, most hardened path
stays here: 8-bit JPEG with an ordinary number of scans, PNG, and uncompressed DICOM; every other
codec, and anything huge, is watched.
"""

from __future__ import annotations

from batch.archive.dicom_objects import Codec
from batch.archive.formats import FileFormat

MAX_SCANS = 64
"""Ordinary progressive JPEGs have about ten scans; thousands of them keep a decoder busy for
minutes, each scan passing over the whole image."""

MAX_PIXELS_HERE = 50_000_000
_SCAN = b"\xff\xda"


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
    scans = data.count(_SCAN)
    return scans > MAX_SCANS and scans > MAX_SCANS * data.count(b"\xff\xd8\xff")
