"""Batches of many sources: shares by source, labels as allowed classes, pixels from a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from batch.training.draws import draws
from batch.training.input_pipeline import Side, disguise
from batch.training.parts import Disguise, LongCourse, Recipe


def long_batches(
    recipe: Recipe,
    pixels: np.ndarray,
    rows: np.ndarray,
    allowed: np.ndarray,
    weights: np.ndarray,
    seed: int,
    side: Side,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Endless batches of ((B, S, S, 3) float32 in 0..255, (B, K) allowed classes).

    With MixUp the second is (B, 2K + 1), as `PartialLabelLoss` takes it. Which images an epoch
    draws follows from seed and epoch alone; how they are changed, from the order of the threads.

    Args:
        pixels: (N, 180, 180, 3) uint8, of all images; only a batch at a time is read. rows: (M,)
            those to draw from. allowed: (M, K). weights: (M,) probabilities.
    """
    course, how = recipe.course, recipe.change
    if not isinstance(course, LongCourse) or not isinstance(how, Disguise):
        raise TypeError(f"{recipe.name}: its course is not long, or its change is no disguise")
    size, full = course.batch_size, pixels.shape[1]

    def taken() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for at in draws(weights, course, seed, first_epoch):
            yield pixels[rows[at]], allowed[at]

    def prepare(images: Any, classes: Any) -> tuple[Any, Any]:
        images = disguise(images, how, side.value.read_value())
        if course.mix:
            images, classes = _mixed(images, classes, course.mix)
        return tf.ensure_shape(images, (size, None, None, 3)), classes

    found = tf.data.Dataset.from_generator(
        taken,
        output_signature=(
            tf.TensorSpec((size, full, full, 3), tf.uint8),
            tf.TensorSpec((size, allowed.shape[1]), tf.float32),
        ),
    )
    return found.map(prepare, num_parallel_calls=2).prefetch(2)


def _mixed(images: Any, classes: Any, alpha: float) -> tuple[Any, Any]:
    """MixUp (Zhang et al. 2018): each image with the next one of the batch, one share for all."""
    first, second = tf.random.gamma([], alpha), tf.random.gamma([], alpha)
    share = tf.math.divide_no_nan(first, first + second)
    mixed = share * images + (1 - share) * tf.roll(images, 1, 0)
    column = tf.fill([tf.shape(classes)[0], 1], share)
    return mixed, tf.concat([classes, tf.roll(classes, 1, 0), column], 1)
