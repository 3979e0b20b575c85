"""Batches for training: which image how often, changed how, at which size.

Changes are what differs between photographs of one lesion: geometry (the lesion has no up), colour
(cameras and dermatoscopes disagree), sharpness and compression (sources were scaled and saved
differently, and a network would rather recognise that than the lesion). None becomes part of an
artifact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from batch.training.parts import Change, Disguise, Recipe


def change(images: Any, how: Change) -> Any:
    """(N, S, S, 3) float32 in 0..255 to the same, each image changed in its own way."""
    images = _warp(images, how)
    images = _recolour(images, how)
    if how.dark_surround:
        images = _surround(images, how.dark_surround)
    if how.smallest_side:
        images = _soften(images, how.smallest_side)
    if how.jpeg_quality:
        images = _recompress(images, how.jpeg_quality)
    if how.noise:
        images = _noise(images, how.noise)
    return tf.clip_by_value(images, 0.0, 255.0)


def disguise(images: Any, how: Disguise, side: Any) -> Any:
    """(N, S, S, 3) uint8 to (N, side, side, 3) float32 in 0..255, each changed in its own way.

    The warp samples at once as many pixels as are wanted, so what follows costs no more than it
    must. Which images lose resolution and which are recompressed is drawn for each of them; the
    factor of the resolution is one for the batch, which costs least.
    """
    full = tf.cast(tf.shape(images)[1], tf.float32)
    images = _warp(tf.cast(images, tf.float32), how, side)
    images = _recolour(images, how)
    if how.dark_surround:
        images = _surround(images, how.dark_surround)
    count = tf.shape(images)[0]
    if how.soft_share:
        lowest = tf.cast(how.smallest_side / full * tf.cast(side, tf.float32), tf.int32)
        small = tf.random.uniform([], lowest, side, tf.int32)
        down = tf.image.resize(images, (small, small), antialias=True)
        soft = tf.random.uniform([count, 1, 1, 1]) < how.soft_share
        images = tf.where(soft, tf.image.resize(down, (side, side)), images)
    if how.jpeg_share:  # the rows of a batch are in random order, so its first are any
        saved = tf.cast(tf.round(how.jpeg_share * tf.cast(count, tf.float32)), tf.int32)
        again = _saved_as_jpeg(images[:saved], how.jpeg_quality)
        images = tf.concat([again, images[saved:]], 0)
    if how.noise:
        images = _noise(images, how.noise)
    return tf.clip_by_value(images, 0.0, 255.0)


def _around(count: Any, spread: float, centre: float = 1.0) -> Any:
    """(count,) uniform in centre ± spread."""
    return tf.random.uniform([count], centre - spread, centre + spread)


def _warp(images: Any, how: Change, to_side: Any = None) -> Any:
    """Flip, rotate, zoom and shift in one resampling; what comes in from outside is mirrored.

    Args:
        to_side: of the result, where it is not the images' own.
    """
    if to_side is None and not (how.flip or how.rotation or how.zoom or how.shift or how.aspect):
        return images
    count, side = tf.shape(images)[0], tf.cast(tf.shape(images)[1], tf.float32)
    angle = 2 * math.pi * _around(count, how.rotation, 0.0)
    width = _around(count, how.zoom) * _around(count, how.aspect)
    height = _around(count, how.zoom)
    if how.flip:
        width *= tf.where(tf.random.uniform([count]) < 0.5, -1.0, 1.0)
        height *= tf.where(tf.random.uniform([count]) < 0.5, -1.0, 1.0)
    if to_side is None:
        to_side = tf.shape(images)[1]
    else:
        step = side / tf.cast(to_side, tf.float32)
        width, height = width * step, height * step
    cosine, sine = tf.cos(angle), tf.sin(angle)
    a, b = cosine * width, -sine * height
    c, d = sine * width, cosine * height
    middle, centre = (side - 1) / 2, (tf.cast(to_side, tf.float32) - 1) / 2
    x = middle - (a + b) * centre + _around(count, how.shift, 0.0) * side
    y = middle - (c + d) * centre + _around(count, how.shift, 0.0) * side
    zero = tf.zeros([count])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, x, c, d, y, zero, zero], axis=1),
        output_shape=tf.stack([to_side, to_side]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )


def _recolour(images: Any, how: Change) -> Any:
    count = tf.shape(images)[0]
    if how.gain:
        images *= tf.random.uniform([count, 1, 1, 3], 1 - how.gain, 1 + how.gain)
    if how.contrast:
        mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
        images = mean + (images - mean) * _around(count, how.contrast)[:, None, None, None]
    if how.saturation:
        grey = tf.reduce_mean(images, axis=3, keepdims=True)
        images = grey + (images - grey) * _around(count, how.saturation)[:, None, None, None]
    return images


def _surround(images: Any, share: float) -> Any:
    """Some images get the dark surround of a dermatoscope's round tube.

    Some clinics' photographs have it and others' are cropped, so it tells the clinic: Sies et al.
    2021, Dark corner artefact and diagnostic performance (European Journal of Cancer 145).
    """
    count, side = tf.shape(images)[0], tf.shape(images)[1]
    axis = tf.linspace(-0.5, 0.5, side)
    y = axis[None, :, None] - _around(count, 0.06, 0.0)[:, None, None]
    x = axis[None, None, :] - _around(count, 0.06, 0.0)[:, None, None]
    radius = tf.random.uniform([count, 1, 1], 0.42, 0.72)
    edge = tf.random.uniform([count, 1, 1], 0.005, 0.05)
    outside = tf.clip_by_value((tf.sqrt(x * x + y * y) - radius) / edge, 0.0, 1.0)
    chosen = tf.cast(tf.random.uniform([count, 1, 1]) < share, tf.float32)
    weight = (outside * chosen)[..., None]
    return images * (1 - weight) + tf.random.uniform([count, 1, 1, 1], 0.0, 40.0) * weight


def _soften(images: Any, smallest: int) -> Any:
    """Half of the batches lose resolution; the whole batch by one factor, which costs least."""
    side = tf.shape(images)[1]

    def scaled() -> Any:
        small = tf.random.uniform([], smallest, side, tf.int32)
        down = tf.image.resize(images, (small, small), antialias=True)
        return tf.image.resize(down, (side, side))

    shape = images.shape
    softened = tf.cond(tf.random.uniform([]) < 0.5, scaled, lambda: images)
    return tf.ensure_shape(softened, shape)


def _noise(images: Any, largest: float) -> Any:
    """Every image gets noise of its own strength, mostly little of it.

    The archives' photographs are scaled down from large ones and have next to none; a network that
    never saw any answers noise of a single level.
    """
    strength = largest * tf.square(tf.random.uniform([tf.shape(images)[0], 1, 1, 1]))
    return images + strength * tf.random.normal(tf.shape(images))


def _recompress(images: Any, lowest: int) -> Any:
    """Half of the images are saved as JPEG and read again."""

    def one(image: Any) -> Any:
        again = _as_jpeg(image, lowest)
        return tf.where(tf.random.uniform([]) < 0.5, again, image)

    return tf.map_fn(one, images)


def _saved_as_jpeg(images: Any, lowest: int) -> Any:
    """Every image is saved as JPEG and read again."""
    return tf.map_fn(lambda image: _as_jpeg(image, lowest), images)


def _as_jpeg(image: Any, lowest: int) -> Any:
    quality = tf.random.uniform([], lowest, 96, tf.int32)
    pixels = tf.cast(tf.clip_by_value(image, 0.0, 255.0), tf.uint8)
    return tf.cast(tf.image.adjust_jpeg_quality(pixels, quality), tf.float32)


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
