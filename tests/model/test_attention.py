from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.errors import FailureReason, ImageFailure
from batch.model.attention import SQUARE, STRIDE, image_count, log_odds, occlusion_map
from tests.support.archives import (
    REPOSITORY,
    BrightnessClassifier,
    FailingClassifier,
    NotFiniteClassifier,
    ShortClassifier,
)


class CountingClassifier(BrightnessClassifier):
    def __init__(self) -> None:
        self.images = 0

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        self.images += len(pixels)
        return super().scores(pixels)


class SpotClassifier:
    """Looks at one rectangle only."""

    def __init__(self, top: int, left: int, side: int) -> None:
        self.window = np.s_[:, top : top + side, left : left + side]

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        melanoma = pixels[self.window].reshape(len(pixels), -1).mean(axis=1) / 255
        return np.stack([melanoma, 1 - melanoma], axis=1)


def _spot(top: int, left: int, side: int) -> np.ndarray:
    pixels = np.zeros((180, 180, 3), np.uint8)
    pixels[top : top + side, left : left + side] = 255
    return pixels


@settings(max_examples=20)
@given(st.integers(0, 160), st.integers(0, 160), st.integers(4, 20))
def test_the_map_is_zero_where_the_model_does_not_look_and_peaks_where_it_does(top, left, side):
    found = occlusion_map(SpotClassifier(top, left, side), _spot(top, left, side), 0)
    assert found.shape == (180, 180)
    assert found.dtype == np.float32
    peak = np.unravel_index(found.argmax(), found.shape)
    assert found[peak] > 0
    # a covering square reaches less than its side beyond the spot
    assert top - SQUARE < peak[0] < top + side + SQUARE
    assert left - SQUARE < peak[1] < left + side + SQUARE
    away = np.ones((180, 180), bool)
    away[
        max(0, top - SQUARE) : top + side + SQUARE, max(0, left - SQUARE) : left + side + SQUARE
    ] = 0
    assert not found[away].any()


def test_another_class_hangs_on_the_same_place_the_other_way_round():
    pixels, classifier = _spot(80, 80, 20), SpotClassifier(80, 80, 20)
    assert np.allclose(
        occlusion_map(classifier, pixels, 0), -occlusion_map(classifier, pixels, 1), atol=1e-6
    )


class PatchNetwork:
    """A float32 network whose log odds hang on one patch: full of it, far beyond saturation.

    passes: outputs that are averaged, as a model does that looks at an image turned over, too.
    """

    def __init__(self, activation: str, bias: float, top: int, left: int, passes: int = 1) -> None:
        self.activation, self.bias, self.passes = activation, bias, passes
        self.window = np.s_[:, top : top + 20, left : left + 20]

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        patch = pixels[self.window].reshape(len(pixels), -1).mean(axis=1, dtype=np.float32) / 255
        return np.mean([self._pass(patch + 0.01 * n) for n in range(self.passes)], axis=0)

    def _pass(self, patch: np.ndarray) -> np.ndarray:
        logit = np.float32(self.bias) + 4 * patch.astype(np.float32)
        if self.activation == "sigmoid":
            one = 1 / (1 + np.exp(-logit, dtype=np.float32))
            return np.stack([one, 1 - one], axis=1)
        logits = np.stack([logit, 0 * logit, 0 * logit - 1], axis=1)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float32)
        return powers / powers.sum(axis=1, keepdims=True, dtype=np.float32)


@pytest.mark.parametrize(
    ("activation", "bias", "passes", "score_moves_by"),
    [
        ("softmax", 14.0, 1, 1e-5),
        ("softmax", 30.0, 1, 0.0),  # every covered image scores exactly 1, too
        ("softmax", 30.0, 2, 0.0),
        ("softmax", -40.0, 1, 1e-12),  # no less at the other end
        ("sigmoid", 12.0, 1, 1e-5),
        ("sigmoid", 15.0, 1, 1e-6),  # the bare image scores exactly 1, the covered ones just less
    ],
)
def test_a_saturated_score_has_a_map_that_finds_the_patch(activation, bias, passes, score_moves_by):
    pixels = _spot(60, 110, 20)
    classifier = PatchNetwork(activation, bias, 60, 110, passes)
    covered = np.zeros_like(pixels)
    moved = np.subtract(*classifier.scores(np.stack([pixels, covered]))[:, 0].astype(float))
    assert abs(moved) <= score_moves_by  # a map of the score itself would be blank
    found = occlusion_map(classifier, pixels, 0)
    peak = np.unravel_index(found.argmax(), found.shape)
    assert found[peak] > 0.5
    assert 60 - SQUARE < peak[0] < 80 + SQUARE
    assert 110 - SQUARE < peak[1] < 130 + SQUARE
    assert np.abs(found[:, :70]).max() < 1e-3


