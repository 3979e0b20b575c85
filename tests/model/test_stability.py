"""The spread of a score over turns, a mirror, a crop and a change of brightness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.errors import FailureReason, ImageFailure
from batch.model.stability import CHANGES, harmless_changes, score_spreads
from tests.support.archives import BrightnessClassifier, FailingClassifier, NotFiniteClassifier


class CornerClassifier:
    """Looks at the upper left quarter only."""

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        melanoma = pixels[:, :90, :90].reshape(len(pixels), -1).mean(axis=1) / 255
        return np.stack([1 - melanoma, melanoma], axis=1)


def test_each_change_does_what_it_says():
    pixels = np.random.default_rng(0).integers(0, 256, (180, 180, 3), np.uint8)
    same, left, over, right, mirror, cropped, lighter, darker = harmless_changes(pixels)
    assert len(CHANGES) == 7 and (same == pixels).all()
    assert (left == np.rot90(pixels)).all() and (over == pixels[::-1, ::-1]).all()
    assert (right == np.rot90(pixels, 3)).all() and (mirror == pixels[:, ::-1]).all()
    assert cropped.shape == pixels.shape and (cropped != pixels).any()
    levels = pixels.astype(float)
    assert np.abs(lighter - np.minimum(levels * 1.05, 255)).max() <= 0.5
    assert np.abs(darker - levels * 0.95).max() <= 0.5


def test_a_crop_takes_away_three_percent_on_each_side():
    framed = np.zeros((180, 180, 3), np.uint8)
    framed[5:-5, 5:-5] = 200
    assert harmless_changes(framed)[5].min() > 180  # the filter looks a little beyond the edge


def test_of_one_grey_only_brightness_counts():
    grey = np.full((2, 180, 180, 3), 100, np.uint8)
    assert score_spreads(BrightnessClassifier(), grey, 0) == pytest.approx([5 / 255] * 2)


def test_a_spot_in_a_corner_moves_when_the_picture_is_turned():
    pixels = np.zeros((180, 180, 3), np.uint8)
    pixels[:90, :90] = 200
    spread = score_spreads(CornerClassifier(), pixels[None], 1)
    assert spread == pytest.approx([200 / 255], abs=0.01)


@settings(max_examples=20)
@given(st.integers(0, 255), st.integers(0, 255))
def test_pictures_do_not_disturb_each_other(one, other):
    both = np.stack([np.full((180, 180, 3), level, np.uint8) for level in (one, other)])
    both[:, :40] = 7
    together = score_spreads(CornerClassifier(), both, 1)
    apart = [score_spreads(CornerClassifier(), both[at : at + 1], 1)[0] for at in (0, 1)]
    assert together == pytest.approx(apart) and ((together >= 0) & (together <= 1)).all()


def test_no_picture_costs_nothing_and_a_failing_model_has_a_reason():
    assert score_spreads(FailingClassifier(), np.empty((0, 180, 180, 3), np.uint8), 0).shape == (0,)
    bad = np.full((1, 180, 180, 3), 13, np.uint8)
    for classifier, reason in (
        (FailingClassifier(), FailureReason.MODEL_FAILED),
        (NotFiniteClassifier(), FailureReason.SCORE_NOT_FINITE),
    ):
        with pytest.raises(ImageFailure) as refused:
            score_spreads(classifier, bad, 1)
        assert refused.value.reason == reason
