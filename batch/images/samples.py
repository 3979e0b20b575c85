"""Converts samples of any depth to bytes, by the full range of the depth."""

from __future__ import annotations

import numpy as np

from batch.core.errors import FailureReason, ImageFailure, Stage

_FULL = 255


def to_eight_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    """Scale samples of 1 to 16 bits, rounded: uint8 or uint16 of any shape to uint8."""
    if bits == 8:
        return samples
    most = (1 << bits) - 1
    scale = (np.arange(most + 1, dtype=np.uint32) * _FULL + most // 2) // most
    return scale.astype(np.uint8)[samples]


_OPAQUE = 255


def over_white(colours: np.ndarray, alpha: np.ndarray, premultiplied: bool = False) -> np.ndarray:
    """Lay a picture over white.

    Args:
        colours: (h, w, 3) uint8, RGB.
        alpha: (h, w) uint8, 255 is opaque.
        premultiplied: whether the colours were multiplied by alpha already.

    Returns:
        (h, w, 3) uint8.

    Raises:
        ImageFailure: WHOLLY_TRANSPARENT if alpha is 0 everywhere, so that only white would be left.
    """
    if not alpha.any():
        raise ImageFailure(
            Stage.DECODE, FailureReason.WHOLLY_TRANSPARENT, "every pixel is transparent"
        )
    laid = np.empty_like(colours)
    white = (_OPAQUE - alpha).astype(np.uint16) * (1 if premultiplied else _OPAQUE)
    for channel in range(colours.shape[2]):  # one at a time, to save memory
        if premultiplied:
            laid[..., channel] = np.minimum(colours[..., channel] + white, _OPAQUE)
        else:
            product = colours[..., channel].astype(np.uint16) * alpha + white
            laid[..., channel] = (product + _OPAQUE // 2) // _OPAQUE
    return laid


def is_opaque(alpha: np.ndarray) -> bool:
    """Whether alpha, (h, w), uint8, is opaque everywhere."""
    return bool((alpha == _OPAQUE).all())
