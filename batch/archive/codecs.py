"""Decoders from imagecodecs: what pydicom lacks (lossless JPEG, JPEG XL), PNG, and TIFF's parts.

The only importer of imagecodecs. `decode_frame`, `is_available` and `DECODER_DEPENDENCIES` are what
pydicom asks of a plugin module (pydicom.pixels, `Decoder.add_plugin`).
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np

PLUGIN = "melanoma_batch_imagecodecs"
SYNTAXES = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")

_PACKBITS_RUN = 128
"""A run may reach beyond the last row; libtiff lets it."""

DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("numpy", "imagecodecs>=2025.3.30"))


def is_available(uid: str) -> bool:
    """Whether the plugin can decode this transfer syntax here."""
    return uid in DECODER_DEPENDENCIES and bool(imagecodecs.LJPEG.available)


def decode_frame(source: bytes, runner: Any) -> bytearray:
    """One lossless JPEG frame as samples in pixel order; called by pydicom.

    Args:
        source: the frame's stream. runner: pydicom's DecodeRunner, told the layout of the result.
    """
    pixels = imagecodecs.ljpeg_decode(source)
    runner.set_option("bits_allocated", 8 * pixels.itemsize)
    runner.set_option("planar_configuration", 0)
    return bytearray(np.ascontiguousarray(pixels).tobytes())


def decode_jpeg_xl(frame: bytes) -> np.ndarray:
    """A JPEG XL frame: (h, w, samples) uint8 or uint16; the stream knows its own colours."""
    return imagecodecs.jpegxl_decode(frame)


def decode_png(data: bytes) -> np.ndarray:
    """A PNG file by libpng, which refuses one whose data end early; Pillow leaves the rest black.

    Returns:
        (h, w) or (h, w, samples) uint8, or uint16 where it has 16 bits. Palettes become colours,
        tRNS becomes alpha.
    """
    return imagecodecs.png_decode(data)


def decode_lzw(data: bytes, size: int) -> bytes:
    """A strip or tile in TIFF's LZW: at most `size` bytes, fewer when the data end early."""
    return bytes(imagecodecs.lzw_decode(data, out=size))


def decode_packbits(data: bytes, size: int) -> bytes:
    """A strip or tile in PackBits: at most `size` bytes, fewer when the data end early."""
    return bytes(imagecodecs.packbits_decode(data, out=size + _PACKBITS_RUN))[:size]


def decode_zstd(data: bytes, size: int) -> bytes:
    """A strip or tile in Zstandard, of at most `size` bytes."""
    return bytes(imagecodecs.zstd_decode(data, out=size))


def unpack_integers(data: bytes, bits: int, a_row: int) -> np.ndarray:
    """Numbers of an odd width, highest bit first, each row of `a_row` from a byte of its own.

    Returns:
        (n,) uint8, or uint16 above 8 bits.
    """
    kind = np.uint8 if bits <= 8 else np.uint16
    return imagecodecs.packints_decode(data, kind, bits, runlen=a_row)
