"""Converts stored samples of DICOM to eight bits.

Source: PS3.5 8.1.1 (Bits Allocated, Bits Stored, High Bit). A sample has `stored` bits, of which
`high` is the highest; the other bits of the word do not belong to the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images.dicom_attributes import number
from batch.images.refusals import contradiction
from batch.images.samples import to_eight_bits

_LEAST, _MOST, _BY_TABLE = 8, 32, 16
_LINES_SEEN = 256
_ROUGH = 1 / 8
"""Mean step between neighbours, as a share of the full scale, that no photograph reaches."""
_FEW = 1 / 500
"""A smaller share of the steps is not significant."""


@dataclass(frozen=True)
class SampleBits:
    """The bits of a sample in its word. high: number of its highest bit, from 0."""

    allocated: int
    stored: int
    high: int


def sample_bits(values: Any) -> SampleBits:
    """Read the bits of samples from a dataset's values.

    Raises:
        ImageFailure: HEADER_CONTRADICTS_PIXELS if no word can hold such a sample.
    """
    allocated = number(values, "BitsAllocated", default=8)
    stored = number(values, "BitsStored", default=allocated)
    high = number(values, "HighBit", default=stored - 1)
    if stored == allocated:  # then High Bit has only one possible value
        high = stored - 1
    if not 1 <= stored <= high + 1 <= allocated:
        raise contradiction(f"{stored} bits stored, high bit {high}, {allocated} bits allocated")
    return SampleBits(allocated, stored, high)


def stored_values(
    samples: np.ndarray, precision: int, bits: SampleBits, is_stream: bool = False
) -> tuple[np.ndarray, int]:
    """Take the stored bits from the words.

    An encoder writes either the whole word (dcmtk does by default) or the values only. The
    precision shows which: if it is above the high bit, the stream holds words. If the image
    continues above the high bit, Bits Stored is wrong; then a stream's own precision counts, and
    for other data the scale is unknown.

    Args:
        samples: unsigned.
        precision: bits of a sample in the stream; for uncompressed data and RLE, Bits Allocated.
        bits: by the header.
        is_stream: whether the precision comes from the stream.

    Returns:
        the values, in the same shape, and the bits of their full scale.


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
    if (values > mask).any():
        if precision != bits.allocated:
            raise contradiction(f"{precision} bits in the stream, {bits.stored} bits stored")
        if _goes_on_above(values, bits.stored):
            if is_stream:
                return samples, precision
            raise contradiction(f"a picture of more than {bits.stored} bits, as stored")
    return values & mask, bits.stored


def _goes_on_above(values: np.ndarray, stored: int) -> bool:
    """Whether the bits above the stored ones belong to the image, and not to an overlay.

    If the image has more bits than its header says, whole words change smoothly, and their lower
    bits jump or are noise. If there are overlays, the lower bits change smoothly. Palette numbers
    do neither and are not tested.

    Args:
        values: (h, w, samples), unsigned, shifted to bit 0, with all higher bits.
        stored: number of stored bits.
    """
    if values.ndim != 3:
        return False
    whole, low = _steps(values), _steps(values & np.array(2**stored - 1, values.dtype))
    if not low.any():  # the image is in the higher bits only
        return bool(whole.any())
    width = int(values.max()).bit_length()
    roughness = float(low.mean()) / 2**stored
    if roughness > _ROUGH and float(whole.mean()) / 2**width < roughness / 2:
        return True
    jumps = low > 2 ** (stored - 1)
    carried = np.count_nonzero(jumps & (whole < 2 ** (stored - 1)))  # smooth with the higher bits
    return bool(carried > _FEW * low.size and 2 * carried > np.count_nonzero(jumps))


def _steps(values: np.ndarray) -> np.ndarray:
    """Absolute differences of neighbours in some rows and columns, flat, int64."""
    rows, columns = (max(1, -(-sides // _LINES_SEEN)) for sides in values.shape[:2])
    across = np.diff(values[::rows].astype(np.int64), axis=1)
    down = np.diff(values[:, ::columns].astype(np.int64), axis=0)
    return np.abs(np.concatenate([across.ravel(), down.ravel()]))


def eight_bits(values: np.ndarray, full: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scale to 8 bits by the full range of the bits, not by the range of this image.

    Args:
        values: unsigned, 0 to 2**full - 1.
        full: bits of the full scale.

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
