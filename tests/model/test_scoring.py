"""One bad image costs one row, never its batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.core.errors import FailureReason, Stage
from batch.core.records import ModelInput, Prediction, Unscored
from batch.model.scoring import conclude, score_batch
from tests.support.archives import (
    OUTPUT,
    BrightnessClassifier,
    FailingClassifier,
    NotFiniteClassifier,
    ShortClassifier,
    model_input,
    record,
)


def by_path(results):
    return {
        result.record.path if isinstance(result, Prediction) else result.path: result
        for result in results
    }


def test_every_image_gets_its_own_scores():
    inputs = [model_input(f"{b}.jpg", b) for b in (0, 51, 255)]
    found = by_path(score_batch(BrightnessClassifier(), OUTPUT, inputs))
    assert found["0.jpg"].melanoma_score == 0
    assert found["51.jpg"].melanoma_score == pytest.approx(0.2)
    assert found["51.jpg"].predicted_class == "nevus"
    assert found["255.jpg"].predicted_class == "melanoma"
    assert dict(found["51.jpg"].class_scores) == pytest.approx({"melanoma": 0.2, "nevus": 0.8})


def test_a_model_that_fails_on_one_image_costs_that_image():
    inputs = [model_input(f"{b}.jpg", b) for b in (12, 13, 14)]
    found = by_path(score_batch(FailingClassifier(), OUTPUT, inputs))
    assert isinstance(found["12.jpg"], Prediction)
    assert isinstance(found["14.jpg"], Prediction)
    assert found["13.jpg"].reason == FailureReason.MODEL_FAILED
    assert found["13.jpg"].stage == Stage.SCORE
    assert found["13.jpg"].detail == "RuntimeError"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_costs_that_image(value):
    inputs = [model_input(f"{b}.jpg", b) for b in (12, 13, 14)]
    found = by_path(score_batch(NotFiniteClassifier(value=value), OUTPUT, inputs))
    assert [type(found[f"{b}.jpg"]) for b in (12, 13, 14)] == [Prediction, Unscored, Prediction]
    assert found["13.jpg"].reason == FailureReason.SCORE_NOT_FINITE


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((180, 179, 3), np.uint8), np.zeros((180, 180, 3), np.float32)],
    ids=["shape", "dtype"],
)
def test_an_input_that_does_not_fit_never_reaches_the_model(pixels):
    bad = ModelInput(record("bad.jpg"), pixels)
    found = by_path(score_batch(BrightnessClassifier(), OUTPUT, [bad, model_input("good.jpg", 9)]))
    assert found["bad.jpg"].reason == FailureReason.MODEL_INPUT_INVALID
    assert isinstance(found["good.jpg"], Prediction)


def test_a_model_that_loses_rows_gives_no_score_at_all():
    inputs = [model_input("a.jpg", 1), model_input("b.jpg", 2)]
    results = score_batch(ShortClassifier(), OUTPUT, inputs)
    assert [result.reason for result in results] == [FailureReason.MODEL_FAILED] * 2


@given(st.lists(st.integers(0, 255), max_size=12))
def test_as_many_results_as_images_whatever_fails(brightnesses):
    inputs = [model_input(f"{i}.jpg", b) for i, b in enumerate(brightnesses)]
    results = score_batch(FailingClassifier(brightness=7), OUTPUT, inputs)
    assert sorted(by_path(results)) == sorted(item.record.path for item in inputs)
    assert sum(isinstance(r, Unscored) for r in results) == brightnesses.count(7)


def test_the_predicted_class_is_the_first_of_equals():
    result = conclude(model_input(), np.array([0.5, 0.5], np.float32), OUTPUT)
    assert result.predicted_class == "melanoma"
