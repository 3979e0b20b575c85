"""Gives class scores for pixels, by a Keras model."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from batch.core.config import DEFAULT_BATCH_SIZE
from batch.core.errors import ArtifactRefused
from batch.images.preprocess import CHANNELS, HEIGHT, WIDTH
from batch.model.domain import FIT_AGAIN, Domain, DomainReference
from batch.model.manifest import InputContract, ModelManifest, OutputContract
from batch.runtime.process import available_cores, import_tensorflow


class Classifier(Protocol):
    """A model as the pipeline uses it.

    `score_batch` calls `scores_and_domain`, whatever explains or measures calls `scores`.
    """

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """Score pixels, (N, 180, 180, 3), uint8, RGB: (N, K) float32, rows adding up to 1."""
        ...

    def scores_and_domain(self, pixels: np.ndarray) -> tuple[np.ndarray, Sequence[Domain] | None]:
        """As `scores`, and from the same call the domain of each image; None: not known."""
        ...


class KerasClassifier:
    """A loaded `.keras` model, called by one `tf.function` with a fixed input shape.

    Batches are padded to this shape, so the graph is compiled once, and the score of an image does
    not depend on the number of others in its batch. A call uses one core; to use several cores,
    call it from several threads.

    Args:
        domain: reference for the features; None if images are not compared with one.
        layers: whose outputs give the features; the manifest's, if there is a reference.

    Raises:
        ArtifactRefused: the model has no such layer, or another number of features.
    """

    def __init__(
        self,
        model: Any,
        manifest: ModelManifest,
        batch_size: int = DEFAULT_BATCH_SIZE,
        domain: DomainReference | None = None,
        layers: Sequence[str] = (),
    ) -> None:
        self.manifest = manifest
        self.domain = domain
        self.batch_size = batch_size
        self.model = model
        if domain is not None and manifest.domain is not None:
            layers = manifest.domain.layers
        outputs = _layer_outputs(model, layers)
        self._width = feature_width(outputs)
        if domain is not None and self._width != domain.width:
            raise ArtifactRefused(
                "domain.layers", f"{self._width} features", domain.width, FIT_AGAIN
            )
        self._function = _compile(model, outputs, manifest, batch_size)

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """See `Classifier`. The scores may be not finite; the caller checks each row."""
        return self.scores_and_features(pixels)[0]

    def scores_and_domain(self, pixels: np.ndarray) -> tuple[np.ndarray, Sequence[Domain] | None]:
        """See `Classifier`."""
        scores, features = self.scores_and_features(pixels)
        return scores, None if self.domain is None else self.domain.measure(features)

    def scores_and_features(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `scores`, and features of the same call, (N, F) float32; F is 0 without layers."""
        batches = [
            pixels[start : start + self.batch_size]
            for start in range(0, len(pixels), self.batch_size)
        ]
        if len(batches) > 1:
            with ThreadPoolExecutor(available_cores()) as pool:
                parts = list(pool.map(self._padded, batches))
        else:
            parts = [self._padded(batch) for batch in batches]
        if not parts:
            classes = len(self.manifest.output.class_names)
            return np.empty((0, classes), np.float32), np.empty((0, self._width), np.float32)
        scores, features = zip(*parts, strict=True)
        return np.concatenate(scores), np.concatenate(features)

    def _padded(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        missing = self.batch_size - len(pixels)
        if missing:
            filler = np.zeros((missing, *pixels.shape[1:]), pixels.dtype)
            padded = np.concatenate([pixels, filler])
        else:
            padded = pixels
        scores, features = self._function(padded)
        return scores.numpy()[: len(pixels)], features.numpy()[: len(pixels)]


def load_model(path: Path) -> Any:
    """Load a `.keras` file without running code from it.

    Raises:
        ArtifactRefused: it is no `.keras` file, or Keras refuses it.
    """
    import_tensorflow()
    _one_core_a_call()
    import keras

    if path.suffix != ".keras":
        raise ArtifactRefused(
            "model_file", path.name, "*.keras", "Save with model.save('x.keras')."
        )
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises errors of many types for a file it cannot open
        raise ArtifactRefused(
            "model.keras",
            type(error).__name__,
            "a model that Keras opens in safe mode",
            "Lambda layers and custom objects are not allowed; train or export the model again.",
        ) from error


def _one_core_a_call() -> None:
    """Let TensorFlow use one core for a call.

    Several batches side by side, each on one core, are faster than one batch on all cores, whose
    parts wait for each other, and for the decoders, at every layer.
    """
    import tensorflow as tf

    with suppress(RuntimeError):  # TensorFlow has computed before (training) and cannot change it
        tf.config.threading.set_intra_op_parallelism_threads(1)


def _compile(model: Any, further: Sequence[Any], manifest: ModelManifest, batch_size: int) -> Any:
    """A function from pixels to scores and features. further: outputs of the same layers."""
    import keras
    import tensorflow as tf

    if further:
        model = keras.Model(model.inputs, [model.outputs[0], *further])

    signature = tf.TensorSpec((batch_size, HEIGHT, WIDTH, CHANNELS), tf.uint8)

    def score(pixels: Any) -> Any:
        outputs = model(_to_model_input(pixels, manifest.input), training=False)
        if isinstance(outputs, list | tuple):
            return _to_scores(outputs[0], manifest.output), _as_features(outputs[1:])
        return _to_scores(outputs, manifest.output), tf.zeros((batch_size, 0), tf.float32)

    return tf.function(score, input_signature=[signature])


def _layer_outputs(model: Any, names: Sequence[str]) -> list[Any]:
    """Outputs of layers of the model, by their names.

    Raises:
        ArtifactRefused: there is no such layer, or it has no single output of this kind.
    """
    by_name = {layer.name: layer for layer in model.layers if _gives_features(layer)}
    if missing := [name for name in names if name not in by_name]:
        raise ArtifactRefused(
            "domain.layers", f"no layer {missing[0]!r} with one output", "layers of the model",
            FIT_AGAIN,
        )  # fmt: skip
    return [by_name[name].output for name in names]


def feature_width(outputs: Sequence[Any]) -> int:
    """Number of features of layers' outputs: two of each channel of a map, one of each value."""
    return sum(output.shape[-1] * (2 if len(output.shape) == _MAP else 1) for output in outputs)


def feature_layers(model: Any) -> tuple[str, ...]:
    """Names of the layers whose outputs say most of a picture, in their order.

    The last layer of every size of map, down to `_LEAST_SIDE`. The last layers of a classifier
    have forgotten what kind of picture it was. Empty for a model within a model.
    """
    last: dict[int, str] = {}
    for layer in model.layers:
        shape = list(layer.output.shape) if _gives_features(layer) else []
        if len(shape) == _MAP and (shape[1] or 0) >= _LEAST_SIDE:
            last[shape[1]] = layer.name
    order = {layer.name: place for place, layer in enumerate(model.layers)}
    return tuple(sorted(last.values(), key=order.__getitem__))


_MAP = 4
"""Axes of a map, (N, rows, columns, channels)."""
_LEAST_SIDE = 10
"""Rows of the smallest map that is looked at."""
_COLOURS = 4
"""A layer with so few channels still holds the picture itself."""
_NO_FEATURES = ("InputLayer", "Dropout", "Activation", "Softmax", "Flatten", "Functional")


def _gives_features(layer: Any) -> bool:
    nodes = getattr(layer, "_inbound_nodes", ())  # a layer that is used twice has two outputs
    if type(layer).__name__ in _NO_FEATURES or len(nodes) != 1:
        return False
    shape: tuple[int | None, ...] = tuple(getattr(layer.output, "shape", ()))
    return len(shape) in (2, _MAP) and (shape[-1] or 0) > _COLOURS


def _as_features(outputs: Sequence[Any]) -> Any:
    """Outputs of layers as (N, F) float32: of a map mean and standard deviation over its places."""
    import tensorflow as tf

    parts = []
    for output in outputs:
        values = tf.cast(output, tf.float32)
        if len(values.shape) == _MAP:
            mean, variance = tf.nn.moments(values, [1, 2])
            parts += [mean, tf.sqrt(variance)]
        else:
            parts.append(values)
    return tf.concat(parts, axis=-1)


def _to_model_input(pixels: Any, contract: InputContract) -> Any:
    """Turn a tensor, (N, 180, 180, 3), uint8, into the input that the manifest describes."""
    import tensorflow as tf

    if contract.colour_order == "BGR":
        pixels = pixels[..., ::-1]
    values = tf.cast(pixels, tf.float32)
    if (contract.height, contract.width) != tuple(pixels.shape[1:3]):
        values = tf.image.resize(values, (contract.height, contract.width), antialias=True)
    if contract.dtype == "uint8":
        return tf.cast(tf.round(values), tf.uint8)
    low, high = contract.value_range
    if contract.rescaling_in_model or (low, high) == (0.0, 255.0):
        return values
    return values * ((high - low) / 255.0) + low


def _to_scores(output: Any, contract: OutputContract) -> Any:
    """Turn the model's output into scores, (N, K) float32, that add up to 1, with temperature."""
    import tensorflow as tf

    output = tf.cast(output, tf.float32)
    if contract.kind == "softmax" and contract.temperature == 1.0:
        return output
    if contract.kind == "sigmoid":
        output = tf.concat([1.0 - output, output], axis=-1)
        if contract.temperature == 1.0:
            return output
    logits = output if contract.kind == "logits" else tf.math.log(output)
    return tf.nn.softmax(logits / contract.temperature)
