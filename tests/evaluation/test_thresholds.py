"""Thresholds against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.evaluation.thresholds import (
    PROVISIONAL_BELOW,
    choose,
    choose_threshold,
    rate,
    sensitivity_and_specificity,
)

CASES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 20).map(lambda n: n / 20)), min_size=1, max_size=40
).filter(lambda cases: any(melanoma for melanoma, _ in cases))


def sensitivity_by_hand(cases, threshold):
    caught = total = 0
    for is_melanoma, score in cases:
        if is_melanoma:
            total += 1
            caught += score >= threshold
    return caught / total


def arrays(cases):
    return np.array([m for m, _ in cases]), np.array([s for _, s in cases])


@given(CASES, st.sampled_from([0.5, 0.8, 0.9, 0.95, 1.0]))
def test_the_threshold_is_the_highest_that_reaches_the_target(cases, target):
    threshold = choose_threshold(*arrays(cases), target)
    assert sensitivity_by_hand(cases, threshold) >= target - 1e-12
    higher = sorted({score for _, score in cases if score > threshold})
    assert all(sensitivity_by_hand(cases, other) < target for other in higher)


@given(CASES, st.integers(0, 20).map(lambda n: n / 20))
def test_rates_are_what_counting_gives(cases, threshold):
    found = sensitivity_and_specificity(*arrays(cases), threshold)
    assert found["sensitivity"] == sensitivity_by_hand(cases, threshold)
    others = [score for is_melanoma, score in cases if not is_melanoma]
    if others:
        assert found["specificity"] == sum(s < threshold for s in others) / len(others)
    else:
        assert found["specificity"] is None
    counts = ("true_positive", "false_negative", "true_negative", "false_positive")
    assert sum(found[name] for name in counts) == len(cases)


@pytest.mark.parametrize(
    ("hits", "cases", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (8, 10, 0.4439, 0.9748)],
)
def test_intervals_are_the_tabulated_exact_ones(hits, cases, low, high):
    value, interval = rate(hits, cases)
    assert value == hits / cases
    assert interval == pytest.approx((low, high), abs=5e-5)


def test_no_cases_give_no_rate():
    assert rate(0, 0) == (None, None)


@pytest.mark.parametrize(
    ("melanomas", "provisional"), [(PROVISIONAL_BELOW - 1, True), (PROVISIONAL_BELOW, False)]
)
def test_few_melanomas_make_an_operating_point_provisional(melanomas, provisional):
    is_melanoma = np.array([True] * melanomas + [False] * 10)
    point = choose(is_melanoma, np.linspace(1, 0, melanomas + 10), "f" * 64, "made up", 0.95)
    assert point.provisional is provisional
    assert (point.melanomas, point.others) == (melanomas, 10)
    assert point.sensitivity >= 0.95
