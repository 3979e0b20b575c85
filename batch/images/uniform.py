"""Pictures that hold next to nothing: one colour, or filler, black or white over most of them.

They come from damage that no decoder told (missing strips, a cut stream, samples scaled wrongly),
or are pages of a document; a model gives them a score like any other. A pure rule on the model's
input. Its bounds lie beyond real pictures: `python -m tests.tools.uniform FOLDER` counts in a
folder.

A dermatoscope's dark surround covers up to two thirds of a picture, and is no damage: it leaves
the corners of what was seen dark, because the tube is round.
"""

from __future__ import annotations

import numpy as np

from batch.core.errors import FailureReason, ImageFailure, Stage

NEARLY_UNIFORM = "nearly_uniform"

_COARSE, _STEP = 9, 3
"""Of every ninth row and column 400 pixels are looked at, which tells ordinary pictures in a
fraction of the time; of the others every third: 60 by 60."""
_MARGIN = 0.1
"""By which the coarse look may be mistaken in a share."""
_FILLED = 0.45
"""Share of exactly one colour; half of a picture, less what the resize blends. Real pictures have
up to 0.42, but for dark surrounds."""
_DARK, _MOSTLY_DARK = 24, 0.6
_WHITE, _MOSTLY_WHITE = 240, 0.9
"""Skin lit too brightly is white over up to 0.83."""
_LIT, _LEAST_LIT = 50, 0.01
_LEAST_SPREAD = 4.0
"""Standard deviation, in grey levels: real pictures have 6 and more in some channel."""
_NARROW = 48
"""Range of the coarse look in which so small a deviation is looked for."""

_LEAST_SIDE, _ROUND, _DARK_CORNER, _DARK_LINES = 6, 1.1, 0.75, 5


def uniformity_flags(pixels: np.ndarray) -> tuple[str, ...]:
    """The flag of a picture that holds next to nothing.

    Args:
        pixels: (180, 180, 3) uint8, RGB: the model's input.

    Raises:
        ImageFailure: ONE_COLOUR when every pixel is the same.
    """
    coarse = _planes(pixels[_COARSE // 2 :: _COARSE, _COARSE // 2 :: _COARSE])
    if not _may_be_uniform(coarse):
        return ()
    if (pixels == pixels[0, 0]).all():
        raise ImageFailure(Stage.DECODE, FailureReason.ONE_COLOUR, "all pixels are the same")
    seen = _planes(pixels[_STEP // 2 :: _STEP, _STEP // 2 :: _STEP])
    return (NEARLY_UNIFORM,) if _is_nearly_uniform(seen) else ()


def _planes(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 3) to (3, h, w): several times faster to look at."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _may_be_uniform(coarse: np.ndarray) -> bool:
    """The rule below with wider bounds, of (3, n, n) uint8."""
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
    """Of (3, n, n) uint8."""
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
    """(n, n) bool: where (3, n, n) uint8 has the colour that covers a third of it or more.

    In order, such a colour stands at a third or at two thirds; where none does, any colour.
    """
    red, green, blue = planes.astype(np.uint32)
    packed = (red << 16) | (green << 8) | blue
    in_order = np.sort(packed, axis=None)
    third = len(in_order) // 3
    one, other = (packed == in_order[at] for at in (third, 2 * third))
    return one if np.count_nonzero(one) >= np.count_nonzero(other) else other


def _is_surround(dark: np.ndarray) -> bool:
    """Whether what is not dark in (n, n) bool is round: all four corners of its box are dark, and
    no more than a few lines through it are dark from end to end.

    Of a round picture whose lower half is missing, the lower corners are not dark.
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
