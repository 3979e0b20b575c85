"""Which part of a picture a score hangs on: occlusion. Pure numpy, through `Classifier.scores`.

A square is covered, the image is scored again, and the fall of the score is written down where the
square lay; so for squares all over the image. This works for every classifier and needs no look
inside it.

The fall is one of log odds, the score of the class against the sum of all other scores: between
0.9990 and 0.9999 a score hardly moves, and its log odds do by 2.3. Subtracting the score from 1
would lose what the others tell: a float32 just below 1 is 6e-8 away from it, while a softmax gives
the others their full digits, however small. So a saturated score has a map like any other, also
where a model averages the outputs of several passes and no single layer holds its logits.
 It tells what the *model* reacts to, which may be a ruler, a hair or the edge of the
tube: it is no evidence about the skin.

Cost: `image_count()` scored images for each one explained, 122 with the defaults: about a quarter
of a second at 500 images a second.
"""

from __future__ import annotations

import numpy as np

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images.preprocess import CHANNELS, HEIGHT, WIDTH
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
    """How much of one class's log odds hangs on each place.

    Args:
        pixels: (180, 180, 3) uint8, RGB: the model's input.
        class_index: column of the scores, from 0.
        square, stride: pixels; the last square of a row or column ends at the image's edge.

    Returns:
        (180, 180) float32, in natural log odds: their mean fall over the squares that cover a
        pixel. Positive where covering lowers the score.

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
    """A class against all others, (N,) float64, natural logarithm.

    Args:
        scores: (N, K) float32 or float64, 0..1, rows adding up to 1.

    A score of exactly 0, and others of exactly 0, count as the smallest that any image of the N has
    and at most as 2^-25, half the step of a float32 below 1: nothing is infinite, and no image
    gets past another that told more.
    """
    one = scores[:, class_index].astype(np.float64)
    others = np.delete(scores, class_index, axis=1).astype(np.float64).sum(axis=1)
    both = np.stack([one, others])
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
    """First pixels of the squares along one side; the last square ends where the image does."""
    starts = list(range(0, length - square + 1, stride))
    return starts if starts[-1] + square == length else [*starts, length - square]
