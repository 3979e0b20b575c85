"""One frame of a DICOM object to RGB. The decoder of each transfer syntax is fixed here.

pydicom is told which plugin to use: its own order would change with whatever else is installed.
"""

from __future__ import annotations

import numpy as np
from pydicom.encaps import get_frame, parse_fragments
from pydicom.pixels import apply_color_lut, convert_color_space, get_decoder
from pydicom.uid import UID

from batch.archive import codecs, codestream, embedded_profiles, jpeg, raster
from batch.archive.dicom import DicomImage
from batch.archive.dicom_attributes import number, text
from batch.archive.dicom_objects import CODECS, EXPLICIT_VR_BIG_ENDIAN, Codec
from batch.archive.formats import FileFormat
from batch.archive.limits import Limits
from batch.errors import FailureReason, ImageFailure, Stage

_PLUGINS = {
    Codec.JPEG_LOSSLESS: codecs.PLUGIN,
    Codec.JPEG_LS: "pyjpegls",
    Codec.JPEG_2000: "pylibjpeg",  # pylibjpeg-openjpeg
    Codec.RLE: "pylibjpeg",  # pylibjpeg-rle
}
for _uid in codecs.SYNTAXES:
    get_decoder(UID(_uid)).add_plugin(codecs.PLUGIN, (codecs.__name__, "decode_frame"))

_RGB, _YBR, _PALETTE = "RGB", frozenset({"YBR_FULL", "YBR_FULL_422"}), "PALETTE COLOR"
_DECODED_AS_RGB = frozenset({"YBR_ICT", "YBR_RCT"})  # the codec undoes these itself
_THREE = frozenset({_RGB, *_YBR, *_DECODED_AS_RGB})
_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})

_ITEM_HEADER = 8
"""Bytes of a fragment's tag and length (PS3.5 A.4)."""
_STREAM_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\xff\x0a")  # JPEG, 2000, XL

Frame = tuple[np.ndarray, tuple[str, ...]]


def decode_frame(
    image: DicomImage, index: int, limits: Limits, at_least: int | None = None
) -> Frame:
    """Decode one frame to RGB.

    Args:
        index: from 0. at_least: see `raster.decode`; only JPEG makes use of it.

    Returns:
        (h, w, 3) uint8, and the flags that decoding added.

    Raises:
        ImageFailure: stage DECODE.
    """
    photometric = text(image.values, "PhotometricInterpretation") or ""
    _check_colour(image, photometric)
    codec = CODECS.get(image.transfer_syntax_uid)
    if codec is None:
        raise _failure(
            FailureReason.UNSUPPORTED_TRANSFER_SYNTAX,
            UID(image.transfer_syntax_uid).name if UID(image.transfer_syntax_uid).type else "",
        )
    if "PixelData" not in image.dataset:
        raise _failure(FailureReason.PIXEL_DATA_MISSING)
    try:
        pixels, flags = _decode(image, index, codec, photometric, limits, at_least)
    except ImageFailure:
        raise
    except Exception as error:  # StopIteration included: encapsulated data with too few fragments
        raise _failure(
            FailureReason.DECODE_FAILED, f"dicom {codec.value}: {type(error).__name__}"
        ) from error
    return pixels, tuple(sorted({*flags, *_excess_flags(image, codec)}))


def frame_profile(image: DicomImage, index: int) -> tuple[bytes | None, tuple[str, ...]]:
    """The colour profile of a frame, or None; and a flag for want of one.

    The object's header has the word. A JPEG that was wrapped as it was brings its own profile: it
    counts where the header has none and does not say SRGB.
    """
    profile, flags = embedded_profiles.of_dicom(image.values, index)
    is_jpeg = CODECS.get(image.transfer_syntax_uid) == Codec.JPEG
    if profile is None and is_jpeg and text(image.values, "ColorSpace") != embedded_profiles.SRGB:
        frame = get_frame(image.dataset.PixelData, index, number_of_frames=image.frames)
        profile, own = embedded_profiles.of_jpeg(frame, jpeg.read_header(frame).segments)
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
    frame = get_frame(image.dataset.PixelData, index, number_of_frames=image.frames)
    if codec == Codec.JPEG:
        return _jpeg(image, frame, photometric, limits, at_least)
    photometric = _check_stream(image, codec, frame, photometric)
    if codec == Codec.JPEG_XL:
        return _eight_bits(codecs.decode_jpeg_xl(frame), _bits(image, codec, frame))
    decoder = get_decoder(UID(image.transfer_syntax_uid))
    pixels, _ = decoder.as_array(
        image.dataset, index=index, raw=True, decoding_plugin=_PLUGINS[codec]
    )
    if photometric == _PALETTE:
        return _palette(image, pixels)
    narrow, flags = _eight_bits(pixels, _bits(image, codec, frame))
    return _to_rgb(narrow, photometric), flags


def _check_colour(image: DicomImage, photometric: str) -> None:
    # a missing number is not taken for grey when the interpretation names three
    samples = number(image.values, "SamplesPerPixel", default=3 if photometric in _THREE else 1)
    if photometric in _GREY or (samples == 1 and photometric != _PALETTE):
        raise _failure(FailureReason.NOT_COLOUR, "greyscale; the model has seen colour only")
    if photometric == _PALETTE and image.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN:
        raise _failure(
            FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION,
            "palette in big endian: its tables are read wrongly",
        )
    if photometric not in _THREE | {_PALETTE} or (photometric != _PALETTE and samples != 3):
        raise _failure(FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION, "no rule for it")


