"""The backbone takes exactly the weights that are meant, each in its place."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from batch.errors import UsageError
from batch.training.backbone import efficientnet_lite0, fold, freeze, weights_from


@pytest.fixture(scope="module")
def model():
    image = keras.Input((None, None, 3))
    return keras.Model(image, efficientnet_lite0(image))


def pytorch_arrays(model, seed=0):
    """What a PyTorch file of this network would hold: its names, its layouts."""
    rng, arrays = np.random.default_rng(seed), {}
    for layer in model.layers:
        name = layer.name.replace("__", ".")
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            h, w, c, _ = layer.kernel.shape
            arrays[f"{name}.weight"] = rng.normal(size=(c, 1, h, w)).astype(np.float32)
        elif isinstance(layer, keras.layers.Conv2D):
            h, w, i, o = layer.kernel.shape
            arrays[f"{name}.weight"] = rng.normal(size=(o, i, h, w)).astype(np.float32)
        elif isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            for part in ("weight", "bias", "running_mean", "running_var"):
                arrays[f"{name}.{part}"] = rng.uniform(0.5, 1, channels).astype(np.float32)
            arrays[f"{name}.num_batches_tracked"] = np.array(1)
    arrays["_fc.weight"] = rng.normal(size=(1000, 1280)).astype(np.float32)
    arrays["_fc.bias"] = np.zeros(1000, np.float32)
    return arrays


def save(tmp_path, arrays):
    np.savez(tmp_path / "weights.npz", **arrays)
    return tmp_path / "weights.npz"


def test_the_network_has_the_published_size(model):
    """4.65 million parameters with the classifier of 1,281,000 (the package's own count)."""
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained + 1000 * 1280 + 1000 == 4_652_008


def test_every_array_stands_where_its_name_says(model, tmp_path):
    arrays = pytorch_arrays(model)
    weights_from(model, save(tmp_path, arrays))
    kernel = model.get_layer("_conv_stem").get_weights()[0]
    np.testing.assert_array_equal(kernel, arrays["_conv_stem.weight"].transpose(2, 3, 1, 0))
    depthwise = model.get_layer("_blocks__3___depthwise_conv").get_weights()[0]
    expected = arrays["_blocks.3._depthwise_conv.weight"].transpose(2, 3, 0, 1)
    np.testing.assert_array_equal(depthwise, expected)
    mean = model.get_layer("_bn1").get_weights()[2]
    np.testing.assert_array_equal(mean, arrays["_bn1.running_mean"])


def test_the_input_is_scaled_as_the_weights_were_trained(model):
    scale = model.get_layer("imagenet_scale")
    assert np.allclose(scale(np.array([[[[0.0, 127.0, 255.0]]]])), [[[[-127 / 128, 0, 1]]]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("_bn1.bias"), "does not hold EfficientNet-Lite0"),
        (lambda a: a.update({"_conv_stem.weight": np.zeros((32, 3, 5, 5))}), "does not hold"),
        (lambda a: a.update({"_blocks.16._bn2.bias": np.zeros(3)}), "holds more than"),
    ],
)
def test_another_networks_weights_are_refused(model, tmp_path, change, message):
    arrays = pytorch_arrays(model)
    change(arrays)
    with pytest.raises(UsageError, match=message):
        weights_from(model, save(tmp_path, arrays))


def test_a_file_that_is_no_npz_is_refused(model, tmp_path):
    (tmp_path / "weights.npz").write_bytes(b"PK no")
    with pytest.raises(UsageError, match="is no readable .npz"):
        weights_from(model, tmp_path / "weights.npz")


@pytest.mark.parametrize(
    ("blocks", "first_trained"), [(0, "_conv_stem"), (3, "_blocks__3___expand_conv")]
)
def test_so_many_blocks_stay_as_they_came(blocks, first_trained):
    image = keras.Input((64, 64, 3))
    fresh = keras.Model(image, efficientnet_lite0(image))
    freeze(fresh, blocks)
    trained = [layer.name for layer in fresh.layers if layer.trainable_weights]
    assert trained[0] == first_trained
    assert "_bn1" in trained


def test_a_folded_network_gives_the_same_features(tmp_path):
    """With running statistics and scales far from 0 and 1, as training leaves them."""
    image = keras.Input((64, 64, 3))
    trained = keras.Model(image, efficientnet_lite0(image))
    arrays = pytorch_arrays(trained, seed=4)
    for array in arrays.values():
        if array.ndim == 4:  # so that signals neither vanish nor run into ReLU6's ceiling
            array /= np.sqrt(np.prod(array.shape[1:]))
    weights_from(trained, save(tmp_path, arrays))
    folded = keras.Model(image, efficientnet_lite0(image, folded=True))
    fold(trained, folded)
    assert not any("bn" in layer.name for layer in folded.layers)
    pixels = np.random.default_rng(5).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    expected = trained.predict(pixels, verbose=0)
    assert expected.std() > 0.01
    np.testing.assert_allclose(folded.predict(pixels, verbose=0), expected, rtol=1e-3, atol=1e-3)
