"""Decodes a frame of a DICOM object to RGB, with a fixed decoder for each transfer syntax."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from pydicom.pixels import convert_color_space
from pydicom.uid import UID

from batch.core.errors import DecoderNotStarted, FailureReason, ImageFailure, Stage
from batch.core.rules import Limits
from batch.images import (
    dicom_codecs,
    dicom_palette,
    embedded_profiles,
    jpeg_headers,
    jpeg_support,
    raster,
    stream_headers,
)
from batch.images.dicom_attributes import number, text
from batch.images.dicom_image import DicomImage
from batch.images.dicom_kinds import CODECS, Codec
from batch.images.dicom_native import check_size, decode_native, samples_per_pixel
from batch.images.dicom_samples import eight_bits, sample_bits, stored_values
from batch.images.formats import FileFormat
from batch.images.refusals import contradiction, greyscale

_RGB, _YBR, _PALETTE = "RGB", frozenset({"YBR_FULL", "YBR_FULL_422"}), "PALETTE COLOR"
_DECODED_AS_RGB = frozenset({"YBR_ICT", "YBR_RCT"})  # the codec undoes these itself
_XYB = "XYB"  # of JPEG XL only, whose decoder gives RGB
_THREE = frozenset({_RGB, *_YBR, *_DECODED_AS_RGB})
_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
_UNSIGNED_ALWAYS = frozenset({Codec.JPEG, Codec.JPEG_XL})

Frame = tuple[np.ndarray, tuple[str, ...]]


def decode_frame(
    image: DicomImage, index: int, limits: Limits, at_least: int | None = None
) -> Frame:
    """Decode a frame to RGB.

    Args:
        image: the object.
        index: from 0.
        limits: of size and memory.
        at_least: as in `raster.decode`; used for JPEG only.

    Returns:
        pixels, (h, w, 3), uint8, and flags of the decoding.


    Raises:
        ImageFailure: stage DECODE.
        DecoderNotStarted: no process could be started to try an embedded profile.
    """
    photometric = text(image.values, "PhotometricInterpretation") or ""
    codec = CODECS.get(image.transfer_syntax_uid)
    _check_colour(image, codec, photometric)
    if codec is None:
        raise _failure(
            FailureReason.UNSUPPORTED_TRANSFER_SYNTAX,
            UID(image.transfer_syntax_uid).name if UID(image.transfer_syntax_uid).type else "",
        )
    if not image.dataset.get("PixelData"):
        raise _failure(FailureReason.PIXEL_DATA_MISSING)
    try:
        pixels, flags = _decode(image, index, codec, photometric, limits, at_least)
    except (ImageFailure, DecoderNotStarted):
        raise
    except Exception as error:  # whatever a codec raises
        raise _failure(
            FailureReason.DECODE_FAILED, f"dicom {codec.value}: {type(error).__name__}"
        ) from error
    return pixels, tuple(sorted(flags))


def frame_profile(image: DicomImage, index: int) -> tuple[bytes | None, tuple[str, ...]]:
    """The colour profile of a frame, or None, and a flag if one is missing.

    The object's header decides. The profile inside a JPEG counts if the header has none and does
    not state SRGB.
    """
    profile, flags = embedded_profiles.of_dicom(image.values, index)
    codec = CODECS.get(image.transfer_syntax_uid)
    may_be_jpeg = codec in (Codec.JPEG, Codec.JPEG_LOSSLESS)
    if (
        profile is not None
        or not may_be_jpeg
        or text(image.values, "ColorSpace") == embedded_profiles.SRGB
    ):
        return profile, flags
    frame = image.encapsulated.stream(index)
    if codec is not None and _codec_of_stream(codec, frame) == Codec.JPEG:
        profile, own = embedded_profiles.of_jpeg(frame, jpeg_headers.read_header(frame).segments)
        flags = () if profile is not None else flags or own
    return profile, flags


def _decode(
    image: DicomImage,
    index: int,
    codec: Codec,
    photometric: str,
    limits: Limits,
    at_least: int | None,
) -> Frame:
    if codec == Codec.NATIVE:
        return _native(image, index, photometric)
    surplus = {"frames_beyond_declared"} if image.encapsulated.has_surplus else set()
    frame = image.encapsulated.stream(index)
    declared, codec = codec, _codec_of_stream(codec, frame)
    if codec == Codec.JPEG:
        if declared != codec:
            _refuse_lossy_palette(photometric)
            surplus.add("lossy")
        pixels, flags = _jpeg(image, frame, photometric, limits, at_least)
    else:
        photometric = _check_stream(image, codec, frame, photometric)
        decoded = _decoded(image, codec, frame)
        is_stream = codec != Codec.RLE
        pixels, flags = _colours(image, decoded.samples, decoded.precision, photometric, is_stream)
    return pixels, (*flags, *surplus)


def _codec_of_stream(codec: Codec, frame: bytes) -> Codec:
    """The codec by the stream: under a syntax of lossless JPEG there may be lossy JPEG."""
    if codec != Codec.JPEG_LOSSLESS:
        return codec
    process = jpeg_headers.read_header(frame).process
    return (
        Codec.JPEG
        if process in jpeg_headers.SEQUENTIAL or process == jpeg_headers.PROGRESSIVE
        else codec
    )


def _check_colour(image: DicomImage, codec: Codec | None, photometric: str) -> None:
    # without SamplesPerPixel, an interpretation of three colours means three samples
    is_three = photometric in _THREE or (photometric == _XYB and codec == Codec.JPEG_XL)
    samples = number(image.values, "SamplesPerPixel", default=3 if is_three else 1)
    if samples == 1 and (photometric in _GREY or not photometric):
        _check_grey(image, codec)
    if is_three and samples != 3:
        raise contradiction(f"{samples} samples a pixel, in three colours")
    if not is_three and (photometric != _PALETTE or samples != 1):
        raise _failure(FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION, "no rule for it")
    if codec == Codec.JPEG:
        _refuse_lossy_palette(photometric)
    is_signed = number(image.values, "PixelRepresentation", default=0) == 1
    if is_signed and is_three and codec not in _UNSIGNED_ALWAYS:
        raise _failure(FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION, "signed colours")


def _refuse_lossy_palette(photometric: str) -> None:
    if photometric == _PALETTE:
        raise _failure(
            FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION, "a palette's numbers, lossy"
        )


def _check_grey(image: DicomImage, codec: Codec | None) -> None:
    """Refuse a greyscale object; it is a contradiction if its first stream has three components."""
    components = 1
    if codec not in (None, Codec.NATIVE, Codec.RLE, Codec.JPEG_XL):
        with suppress(Exception):  # an unreadable stream contradicts nothing
            frame = image.encapsulated.stream(0)
            if codec == Codec.JPEG_2000:
                components = stream_headers.jpeg_2000_header(frame).components
            else:
                components = len(jpeg_headers.read_header(frame).component_ids)
    if components == 3:
        raise contradiction("three components, greyscale by the header")
    raise greyscale()


def _native(image: DicomImage, index: int, photometric: str) -> Frame:
    bits = sample_bits(image.values)
    has_surplus = check_size(
        image.dataset, image.values, image.rows, image.columns, image.frames, photometric
    )
    samples = decode_native(image.dataset, image.values, image.transfer_syntax_uid, index)
    pixels, flags = _colours(image, samples, bits.allocated, photometric)
    return pixels, (*flags, *(("frames_beyond_declared",) if has_surplus else ()))


def _jpeg(
    image: DicomImage, frame: bytes, photometric: str, limits: Limits, at_least: int | None
) -> Frame:
    """Decode lossy JPEG of 8 bits; no decoder was found that is correct for 12-bit colour."""
    header = jpeg_headers.read_header(frame)
    _check_same_size(image, header.rows, header.columns)
    try:
        jpeg_support.require_supported(frame, header)
    except ImageFailure as failure:  # in DICOM the transfer syntax is unsupported, not the file
        raise _failure(FailureReason.UNSUPPORTED_TRANSFER_SYNTAX, failure.detail) from failure
    decoded = raster.decode(frame, FileFormat.JPEG, limits, at_least, photometric)
    return decoded.pixels, decoded.flags


def _check_stream(image: DicomImage, codec: Codec, frame: bytes, photometric: str) -> str:
    """Compare the stream's header with the object's, and return the interpretation to apply."""
    if codec in (Codec.JPEG_LOSSLESS, Codec.JPEG_LS):
        header = jpeg_headers.read_header(frame)
        _check_same_size(image, header.rows, header.columns)
    elif codec == Codec.JPEG_2000:
        stream = stream_headers.jpeg_2000_header(frame)
        _check_same_size(image, stream.rows, stream.columns)
        if stream.multiple_component_transform and photometric != _PALETTE:
            return _RGB  # undone by the codec, whatever the header says
    elif codec == Codec.JPEG_XL:
        header_xl = stream_headers.jpeg_xl_header(frame)
        _check_same_size(image, header_xl.rows, header_xl.columns)
        return _RGB if photometric != _PALETTE else photometric
    return _RGB if photometric in _DECODED_AS_RGB else photometric


def _check_same_size(image: DicomImage, rows: int, columns: int) -> None:
    if (rows, columns) != (image.rows, image.columns):
        raise contradiction(f"stream {columns}x{rows}, header {image.columns}x{image.rows}")


def _decoded(image: DicomImage, codec: Codec, frame: bytes) -> dicom_codecs.DecodedFrame:
    if codec == Codec.RLE:
        photometric = text(image.values, "PhotometricInterpretation") or ""
        samples = samples_per_pixel(image.values, photometric)
        allocated = sample_bits(image.values).allocated
        return dicom_codecs.decode_rle(frame, image.rows, image.columns, samples, allocated)
    if codec == Codec.JPEG_LOSSLESS:
        return dicom_codecs.decode_jpeg_lossless(frame)
    if codec == Codec.JPEG_LS:
        return dicom_codecs.decode_jpeg_ls(frame)
    if codec == Codec.JPEG_2000:
        return dicom_codecs.decode_jpeg_2000(frame)
    return dicom_codecs.decode_jpeg_xl(frame)


def _colours(
    image: DicomImage,
    samples: np.ndarray,
    precision: int,
    photometric: str,
    is_stream: bool = False,
) -> Frame:
    """Convert stored samples to RGB. precision, is_stream: as in `stored_values`."""
    size = (image.rows, image.columns)
    if samples.shape != (size if photometric == _PALETTE else (*size, 3)):
        raise contradiction(f"decoded to {samples.shape}: not as declared")
    if samples.dtype.kind not in "ui":
        raise _failure(
            FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION, f"samples of {samples.dtype}"
        )
    words = samples.view(samples.dtype.str.replace("i", "u"))  # bits as they are stored
    values, full = stored_values(words, precision, sample_bits(image.values), is_stream)
    if photometric == _PALETTE:
        return dicom_palette.colours(values, full, image.dataset), ("palette",)
    narrow, flags = eight_bits(values, full)
    return _to_rgb(narrow, photometric), flags


def _to_rgb(pixels: np.ndarray, photometric: str) -> np.ndarray:
    """Convert pixels, (h, w, 3), uint8, to RGB; only this function converts YBR."""
    if photometric in _YBR:
        return np.asarray(convert_color_space(pixels, "YBR_FULL", _RGB))
    return pixels


def _failure(reason: FailureReason, detail: str = "") -> ImageFailure:
    return ImageFailure(Stage.DECODE, reason, detail)
