"""The backbone takes exactly the weights that are meant, each in its place."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from batch.core.errors import UsageError
from batch.training.lite import LITE2, NORM_EPSILON
from batch.training.networks import efficientnet_lite, freeze, weights_from


@pytest.fixture(scope="module")
def model():
    image = keras.Input((None, None, 3))
    return keras.Model(image, efficientnet_lite(image))


def pytorch_arrays(model, seed=0):
    """What a PyTorch file of this network would hold: its names, its layouts."""
    rng, arrays = np.random.default_rng(seed), {}
    for layer in model.layers:
        if not layer.weights:
            continue
        name = layer.name.replace("__", ".")
        h, w, i, o = layer.kernel.shape
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        shape = (i, 1, h, w) if is_depthwise else (o, i, h, w)
        kernel = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))  # signals neither vanish
        arrays[f"{name}.weight"] = kernel.astype(np.float32)  # nor run into ReLU6's ceiling
        for part in ("weight", "bias", "running_mean", "running_var"):
            values = rng.uniform(0.5, 1, shape[0])
            arrays[f"{norm_of(name)}.{part}"] = values.astype(np.float32)
        arrays[f"{norm_of(name)}.num_batches_tracked"] = np.array(1)
    arrays["_fc.weight"] = rng.normal(size=(1000, 1280)).astype(np.float32)
    arrays["_fc.bias"] = np.zeros(1000, np.float32)
    return arrays


def norm_of(conv):
    """The names in the published file."""
    if conv == "_conv_stem":
        return "_bn0"
    if conv == "_conv_head":
        return "_bn1"
    block, _, kind = conv.rpartition(".")
    number = {"_expand_conv": 0, "_depthwise_conv": 1, "_project_conv": 2}[kind]
    return f"{block}._bn{number}"


def save(tmp_path, arrays):
    np.savez(tmp_path / "weights.npz", **arrays)
    return tmp_path / "weights.npz"


def test_the_network_has_the_published_size(model):
    """4.65 million parameters with scales of normalisation and the classifier of 1,281,000 (the
    package's own count); a folded scale is no parameter of its own."""
    convolutions = [layer for layer in model.layers if layer.weights]
    scales = sum(layer.bias.shape[0] for layer in convolutions)
    assert model.count_params() + scales + 1000 * 1280 + 1000 == 4_652_008


def test_the_wider_network_has_its_published_size_and_takes_weights_in_half_precision(tmp_path):
    """6.09 million, counted as above; its file holds kernels as float16."""
    image = keras.Input((None, None, 3))
    wider = keras.Model(image, efficientnet_lite(image, LITE2))
    scales = sum(layer.bias.shape[0] for layer in wider.layers if layer.weights)
    assert wider.count_params() + scales + 1000 * 1280 + 1000 == 6_092_072
    arrays = pytorch_arrays(wider)
    halves = {
        name: array.astype(np.float16) if array.ndim == 4 else array
        for name, array in arrays.items()
    }
    weights_from(wider, save(tmp_path, halves))
    kernel = wider.get_layer("_blocks__20___expand_conv").get_weights()[0]
    norm = {part: arrays[f"_blocks.20._bn0.{part}"] for part in ("weight", "running_var")}
    scale = norm["weight"] / np.sqrt(norm["running_var"] + NORM_EPSILON)
    expected = arrays["_blocks.20._expand_conv.weight"].transpose(2, 3, 1, 0) * scale
    np.testing.assert_allclose(kernel, expected, atol=1e-3)


@pytest.mark.parametrize(
    "conv",
    [
        "_conv_stem",
        "_conv_head",
        "_blocks.3._depthwise_conv",
        "_blocks.5._expand_conv",
        "_blocks.15._project_conv",
    ],
)
def test_a_convolution_does_what_it_and_its_normalisation_do_in_the_file(model, tmp_path, conv):
    arrays = pytorch_arrays(model, seed=4)
    weights_from(model, save(tmp_path, arrays))
    layer = model.get_layer(conv.replace(".", "__"))
    kernel = arrays[f"{conv}.weight"]
    channels = layer.input.shape[-1]
    x = np.random.default_rng(5).normal(size=(2, 12, 12, channels)).astype(np.float32)
    strides, is_depthwise = layer.strides, isinstance(layer, keras.layers.DepthwiseConv2D)
    if is_depthwise:
        plain = keras.ops.depthwise_conv(x, kernel.transpose(2, 3, 0, 1), strides, "same")
    else:
        plain = keras.ops.conv(x, kernel.transpose(2, 3, 1, 0), strides, "same")
    gamma, beta, mean, variance = (
        arrays[f"{norm_of(conv)}.{part}"]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    expected = (np.asarray(plain) - mean) / np.sqrt(variance + NORM_EPSILON) * gamma + beta
    np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-4, atol=1e-4)


def test_the_input_is_scaled_as_the_weights_were_trained(model):
    scale = model.get_layer("imagenet_scale")
    assert np.allclose(scale(np.array([[[[0.0, 127.0, 255.0]]]])), [[[[-127 / 128, 0, 1]]]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("_bn1.bias"), "does not hold the recipe's EfficientNet-Lite"),
        (lambda a: a.update({"_conv_stem.weight": np.zeros((16, 3, 5, 5))}), "does not hold"),
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
    fresh = keras.Model(image, efficientnet_lite(image))
    freeze(fresh, blocks)
    trained = [layer.name for layer in fresh.layers if layer.trainable_weights]
    assert trained[0] == first_trained
