"""EfficientNet-Lite0 and -Lite2 as numbers: widths, depths, scaling; no library.

Source of the architecture: Tan and Le, EfficientNet (arXiv:1905.11946), with the Lite variant's
changes (no squeeze-and-excitation, ReLU6, stem and head not scaled).
"""

from __future__ import annotations

from dataclasses import dataclass

INPUT_SCALE, INPUT_OFFSET = 1 / 128, -127 / 128
"""The weights were trained on (x - 127) / 128."""


@dataclass(frozen=True)
class Stage:
    """Repeated inverted residual blocks. expand: width factor inside a block."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    filters: int


LITE0 = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
LITE2 = (
    Stage(1, 3, 1, 1, 16),
    Stage(3, 3, 2, 6, 24),
    Stage(3, 5, 2, 6, 48),
    Stage(4, 3, 2, 6, 88),
    Stage(4, 5, 1, 6, 120),
    Stage(5, 5, 2, 6, 208),
    Stage(1, 3, 1, 6, 352),
)
"""Lite0 1.1 times as wide and 1.2 times as deep; widths are multiples of eight, and neither the
stem and the head nor the repeats of the first and the last stage are scaled."""
STEM_FILTERS, HEAD_FILTERS = 32, 1280
NORM_EPSILON = 1e-3
