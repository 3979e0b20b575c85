"""Shows which part of an image a score depends on, by occlusion.

A square of the image is covered, the image is scored again, and the fall of the score is noted at
the square's place; this is done all over the image. It works for every classifier.

The fall is measured in log odds: the score of the class against the sum of all other scores. From
0.9990 to 0.9999 a score hardly changes, but its log odds change by 2.3. The other scores are summed
instead of subtracting the score from 1, because near 1 a float32 has steps of 6e-8, while a softmax
gives the small scores with all their digits. So a score near 1 has a useful map, too, also of a
model that averages several passes and has no logits.

The map shows what the *model* reacts to, which may be a ruler, a hair or the edge of the tube. It
is no evidence about the skin.

Explaining an image costs `image_count()` scored images, 122 with the defaults: about a quarter of a
second at 500 images a second.
"""

from __future__ import annotations

import numpy as np

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images.preprocess import CHANNELS, HEIGHT, WIDTH
from batch.model.classifier import Classifier

SQUARE = 30
"""Side of the covered square, in pixels of the model's input: a sixth of the image."""
STRIDE = 15
"""Pixels from one square to the next: half a side, so that inner pixels are covered four times."""


def image_count(square: int = SQUARE, stride: int = STRIDE) -> int:
    """How many images are scored to explain one: all covered ones, and the original."""
    return len(_starts(HEIGHT, square, stride)) * len(_starts(WIDTH, square, stride)) + 1


def occlusion_map(
    classifier: Classifier,
    pixels: np.ndarray,
    class_index: int,
    square: int = SQUARE,
    stride: int = STRIDE,
) -> np.ndarray:
    """How much the log odds of a class depend on each pixel.

    Args:
        classifier: gives the scores.
        pixels: (180, 180, 3), uint8, RGB: the model's input.
        class_index: column of the scores, from 0.
        square, stride: pixels; the last square of a row or column ends at the image's edge.

    Returns:
        (180, 180) float32, natural logarithm: the mean fall of the log odds over the squares that
        cover a pixel. Positive where covering lowers the score.

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
    odds = log_odds(_scores(classifier, images, class_index), class_index)
    falls, covered = np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH))
    for covered_odds, (top, left) in zip(odds[1:], corners, strict=True):
        falls[top : top + square, left : left + square] += odds[0] - covered_odds
        covered[top : top + square, left : left + square] += 1
    return (falls / covered).astype(np.float32)


def log_odds(scores: np.ndarray, class_index: int) -> np.ndarray:
    """Log odds of a class against all others, (N,) float64, natural logarithm.

    To keep the result finite, a score or a sum of others of exactly 0 counts as the smallest one
    among the N images, and at most as 2^-25, half the step of a float32 below 1. So an image
    without such a 0 keeps its place before it.

    Args:
        scores: (N, K) float32 or float64, 0..1, rows adding up to 1.
        class_index: column of the class.
    """
    class_scores = scores[:, class_index].astype(np.float64)
    others = np.delete(scores, class_index, axis=1).astype(np.float64).sum(axis=1)
    both = np.stack([class_scores, others])
    floor = min(both[both > 0].min(initial=_HALF_STEP), _HALF_STEP)
    return np.subtract(*np.log(np.maximum(both, floor)))


_HALF_STEP = 2.0**-25


def _scores(classifier: Classifier, images: np.ndarray, class_index: int) -> np.ndarray:
    """(N, K) scores of all classes."""
    try:
        scores = np.asarray(classifier.scores(images))
    except Exception as error:  # whatever a model raises, the row stays on the worklist
        raise ImageFailure(Stage.SCORE, FailureReason.MODEL_FAILED, type(error).__name__) from error
    if scores.shape[:1] != (len(images),) or scores.ndim != 2:
        raise ImageFailure(Stage.SCORE, FailureReason.MODEL_FAILED, "another number of scores")
    if not 0 <= class_index < scores.shape[1]:
        raise ImageFailure(Stage.SCORE, FailureReason.MODEL_FAILED, "no such class")
    if not np.all(np.isfinite(scores)):
        raise ImageFailure(Stage.SCORE, FailureReason.SCORE_NOT_FINITE)
    return scores


def _starts(length: int, square: int, stride: int) -> list[int]:
    """First pixels of the squares along one side; the last square ends at the image's edge."""
    starts = list(range(0, length - square + 1, stride))
    return starts if starts[-1] + square == length else [*starts, length - square]
