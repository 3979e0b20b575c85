"""An image of the archive as a small JPEG file for a page: upright, sRGB, without metadata.

A JPEG that is all this already is copied as it lies there, without its metadata, once a decoder has
found it sound. Everything else is decoded and encoded. Both happen in the watched process, which
hands back a file and no pixels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from batch.archive.local import ArchiveStorage
from batch.archive.pictures import ImageAddress, changed, decode_picture, jpeg
from batch.archive.reader import as_failure
from batch.core.errors import ImageFailure
from batch.core.rules import Limits
from batch.images import formats, jpeg_headers, raster
from batch.images.colour_profiles import conversion_to_srgb
from batch.images.formats import FileFormat
from batch.images.jpeg_copy import without_metadata
from batch.images.sandbox import call_in_sandbox

_COARSER = (80, 70, 55, 40, 25, 10)
"""Qualities that are tried where a picture is too large."""
_UNSURE = frozenset({"colour_ambiguous", "cmyk_converted"})
"""Flags of files whose colours a browser may take otherwise than we do."""


@dataclass(frozen=True)
class PictureForm:
    """How a picture is made.

    side: pixels of the longer side, at most. least_side: never made shorter than this where the
    source has more. quality: of JPEG, 1 to 95; lower where the file would be larger than max_bytes.
    copies: whether a file of the archive that is small enough is taken over as it is.
    """

    side: int
    least_side: int
    quality: int
    max_bytes: int
    copies: bool = True


@dataclass(frozen=True, eq=False)
class PictureFile:
    """A JPEG. width, height: in pixels, upright."""

    data: bytes
    width: int
    height: int


def read_picture_file(
    archive: ArchiveStorage,
    address: ImageAddress,
    content_sha256: str,
    limits: Limits,
    form: PictureForm,
) -> PictureFile:
    """Read an image again, as a file for a page.

    Args:
        content_sha256: hex, of the file that was scored; another one is refused.

    Raises:
        ImageFailure: it cannot be read, is damaged, or another file lies in its place (VANISHED).
        DecoderNotStarted: no process could be started.
    """
    data = archive.read(archive.locate(address.path), limits.file_bytes)
    if data is None or hashlib.sha256(data).hexdigest() != content_sha256:
        raise changed()
    arguments = (data, address, limits, form)
    return call_in_sandbox(picture_file, arguments, limits.decode_seconds, limits.decoder_bytes)


def picture_file(
    data: bytes, address: ImageAddress, limits: Limits, form: PictureForm
) -> PictureFile:
    """What the watched process does; public because it is found by name.

    Raises:
        ImageFailure.
    """
    try:
        is_jpeg = formats.sniff(data[: formats.HEAD_BYTES]) == FileFormat.JPEG
        copy = _copy(data, limits, form) if is_jpeg and form.copies else None
        if copy is not None:
            return copy
        eighths = _eighths(data, form) if is_jpeg else None
        pixels = decode_picture(data, address, limits, form.side, eighths).pixels
    except Exception as error:  # whatever a codec raises, without its words
        raise as_failure(error) from None
    height, width = pixels.shape[:2]
    qualities = (form.quality, *(each for each in _COARSER if each < form.quality))
    return PictureFile(jpeg(pixels, form.max_bytes, qualities), width, height)


def _copy(data: bytes, limits: Limits, form: PictureForm) -> PictureFile | None:
    """The file without its metadata, where it is what a page wants; None where it is not.

    Raises:
        ImageFailure: it is damaged.
    """
    header = jpeg_headers.read_header(data)
    if max(header.rows, header.columns) > form.side:
        return None
    try:
        found = without_metadata(data)
    except ImageFailure:
        return None  # decoding may still understand it
    if len(found) > form.max_bytes:
        return None
    # an eighth of the size takes every coefficient as the whole does: damage is found all the same
    decoded = raster.decode(data, FileFormat.JPEG, limits, at_least=1)
    if decoded.orientation != 1 or _UNSURE & set(decoded.flags):
        return None
    colours = conversion_to_srgb(decoded.icc_profile, limits)
    if colours.flag is not None:
        return None
    return PictureFile(found, header.columns, header.rows)


def _eighths(data: bytes, form: PictureForm) -> int:
    """Eighths of its size at which a JPEG is decoded: as large as the form allows, where it is not
    below the least side either; else a little larger, and made smaller after. Most photographs need
    no second step, which would cost as much as the first.
    """
    header = jpeg_headers.read_header(data)
    longer = max(header.rows, header.columns, 1)
    most = next((n for n in range(8, 0, -1) if -(-longer * n // 8) <= form.side), 1)
    if -(-longer * most // 8) >= form.least_side:
        return most
    return min(8, -(-8 * form.least_side // longer))
