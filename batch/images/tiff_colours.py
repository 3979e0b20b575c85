"""Converts samples of a TIFF page to colours and alpha.

Source: TIFF 6.0 sections 4 to 6, 18 (associated alpha) and 20 to 21 (YCbCr).
"""

from __future__ import annotations

import numpy as np

from batch.images import tiff_directory as tags
from batch.images.refusals import damaged
from batch.images.samples import to_eight_bits
from batch.images.tiff_directory import Directory
from batch.images.tiff_layout import Layout
from batch.images.tiff_segments import JPEG, OLD_JPEG

RGB, PALETTE, CMYK, YCBCR = 2, 3, 5, 6
COLOURS = {RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
"""Photometric interpretations that are supported, and the number of samples of a colour."""
_ASSOCIATED, _UNASSOCIATED = 1, 2
_PREMULTIPLIED = {_ASSOCIATED: True, _UNASSOCIATED: False}
_REC_601 = (0.299, 0.587, 0.114)
_FULL_RANGE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
_EIGHT = 255


def to_colours(
    page: Directory, layout: Layout, photometric: int, samples: np.ndarray
) -> np.ndarray:
    """Convert colour samples.

    Args:
        page: of the samples.
        layout: of the page.
        photometric: interpretation, one of `COLOURS`.
        samples: (h, w, n) uint8, or uint16 above 8 bits; YCbCr in JPEG is RGB already.

    Returns:
        (h, w, 3) uint8, RGB; for CMYK the inks, (h, w, 4), where 255 is full ink.

    Raises:
        ImageFailure: DECODE_FAILED for an impossible colour map or impossible coefficients.
    """
    if photometric == PALETTE:
        return _looked_up(page, layout.bits, samples[..., 0])
    colours = to_eight_bits(samples, layout.bits)
    jpeg_gave_rgb = layout.compression in (JPEG, OLD_JPEG) and layout.part_samples == 3
    if photometric == YCBCR and not jpeg_gave_rgb:
        return _from_ycbcr(page, colours)
    return colours


def _looked_up(page: Directory, bits: int, indices: np.ndarray) -> np.ndarray:
    """Look up colours in the colour map; 16-bit entries keep their upper 8 bits, as elsewhere.

    Some writers use entries of 0..255; these are taken as they are.
    """
    entries = page.numbers(tags.COLOUR_MAP)
    if len(entries) < 3 << bits:
        raise damaged("TIFF: colour map too short")
    table = entries[: 3 << bits].reshape(3, 1 << bits).T
    if table.max() > _EIGHT:
        table = table >> 8
    return np.ascontiguousarray(table.astype(np.uint8))[indices]


def _from_ycbcr(page: Directory, samples: np.ndarray) -> np.ndarray:
    """Convert YCbCr by TIFF 6.0 section 21, with the page's coefficients and range."""
    red, green, blue = _three(page.ratios(tags.YCBCR_COEFFICIENTS), _REC_601)
    low_high = page.ratios(tags.REFERENCE_BLACK_WHITE)
    low_high = low_high if len(low_high) == 6 else _FULL_RANGE
    if green == 0 or any(a == b for a, b in zip(low_high[::2], low_high[1::2], strict=True)):
        raise damaged("TIFF: impossible YCbCr coefficients")
    scales = (255.0, 127.0, 127.0)
    luminance, blueness, redness = (
        (samples[..., i].astype(np.float32) - low_high[2 * i])
        * (scales[i] / (low_high[2 * i + 1] - low_high[2 * i]))
        for i in range(3)
    )
    r = luminance + redness * (2 - 2 * red)
    b = luminance + blueness * (2 - 2 * blue)
    g = (luminance - blue * b - red * r) / green
    return np.rint(np.clip(np.stack([r, g, b], -1), 0, _EIGHT)).astype(np.uint8)


def _three(numbers: tuple[float, ...], default: tuple[float, ...]) -> tuple[float, ...]:
    return numbers if len(numbers) == 3 else default


def alpha_of(
    page: Directory, layout: Layout, samples: np.ndarray, colours: int
) -> tuple[np.ndarray | None, bool]:
    """Alpha, (h, w), uint8, or None, and whether colours are premultiplied.

    Alpha is the first extra sample, if the page says so. A fourth sample without a statement is
    taken as alpha, as in Pillow, unless it is 0 everywhere; then it is padding.
    """
    if samples.shape[2] == colours:
        return None, False
    kinds = page.numbers(tags.EXTRA_SAMPLES)
    if not len(kinds) and samples.shape[2] == colours + 1:
        alpha = to_eight_bits(samples[..., colours], layout.bits)
        return (alpha if alpha.any() else None), False
    if not len(kinds) or int(kinds[0]) not in _PREMULTIPLIED:
        return None, False
    return to_eight_bits(samples[..., colours], layout.bits), _PREMULTIPLIED[int(kinds[0])]
