"""Generated images in every transfer syntax that is read, made by encoders that are not ours."""

from __future__ import annotations

import imagecodecs
import jpeg_ls
import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    JPEG2000,
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from rle.utils import encode_array

from tests.support.archives import altered, dermoscopic, dicom_bytes

LOSSLESS = {
    "jpeg lossless": lambda p: wrapped(p, imagecodecs.jpeg_encode(p, lossless=True), JPEGLossless),
    "jpeg lossless sv1": lambda p: wrapped(
        p, imagecodecs.jpeg_encode(p, lossless=True), JPEGLosslessSV1
    ),
    "jpeg-ls": lambda p: _compressed(p, JPEGLSLossless),
    "jpeg 2000": lambda p: _compressed(p, JPEG2000Lossless),
    "jpeg 2000, transformed": lambda p: _transformed(p),
    "htj2k": lambda p: wrapped(p, imagecodecs.htj2k_encode(p), HTJ2KLossless),
    "rle": lambda p: _compressed(p, RLELossless),
    "native": lambda p: dermoscopic(p),
}
LOSSY = {
    "jpeg": lambda p: dermoscopic(p, jpeg=True),
    "jpeg-ls near lossless": lambda p: wrapped(
        p, imagecodecs.jpegls_encode(p, level=2), JPEGLSNearLossless
    ),
    "jpeg 2000 lossy": lambda p: wrapped(
        p, imagecodecs.jpeg2k_encode(p, level=40, codecformat="j2k", mct=True), JPEG2000, "YBR_ICT"
    ),
}


def _lossless_jpeg(pixels: np.ndarray) -> bytes:
    return imagecodecs.jpeg_encode(pixels, lossless=True)


def _compressed(pixels: np.ndarray, syntax: UID):
    dataset = dermoscopic(pixels)
    dataset.compress(syntax, generate_instance_uid=False)
    return dataset


def _transformed(pixels: np.ndarray):
    """The codec's own reversible colour transform, stated as the standard wants it."""
    stream = imagecodecs.jpeg2k_encode(
        pixels, level=0, reversible=True, codecformat="j2k", mct=True
    )
    return wrapped(pixels, stream, JPEG2000Lossless, "YBR_RCT")


def wrapped(
    pixels: np.ndarray, stream: bytes, syntax: UID, photometric: str = "RGB", **changes: object
):
    """A Dermoscopic Photography object around a stream of these pixels."""
    dataset = dermoscopic(pixels)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PhotometricInterpretation = photometric
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    return altered(dataset, **changes)


def jpeg_xl_bytes(
    pixels: np.ndarray, stream: bytes | None = None, photometric: str = "RGB", **changes: object
) -> bytes:
    """A DICOM file in JPEG XL lossless, whose UID pydicom does not write: put in by hand.

    Args:
        stream: another one than lossless of 8 bits.
    """
    stream = stream or imagecodecs.jpegxl_encode(pixels, lossless=True)
    data = dicom_bytes(wrapped(pixels, stream, HTJ2KLossless, photometric, **changes))
    assert data.count(HTJ2KLossless.encode()) == 1
    return data.replace(HTJ2KLossless.encode(), b"1.2.840.10008.1.2.4.110")


def rle_stream(pixels: np.ndarray) -> bytes:
    """(h, w, 3) uint8 or uint16 in DICOM's RLE."""
    (stream,) = encode_array(
        pixels.astype(pixels.dtype.newbyteorder("<")), rows=pixels.shape[0],
        columns=pixels.shape[1], samples_per_pixel=3, bits_allocated=8 * pixels.itemsize,
        number_of_frames=1,
    )  # fmt: skip
    return bytes(stream)


def jpeg_2000_stream(pixels: np.ndarray, bits: int) -> bytes:
    """A reversible codestream of that precision, with its colour transform."""
    return imagecodecs.jpeg2k_encode(
        pixels, level=0, reversible=True, codecformat="j2k", mct=True, bitspersample=bits
    )


def jpeg_ls_stream(pixels: np.ndarray, bits: int, interleave_mode: int = 2) -> bytes:
    """JPEG-LS by pixel (2), by line (1) or by plane (0), of that precision."""
    ordered = np.ascontiguousarray(pixels.transpose(2, 0, 1) if interleave_mode == 0 else pixels)
    rows, columns, samples = pixels.shape
    arguments = ordered.tobytes(), rows, columns, samples, bits, 0, interleave_mode
    return bytes(jpeg_ls.encode_buffer(*arguments))


def ybr_native(pixels: np.ndarray):
    """Uncompressed YBR_FULL."""
    dataset = dermoscopic(pixels, PhotometricInterpretation="YBR_FULL")
    dataset.PixelData = convert_color_space(pixels, "RGB", "YBR_FULL").tobytes()
    return dataset
