"""JPEG, PNG, TIFF, BMP, WebP, GIF to RGB pixels. The only importer of Pillow on the scoring path.

Colour JPEGs are decoded by `jpeg_decoder`, which refuses damaged data; Pillow reads the rest, and
every file's metadata. Pillow never sees LOAD_TRUNCATED_IMAGES: grey filler would be scored. Its
own pixel limit is replaced by ours, which is checked from the header before anything is decoded.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from batch.archive import codestream, embedded_profiles, jpeg, jpeg_decoder
from batch.archive.colour_profiles import INCOMPLETE, conversion_to_srgb
from batch.archive.formats import FileFormat
from batch.archive.limits import Limits
from batch.errors import FailureReason, ImageFailure, Stage

Image.MAX_IMAGE_PIXELS = None  # Limits.check_size decides, with a reason of ours

_PILLOW_NAMES = {
    FileFormat.JPEG: ("JPEG", "MPO"),
    FileFormat.PNG: ("PNG",),
    FileFormat.TIFF: ("TIFF",),
    FileFormat.BMP: ("BMP",),
    FileFormat.WEBP: ("WEBP",),
    FileFormat.GIF: ("GIF",),
}
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_ALPHA_MODES = frozenset({"RGBA", "RGBa", "PA"})
_COLOUR_COMPONENTS = 3
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
_UNTURN = UPRIGHT | {6: UPRIGHT[8], 8: UPRIGHT[6]}
"""The inverse: all others undo themselves."""
_TIFF_BITS_PER_SAMPLE = 258
_TIFF_COMPRESSION, _TIFF_JPEG = 259, (6, 7)
_WEBP_CHUNKS_SEEN = 4096
_PNG_BIT_DEPTH = 24
"""Offset of the bit depth in a PNG file: signature, chunk length and name, width, height."""


@dataclass(frozen=True, eq=False)
class RasterImage:
    """A decoded image. pixels: (h, w, 3) uint8, RGB; rows, columns: of the source.

    h and w are smaller than rows and columns where a JPEG was decoded at reduced scale.
    icc_profile: the embedded colour profile that the pixels are still to be converted by, or None.
    """

    pixels: np.ndarray
    rows: int
    columns: int
    flags: tuple[str, ...]
    icc_profile: bytes | None = None


def decode(
    data: bytes,
    file_format: FileFormat,
    limits: Limits,
    at_least: int | None = None,
    photometric_interpretation: str | None = None,
) -> RasterImage:
    """Decode the first frame of a raster file to RGB.

    Args:
        data: the whole file. file_format: as recognised from its content.
        at_least: when given, a JPEG may be decoded at 1/2, 1/4 or 1/8 scale as long as both
            sides keep at least this many pixels (libjpeg's scaled inverse DCT).
        photometric_interpretation: of the DICOM header around a JPEG; None for a plain file.

    Raises:
        ImageFailure: the size is refused, the image has no colour, or decoding failed.
    """
    flags: set[str] = set()
    header, profile = None, None
    if file_format == FileFormat.JPEG:
        header = jpeg.read_header(data)
        profile, colour_flags = embedded_profiles.of_jpeg(data, header.segments)
        if profile == INCOMPLETE:
            data = embedded_profiles.without_profile(data, header.segments)
            header = jpeg.read_header(data)
        data = _settle_jpeg_colour(data, header, photometric_interpretation, flags)
    try:
        with Image.open(io.BytesIO(data), formats=_PILLOW_NAMES[file_format]) as image:
            columns, rows = image.size
            limits.check_size(rows, columns)
            flags |= _header_flags(image, file_format, data)
            if header is None:
                profile, colour_flags = embedded_profiles.of_raster(
                    data, file_format, image.info.get("icc_profile"), image.info.get("exif")
                )
            if photometric_interpretation is None:  # else the DICOM header has the word
                flags.update(colour_flags)
            if header is not None and len(header.component_ids) == _COLOUR_COMPONENTS:
                pixels = jpeg_decoder.decode_rgb(data, rows, columns, at_least)
            else:
                pixels = np.asarray(_to_rgb(_loaded_as_stored(image), flags, limits))
                rows, columns = pixels.shape[:2]
    except ImageFailure:
        raise
    except Exception as error:  # Pillow's plugins raise whatever their parsers raise
        raise ImageFailure(
            Stage.DECODE,
            FailureReason.DECODE_FAILED,
            f"{file_format.value}: {type(error).__name__}",
        ) from error
    if profile and "cmyk_converted" in flags:  # it was about inks, and had its say
        profile = None
    return RasterImage(pixels, rows, columns, tuple(sorted(flags)), profile)


def check_before_opening(data: bytes, file_format: FileFormat, limits: Limits) -> None:
    """Check what Pillow's own opening would already take memory for.

    Raises:
        ImageFailure: stage DECODE.
    """
    if file_format == FileFormat.WEBP:
        limits.check_size(*codestream.webp_size(data[:64]))


def _settle_jpeg_colour(
    data: bytes, header: jpeg.JpegHeader, photometric: str | None, flags: set[str]
) -> bytes:
    colour, ambiguous = jpeg.stream_colour(header, photometric)
    if ambiguous:
        flags.add("colour_ambiguous")
    return jpeg.state_colour(data, header, colour)


def _loaded_as_stored(image: Image.Image) -> Image.Image:
    """Decode, unturned: Pillow turns a TIFF by its orientation while loading, and drops the tag."""
    orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    image.load()
    if orientation in _UNTURN and EXIF_ORIENTATION not in image.getexif():
        return image.transpose(_UNTURN[orientation])
    return image


def _header_flags(image: Image.Image, file_format: FileFormat, data: bytes) -> set[str]:
    """What the reader of a score should know of its source; README lists the words."""
    flags = set()
    if getattr(image, "n_frames", 1) > 1:
        flags.add("first_of_many")
    if image.getexif().get(EXIF_ORIENTATION, 1) not in (0, 1):
        flags.add("exif_orientation_ignored")
    if _is_lossy(image, file_format, data):
        flags.add("lossy")
    if _bits_a_sample(image, file_format, data) > 8:
        flags.add("was_16bit")
    return flags


def _is_lossy(image: Image.Image, file_format: FileFormat, data: bytes) -> bool:
    if file_format == FileFormat.WEBP:
        return b"VP8L" not in data[:_WEBP_CHUNKS_SEEN]
    if file_format == FileFormat.TIFF:
        compression = image.tag_v2.get(_TIFF_COMPRESSION)  # type: ignore[attr-defined]
        return compression in _TIFF_JPEG
    return file_format == FileFormat.JPEG


def _bits_a_sample(image: Image.Image, file_format: FileFormat, data: bytes) -> int:
    """Of the source; Pillow keeps the upper eight bits of a colour sample and does not say so."""
    if file_format == FileFormat.PNG:
        return data[_PNG_BIT_DEPTH]
    if file_format == FileFormat.TIFF:
        bits = image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (8,))  # type: ignore[attr-defined]
        return max(bits) if isinstance(bits, tuple) else bits
    return 8


def _to_rgb(image: Image.Image, flags: set[str], limits: Limits) -> Image.Image:
    if image.mode in _GREY_MODES:
        raise ImageFailure(
            Stage.DECODE, FailureReason.NOT_COLOUR, "greyscale; the model has seen colour only"
        )
    if image.mode in _ALPHA_MODES or (image.mode in ("P", "RGB") and "transparency" in image.info):
        flags.add("alpha_composited")
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode == "CMYK":
        return _inks_to_rgb(image, flags, limits)
    return image if image.mode == "RGB" else image.convert("RGB")


def _inks_to_rgb(image: Image.Image, flags: set[str], limits: Limits) -> Image.Image:
    """CMYK by its own profile, at full size; without a usable one by Pillow's plain formula."""
    flags.add("cmyk_converted")
    conversion = conversion_to_srgb(image.info.get("icc_profile"), limits, "CMYK")
    flags.update(conversion.flags)
    if conversion.transform is None:
        return image.convert("RGB")
    return conversion.transform.apply(image)
