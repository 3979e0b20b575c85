"""What may happen to a picture on its way: blur, compression, light, colour, position, ink.

Every change takes and gives (h, w, 3) uint8, RGB, of a picture whose longest side is 512 pixels or
less (`at_stress_size`). A radius is the standard deviation of a Gaussian at a longest side of 512.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from batch.images.preprocess import resize
from batch.images.quality import LONGEST_SIDE

Change = Callable[[np.ndarray], np.ndarray]
INK = (70, 40, 140)
"""Gentian violet, the surgical marker's."""


def at_stress_size(pixels: np.ndarray) -> np.ndarray:
    """A picture shrunk until its longest side has 512 pixels; a smaller one stays as it is."""
    rows, columns = pixels.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(rows, columns))
    if scale == 1.0:
        return pixels
    return resize(pixels, max(1, round(rows * scale)), max(1, round(columns * scale)))


def blurred(pixels: np.ndarray, radius: float) -> np.ndarray:
    """Out of focus, by a radius at a longest side of 512."""
    scale = max(pixels.shape[:2]) / LONGEST_SIDE
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius * scale)))


def compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Saved as a JPEG once more. quality: of libjpeg, 1 to 95."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def exposed(pixels: np.ndarray, stops: float) -> np.ndarray:
    """With two to the stops times the light, in linear light, cut off at white."""
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    lit = np.clip(linear * 2.0**stops, 0, 1)
    coded = np.where(lit <= 0.0031308, lit * 12.92, 1.055 * lit ** (1 / 2.4) - 0.055)
    return np.rint(255 * coded).astype(np.uint8)[pixels]


def tinted(pixels: np.ndarray, red: float, blue: float) -> np.ndarray:
    """With another white: red and blue times these factors."""
    factors = np.array([red, 1.0, blue])
    return np.clip(np.rint(pixels * factors), 0, 255).astype(np.uint8)


def cropped(pixels: np.ndarray, share: float) -> np.ndarray:
    """Without this share of its height and width at each edge."""
    rows, columns = pixels.shape[:2]
    down, across = round(rows * share), round(columns * share)
    return np.ascontiguousarray(pixels[down : rows - down, across : columns - across])


def turned(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """Turned about its middle; what comes in at the corners has the mean colour of the border."""
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(pixels, int(degrees // 90)))
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    fill = tuple(int(level) for level in edge.mean(axis=0).round())
    image = Image.fromarray(pixels)
    return np.asarray(image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=fill))


def inked(pixels: np.ndarray) -> np.ndarray:
    """With four strokes of a marker around the middle, as before an excision; the same always."""
    rows, columns = pixels.shape[:2]
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    width = max(2, round(0.015 * max(rows, columns)))
    for x, y, away_x, away_y in ((0.5, 0.06, 0, 1), (0.5, 0.94, 0, -1), (0.06, 0.5, 1, 0),
                                 (0.94, 0.5, -1, 0)):  # fmt: skip
        start = x * columns, y * rows
        end = (x + 0.12 * away_x) * columns, (y + 0.12 * away_y) * rows
        draw.line([start, end], fill=INK, width=width)
    return np.asarray(image)


CHANGES: dict[str, Change] = {
    **{f"blur {radius}": partial(blurred, radius=radius) for radius in (1, 2, 4, 8)},
    **{f"JPEG quality {q}": partial(compressed, quality=q) for q in (90, 50, 20)},
    **{
        f"{abs(stops)} {'stop' if abs(stops) == 1 else 'stops'} "
        f"{'lighter' if stops > 0 else 'darker'}": partial(exposed, stops=stops)
        for stops in (-2, -1, 1, 2)
    },
    "warm cast": partial(tinted, red=1.12, blue=0.88),
    "cold cast": partial(tinted, red=0.88, blue=1.12),
    "crop 5 %": partial(cropped, share=0.05),
    "crop 10 %": partial(cropped, share=0.1),
    "turned 90°": partial(turned, degrees=90),
    "turned 15°": partial(turned, degrees=15),
    "ink": inked,
}
"""By the name in the report, in its order."""
