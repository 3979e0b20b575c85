"""A device whose share of a flag has doubled is told; two blurred pictures of ten are no news."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from batch.review.monitoring.flag_changes import compare, flag_changes, ratio_interval
from batch.review.monitoring.flag_counts import FlagCounts, GroupCounts


def group(images: int, blurry: int) -> GroupCounts:
    return GroupCounts(images, {"blurry": blurry} if blurry else {})


@pytest.mark.parametrize(
    ("tonight", "before", "judged", "told"),
    [
        ((10, 2), (1000, 10), False, False),  # two of ten
        ((19, 19), (1000, 10), False, False),
        ((20, 20), (49, 0), False, False),
        ((20, 20), (50, 0), True, True),
        ((20, 4), (1000, 10), True, False),  # four are too few, however rare before
        ((20, 5), (1000, 10), True, True),
        ((100, 5), (1000, 25), True, False),  # doubled, but chance does that
        ((1000, 51), (10_000, 250), True, True),
        ((1000, 50), (10_000, 250), True, False),  # not yet doubled
        ((10_000, 400), (10_000, 300), True, False),  # sure, and not doubled
        ((200, 0), (10_000, 250), True, False),
        ((60, 12), (1140, 24), True, True),
    ],
)
def test_the_rule(tonight, before, judged, told):
    change = compare("blurry", "Maker A", group(*tonight), group(*before))
    assert (change.ratio is not None, change.is_told) == (judged, told)


def test_the_sentence_says_what_was_found_and_what_to_do():
    change = compare("blurry", "Maker A", group(60, 12), group(1140, 24))
    assert change.sentence == (
        "Flag blurry of Maker A: 12 of 60 (20.0%), in the last nights 24 of 1,140 (2.1%); "
        "9.3 times as many (99.8 % interval 2.7 to 28.8). "
        "Look at lens, focus and light of it."
    )
    none_before = compare("blurry", None, group(60, 12), group(1140, 0))
    assert "of all images" in none_before.sentence and " or more)" in none_before.sentence
    few = compare("blurry", "Maker A", group(10, 2), group(9, 0))
    assert few.sentence.endswith("10 images tonight and 9 there; 20 and 50 are needed.")


def test_a_device_is_compared_with_itself_and_told_although_the_archive_is_not():
    tonight = FlagCounts({"old": group(5000, 100), "failing": group(100, 12)})
    before = FlagCounts({"old": group(50_000, 1000), "failing": group(3000, 30)})
    found = list(flag_changes(tonight, before))
    assert [(c.flag, c.device) for c in found if c.is_told] == [("blurry", "failing")]
    new = FlagCounts({"new": group(5000, 4000)})
    assert [c.device for c in flag_changes(new, before) if c.is_told] == [None]


@given(st.integers(0, 40), st.integers(40, 200), st.integers(0, 40), st.integers(40, 5000))
def test_the_interval_holds_the_ratio_and_leaves_a_thousandth_on_each_side(k1, n1, k0, n0):
    low, high = ratio_interval(k1, n1, k0, n0)
    assert 0 <= low < high
    if k0:
        assert low <= (k1 / n1) / (k0 / n0) <= high
    share = n1 * low / (n1 * low + n0)
    if k1:  # were the ratio the lower limit, so many would fall on tonight once in 1,000 times
        assert math.isclose(binom.sf(k1 - 1, k0 + k1, share), 0.001, rel_tol=1e-6)


def test_equal_shares_are_seldom_told():
    """Exactly: over all counts of two nights with 5 % each, told at most once in 1,000 times."""
    tonight, before = 40, 80
    told = 0.0
    for k1 in range(tonight + 1):
        for k0 in range(before + 1):
            if compare("blurry", None, group(tonight, k1), group(before, k0)).is_told:
                told += binom.pmf(k1, tonight, 0.05) * binom.pmf(k0, before, 0.05)
    assert told <= 0.001
