"""JPEG, PNG, TIFF, BMP, WebP, GIF to RGB pixels; what Pillow reads for a score is read here.

JPEGs are decoded or checked by `jpeg_decoder`, PNGs are decoded by `png`, TIFFs by `tiff`: Pillow
fills with grey or black what is missing there. It reads the rest, and never sees
LOAD_TRUNCATED_IMAGES. Its own pixel limit is replaced by ours, which is checked from the header
before anything is decoded.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from batch.core.errors import DecoderNotStarted, ImageFailure
from batch.core.rules import Limits
from batch.images import (
    bitmaps,
    embedded_profiles,
    jpeg_decoder,
    jpeg_headers,
    jpeg_repair,
    jpeg_support,
    png,
    stream_headers,
    tiff,
)
from batch.images.formats import FileFormat
from batch.images.raster_colours import on_white, to_rgb
from batch.images.refusals import damaged

Image.MAX_IMAGE_PIXELS = None  # Limits.check_size decides, with a reason of ours

_PILLOW_NAMES = {
    FileFormat.JPEG: ("JPEG", "MPO"),
    FileFormat.BMP: ("BMP",),
    FileFormat.WEBP: ("WEBP",),
    FileFormat.GIF: ("GIF",),
}
_COLOUR_COMPONENTS = 3
_INKS = 4
EXIF_ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What each EXIF orientation asks for."""
_WEBP_CHUNKS_SEEN = 4096


@dataclass(frozen=True, eq=False)
class RasterImage:
    """A decoded image. pixels: (h, w, 3) uint8, RGB; rows, columns: of the source.

    h and w are smaller than rows and columns where a JPEG was decoded at reduced scale.
    orientation: EXIF's, 1..8, not applied. icc_profile: the embedded colour profile that the pixels
    are still to be converted by, or None.
    """

    pixels: np.ndarray
    rows: int
    columns: int
    flags: tuple[str, ...]
    orientation: int = 1
    icc_profile: bytes | None = None


def decode(
    data: bytes,
    file_format: FileFormat,
    limits: Limits,
    at_least: int | None = None,
    photometric_interpretation: str | None = None,
    eighths: int | None = None,
) -> RasterImage:
    """Decode the first frame of a raster file to RGB.

    Args:
        data: the whole file. file_format: as recognised from its content.
        at_least: when given, a JPEG may be decoded at 1/2, 1/4 or 1/8 scale as long as both
            sides keep at least this many pixels (libjpeg's scaled inverse DCT).
        photometric_interpretation: of the DICOM header around a JPEG; None for a plain file.
        eighths: when given, a JPEG may be decoded at so many eighths of its size instead.

    Raises:
        ImageFailure: the size is refused, the format or its kind is not read, the image has no
            colour, or decoding failed.
        DecoderNotStarted: no process could be started to try the profile of a CMYK image.
    """
    try:
        if file_format == FileFormat.PNG:
            return _png_image(data, limits)
        if file_format == FileFormat.TIFF:
            return _tiff_image(data, limits)
        return _opened(data, file_format, limits, at_least, photometric_interpretation, eighths)
    except (ImageFailure, DecoderNotStarted):
        raise
    except Exception as error:  # Pillow's plugins raise whatever their parsers raise
        raise damaged(f"{file_format.value}: {type(error).__name__}") from error


def check_before_opening(data: bytes, file_format: FileFormat, limits: Limits) -> None:
    """Check what Pillow's own opening would already take memory for.

    Raises:
        ImageFailure: DECODE_FAILED, HEADER_CONTRADICTS_PIXELS, or what `Limits.check_size` says.
    """
    if file_format == FileFormat.WEBP:
        limits.check_size(*stream_headers.webp_size(data[:64]))
    if file_format == FileFormat.BMP:
        bitmaps.check_layout(data)


def _png_image(data: bytes, limits: Limits) -> RasterImage:
    decoded = png.decode(data, limits)
    profile, colour_flags = embedded_profiles.of_png(decoded.icc_profile, decoded.colour_chunks)
    flags, colours = {*decoded.flags, *colour_flags}, decoded.colours
    if decoded.alpha is not None:
        colours = on_white(colours, decoded.alpha, flags)
    exif = Image.Exif()
    with contextlib.suppress(Exception):  # what it says of itself is no part of the picture
        exif.load(decoded.exif)
    return _image(colours, flags, _orientation(exif), profile)


def _tiff_image(data: bytes, limits: Limits) -> RasterImage:
    decoded = tiff.decode(data, limits)
    flags, colours = set(decoded.flags), decoded.colours
    if colours.shape[2] == _INKS:
        inks = Image.fromarray(colours, "CMYK")
        inks.info["icc_profile"] = decoded.icc_profile
        colours = to_rgb(inks, flags, limits)
    if decoded.alpha is not None:
        colours = on_white(colours, decoded.alpha, flags, decoded.premultiplied)
    return _image(colours, flags, decoded.orientation, decoded.icc_profile)


