"""Alerts to expect: by counting images, and who is the worst."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batch.training.expected_alerts import (
    PREVALENCES,
    expected_alerts,
    melanomas_per_hundred_alerts,
    worst,
)

COUNT = st.integers(0, 500)
RATE = st.floats(0, 1)


@given(COUNT, COUNT, COUNT, COUNT)
def test_it_is_what_counting_gives(caught, missed, cleared, alarmed):
    melanomas, others = caught + missed, cleared + alarmed
    assume(melanomas and others)
    share = melanomas / (melanomas + others)
    found = melanomas_per_hundred_alerts(share, caught / melanomas, cleared / others)
    if caught + alarmed == 0:
        assert found is None
    else:
        assert found == pytest.approx(100 * caught / (caught + alarmed), abs=1e-6)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.tuples(RATE, RATE), min_size=1),
    st.floats(0.001, 0.999),
)
def test_of_the_worst_set_an_alert_means_least_at_every_prevalence(rates, share):
    found = {name: melanomas_per_hundred_alerts(share, *pair) for name, pair in rates.items()}
    least = found[worst(rates)]
    told = [value for value in found.values() if value is not None]
    if told and least is not None:
        assert least <= min(told) + 1e-6


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({"a": (0.9, 0.5), "b": (0.95, 0.5)}, "a"),
        ({"a": (0.9, 0.5), "b": (0.95, 0.3)}, "b"),
        ({"a": (1.0, 1.0), "b": (0.5, 0.9)}, "b"),
        ({"a": (0.0, 1.0), "b": (0.5, 0.9)}, "a"),
        ({}, None),
    ],
)
def test_the_worst_set(rates, expected):
    assert worst(rates) == expected


def test_a_table_of_pooled_and_worst():
    rates = {"test": (0.95, 0.6), "test, a": (0.96, 0.7), "b, held out": (0.9, 0.2)}
    pooled, low = expected_alerts(rates, "test")
    assert (pooled["set"], pooled["is_worst"]) == ("test", False)
    assert (low["set"], low["is_worst"]) == ("b, held out", True)
    assert [row["prevalence"] for row in pooled["at"]] == list(PREVALENCES)
    # 10 melanomas, 9.5 of them found; 990 others, 396 alarmed
    assert pooled["at"][0]["alerts_per_1000"] == pytest.approx(405.5)
    assert pooled["at"][0]["melanomas_per_100_alerts"] == pytest.approx(950 / 405.5)


def test_without_another_set_there_is_no_worst():
    assert [row["set"] for row in expected_alerts({"test": (0.9, 0.5)}, "test")] == ["test"]
    assert expected_alerts({}, "test") == []
