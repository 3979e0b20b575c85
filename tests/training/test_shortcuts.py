"""What is asked of a score: the lesion is found however large, covered, and the rest stays."""

from __future__ import annotations

import numpy as np
import pytest

from batch.training.shortcuts import at_sharpness, covered, lesion_mask, otsu, surround

SKIN, LESION = (210, 170, 150), (90, 50, 40)


def scene(radius: float, tube: float | None = None) -> np.ndarray:
    """A round lesion on skin; with a tube, what lies outside of its radius is black."""
    y, x = np.mgrid[:180, :180] - 89.5
    away = np.hypot(x, y)[..., None]
    image = np.where(away < radius, LESION, SKIN)
    return (image if tube is None else np.where(away > tube, 0, image)).astype(np.uint8)


@pytest.mark.parametrize("radius", [15, 40, 62, 80])
@pytest.mark.parametrize("tube", [None, 100])
def test_the_mask_is_the_lesion_with_a_margin_and_not_the_tube(radius, tube):
    image = scene(radius, tube)
    mask = lesion_mask(image)
    y, x = np.mgrid[:180, :180] - 89.5
    away = np.hypot(x, y)
    assert mask[away < radius].all()
    assert not mask[(away > radius + 22)].any()
    assert not mask[image.max(axis=2) == 0].any()


@pytest.mark.parametrize("radius", [15, 62, 80])
def test_a_covered_lesion_is_skin_and_the_rest_stays(radius):
    image = scene(radius)
    mask = lesion_mask(image)
    hidden = covered(image, mask)
    assert np.unique(hidden.reshape(-1, 3), axis=0).tolist() == [list(SKIN)]
    tube = scene(radius, 100)
    hidden = covered(tube, lesion_mask(tube))
    np.testing.assert_array_equal(hidden[tube.max(axis=2) == 0], 0)


def test_where_nothing_is_left_of_the_skin_there_is_still_an_image():
    black = np.zeros((180, 180, 3), np.uint8)
    assert lesion_mask(black).all()
    assert np.unique(covered(black, lesion_mask(black))).tolist() == [180]


def test_otsu_parts_two_kinds_between_them():
    values = np.r_[np.full(30, 60.0), np.full(70, 200.0)]
    assert 60 < otsu(values) <= 200
    rng = np.random.default_rng(1)
    near = otsu(np.r_[rng.normal(80, 10, 500), rng.normal(180, 10, 500)])
    assert 95 < near < 165


def test_black_inside_a_lesion_is_no_surround():
    grey = np.full((90, 90), 200.0)
    grey[40:50, 40:50] = 10
    assert not surround(grey).any()
    grey[:10] = 10
    assert surround(grey)[:10].all()
    assert not surround(grey)[15:].any()


def test_at_one_sharpness_fine_detail_is_gone_and_the_rest_stays():
    fine = np.zeros((180, 180, 3), np.uint8)
    fine[::2] = 200
    assert at_sharpness(fine, 84).astype(int).std() < 15
    flat = scene(50)
    softened = at_sharpness(flat, 84)
    assert softened.shape == flat.shape
    assert np.abs(softened.astype(int) - flat).mean() < 3
