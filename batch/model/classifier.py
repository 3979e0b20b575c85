"""Gives class scores for pixels, by a Keras model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from batch.core.config import DEFAULT_BATCH_SIZE
from batch.core.errors import ArtifactRefused
from batch.images.preprocess import CHANNELS, HEIGHT, WIDTH
from batch.model.manifest import InputContract, ModelManifest, OutputContract
from batch.runtime.process import available_cores, import_tensorflow


class Classifier(Protocol):
    """A model as the pipeline uses it."""

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """Score pixels, (N, 180, 180, 3), uint8, RGB: (N, K) float32, rows adding up to 1."""
        ...


class KerasClassifier:
    """A loaded `.keras` model, called by one `tf.function` with a fixed input shape.

    Batches are padded to this shape, so the graph is compiled once, and the score of an image does
    not depend on the number of others in its batch. A call uses one core; to use several cores,
    call it from several threads.
    """

    def __init__(
        self, model: Any, manifest: ModelManifest, batch_size: int = DEFAULT_BATCH_SIZE
    ) -> None:
        self.manifest = manifest
        self.batch_size = batch_size
        self.model = model
        self._function = _compile(model, manifest, batch_size)

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """See `Classifier`. The scores may be not finite; the caller checks each row."""
        batches = [
            pixels[start : start + self.batch_size]
            for start in range(0, len(pixels), self.batch_size)
        ]
        if len(batches) > 1:
            with ThreadPoolExecutor(available_cores()) as pool:
                parts = list(pool.map(self._padded, batches))
        else:
            parts = [self._padded(batch) for batch in batches]
        classes = len(self.manifest.output.class_names)
        return np.concatenate(parts) if parts else np.empty((0, classes), np.float32)

    def _padded(self, pixels: np.ndarray) -> np.ndarray:
        missing = self.batch_size - len(pixels)
        if missing:
            filler = np.zeros((missing, *pixels.shape[1:]), pixels.dtype)
            return self._function(np.concatenate([pixels, filler])).numpy()[: len(pixels)]
        return self._function(pixels).numpy()


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


def _compile(model: Any, manifest: ModelManifest, batch_size: int) -> Any:
    import tensorflow as tf

    signature = tf.TensorSpec((batch_size, HEIGHT, WIDTH, CHANNELS), tf.uint8)

    def score(pixels: Any) -> Any:
        output = model(_to_model_input(pixels, manifest.input), training=False)
        return _to_scores(output, manifest.output)

    return tf.function(score, input_signature=[signature])


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
