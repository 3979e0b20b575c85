"""Batches for training: which image how often, changed how, at which size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from batch.training.augment import change
from batch.training.parts import Recipe

MELANOMA_SHARE = 1 / 3
"""Of every source, with balance `source`: its own share is between a tenth and a third."""


def sampling_weights(table: pd.DataFrame, balance: str, melanoma_class: str) -> np.ndarray:
    """(N,) probabilities of drawing each image.

    Args:
        table: columns label and, for balance `source`, source.
    """
    if balance == "none":
        return np.full(len(table), 1 / len(table))
    if balance == "class":
        weights = 1 / table.groupby("label")["label"].transform("size").to_numpy()
        return weights / weights.sum()
    is_melanoma = (table["label"] == melanoma_class).to_numpy()
    share = table.groupby("source")["label"].transform(lambda x: (x == melanoma_class).mean())
    known = share.to_numpy().clip(1e-9, 1 - 1e-9)
    weights = np.where(is_melanoma, MELANOMA_SHARE / known, (1 - MELANOMA_SHARE) / (1 - known))
    return weights / weights.sum()


@dataclass
class Side:
    """The side of the images of the epoch at work: a variable that the input pipeline reads."""

    value: tf.Variable

    @classmethod
    def of(cls, recipe: Recipe, side: int) -> Side:
        """The side of a recipe's first epoch."""
        first = recipe.course.sides[0][1] if recipe.course.sides else side
        return cls(tf.Variable(first, trainable=False, dtype=tf.int32))


def training_batches(
    recipe: Recipe,
    pixels: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    seed: int,
    side: Side,
) -> tf.data.Dataset:
    """Endless batches of ((B, S, S, 3) float32 in 0..255, (B,) int).

    Args:
        pixels: (N, 180, 180, 3) uint8. weights: (N,) probabilities; equal ones draw every image
            once an epoch, others draw with replacement.
    """
    everything = tf.constant(pixels)
    targets = tf.constant(labels)
    full = pixels.shape[1]

    def prepare(rows: Any) -> tuple[Any, Any]:
        images = tf.cast(tf.gather(everything, rows), tf.float32)
        images = change(images, recipe.change)
        if recipe.course.sides:
            wanted = side.value.read_value()
            images = tf.cond(
                wanted < full,
                lambda: tf.image.resize(images, (wanted, wanted), antialias=True),
                lambda: images,
            )
            images = tf.ensure_shape(images, (None, None, None, 3))
        return images, tf.gather(targets, rows)

    indices = tf.data.Dataset.from_generator(
        lambda: _draw(weights, seed), output_signature=tf.TensorSpec((), tf.int64)
    )
    batches = indices.batch(recipe.course.batch_size, drop_remainder=True)
    return batches.map(prepare, num_parallel_calls=2).prefetch(4)


def _draw(weights: np.ndarray, seed: int) -> Any:
    rng, count = np.random.default_rng(seed), len(weights)
    equal = bool(np.ptp(weights) == 0)
    while True:
        yield from rng.permutation(count) if equal else rng.choice(count, count, p=weights)


def plain_batches(recipe: Recipe, pixels: np.ndarray, labels: np.ndarray) -> tf.data.Dataset:
    """Batches in order, unchanged."""
    return tf.data.Dataset.from_tensor_slices((pixels, labels)).batch(recipe.course.batch_size)
