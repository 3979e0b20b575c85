"""Decodes JPEG, PNG, TIFF, BMP, WebP and GIF to RGB pixels.

Modules of this room decode or check JPEG, PNG and TIFF, because Pillow fills missing data with grey
or black. Pillow reads the other formats, without LOAD_TRUNCATED_IMAGES. Its limit of pixels is
replaced by ours, which is checked by the header before decoding.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace

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
from batch.images.exif import exif_camera, exif_date
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
"""EXIF orientation to the operation that makes an image upright."""
_WEBP_CHUNKS_SEEN = 4096


@dataclass(frozen=True, eq=False)
class RasterImage:
    """A decoded image.

    pixels: (h, w, 3) uint8, RGB; smaller than the source if a JPEG was decoded at reduced scale.
    rows, columns: of the source.
    flags: sorted.
    orientation: of EXIF, 1..8, not applied.
    icc_profile: embedded colour profile that is still to be applied, or None.
    taken_at: EXIF DateTimeOriginal as ISO 8601, or None.
    camera: make and model of EXIF, or None.
    """

    pixels: np.ndarray
    rows: int
    columns: int
    flags: tuple[str, ...]
    orientation: int = 1
    icc_profile: bytes | None = None
    taken_at: str | None = None
    camera: tuple[str | None, str | None] = (None, None)


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
        data: the whole file.
        file_format: by content.
        limits: of size and memory.
        at_least: a JPEG may be decoded at 1/2, 1/4 or 1/8 scale (libjpeg's scaled inverse DCT) if
            both sides keep at least so many pixels; None for full scale.
        photometric_interpretation: of the DICOM header around a JPEG; None for a photograph.
        eighths: a JPEG may be decoded at so many eighths of its size instead.

    Raises:
        ImageFailure: the size is refused, the format or a kind of it is not supported, the image
            has no colour, or decoding failed.
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
    except Exception as error:  # Pillow's plugins raise errors of any type
        raise damaged(f"{file_format.value}: {type(error).__name__}") from error


def check_before_opening(data: bytes, file_format: FileFormat, limits: Limits) -> None:
    """Check sizes for which Pillow would allocate memory when it opens a file.

    Raises:
        ImageFailure: DECODE_FAILED, HEADER_CONTRADICTS_PIXELS, or as in `Limits.check_size`.
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
    with contextlib.suppress(Exception):  # damaged metadata do not affect the picture
        exif.load(decoded.exif)
    image = _image(colours, flags, _orientation(exif), profile, taken_at=exif_date(exif))
    return replace(image, camera=exif_camera(exif))


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
    decoding_flags: Iterable[str],
    orientation: int,
    icc_profile: bytes | None,
    size: tuple[int, int] | None = None,
    taken_at: str | None = None,
) -> RasterImage:
    """Make an image with the flags common to all formats. size: (rows, columns) of the source."""
    rows, columns = size or pixels.shape[:2]
    flags = set(decoding_flags)
    if orientation not in (0, 1):
        flags.add("exif_orientation_ignored")
    if "cmyk_converted" in flags:  # the profile was for inks, and has been applied
        icc_profile = None
    known_orientation = orientation if orientation in UPRIGHT else 1
    return RasterImage(
        pixels, rows, columns, tuple(sorted(flags)), known_orientation, icc_profile, taken_at
    )


def _opened(
    data: bytes,
    file_format: FileFormat,
    limits: Limits,
    at_least: int | None,
    photometric_interpretation: str | None,
    eighths: int | None,
) -> RasterImage:
    """Decode a file that Pillow opens."""
    flags: set[str] = set()
    header, profile = None, None
    if file_format == FileFormat.JPEG:
        header = jpeg_headers.read_header(data)
        profile, colour_flags = embedded_profiles.of_jpeg(data, header.segments)
        data, new_flags = jpeg_support.settle_colour(data, header, photometric_interpretation)
        flags |= new_flags
    with _opened_by_pillow(data, file_format) as image:
        columns, rows = image.size
        limits.check_size(rows, columns)
        flags |= _header_flags(image, file_format, data)
        orientation, taken_at = _orientation_of(image), _date_of(image)
        camera = _camera_of(image)
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
    if photometric_interpretation is None:  # inside DICOM the object's header decides
        flags.update(colour_flags)
    decoded = _image(pixels, flags, orientation, profile, (rows, columns), taken_at)
    return replace(decoded, camera=camera)


def _opened_by_pillow(data: bytes, file_format: FileFormat) -> Image.Image:
    """Open a file with Pillow, for its metadata; a JPEG without segments on which Pillow fails.

    Raises:
        ImageFailure: DECODE_FAILED for a JPEG whose headers cannot be read. For other formats, any
            error of Pillow.
    """
    names = _PILLOW_NAMES[file_format]
    if file_format != FileFormat.JPEG:
        return Image.open(io.BytesIO(data), formats=names)
    for stream in jpeg_repair.readable(data):
        try:
            image = Image.open(io.BytesIO(stream), formats=names)
            image.getexif()
            return image
        except Exception:  # errors of any type of a plugin's parser
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
        image.info["icc_profile"] = icc_profile  # a rewritten stream has none
        return to_rgb(image, flags, limits)


def _orientation_of(image: Image.Image) -> int:
    try:
        return _orientation(image.getexif())
    except Exception:  # damaged metadata do not affect the picture
        return 1


def _date_of(image: Image.Image) -> str | None:
    try:
        return exif_date(image.getexif())
    except Exception:  # damaged metadata do not affect the picture
        return None


def _camera_of(image: Image.Image) -> tuple[str | None, str | None]:
    try:
        return exif_camera(image.getexif())
    except Exception:  # damaged metadata do not affect the picture
        return None, None


def _orientation(exif: Image.Exif) -> int:
    orientation = exif.get(EXIF_ORIENTATION, 1)
    return orientation if isinstance(orientation, int) else 1


def _header_flags(image: Image.Image, file_format: FileFormat, data: bytes) -> set[str]:
    """Flags on the source of an image; see README."""
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
