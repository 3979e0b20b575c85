"""Does a score read the lesion, or what came along with it? Images changed to ask. Pure.

A dark surround, the sharpness and the size of a lesion go with melanoma in some collections. Each
is taken away, or alone is left, and melanoma ranked again: Winkler et al. 2019, Association between
surgical skin markings and diagnostic performance (JAMA Dermatology 155); Bissoto et al. 2020,
Debiasing skin lesion datasets and models? Not so fast, who covered the lesion.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from batch.images.preprocess import resize

GRID = 90
"""Masks are made at half the side: edges of a lesion are no sharper than that."""
_SURROUND_BELOW = 45
_MARGIN = 6
"""Cells, twelve pixels: what is a little darker than the skin around a lesion belongs to it."""


def lesion_mask(pixels: np.ndarray) -> np.ndarray:
    """(180, 180, 3) uint8 to (180, 180) bool: what is dark, with a margin, however large.

    Dark is below Otsu's threshold of the smoothed grey (Otsu 1979), of what is not the surround:
    the nearly black that touches the image's edge.
    """
    grey = pixels.astype(np.float32).mean(axis=2)
    grey = grey.reshape(GRID, 2, GRID, 2).mean(axis=(1, 3))
    around = surround(grey)
    smooth = ndimage.gaussian_filter(grey, 1.5)
    inside = ~around
    if not inside.any():
        return np.ones(pixels.shape[:2], bool)
    dark = inside & (smooth < otsu(smooth[inside]))
    wide = ndimage.binary_dilation(dark, iterations=_MARGIN) & inside
    return np.kron(wide, np.ones((2, 2), bool))


def surround(grey: np.ndarray) -> np.ndarray:
    """(H, W) to bool: nearly black areas that touch the edge, and a little more."""
    areas, _ = ndimage.label(grey < _SURROUND_BELOW)
    edge = np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]])
    return ndimage.binary_dilation(np.isin(areas, np.unique(edge[edge > 0])), iterations=2)


def otsu(values: np.ndarray) -> float:
    """The threshold that parts values in 0..255 into two kinds that differ most."""
    counts = np.bincount(np.clip(values, 0, 255).astype(int).ravel(), minlength=256).astype(float)
    below = np.cumsum(counts)
    total = np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = total / below - (total[-1] - total) / above
    between = np.nan_to_num(below * above * gap**2)
    return float(between.argmax() + 1)


def covered(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with the lesion painted in the skin's median colour: no score can read it."""
    free = ~mask & (pixels.mean(axis=2) >= _SURROUND_BELOW)
    skin = np.median(pixels[free], axis=0) if free.any() else np.full(3, 180)
    return np.where(mask[..., None], skin.round().astype(np.uint8), pixels)


def at_sharpness(pixels: np.ndarray, side: int) -> np.ndarray:
    """The image as if it had been kept at `side` pixels: the same for every source."""
    small = resize(pixels, side, side)
    return resize(small, *pixels.shape[:2])