@given(st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=9), st.integers(0, 8))
def test_log_odds_are_those_of_the_logits(logits, column):
    """Recomputed in float64 from the logits that the float32 scores came from."""
    logits, column = np.array(logits, np.float32), column % len(logits)
    powers = np.exp(logits - logits.max(), dtype=np.float32)
    scores = (powers / powers.sum(dtype=np.float32))[None]
    others = np.delete(logits, column).astype(float)
    expected = float(logits[column]) - np.log(np.exp(others).sum())
    assert log_odds(scores, column)[0] == pytest.approx(expected, abs=1e-4)


def test_no_score_makes_log_odds_that_are_not_finite():
    scores = np.array([[1, 0], [0, 1], [0.5, 0.5], [1 - 1e-9, 1e-9]], np.float64)
    found = log_odds(scores, 0)
    assert np.all(np.isfinite(found))
    assert list(np.argsort(found)) == [1, 2, 3, 0] or found[0] == found[3]
    assert found[2] == 0


@pytest.mark.parametrize(
    ("square", "stride"), [(SQUARE, STRIDE), (180, 180), (50, 50), (41, 17), (7, 7)]
)
def test_the_cost_is_what_is_stated(square, stride):
    classifier = CountingClassifier()
    occlusion_map(classifier, _spot(0, 0, 9), 0, square, stride)
    assert classifier.images == image_count(square, stride)


def test_the_defaults_cost_what_the_documentation_says():
    assert image_count() == 122


def test_an_image_of_one_colour_has_an_empty_map():
    found = occlusion_map(BrightnessClassifier(), np.full((180, 180, 3), 77, np.uint8), 0)
    assert not found.any()


def test_the_image_itself_is_left_alone():
    pixels = _spot(30, 30, 30)
    before = pixels.copy()
    occlusion_map(BrightnessClassifier(), pixels, 0)
    assert np.array_equal(pixels, before)


class RefusingClassifier:
    def scores(self, pixels: np.ndarray) -> np.ndarray:
        raise AssertionError("must not be asked")


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((180, 180, 3), np.float32),
        np.zeros((179, 180, 3), np.uint8),
        np.zeros((180, 180), np.uint8),
        np.zeros((180, 180, 4), np.uint8),
    ],
    ids=["float", "rows", "grey", "alpha"],
)
def test_other_pixels_never_reach_the_model(pixels):
    with pytest.raises(ImageFailure) as failure:
        occlusion_map(RefusingClassifier(), pixels, 0)
    assert failure.value.reason == FailureReason.MODEL_INPUT_INVALID


@pytest.mark.parametrize(("square", "stride"), [(10, 11), (181, 10), (10, 0), (0, 0)])
def test_squares_that_leave_gaps_are_refused(square, stride):
    with pytest.raises(ValueError, match="allowed"):
        occlusion_map(RefusingClassifier(), _spot(0, 0, 9), 0, square, stride)


@pytest.mark.parametrize(
    ("classifier", "class_index", "reason", "detail"),
    [
        (FailingClassifier(), 0, FailureReason.MODEL_FAILED, "RuntimeError"),
        (ShortClassifier(), 0, FailureReason.MODEL_FAILED, "another number of scores"),
        (BrightnessClassifier(), 2, FailureReason.MODEL_FAILED, "no such class"),
        (NotFiniteClassifier(value=np.nan), 1, FailureReason.SCORE_NOT_FINITE, ""),
        (NotFiniteClassifier(value=np.inf), 1, FailureReason.SCORE_NOT_FINITE, ""),
    ],
    ids=["raises", "short", "no-such-class", "nan", "inf"],
)
def test_a_failing_model_is_a_failure_of_this_image_without_its_words(
    classifier, class_index, reason, detail
):
    pixels = np.full((180, 180, 3), 13, np.uint8)
    with pytest.raises(ImageFailure) as failure:
        occlusion_map(classifier, pixels, class_index)
    assert (failure.value.reason, failure.value.detail) == (reason, detail)


def test_tensorflow_is_not_needed():
    code = (
        "import sys, batch.model.attention;"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
