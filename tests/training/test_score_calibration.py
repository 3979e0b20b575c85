"""Scores become probabilities on lesions that trained nothing, and the artifact's own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from batch.evaluation.measures import calibration_error
from batch.training.score_calibration import (
    ScoreCalibration,
    calibration_facts,
    fit_calibration,
)

MELANOMA = 1


def drawn(count, seed, share=0.2):
    """Logits whose softmax is the truth, and truth drawn by it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 3))
    logits[:, MELANOMA] += np.log(share)
    truth = np.array([rng.choice(3, p=row) for row in softmax(logits, axis=1)])
    return logits, truth == MELANOMA


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.4, -1.5), (2.5, 2.0), (1.0, -4.0)])
def test_what_was_bent_is_found_again(scale, shift):
    """The inverse of scale and shift, to the accuracy that 20,000 draws allow."""
    logits, is_melanoma = drawn(20_000, 3)
    bent = logits.copy()
    bent[:, MELANOMA] -= shift
    bent = softmax(bent / scale, axis=1)
    found = fit_calibration(bent, is_melanoma, np.full(len(bent), "a"), MELANOMA)
    assert found.scale == pytest.approx(scale, rel=0.05)
    assert found.melanoma_shift == pytest.approx(shift, abs=0.1)
    after = found.scores(bent, MELANOMA)[:, MELANOMA]
    assert calibration_error(is_melanoma, after) < 0.015


def test_every_source_counts_the_same():
    """A source with a tenth of the images, and the opposite shift, pulls as hard."""
    large, told_large = drawn(10_000, 1)
    small, told_small = drawn(1000, 2)
    large[:, MELANOMA] += 1
    small[:, MELANOMA] -= 1
    scores = softmax(np.concatenate([large, small]), axis=1)
    told = np.concatenate([told_large, told_small])
    sources = np.array(["large"] * 10_000 + ["small"] * 1000)
    one = fit_calibration(scores, told, np.full(len(told), "one"), MELANOMA)
    two = fit_calibration(scores, told, sources, MELANOMA)
    assert one.melanoma_shift < -0.6
    assert abs(two.melanoma_shift) < 0.35


@given(
    scale=st.floats(0.1, 10),
    shift=st.floats(-10, 10),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_output_layer_computes_what_the_formula_says(scale, shift, seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(5, 4)).astype(np.float32)
    layer = keras.layers.Dense(3, activation="softmax")
    layer.build((None, 4))
    layer.set_weights([rng.normal(size=(4, 3)), rng.normal(size=3)])
    before = np.asarray(layer(features))
    calibration = ScoreCalibration(scale, shift)
    calibration.set_output(layer, MELANOMA)
    np.testing.assert_allclose(
        np.asarray(layer(features)), calibration.scores(before, MELANOMA), atol=2e-4
    )


@pytest.mark.parametrize("scores", [np.eye(3)[[0, 1, 1, 2]], np.full((4, 3), 1 / 3)])
def test_scores_of_zero_and_one_and_equal_ones_are_no_error(scores):
    told = np.array([False, True, False, True])
    found = fit_calibration(scores, told, np.array(list("aabb")), MELANOMA)
    after = found.scores(scores, MELANOMA)
    assert np.isfinite([found.scale, found.melanoma_shift]).all()
    np.testing.assert_allclose(after.sum(axis=1), 1)


def test_facts_tell_each_source_before_and_after():
    logits, told = drawn(4000, 5)
    logits[:, MELANOMA] += 2
    scores, sources = softmax(logits, axis=1), np.array(["a", "b"] * 2000)
    found = fit_calibration(scores, told, sources, MELANOMA)
    facts = calibration_facts(found, scores, told, sources, MELANOMA)
    assert set(facts["by_source"]) == {"a", "b"}
    for source in facts["by_source"].values():
        assert source["images"] == 2000
        assert source["calibration_error_before"] > 0.15 > 0.04 > source["calibration_error_after"]
    assert sum(source["melanomas"] for source in facts["by_source"].values()) == told.sum()