def _image(
    pixels: np.ndarray,
    found: Iterable[str],
    orientation: int,
    icc_profile: bytes | None,
    size: tuple[int, int] | None = None,
) -> RasterImage:
    """An image with the flags that every format has. size: (rows, columns) of the source."""
    rows, columns = size or pixels.shape[:2]
    flags = set(found)
    if orientation not in (0, 1):
        flags.add("exif_orientation_ignored")
    if "cmyk_converted" in flags:  # it was about inks, and had its say
        icc_profile = None
    settled = orientation if orientation in UPRIGHT else 1
    return RasterImage(pixels, rows, columns, tuple(sorted(flags)), settled, icc_profile)


def _opened(
    data: bytes,
    file_format: FileFormat,
    limits: Limits,
    at_least: int | None,
    photometric_interpretation: str | None,
    eighths: int | None,
) -> RasterImage:
    """What Pillow opens."""
    flags: set[str] = set()
    header, profile = None, None
    if file_format == FileFormat.JPEG:
        header = jpeg_headers.read_header(data)
        profile, colour_flags = embedded_profiles.of_jpeg(data, header.segments)
        data, found = jpeg_support.settle_colour(data, header, photometric_interpretation)
        flags |= found
    with _opened_by_pillow(data, file_format) as image:
        columns, rows = image.size
        limits.check_size(rows, columns)
        flags |= _header_flags(image, file_format, data)
        orientation = _orientation_of(image)
        if header is not None:
            if header.process == jpeg_headers.LOSSLESS:
                flags.discard("lossy")
            pixels = _jpeg_pixels(data, header, at_least, eighths, flags, limits, profile)
        else:
            profile, colour_flags = embedded_profiles.of_raster(
                data, file_format, image.info.get("icc_profile"), image.info.get("exif")
            )
            image.load()
            pixels = to_rgb(image, flags, limits)
            rows, columns = pixels.shape[:2]
    if photometric_interpretation is None:  # else the DICOM header has the word
        flags.update(colour_flags)
    return _image(pixels, flags, orientation, profile, (rows, columns))


def _opened_by_pillow(data: bytes, file_format: FileFormat) -> Image.Image:
    """Pillow's view of a file, for its metadata; a JPEG's without a segment that stops Pillow.

    Raises:
        ImageFailure: DECODE_FAILED for a JPEG in none of the forms that may help. Of other formats
            whatever Pillow raises.
    """
    names = _PILLOW_NAMES[file_format]
    if file_format != FileFormat.JPEG:
        return Image.open(io.BytesIO(data), formats=names)
    for stream in jpeg_repair.readable(data):
        try:
            image = Image.open(io.BytesIO(stream), formats=names)
            image.getexif()
            return image
        except Exception:  # whatever a plugin's parsers raise
            continue
    raise damaged("jpeg: headers not readable")


def _jpeg_pixels(
    data: bytes,
    header: jpeg_headers.JpegHeader,
    at_least: int | None,
    eighths: int | None,
    flags: set[str],
    limits: Limits,
    icc_profile: bytes | None,
) -> np.ndarray:
    is_usual = len(header.component_ids) == _COLOUR_COMPONENTS
    if is_usual and jpeg_support.is_read_by_turbojpeg(header.sampling):
        return jpeg_decoder.decode_rgb(data, header, at_least, eighths)
    whole = jpeg_decoder.whole_stream(data, header)
    with Image.open(io.BytesIO(whole), formats=("JPEG",)) as image:
        image.info["icc_profile"] = icc_profile  # a stream that was rewritten has none
        return to_rgb(image, flags, limits)


def _orientation_of(image: Image.Image) -> int:
    try:
        return _orientation(image.getexif())
    except Exception:  # damaged metadata, whatever the parser raises: no part of the picture
        return 1


def _orientation(exif: Image.Exif) -> int:
    found = exif.get(EXIF_ORIENTATION, 1)
    return found if isinstance(found, int) else 1


def _header_flags(image: Image.Image, file_format: FileFormat, data: bytes) -> set[str]:
    """What the reader of a score should know of its source; README lists the words."""
    flags = set()
    if getattr(image, "n_frames", 1) > 1:
        flags.add("first_of_many")
    if _is_lossy(file_format, data):
        flags.add("lossy")
    return flags


def _is_lossy(file_format: FileFormat, data: bytes) -> bool:
    if file_format == FileFormat.WEBP:
        return b"VP8L" not in data[:_WEBP_CHUNKS_SEEN]
    return file_format == FileFormat.JPEG
