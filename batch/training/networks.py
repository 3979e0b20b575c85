"""Recipes as Keras networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import layers

from batch.core.errors import UsageError
from batch.images.preprocess import CHANNELS, HEIGHT, WIDTH
from batch.training.backbone import efficientnet_lite, freeze, weights_from
from batch.training.lite import LITE0, LITE2
from batch.training.parts import Cnn, EfficientNetLite0, EfficientNetLite2, Recipe


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
                f"{_named(recipe.network)}; see README, 'Training'."
            )
        weights_from(model, weights)
        freeze(model, recipe.network.frozen)
    elif weights is not None:
        raise UsageError(f"--weights: {recipe.name} starts from nothing; leave it out.")


def _named(network: EfficientNetLite0) -> str:
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
