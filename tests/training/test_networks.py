"""What stands in front of the backbone, and that the artifact's file holds it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from batch.demo.lesions import lesion_image
from batch.model.classifier import load_model
from batch.training.networks import LEVEL, build, finished, shades_of_grey, smooth
from batch.training.recipes import find_recipe


@pytest.fixture(scope="module")
def images():
    return np.stack([lesion_image(seed, 60, 60) for seed in range(4)]).astype(np.float32)


@pytest.mark.parametrize("light", [(0.9, 0.7, 0.5), (0.4, 0.5, 0.6), (1.0, 1.0, 1.0)])
def test_the_colour_and_strength_of_the_light_do_not_matter(images, light):
    plain = np.asarray(shades_of_grey(images))
    lit = np.asarray(shades_of_grey(images * np.array(light, np.float32)))
    np.testing.assert_allclose(lit, plain, atol=0.05)


def test_every_channel_comes_to_the_same_level(images):
    changed = np.asarray(shades_of_grey(images * np.float32(0.5)))
    inside = changed < 255  # what is clipped counts for less
    assert inside.mean() > 0.7
    norm = np.mean((changed / 255) ** 6, axis=(1, 2)) ** (1 / 6) * 255
    assert np.all(norm <= LEVEL + 0.1)
    assert np.all(norm > LEVEL - 20)


def test_a_dark_surround_hardly_changes_the_rest(images):
    covered = images.copy()
    covered[:, :, :6] = 0
    change = np.asarray(shades_of_grey(covered) - shades_of_grey(images))[:, :, 6:]
    assert np.abs(change).max() < 10


def test_a_black_image_stays_black():
    assert np.asarray(shades_of_grey(np.zeros((1, 8, 8, 3), np.float32))).max() == 0


def test_smoothing_is_the_binomial_mean_of_neighbours():
    point = np.zeros((1, 9, 9, 1), np.float32)
    point[0, 4, 4] = 16
    found = np.asarray(smooth(point))[0, 2:5, 2:5, 0]
    np.testing.assert_allclose(found, [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert smooth(np.zeros((2, 180, 180, 3), np.float32)).shape == (2, 178, 178, 3)


def test_the_file_holds_all_of_it_and_opens_in_safe_mode(tmp_path):
    recipe = find_recipe("dermoscopy-lite0")
    trained = build(recipe, any_size=True)
    rng = np.random.default_rng(1)
    for layer in trained.layers:  # Keras's own first weights give every image the same scores
        if layer.weights:
            shape = layer.kernel.shape
            is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            inputs = np.prod(shape[:2] if is_depthwise else shape[:-1])
            layer.kernel.assign(rng.normal(0, np.sqrt(2 / inputs), shape))
    file = tmp_path / "model.keras"
    finished(recipe, trained).save(file)
    pixels = np.stack([lesion_image(seed, 180, 180) for seed in range(2)]).astype(np.float32)
    turned = np.ascontiguousarray(pixels[:, ::-1, ::-1])
    looks = [trained.predict(each, verbose=0) for each in (pixels, turned)]
    assert np.abs(looks[0] - looks[1]).max() > 1e-3  # or one look would pass for two
    expected = (looks[0] + looks[1]) / 2
    found = load_model(file).predict(pixels, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    lit = load_model(file).predict(pixels * np.float32([0.8, 0.9, 0.7]), verbose=0)
    np.testing.assert_allclose(lit, expected, atol=1e-3)
