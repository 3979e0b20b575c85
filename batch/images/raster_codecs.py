"""Decoders of imagecodecs for PNG, and for strips and tiles of TIFF."""

from __future__ import annotations

import imagecodecs
import numpy as np

_PACKBITS_RUN = 128
"""Bytes by which a run may reach beyond the last row; libtiff allows it."""
_MOST_ROOM = 64 << 20


def decode_png(data: bytes) -> np.ndarray:
    """Decode a PNG file by libpng, which refuses data that end early.

    Returns:
        (h, w) or (h, w, samples) uint8, or uint16 where it has 16 bits. Palettes become colours,
        tRNS becomes alpha.
    """
    return imagecodecs.png_decode(data)


def decode_lzw(data: bytes, size: int) -> bytes:
    """Decode a strip or tile in TIFF's LZW: at most `size` bytes, fewer if the data end early."""
    return bytes(imagecodecs.lzw_decode(data, out=size))


def decode_packbits(data: bytes, size: int) -> bytes:
    """Decode a strip or tile in PackBits: at most `size` bytes, fewer if the data end early."""
    return bytes(imagecodecs.packbits_decode(data, out=_room(size)))[:size]


def decode_zstd(data: bytes, size: int) -> bytes:
    """Decode a strip or tile in Zstandard: at most `size` bytes."""
    return bytes(imagecodecs.zstd_decode(data, out=_room(size)))[:size]


def _room(size: int) -> int:
    """Bytes of room for a decoder, with a reserve, so that longer data are noticed."""
    return size + _PACKBITS_RUN + min(7 * size, _MOST_ROOM)


def unpack_integers(data: bytes, bits: int, a_row: int) -> np.ndarray:
    """Unpack numbers of any width, highest bit first; each row of `a_row` begins at a byte.

    Returns:
        (n,) uint8, or uint16 above 8 bits.
    """
    kind = np.uint8 if bits <= 8 else np.uint16
    return imagecodecs.packints_decode(data, kind, bits, runlen=a_row)
