"""Recipes as Keras networks; augmentation lives in the input pipeline, never in the artifact."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from batch.archive.preprocess import CHANNELS, HEIGHT, WIDTH
from batch.training.recipes import Recipe


def build(recipe: Recipe) -> keras.Model:
    """The network of a recipe: (N, 180, 180, 3) in 0..255 to (N, K) softmax scores."""
    image = keras.Input((HEIGHT, WIDTH, CHANNELS), name="image")
    x = layers.Rescaling(1 / 255)(image)
    for filters in recipe.filters:
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(recipe.dropout)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(recipe.dense_units, activation="relu")(x)
    scores = layers.Dense(len(recipe.class_names), activation="softmax", name="scores")(x)
    return keras.Model(image, scores, name=recipe.name.replace("-", "_"))


def training_batches(
    recipe: Recipe, pixels: np.ndarray, labels: np.ndarray, seed: int
) -> tf.data.Dataset:
    """Shuffled, augmented batches of ((B, 180, 180, 3) float32 in 0..255, (B,) int)."""
    augment = keras.Sequential(
        [
            layers.RandomFlip(recipe.flip, seed=seed),
            layers.RandomRotation(recipe.rotation, seed=seed + 1),
            layers.RandomZoom(recipe.zoom, seed=seed + 2),
        ]
    )

    def prepare(images: Any, targets: Any) -> tuple[Any, Any]:
        return augment(tf.cast(images, tf.float32), training=True), targets

    return (
        tf.data.Dataset.from_tensor_slices((pixels, labels))
        .shuffle(len(pixels), seed=seed)
        .batch(recipe.batch_size)
        .map(prepare, num_parallel_calls=1)
        .prefetch(2)
    )


def plain_batches(recipe: Recipe, pixels: np.ndarray, labels: np.ndarray) -> tf.data.Dataset:
    """Batches in order, without augmentation."""
    return tf.data.Dataset.from_tensor_slices((pixels, labels)).batch(recipe.batch_size)
