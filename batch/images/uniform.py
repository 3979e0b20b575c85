"""Finds images that show almost nothing: one colour, or filler, black or white over most of them.

They come from damage that no decoder noticed (missing strips, a cut stream, wrong scaling), or are
pages of a document; but the model would score them like others. The rule looks at the model's
input. Its bounds are outside the range of real images: `python -m tests.tools.uniform FOLDER`
counts the images of a folder that it finds.

A dermatoscope's dark surround covers up to two thirds of an image and is no damage. It is
recognised by its dark corners, because the tube is round.
"""

from __future__ import annotations

import numpy as np

from batch.core.errors import FailureReason, ImageFailure, Stage

NEARLY_UNIFORM = "nearly_uniform"

_COARSE, _STEP = 9, 3
"""A coarse look at every ninth row and column, 400 pixels, settles ordinary images in a fraction of
the time; of the others every third row and column is examined, 60 by 60."""
_MARGIN = 0.1
"""Error that the coarse look may have in a share."""
_FILLED = 0.45
"""Share of exactly one colour: half of an image, less what the resize blends. Real images have up
to 0.42, apart from dark surrounds."""
_DARK, _MOSTLY_DARK = 24, 0.6
_WHITE, _MOSTLY_WHITE = 240, 0.9
"""Overexposed skin is white over up to 0.83."""
_LIT, _LEAST_LIT = 50, 0.01
_LEAST_SPREAD = 4.0
"""Standard deviation in grey levels; real images have 6 or more in some channel."""
_NARROW = 48
"""The deviation is examined only if the range of the coarse look is at most this."""

_LEAST_SIDE, _ROUND, _DARK_CORNER, _DARK_LINES = 6, 1.1, 0.75, 5


def uniformity_flags(pixels: np.ndarray) -> tuple[str, ...]:
    """The flag of an image that shows almost nothing, or none.

    Args:
        pixels: (180, 180, 3) uint8, RGB: the model's input.

    Raises:
        ImageFailure: ONE_COLOUR if all pixels are equal.
    """
    coarse = _planes(pixels[_COARSE // 2 :: _COARSE, _COARSE // 2 :: _COARSE])
    if not _may_be_uniform(coarse):
        return ()
    if (pixels == pixels[0, 0]).all():
        raise ImageFailure(Stage.DECODE, FailureReason.ONE_COLOUR, "all pixels are the same")
    seen = _planes(pixels[_STEP // 2 :: _STEP, _STEP // 2 :: _STEP])
    return (NEARLY_UNIFORM,) if _is_nearly_uniform(seen) else ()


def _planes(pixels: np.ndarray) -> np.ndarray:
    """Pixels, (h, w, 3), as planes, (3, h, w), which are several times faster to examine."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _may_be_uniform(coarse: np.ndarray) -> bool:
    """The rule of `_is_nearly_uniform` with wider bounds, for planes (3, n, n), uint8."""
    lightest = np.sort(coarse.max(axis=0), axis=None)
    darkest = np.sort(coarse.min(axis=0), axis=None)
    count = len(lightest)
    return bool(
        int(lightest[-1]) - int(lightest[0]) < _NARROW
        or lightest[-int(count * (_LEAST_LIT + _MARGIN))] < _LIT
        or lightest[int(count * (_MOSTLY_DARK - _MARGIN))] <= _DARK
        or darkest[-int(count * (_MOSTLY_WHITE - _MARGIN))] >= _WHITE
        or _share(_most_common(coarse)) >= _FILLED - _MARGIN
    )


def _is_nearly_uniform(seen: np.ndarray) -> bool:
    """Whether planes, (3, n, n), uint8, are nearly uniform."""
    lightest, darkest = seen.max(axis=0), seen.min(axis=0)
    if seen.std(axis=(1, 2)).max() < _LEAST_SPREAD:
        return True
    if _share(lightest >= _LIT) < _LEAST_LIT or _share(darkest >= _WHITE) >= _MOSTLY_WHITE:
        return True
    dark, filled = lightest <= _DARK, _most_common(seen)
    if _share(dark) >= _MOSTLY_DARK:
        return not _is_surround(dark)
    if _share(filled) >= _FILLED:
        return not ((filled & dark).any() and _is_surround(dark))
    return False


def _share(mask: np.ndarray) -> float:
    return np.count_nonzero(mask) / mask.size


def _most_common(planes: np.ndarray) -> np.ndarray:
    """Where planes, (3, n, n), uint8, have the colour that covers a third or more: (n, n) bool.

    In sorted order such a colour is at a third or at two thirds. Without one, any colour is taken.
    """
    red, green, blue = planes.astype(np.uint32)
    packed = (red << 16) | (green << 8) | blue
    in_order = np.sort(packed, axis=None)
    third = len(in_order) // 3
    at_third, at_two_thirds = (packed == in_order[at] for at in (third, 2 * third))
    is_third_larger = np.count_nonzero(at_third) >= np.count_nonzero(at_two_thirds)
    return at_third if is_third_larger else at_two_thirds


def _is_surround(dark: np.ndarray) -> bool:
    """Whether the part that is not dark, (n, n), bool, is round.

    Then all four corners of its box are dark, and at most a few lines through it are completely
    dark. If the lower half of a round image is missing, the lower corners are not dark.
    """
    rows, columns = (np.flatnonzero((~dark).sum(axis=axis) > 1) for axis in (1, 0))
    if min(len(rows), len(columns)) < _LEAST_SIDE:
        return False
    box = dark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if max(box.all(axis=axis).sum() for axis in (0, 1)) > _DARK_LINES:
        return False
    down, across = (np.linspace(-1, 1, side) for side in box.shape)
    outside = down[:, None] ** 2 + across[None] ** 2 > _ROUND**2
    halves = [(slice(None, side // 2), slice(-(side // 2), None)) for side in box.shape]
    corners = [(vertical, horizontal) for vertical in halves[0] for horizontal in halves[1]]
    return all(_share(box[at][outside[at]]) >= _DARK_CORNER for at in corners)
