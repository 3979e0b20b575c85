"""The second model never changes what the first one said, and each of its failures is a result."""

from __future__ import annotations

import numpy as np
import pytest

from batch.core.records import ModelInput, Prediction, Unscored
from batch.model.scoring import score_batch
from batch.model.silent import SilentModel
from tests.support.archives import OUTPUT, BrightnessClassifier, model_input


class Broken(BrightnessClassifier):
    def scores(self, pixels: np.ndarray) -> np.ndarray:
        raise MemoryError


class NotFinite(BrightnessClassifier):
    def scores(self, pixels: np.ndarray) -> np.ndarray:
        return np.full((len(pixels), 2), np.nan)


def not_there() -> BrightnessClassifier:
    raise OSError("gone")


def inputs() -> list[ModelInput]:
    wrong = ModelInput(model_input("wrong.jpg").record, np.zeros((3, 3, 3), np.uint8))
    return [model_input("a.jpg", 10), model_input("b.jpg", 200), wrong]


def both(load) -> tuple[list, list]:
    batch = inputs()
    results = score_batch(BrightnessClassifier(), OUTPUT, batch)
    before = list(results)
    silent = SilentModel(load, OUTPUT).loaded().score(batch, results)
    assert results == before
    return results, [score.result for score in silent]


def test_it_scores_what_the_first_model_scored_and_nothing_else():
    results, silent = both(BrightnessClassifier)
    assert [score.record.path for score in silent] == ["a.jpg", "b.jpg"]
    assert [score.melanoma_score for score in silent] == [
        result.melanoma_score for result in results if isinstance(result, Prediction)
    ]


@pytest.mark.parametrize(
    ("load", "reason", "detail"),
    [
        (Broken, "model_failed", "MemoryError"),
        (NotFinite, "score_not_finite", ""),
        (not_there, "model_failed", "RuntimeError"),
    ],
)
def test_each_of_its_failures_is_a_result_with_a_reason(load, reason, detail):
    _, silent = both(load)
    assert len(silent) == 2
    assert all(isinstance(score, Unscored) for score in silent)
    assert {(score.reason.value, score.detail) for score in silent} == {(reason, detail)}
