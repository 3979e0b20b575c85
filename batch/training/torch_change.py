"""What differs between photographs of one lesion, made on a GPU: `augment.disguise` in PyTorch.

Differences: the loss of resolution falls on a part of the batch, by one factor; JPEG is computed
(colour space, halved colour, blocks, rounding) and not written, as no encoder runs on the device.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F  # noqa: N812

from batch.training.parts import Disguise

_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_COLOUR = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99), (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8,) * 4),
)  # fmt: skip
"""Tables K.1 and K.2 of ITU-T T.81, as libjpeg scales them by quality."""


def disguise(images: torch.Tensor, how: Disguise, side: int) -> torch.Tensor:
    """(N, 3, S, S) float in 0..255 to (N, 3, side, side), each image changed in its own way."""
    full = images.shape[-1]
    images = _warp(images, how, side)
    images = _recolour(images, how)
    if how.dark_surround:
        images = _surround(images, how.dark_surround)
    if how.soft_share:
        images = _soften(images, how, side, full)
    if how.jpeg_share:
        images = _saved_as_jpeg(images, how)
    if how.noise:
        strength = how.noise * _uniform(images, 0.0, 1.0) ** 2
        images = images + strength * torch.randn_like(images)
    return images.clamp(0.0, 255.0)


def _uniform(like: torch.Tensor, low: float, high: float, channels: int = 1) -> torch.Tensor:
    """(N, channels, 1, 1)."""
    return torch.empty(len(like), channels, 1, 1, device=like.device).uniform_(low, high)


def _warp(images: torch.Tensor, how: Disguise, side: int) -> torch.Tensor:
    """Flip, rotate, zoom and shift in one resampling; what comes in from outside is mirrored."""

    def around(spread: float, centre: float = 1.0) -> torch.Tensor:
        return _uniform(images, centre - spread, centre + spread).flatten()

    angle = 2 * math.pi * around(how.rotation, 0.0)
    width, height = around(how.zoom) * around(how.aspect), around(how.zoom)
    if how.flip:
        width = width * torch.where(around(0.5, 0.5) < 0.5, -1.0, 1.0)
        height = height * torch.where(around(0.5, 0.5) < 0.5, -1.0, 1.0)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    first = torch.stack([cosine * width, -sine * height, 2 * around(how.shift, 0.0)], 1)
    second = torch.stack([sine * width, cosine * height, 2 * around(how.shift, 0.0)], 1)
    grid = F.affine_grid(
        torch.stack([first, second], 1), [len(images), 3, side, side], align_corners=False
    )
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _recolour(images: torch.Tensor, how: Disguise) -> torch.Tensor:
    if how.gain:
        images = images * _uniform(images, 1 - how.gain, 1 + how.gain, 3)
    if how.contrast:
        mean = images.mean((1, 2, 3), keepdim=True)
        images = mean + (images - mean) * _uniform(images, 1 - how.contrast, 1 + how.contrast)
    if how.saturation:
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * _uniform(images, 1 - how.saturation, 1 + how.saturation)
    return images


def _surround(images: torch.Tensor, share: float) -> torch.Tensor:
    side = images.shape[-1]
    axis = torch.linspace(-0.5, 0.5, side, device=images.device)
    y = axis[None, None, :, None] - _uniform(images, -0.06, 0.06)
    x = axis[None, None, None, :] - _uniform(images, -0.06, 0.06)
    radius, edge = _uniform(images, 0.42, 0.72), _uniform(images, 0.005, 0.05)
    outside = ((torch.sqrt(x * x + y * y) - radius) / edge).clamp(0.0, 1.0)
    weight = outside * (_uniform(images, 0.0, 1.0) < share)
    return images * (1 - weight) + _uniform(images, 0.0, 40.0) * weight


def _soften(images: torch.Tensor, how: Disguise, side: int, full: int) -> torch.Tensor:
    lowest = int(how.smallest_side / full * side)
    small = int(torch.randint(lowest, side, ()).item())
    count = round(how.soft_share * len(images))  # the rows of a batch are in random order
    down = F.interpolate(
        images[:count], size=(small, small), mode="bilinear", antialias=True, align_corners=False
    )
    soft = F.interpolate(down, size=(side, side), mode="bilinear", align_corners=False)
    return torch.cat([soft, images[count:]])


def _saved_as_jpeg(images: torch.Tensor, how: Disguise) -> torch.Tensor:
    """A share of the images, not the softened first ones alone: every second row, until enough."""
    count = round(how.jpeg_share * len(images))
    rows = torch.randperm(len(images), device=images.device)[:count]
    quality = _uniform(images[rows], how.jpeg_quality, 96.0)
    again = images.clone()
    again[rows] = jpeg(images[rows].clamp(0.0, 255.0), quality)
    return again


def jpeg(images: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """What JPEG with halved colour leaves of images.

    Args:
        images: (N, 3, S, S) in 0..255. quality: (N, 1, 1, 1), 1 to 100, as libjpeg counts it.
    """
    side = images.shape[-1]
    pad = -side % 16
    padded = F.pad(images, (0, pad, 0, pad), mode="replicate") if pad else images
    red, green, blue = padded.unbind(1)
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    colours = torch.stack([0.564 * (blue - luminance), 0.713 * (red - luminance)], 1)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    luminance = _rounded((luminance - 128)[:, None], _LUMINANCE, scale) + 128
    colours = _rounded(F.avg_pool2d(colours, 2), _COLOUR, scale)
    colours = F.interpolate(colours, scale_factor=2, mode="bilinear", align_corners=False)
    grey, (cb, cr) = luminance[:, 0], colours.unbind(1)
    red, blue = grey + cr / 0.713, grey + cb / 0.564
    green = (grey - 0.299 * red - 0.114 * blue) / 0.587
    return torch.stack([red, green, blue], 1)[:, :, :side, :side].clamp(0.0, 255.0)


def _rounded(
    planes: torch.Tensor, table: tuple[tuple[int, ...], ...], scale: torch.Tensor
) -> torch.Tensor:
    """(N, C, H, W) through the blocks' cosine transform, rounded to multiples of the table."""
    count, channels, high, wide = planes.shape
    at = torch.arange(8, device=planes.device, dtype=torch.float32)
    basis = torch.cos((2 * at[None, :] + 1) * at[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    waves = (basis[:, None, :, None] * basis[None, :, None, :]).reshape(64, 1, 8, 8)
    steps = torch.tensor(table, device=planes.device, dtype=torch.float32).reshape(1, 64, 1, 1)
    steps = (steps * scale).round().clamp(1.0, 255.0).repeat_interleave(channels, 0)
    found = F.conv2d(planes.reshape(count * channels, 1, high, wide), waves, stride=8)
    found = (found / steps).round() * steps
    return F.conv_transpose2d(found, waves, stride=8).reshape(count, channels, high, wide)
