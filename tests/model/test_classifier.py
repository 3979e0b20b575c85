"""The Keras classifier: fixed signature, padding, and the outputs of foreign models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from batch.demo.lesions import lesion_image
from batch.model.artifact import find_artifact, verify_artifact
from batch.model.classifier import KerasClassifier


@pytest.fixture(scope="module")
def classifier():
    return verify_artifact(find_artifact("isic9-plain"))


@pytest.fixture(scope="module")
def pixels():
    return np.stack([lesion_image(seed, 180, 180) for seed in range(5)])


def test_a_score_does_not_depend_on_its_company(classifier, pixels):
    together = classifier.scores(pixels)
    alone = np.concatenate([classifier.scores(image[None]) for image in pixels])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_more_images_than_a_batch_come_back_in_order(classifier, pixels):
    many = np.concatenate([pixels] * 15)
    np.testing.assert_allclose(
        classifier.scores(many), np.tile(classifier.scores(pixels), (15, 1)), atol=1e-6
    )


def test_scores_are_float32_and_add_up_to_one(classifier, pixels):
    scores = classifier.scores(pixels)
    assert scores.dtype == np.float32
    assert scores.shape == (5, 9)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_no_image_gives_no_score(classifier):
    assert classifier.scores(np.empty((0, 180, 180, 3), np.uint8)).shape == (0, 9)


def test_it_is_what_keras_itself_predicts(classifier, pixels):
    expected = classifier.model.predict(pixels.astype(np.float32), verbose=0)
    np.testing.assert_allclose(classifier.scores(pixels), expected, atol=1e-5)


def foreign(kind: str, height: int = 180, dtype: str = "float32", **contract: object):
    """A model with one pixel-averaging layer: its output is known by hand."""
    import keras

    manifest = find_artifact("isic9-plain").manifest
    image = keras.Input((height, height, 3), dtype=dtype)
    x = keras.layers.Lambda(lambda v: v)(image) if dtype == "float32" else image
    x = keras.layers.GlobalAveragePooling2D()(keras.ops.cast(x, "float32"))
    units = 1 if kind == "sigmoid" else 2
    kernel = np.zeros((3, units), np.float32)
    kernel[0, -1] = 1.0  # the red channel decides the last class
    dense = keras.layers.Dense(units, activation=None if kind == "logits" else kind, use_bias=False)
    model = keras.Model(image, dense(x))
    dense.set_weights([kernel])
    values = {"rescaling_in_model": False, "value_range": (0.0, 1.0), "height": height,
              "width": height, "dtype": dtype}  # fmt: skip
    return KerasClassifier(
        model,
        replace(
            manifest,
            input=replace(manifest.input, **(values | contract)),
            output=replace(
                manifest.output,
                kind=kind,
                class_names=("nevus", "melanoma"),
                malignant_classes=("melanoma",),
            ),
        ),
        batch_size=2,
    )


RED = np.zeros((1, 180, 180, 3), np.uint8)
RED[..., 0] = 255
SIGMOID_1, SIGMOID_MINUS_1 = 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))


@pytest.mark.parametrize("kind", ["logits", "sigmoid", "softmax"])
def test_every_kind_of_output_becomes_two_scores(kind):
    np.testing.assert_allclose(foreign(kind).scores(RED), [[SIGMOID_MINUS_1, SIGMOID_1]], atol=1e-6)


@pytest.mark.parametrize("kind", ["logits", "sigmoid", "softmax"])
def test_temperature_divides_the_logits_of_every_kind(kind):
    cool = foreign(kind)
    cooled = replace(cool.manifest, output=replace(cool.manifest.output, temperature=2.0))
    found = KerasClassifier(cool.model, cooled, 2).scores(RED)
    half = 1 / (1 + np.exp(-0.5))
    np.testing.assert_allclose(found, [[1 - half, half]], atol=1e-6)


@pytest.mark.parametrize(
    ("height", "contract", "red_at_the_model"),
    [
        (180, {"value_range": (0.0, 1.0)}, 1.0),
        (180, {"value_range": (-1.0, 1.0)}, 1.0),
        (180, {"value_range": (0.0, 1.0), "colour_order": "BGR"}, 0.0),
        (64, {"value_range": (0.0, 1.0)}, 1.0),
    ],
)
def test_the_input_is_what_the_manifest_says(height, contract, red_at_the_model):
    found = foreign("logits", height=height, **contract).scores(RED)
    expected = 1 / (1 + np.exp(-red_at_the_model))
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-6)


def test_bytes_go_to_a_model_that_takes_bytes():
    found = foreign("logits", dtype="uint8", value_range=(0.0, 255.0)).scores(RED)
    np.testing.assert_allclose(found[:, 1], 1.0, atol=1e-6)
