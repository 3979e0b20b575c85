"""Samples as they are stored to eight bits. Pure functions on arrays.

Source: PS3.5 8.1.1 (Bits Allocated, Bits Stored, High Bit): a sample is `stored` bits that end at
bit `high`; what lies beside them is not the image's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from batch.archive.depths import to_eight_bits
from batch.archive.dicom_attributes import number
from batch.archive.refusals import contradiction
from batch.errors import FailureReason, ImageFailure, Stage

_LEAST, _MOST, _BY_TABLE = 8, 32, 16


@dataclass(frozen=True)
class SampleBits:
    """Where in its word a sample lies. high: number of its highest bit, from 0."""

    allocated: int
    stored: int
    high: int


def sample_bits(values: Any) -> SampleBits:
    """Read it from a dataset's values.

    Raises:
        ImageFailure: HEADER_CONTRADICTS_PIXELS when no word can hold such a sample.
    """
    allocated = number(values, "BitsAllocated", default=8)
    stored = number(values, "BitsStored", default=allocated)
    high = number(values, "HighBit", default=stored - 1)
    if stored == allocated:  # there is one way only, whatever High Bit says
        high = stored - 1
    if not 1 <= stored <= high + 1 <= allocated:
        raise contradiction(f"{stored} bits stored, high bit {high}, {allocated} bits allocated")
    return SampleBits(allocated, stored, high)


def stored_values(samples: np.ndarray, precision: int, bits: SampleBits) -> tuple[np.ndarray, int]:
    """Cut out what is stored.

    An encoder either keeps the whole word (dcmtk does by default) or hands over the values alone.
    What it did is told by the precision: a stream that reaches beyond the high bit holds the word.

    Args:
        samples: unsigned. precision: bits that a sample has in the stream; of uncompressed data
            and RLE, Bits Allocated.

    Returns:
        the values, same shape, and the bits of their full scale.

    Raises:
        ImageFailure: HEADER_CONTRADICTS_PIXELS.
    """
    if precision <= bits.high:
        if precision > bits.stored:
            raise contradiction(f"{precision} bits in the stream, {bits.stored} bits stored")
        return samples, precision
    if precision == bits.stored:
        return samples, precision
    values = samples >> np.array(bits.high + 1 - bits.stored, samples.dtype)
    mask = np.array(2**bits.stored - 1, samples.dtype)
    if precision != bits.allocated and (samples >> np.array(bits.high + 1, samples.dtype)).any():
        raise contradiction(f"{precision} bits in the stream, {bits.stored} bits stored")
    return values & mask, bits.stored


def eight_bits(values: np.ndarray, full: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scale by the full range of the bits, never by what occurs in this image.

    Args:
        values: unsigned, 0 to 2**full - 1.

    Returns:
        uint8 of the same shape, and the flags.

    Raises:
        ImageFailure: UNSUPPORTED_PHOTOMETRIC_INTERPRETATION for fewer than 8 or more than 32 bits.
    """
    if not _LEAST <= full <= _MOST:
        raise ImageFailure(
            Stage.DECODE, FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION, f"{full} bits"
        )
    if full == _LEAST:
        return values.astype(np.uint8, copy=False), ()
    if full <= _BY_TABLE:
        return to_eight_bits(values, full), ("was_16bit",)
    return np.rint(values * (255.0 / (2**full - 1))).astype(np.uint8), ("was_16bit",)
