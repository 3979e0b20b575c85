"""Each change does to a picture what its name says, and nothing else to its size or type."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.evaluation.stress_changes import (
    CHANGES,
    at_stress_size,
    blurred,
    cropped,
    exposed,
    inked,
    tinted,
    turned,
)


def picture(rows: int = 120, columns: int = 160, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 200, (rows, columns, 3), np.uint8)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(CHANGES)), st.integers(24, 90), st.integers(24, 90))
def test_every_change_gives_a_picture_and_leaves_its_own_alone(name, rows, columns):
    pixels = picture(rows, columns)
    before = pixels.copy()
    changed = CHANGES[name](pixels)
    assert changed.dtype == np.uint8 and changed.ndim == 3 and changed.shape[2] == 3
    assert (pixels == before).all() and changed.shape != (0, 0, 3)
    again = CHANGES[name](pixels)
    assert (changed == again).all()


def test_a_larger_radius_blurs_more_whatever_the_size():
    spreads = [blurred(picture(512, 512), radius).std() for radius in (1, 2, 4, 8)]
    assert spreads == sorted(spreads, reverse=True) and spreads[0] < picture(512, 512).std()
    assert blurred(picture(256, 256), 2).std() == pytest.approx(
        blurred(picture(512, 512), 1).std(), abs=1.0
    )


@pytest.mark.parametrize(
    ("pixels", "change", "expected"),
    [
        (128, lambda p: exposed(p, 1), 176),  # 0.2159 of linear light, twice as much
        (128, lambda p: exposed(p, -1), 92),
        (255, lambda p: exposed(p, 2), 255),
        (128, lambda p: exposed(p, 0), 128),
        (100, lambda p: tinted(p, 1.12, 0.88), (112, 100, 88)),
        (250, lambda p: tinted(p, 1.12, 0.88), (255, 250, 220)),
    ],
)
def test_light_and_colour(pixels, change, expected):
    grey = np.full((2, 2, 3), pixels, np.uint8)
    assert (change(grey) == np.array(expected)).all()


def test_a_crop_takes_the_same_share_from_each_edge():
    pixels = picture(100, 200)
    assert (cropped(pixels, 0.1) == pixels[10:90, 20:180]).all()


def test_a_quarter_turn_moves_pixels_and_another_one_fills_the_corners_with_the_borders_colour():
    pixels = picture()
    assert (turned(pixels, 90) == np.rot90(pixels)).all()
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).mean(axis=0)
    assert turned(pixels, 15)[0, 0] == pytest.approx(edge, abs=1)


def test_ink_leaves_the_middle_free():
    pixels = np.full((200, 300, 3), 200, np.uint8)
    marked = (inked(pixels) != pixels).any(axis=2)
    assert 0.005 < marked.mean() < 0.05 and not marked[60:140, 90:210].any()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((512, 512), (512, 512)), ((513, 100), (512, 100)), ((1024, 768), (512, 384)),
     ((100, 80), (100, 80)), ((2000, 3), (512, 1))],
)  # fmt: skip
def test_the_longest_side_becomes_512_and_small_pictures_stay(size, expected):
    assert at_stress_size(picture(*size)).shape[:2] == expected