def _native(image: DicomImage, index: int, photometric: str) -> Frame:
    """Uncompressed samples; pydicom unpacks subsampled chroma, and converts nothing twice."""
    dataset = image.dataset
    allocated = number(dataset, "BitsAllocated")
    # YBR_FULL_422 shares chroma between two pixels (PS3.3 C.7.6.3)
    samples = 2 if photometric == "YBR_FULL_422" else number(dataset, "SamplesPerPixel")
    frame_bytes = image.rows * image.columns * samples * allocated // 8
    found, needed = len(dataset.PixelData), frame_bytes * image.frames
    if found < needed or (samples == 2 and found >= needed * 3 // 2):
        raise _failure(
            FailureReason.HEADER_CONTRADICTS_PIXELS,
            f"{found} bytes of pixel data; the header needs {needed}",
        )
    decoder = get_decoder(UID(image.transfer_syntax_uid))
    if photometric == _PALETTE:
        return _palette(image, decoder.as_array(dataset, index=index, raw=True)[0])
    if photometric in _YBR and allocated > 8:
        pixels = decoder.as_array(dataset, index=index, raw=True)[0]
        narrow, flags = _eight_bits(pixels, number(dataset, "BitsStored", default=allocated))
        return _to_rgb(narrow, photometric), flags
    pixels = decoder.as_array(dataset, index=index)[0]
    return _eight_bits(pixels, number(dataset, "BitsStored", default=allocated))


def _jpeg(
    image: DicomImage, frame: bytes, photometric: str, limits: Limits, at_least: int | None
) -> Frame:
    """Lossy JPEG of 8 bits; no decoder was found that gets 12-bit colour right."""
    header = jpeg.read_header(frame)
    _check_same_size(image, header.rows, header.columns)
    if header.precision != 8:
        raise _failure(
            FailureReason.UNSUPPORTED_TRANSFER_SYNTAX, f"colour JPEG of {header.precision} bits"
        )
    decoded = raster.decode(frame, FileFormat.JPEG, limits, at_least, photometric)
    return decoded.pixels, decoded.flags


def _check_stream(image: DicomImage, codec: Codec, frame: bytes, photometric: str) -> str:
    """Compare the stream's header with the object's; the photometric interpretation to apply."""
    if codec in (Codec.JPEG_LOSSLESS, Codec.JPEG_LS):
        if codec == Codec.JPEG_LOSSLESS:
            codestream.require_end(frame, codec.value)
        header = jpeg.read_header(frame)
        _check_same_size(image, header.rows, header.columns)
    elif codec == Codec.JPEG_2000:
        stream = codestream.jpeg_2000_header(frame)
        _check_same_size(image, stream.rows, stream.columns)
        if stream.multiple_component_transform:  # undone by the codec, whatever the header says
            return _RGB if photometric != _PALETTE else photometric
    elif codec == Codec.JPEG_XL:
        _check_same_size(image, *codestream.jpeg_xl_size(frame))
    return _RGB if photometric in _DECODED_AS_RGB else photometric


def _check_same_size(image: DicomImage, rows: int, columns: int) -> None:
    if (rows, columns) != (image.rows, image.columns):
        raise _failure(
            FailureReason.HEADER_CONTRADICTS_PIXELS,
            f"stream {columns}x{rows}, header {image.columns}x{image.rows}",
        )


def _bits(image: DicomImage, codec: Codec, frame: bytes) -> int:
    """Bits a sample that a full scale has, from the stream where it says so."""
    if codec in (Codec.JPEG_LOSSLESS, Codec.JPEG_LS):
        return jpeg.read_header(frame).precision
    return number(image.dataset, "BitsStored", default=8)


def _palette(image: DicomImage, indices: np.ndarray) -> Frame:
    """Apply the lookup tables; 16-bit entries keep their upper eight bits (PS3.3 C.7.9)."""
    coloured = apply_color_lut(indices, image.dataset)
    if coloured.dtype == np.uint8:
        return np.ascontiguousarray(coloured[..., :3]), ("palette",)
    return (coloured[..., :3] >> 8).astype(np.uint8), ("palette",)


def _to_rgb(pixels: np.ndarray, photometric: str) -> np.ndarray:
    """(h, w, 3) uint8 to RGB: YBR is converted here and nowhere else."""
    return convert_color_space(pixels, "YBR_FULL", _RGB) if photometric in _YBR else pixels


def _eight_bits(pixels: np.ndarray, stored: int) -> Frame:
    """Scale by the full range of the bits stored, never by what occurs in this image."""
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype.kind != "u":
        raise _failure(
            FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION,
            f"decoded to {pixels.shape} {pixels.dtype}",
        )
    if pixels.dtype == np.uint8 and stored == 8:
        return pixels, ()
    if not 8 <= stored <= 32:
        raise _failure(FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION, f"{stored} bits")
    scaled = np.clip(pixels * (255.0 / (2**stored - 1)), 0, 255)
    return np.rint(scaled).astype(np.uint8), ("was_16bit",)


def _excess_flags(image: DicomImage, codec: Codec) -> tuple[str, ...]:
    """Frames beyond the declared number are not read, but said."""
    dataset = image.dataset
    if codec != Codec.NATIVE:
        # a frame may be in several fragments, but only its first one begins a stream
        data = dataset.PixelData
        _, items = parse_fragments(data)
        begun = sum(data.startswith(_STREAM_STARTS, item + _ITEM_HEADER) for item in items)
        return ("frames_beyond_declared",) if begun > image.frames else ()
    samples = number(dataset, "SamplesPerPixel", default=1)
    frame_bytes = image.rows * image.columns * samples * number(dataset, "BitsAllocated") // 8
    excess = len(dataset.PixelData) - frame_bytes * image.frames
    return ("frames_beyond_declared",) if excess >= max(frame_bytes, 2) else ()


def _failure(reason: FailureReason, detail: str = "") -> ImageFailure:
    return ImageFailure(Stage.DECODE, reason, detail)
