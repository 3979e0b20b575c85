"""Samples of any depth to bytes, by what the depth can hold; never by the picture's own range."""

from __future__ import annotations

import numpy as np

_FULL = 255


def to_eight_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    """Scale samples of 1 to 16 bits, rounded: uint8 or uint16 of any shape to uint8."""
    if bits == 8:
        return samples
    most = (1 << bits) - 1
    scale = (np.arange(most + 1, dtype=np.uint32) * _FULL + most // 2) // most
    return scale.astype(np.uint8)[samples]
