"""Which part of a picture a score hangs on: occlusion. Pure numpy, through `Classifier.scores`.

A square is covered, the image is scored again, and the fall of the score is written down where the
square lay; so for squares all over the image. This works for every classifier and needs no look
inside it. It tells what the *model* reacts to, which may be a ruler, a hair or the edge of the
tube: it is no evidence about the skin.

Cost: `image_count()` scored images for each one explained, 122 with the defaults: about a quarter
of a second at 500 images a second.
"""

from __future__ import annotations

import numpy as np

from batch.archive.preprocess import CHANNELS, HEIGHT, WIDTH
from batch.errors import FailureReason, ImageFailure, Stage
from batch.model.classifier import Classifier

SQUARE = 30
"""Side of the covered square, in pixels of the model's input: a sixth of the image."""
STRIDE = 15
"""From one square to the next: half a side, so that inner pixels are covered four times."""


def image_count(square: int = SQUARE, stride: int = STRIDE) -> int:
    """Images that explaining one image takes to score: every covered one, and the bare one."""
    return len(_starts(HEIGHT, square, stride)) * len(_starts(WIDTH, square, stride)) + 1


def occlusion_map(
    classifier: Classifier,
    pixels: np.ndarray,
    class_index: int,
    square: int = SQUARE,
    stride: int = STRIDE,
) -> np.ndarray:
    """How much of one class's score hangs on each place.

    Args:
        pixels: (180, 180, 3) uint8, RGB: the model's input.
        class_index: column of the scores, from 0.
        square, stride: pixels; the last square of a row or column ends at the image's edge.

    Returns:
        (180, 180) float32, in units of the score, -1..1: mean fall of the score over the squares
        that cover a pixel. Positive where covering lowers the score.

    Raises:
        ImageFailure: MODEL_INPUT_INVALID for other pixels; MODEL_FAILED, SCORE_NOT_FINITE.
        ValueError: square or stride leave pixels uncovered.
    """
    if pixels.shape != (HEIGHT, WIDTH, CHANNELS) or pixels.dtype != np.uint8:
        raise ImageFailure(
            Stage.SCORE,
            FailureReason.MODEL_INPUT_INVALID,
            f"pixels {pixels.shape} {pixels.dtype}; allowed: (180, 180, 3) uint8",
        )
    if not 1 <= stride <= square <= min(HEIGHT, WIDTH):
        raise ValueError(f"square {square}, stride {stride}; allowed: 1 <= stride <= square <= 180")
    corners = [
        (top, left)
        for top in _starts(HEIGHT, square, stride)
        for left in _starts(WIDTH, square, stride)
    ]
    images = np.repeat(pixels[None], len(corners) + 1, axis=0)
    cover = np.round(pixels.mean(axis=(0, 1))).astype(np.uint8)  # the image's own mean colour
    for image, (top, left) in zip(images[1:], corners, strict=True):
        image[top : top + square, left : left + square] = cover
    scores = _scores(classifier, images, class_index)
    falls, covered = np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH))
    for score, (top, left) in zip(scores[1:], corners, strict=True):
        falls[top : top + square, left : left + square] += scores[0] - score
        covered[top : top + square, left : left + square] += 1
    return (falls / covered).astype(np.float32)


def _scores(classifier: Classifier, images: np.ndarray, class_index: int) -> np.ndarray:
    """(N,) float64 scores of one class."""
    try:
        scores = classifier.scores(images)
        column = np.asarray(scores, np.float64)[:, class_index]
    except Exception as error:  # whatever a model raises, the row stays on the worklist
        raise ImageFailure(Stage.SCORE, FailureReason.MODEL_FAILED, type(error).__name__) from error
    if column.shape != (len(images),):
        raise ImageFailure(Stage.SCORE, FailureReason.MODEL_FAILED, "another number of scores")
    if not np.all(np.isfinite(column)):
        raise ImageFailure(Stage.SCORE, FailureReason.SCORE_NOT_FINITE)
    return column


def _starts(length: int, square: int, stride: int) -> list[int]:
    """First pixels of the squares along one side; the last square ends where the image does."""
    starts = list(range(0, length - square + 1, stride))
    return starts if starts[-1] + square == length else [*starts, length - square]
