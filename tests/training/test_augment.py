"""Changed images stay images, and nothing changes that a recipe does not ask for."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from batch.demo.lesions import lesion_image
from batch.training.input_pipeline import change, disguise
from batch.training.recipes import RECIPES, Change, Disguise

ONE = {
    "flip": True,
    "rotation": 0.5,
    "zoom": 0.2,
    "shift": 0.1,
    "aspect": 0.1,
    "gain": 0.2,
    "contrast": 0.3,
    "saturation": 0.3,
    "dark_surround": 0.5,
    "smallest_side": 30,
    "jpeg_quality": 30,
    "noise": 10.0,
}


@pytest.fixture(scope="module")
def images():
    return np.stack([lesion_image(seed, 90, 90) for seed in range(16)]).astype(np.float32)


def test_nothing_asked_changes_nothing(images):
    np.testing.assert_array_equal(change(tf.constant(images), Change()), images)


@pytest.mark.parametrize("field", ONE)
def test_each_field_changes_something_and_keeps_shape_and_range(images, field):
    tf.random.set_seed(1)
    changed = np.concatenate(
        [change(tf.constant(images), Change(**{field: ONE[field]})).numpy() for _ in range(4)]
    )
    assert changed.shape == (64, 90, 90, 3)
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert np.abs(changed - np.tile(images, (4, 1, 1, 1))).max() > 1


def test_flips_are_exact_and_all_four_occur(images):
    tf.random.set_seed(2)
    one = np.repeat(images[:1], 64, axis=0)
    changed = change(tf.constant(one), Change(flip=True)).numpy()
    ways = [images[0], images[0][::-1], images[0][:, ::-1], images[0][::-1, ::-1]]
    found = [[np.allclose(image, way, atol=0.01) for way in ways] for image in changed]
    assert np.all(np.sum(found, axis=1) == 1)
    assert np.all(np.sum(found, axis=0) > 0)


def test_a_quarter_turn_is_a_turn_and_no_shear():
    """A disc in the middle stays where and what it is, however the image is turned."""
    y, x = np.mgrid[:91, :91] - 45
    disc = np.where(np.hypot(x, y) < 25, 200.0, 50.0).astype(np.float32)
    images = np.repeat(np.repeat(disc[None, :, :, None], 3, axis=3), 8, axis=0)
    turned = change(tf.constant(images), Change(rotation=0.5)).numpy()
    assert np.abs(turned - images).mean() < 3


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_every_recipes_change_keeps_the_mean_brightness(recipe, images):
    tf.random.set_seed(3)
    changed = change(tf.constant(images), recipe.change).numpy()
    assert abs(changed.mean() - images.mean()) < 20


def test_noise_has_a_strength_of_its_own_in_every_image_and_mostly_little():
    tf.random.set_seed(7)
    grey = np.full((400, 40, 40, 3), 128, np.float32)
    changed = change(tf.constant(grey), Change(noise=10.0)).numpy()
    strength = changed.std(axis=(1, 2, 3))
    assert strength.max() < 10.5
    assert strength.min() < 0.1
    assert np.median(strength) == pytest.approx(2.5, abs=0.5)  # the half of 1, squared, of ten
    np.testing.assert_allclose(changed.mean(axis=(1, 2, 3)), 128, atol=1)


def test_a_dark_surround_leaves_the_middle_and_as_many_images_as_it_should():
    tf.random.set_seed(6)
    white = np.full((400, 60, 60, 3), 255, np.float32)
    changed = change(tf.constant(white), Change(dark_surround=0.25)).numpy()
    corner, middle = changed[:, 0, 0].max(axis=1), changed[:, 25:35, 25:35]
    assert middle.min() == 255
    assert 0.1 < np.mean(corner < 255) < 0.35  # wide tubes reach beyond the corners
    assert (changed[corner < 41].reshape(-1, 60 * 60 * 3).mean(axis=1) > 100).all()


@pytest.mark.parametrize("side", [45, 60, 90])
def test_nothing_to_hide_is_the_image_at_the_wanted_side(images, side):
    """A whole divisor samples pixels; any other lies between them."""
    found = disguise(tf.constant(images.astype(np.uint8)), Disguise(), side).numpy()
    assert found.shape == (16, side, side, 3)
    small = tf.image.resize(images, (side, side), antialias=True).numpy()
    inside = (slice(None), slice(2, -2), slice(2, -2))
    assert np.abs(found[inside] - small[inside]).mean() < 4
    if side == 90:
        np.testing.assert_allclose(found, images.astype(np.uint8), atol=1e-3)


@pytest.mark.parametrize("field", ["soft_share", "jpeg_share"])
def test_so_many_images_are_hidden_as_the_recipe_says(images, field):
    """The others are exactly what they were."""
    tf.random.set_seed(5)
    how = Disguise(smallest_side=30, jpeg_quality=30, **{field: 0.25})
    pixels = np.tile(images, (16, 1, 1, 1)).astype(np.uint8)
    changed = np.abs(disguise(tf.constant(pixels), how, 90).numpy() - pixels).max(axis=(1, 2, 3))
    assert np.mean(changed > 1e-2) == pytest.approx(0.25, abs=0.08)


def test_geometry_is_alike_at_every_side(images):
    """The same draw at half the side shows the same scene."""
    how = Disguise(flip=True, rotation=0.5, zoom=0.2, shift=0.1, aspect=0.1)
    pixels = tf.constant(images.astype(np.uint8))
    tf.random.set_seed(8)
    whole = disguise(pixels, how, 90).numpy()
    tf.random.set_seed(8)
    half = disguise(pixels, how, 45).numpy()
    shrunk = tf.image.resize(whole, (45, 45), antialias=True).numpy()
    assert np.abs(half - shrunk)[:, 3:-3, 3:-3].mean() < 5
