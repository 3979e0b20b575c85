"""Draws images that look like lesions; the same seed gives the same pixels."""

from __future__ import annotations

import numpy as np

_SKIN = np.array([[224, 182, 160], [205, 158, 132], [236, 200, 184], [168, 122, 96]], np.float64)
_PIGMENT = np.array([[92, 54, 40], [58, 34, 30], [126, 82, 58], [78, 62, 66]], np.float64)


def lesion_image(seed: int, height: int = 480, width: int = 640) -> np.ndarray:
    """Draw one lesion on skin.

    Args:
        seed: chooses skin, pigment, outline, structure and hair.
        height, width: pixels.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    y, x = (y - height / 2) / (height / 2), (x - width / 2) / (height / 2)
    skin = _SKIN[rng.integers(len(_SKIN))] * (1 - 0.12 * (x**2 + y**2)[..., None])
    mask = _outline(rng, y, x)[..., None]
    pigment = _PIGMENT[rng.integers(len(_PIGMENT))] + _structure(rng, y, x)[..., None]
    image = skin * (1 - mask) + pigment * mask
    image -= 90 * _hair(rng, y, x)[..., None]
    image += rng.normal(0, 3, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def _outline(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """An ellipse with an irregular, soft border, (h, w), 0..1."""
    centre_y, centre_x = rng.uniform(-0.15, 0.15, 2)
    angle = np.arctan2(y - centre_y, x - centre_x)
    radius = np.hypot(y - centre_y, (x - centre_x) * rng.uniform(0.7, 1.3))
    border = rng.uniform(0.35, 0.65) * np.ones_like(radius)
    for wave in range(2, 7):
        border += rng.normal(0, 0.03) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    return 1 / (1 + np.exp((radius - border) / rng.uniform(0.01, 0.05)))


def _structure(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Pigment network and darker globules, (h, w), grey levels."""
    frequency = rng.uniform(15, 40)
    network = 14 * np.sin(frequency * x) * np.sin(frequency * y + rng.uniform(0, 6))
    for _ in range(rng.integers(3, 12)):
        at_y, at_x = rng.uniform(-0.5, 0.5, 2)
        size = rng.uniform(0.02, 0.12)
        spot = np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / size**2)
        network += rng.uniform(-50, 30) * spot
    return network


def _hair(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A few dark arcs, (h, w), 0..1."""
    hair = np.zeros_like(y)
    for _ in range(rng.integers(0, 5)):
        slope, bend, offset = rng.normal(0, 0.8), rng.normal(0, 0.3), rng.uniform(-1, 1)
        distance = np.abs(y - (slope * x + bend * x**2 + offset)) / np.hypot(1, slope)
        hair = np.maximum(hair, np.exp(-((distance / 0.006) ** 2)))
    return hair
