from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.errors import FailureReason, ImageFailure
from batch.model.attention import SQUARE, STRIDE, image_count, occlusion_map
from tests.support import (
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
        (BrightnessClassifier(), 2, FailureReason.MODEL_FAILED, "IndexError"),
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
