"""Converts images opened by Pillow to RGB: palettes, transparency and inks."""

from __future__ import annotations

import numpy as np
from PIL import Image

from batch.core.rules import Limits
from batch.images.colour_profiles import conversion_to_srgb
from batch.images.refusals import greyscale
from batch.images.samples import is_opaque, over_white

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_ALPHA_MODES = frozenset({"RGBA", "RGBa", "PA"})


def to_rgb(image: Image.Image, flags: set[str], limits: Limits) -> np.ndarray:
    """Convert an opened image of any mode to (h, w, 3), uint8, RGB.

    Args:
        image: its `info["icc_profile"]` is applied only if its colours are inks.
        flags: gets flags of README.
        limits: of the watched process.

    Raises:
        ImageFailure: NOT_COLOUR, WHOLLY_TRANSPARENT, or an error in the trial of a profile.
        DecoderNotStarted: no process could be started for that trial.
    """
    if image.mode in _GREY_MODES:
        raise greyscale()
    if image.mode in _ALPHA_MODES or (image.mode in ("P", "RGB") and "transparency" in image.info):
        rgba = np.asarray(image.convert("RGBA"))
        colours, alpha = rgba[..., :3], rgba[..., 3]
        if image.format == "BMP" and not alpha.any():  # many bitmaps leave the fourth byte at 0
            return np.ascontiguousarray(colours)
        return on_white(colours, alpha, flags)
    if image.mode == "CMYK":
        return np.asarray(_inks_to_rgb(image, flags, limits))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def on_white(
    colours: np.ndarray, alpha: np.ndarray, flags: set[str], premultiplied: bool = False
) -> np.ndarray:
    """Lay colours, (h, w, 3), uint8, over white by alpha, (h, w), uint8.

    Args:
        flags: gets `alpha_composited` if white is visible.
        premultiplied: whether the colours were multiplied by alpha already.


    Raises:
        ImageFailure: WHOLLY_TRANSPARENT.
    """
    if is_opaque(alpha):
        return np.ascontiguousarray(colours)
    flags.add("alpha_composited")
    return over_white(colours, alpha, premultiplied)


def _inks_to_rgb(image: Image.Image, flags: set[str], limits: Limits) -> Image.Image:
    """Convert CMYK by its own profile, at full size; without a usable one by Pillow's formula."""
    flags.add("cmyk_converted")
    conversion = conversion_to_srgb(image.info.get("icc_profile"), limits, "CMYK")
    flags.update(conversion.flags)
    if conversion.transform is None:
        return image.convert("RGB")
    return conversion.transform.apply(image)
