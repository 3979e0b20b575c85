"""A local operating point: folds by patient, figures that do not flatter, missing melanomas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from batch.evaluation.local_point import cross_fitted, fold_numbers, lower_bound, missing_melanomas


def test_a_patient_is_in_one_fold_whatever_the_order():
    groups = [f"p{n % 13}" for n in range(50)]
    first = dict(zip(groups, fold_numbers(groups, 5), strict=True))
    again = list(reversed(groups))
    assert first == dict(zip(again, fold_numbers(again, 5), strict=True))
    assert set(first.values()) == set(range(5))


def test_noise_is_not_flattered():
    """Of scores that tell nothing, sensitivity plus specificity is 1; folds alone show that."""
    random = np.random.default_rng(0)
    melanoma, scores = np.arange(400) < 40, random.random(400)
    groups = [str(n) for n in range(400)]
    point = cross_fitted(melanoma, scores, groups, 0.9)
    assert point["apparent"]["sensitivity"] >= 0.9
    assert point["sensitivity"] <= point["apparent"]["sensitivity"]
    held = fold_numbers(groups)
    hits = 0
    for fold in range(10):  # the same by hand
        others = np.sort(scores[melanoma & (held != fold)])[::-1]
        threshold = others[int(np.ceil(0.9 * len(others))) - 1]
        hits += int((scores[melanoma & (held == fold)] >= threshold).sum())
    assert point["sensitivity"] == hits / 40


def test_a_threshold_that_keeps_all_is_the_lowest_melanoma():
    melanoma, scores = np.array([True] * 30 + [False] * 30), np.linspace(1, 0, 60)
    point = cross_fitted(melanoma, scores, [str(n) for n in range(60)], 1.0)
    assert point["threshold"] == scores[29] and point["melanomas"] == point["others"] == 30


def test_melanomas_of_one_patient_choose_nothing():
    with pytest.raises(ValueError, match="one fold"):
        cross_fitted(np.array([True, False]), np.array([0.9, 0.1]), ["a", "b"], 0.9)


@pytest.mark.parametrize(("hits", "cases"), [(0, 5), (1, 5), (19, 20), (20, 20), (95, 100)])
def test_the_bound_is_the_exact_one(hits, cases):
    expected = binomtest(hits, cases).proportion_ci(method="exact").low
    assert lower_bound(hits, cases) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("hits", "cases", "bound"), [
    (20, 20, 0.95), (0, 0, 0.95), (19, 20, 0.9), (48, 50, 0.9), (95, 100, 0.9),
])  # fmt: skip
def test_the_missing_number_is_the_least(hits, cases, bound):
    more = missing_melanomas(hits, cases, bound)["missing_if_all_found"]
    assert lower_bound(hits + more, cases + more) >= bound
    assert more == 0 or lower_bound(hits + more - 1, cases + more - 1) < bound


def test_seventy_two_found_of_seventy_two_reach_095():
    assert missing_melanomas(0, 0, 0.95)["missing_if_all_found"] == 72


def test_a_rate_below_the_bound_never_reaches_it():
    found = missing_melanomas(18, 20, 0.95)
    assert found["missing_at_this_rate"] is None and found["missing_if_all_found"] > 72
    found = missing_melanomas(97, 100, 0.95)
    assert 0 < found["missing_at_this_rate"] < 20_000
