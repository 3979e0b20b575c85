"""How much a score depends on what changes nothing about the lesion: turns, a crop, brightness."""

from __future__ import annotations

import numpy as np

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images.preprocess import HEIGHT, WIDTH, resize
from batch.model.classifier import Classifier

CROP = 0.03
"""Share of each side that a crop takes away, at both ends."""
BRIGHTNESS = 0.05
CHANGES = ("turned by 90°", "turned by 180°", "turned by 270°", "mirrored", "cropped by 3 %",
           "5 % brighter", "5 % darker")  # fmt: skip
"""What `harmless_changes` makes, after the unchanged picture."""


def harmless_changes(pixels: np.ndarray) -> np.ndarray:
    """A picture, and the same changed in each way of `CHANGES`.

    Args:
        pixels: (180, 180, 3) uint8, RGB: the model's input.

    Returns:
        (1 + len(CHANGES), 180, 180, 3) uint8; the first is the picture itself.
    """
    down, across = round(HEIGHT * CROP), round(WIDTH * CROP)
    levels = np.arange(256)
    lighter, darker = (
        np.clip(np.rint(levels * factor), 0, 255).astype(np.uint8)
        for factor in (1 + BRIGHTNESS, 1 - BRIGHTNESS)
    )
    cropped = resize(pixels, HEIGHT, WIDTH, (across, down, WIDTH - across, HEIGHT - down))
    turns = [np.rot90(pixels, quarter) for quarter in (1, 2, 3)]
    return np.stack([pixels, *turns, pixels[:, ::-1], cropped, lighter[pixels], darker[pixels]])


def score_spreads(classifier: Classifier, pictures: np.ndarray, class_index: int) -> np.ndarray:
    """The largest change of a class's score by a harmless change, (N,) float64, 0..1.

    Args:
        classifier: gives the scores; each picture costs 1 + len(CHANGES) of them.
        pictures: (N, 180, 180, 3) uint8, RGB. class_index: column of the scores, from 0.

    Raises:
        ImageFailure: SCORE_NOT_FINITE, MODEL_FAILED.
    """
    if not len(pictures):
        return np.empty(0)
    changed = np.concatenate([harmless_changes(picture) for picture in pictures])
    try:
        scores = np.asarray(classifier.scores(changed))[:, class_index].astype(np.float64)
    except Exception as error:  # whatever a model raises, the score stays as it is
        raise ImageFailure(Stage.SCORE, FailureReason.MODEL_FAILED, type(error).__name__) from error
    if not np.all(np.isfinite(scores)):
        raise ImageFailure(Stage.SCORE, FailureReason.SCORE_NOT_FINITE)
    by_picture = scores.reshape(len(pictures), 1 + len(CHANGES))
    return np.abs(by_picture[:, 1:] - by_picture[:, :1]).max(axis=1)
