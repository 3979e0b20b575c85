"""PSI against numbers worked out by hand, its algebra, and what chance makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chi2

from batch.review.monitoring import drift
from batch.review.monitoring.drift import (
    BINS,
    MIN_IMAGES,
    Level,
    compare_bins,
    compare_categories,
    psi,
)

MANY = 10**9


@pytest.mark.parametrize(
    ("tonight", "reference", "value"),
    [
        # so many images that half an image does not matter: the textbook formula
        # .25 ln 2 - .25 ln(2/3)
        ([MANY // 2, MANY // 2], [MANY // 4, 3 * MANY // 4], 0.274653),
        # .2 ln 1.5 - .2 ln(2/3)
        ([6 * MANY, 4 * MANY], [4 * MANY, 6 * MANY], 0.162186),
        # 100 images a side: every share gets 0.005, all are divided by 1.01
        # 2 (.605 - .405) / 1.01 ln(.605 / .405)
        ([60, 40], [40, 60], 0.158947),
        # (.005 - .505) / 1.01 ln(.005 / .505) + (1.005 - .505) / 1.01 ln(1.005 / .505)
        ([0, 100], [50, 50], 2.625398),
        # half an image of the smaller side: 0.005 here, too
        ([0, 100], [500, 500], 2.625398),
        # a bin that is empty on both sides does not count
        ([60, 0, 40], [40, 0, 60], 0.158947),
        ([7], [9], 0.0),
    ],
)
def test_psi_is_what_a_hand_calculates(tonight, reference, value):
    assert psi(tonight, reference) == pytest.approx(value, abs=2e-6)


counts = st.lists(st.integers(0, 1000), min_size=1, max_size=30)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=30))
def test_psi_is_symmetric_and_never_negative(pairs):
    tonight, reference = map(list, zip(*pairs, strict=True))
    assume(sum(tonight) and sum(reference))
    value = psi(tonight, reference)
    assert value >= 0
    assert value == pytest.approx(psi(reference, tonight), abs=1e-12)


@given(counts, st.integers(1, 1000))
def test_psi_of_equal_shares_is_nothing(found, times):
    assume(sum(found))
    assert psi(found, [times * count for count in found]) == pytest.approx(0, abs=1e-12)


@given(counts, st.integers(1, 40), st.integers(1, 1000))
def test_images_in_a_bin_of_their_own_make_psi_larger(found, where, added):
    assume(sum(found))
    new = [*found, 0]
    assert psi([*found, added], new) > psi(new, new)


@pytest.mark.parametrize(
    ("tonight", "reference"), [([1, 2], [1]), ([0, 0], [1, 2]), ([1, 2], [0, 0]), ([], [])]
)
def test_without_images_or_with_other_bins_there_is_no_psi(tonight, reference):
    with pytest.raises(ValueError, match="counts in the same bins"):
        psi(tonight, reference)


def test_chance_is_chi_squared_at_one_in_a_thousand():
    for bins in range(2, BINS + 1):
        expected = (1 / 80 + 1 / 900) * chi2.ppf(0.999, bins - 1)
        assert drift.by_chance(80, 900, bins) == pytest.approx(expected, rel=1e-4)
    assert drift.by_chance(80, 900, 1) == 0


@pytest.mark.parametrize(("tonight", "reference"), [(60, 60), (60, 5000), (1000, 1000)])
def test_chance_alone_hardly_ever_makes_a_night_unusual(tonight, reference):
    rng = np.random.default_rng(17)
    shares = rng.dirichlet(np.ones(40))
    levels = [
        compare_bins(rng.multinomial(tonight, shares), rng.multinomial(reference, shares)).level
        for _ in range(1000)
    ]
    assert levels.count(Level.UNUSUAL) <= 10
    assert levels.count(Level.STABLE) >= 980


@pytest.mark.parametrize(
    ("value", "chance", "level"),
    [
        (0.0, 0.0, Level.STABLE),
        (0.0999, 0.01, Level.STABLE),
        (0.1, 0.01, Level.SHIFTED),
        (0.1, 0.1, Level.STABLE),
        (0.2499, 0.01, Level.SHIFTED),
        (0.25, 0.01, Level.UNUSUAL),
        (0.3, 0.3, Level.STABLE),
        (0.3, 0.2999, Level.UNUSUAL),
    ],
)
def test_levels_at_their_bounds(value, chance, level):
    assert drift.level(value, chance) == level


@pytest.mark.parametrize(
    ("tonight", "reference", "judged"),
    [
        (MIN_IMAGES, MIN_IMAGES, True),
        (MIN_IMAGES - 1, 10_000, False),
        (10_000, MIN_IMAGES - 1, False),
        (0, 0, False),
    ],
)
def test_below_the_minimum_nothing_is_claimed(tonight, reference, judged):
    by_bin = compare_bins(np.array([tonight, 0]), np.array([0, reference]))
    by_name = compare_categories({"a": tonight}, {"b": reference})
    for found in (by_bin, by_name):
        assert (found.tonight, found.reference) == (tonight, reference)
        assert (found.value is not None) == judged
        assert found.level == (Level.UNUSUAL if judged else Level.NOT_JUDGED)


@pytest.mark.parametrize(
    ("shares", "groups"),
    [
        ([0.1] * 10, list(range(10))),
        ([0.05] * 20, [number // 2 for number in range(20)]),
        ([1.0, 0, 0], [0, 0, 0]),
        ([0, 0, 1.0], [0, 0, 0]),
        ([0.5, 0, 0.5], [0, 1, 1]),
        ([0.96, 0.04], [0, 0]),  # less than half a tenth is left: it joins its neighbour
        ([0.95, 0.05], [0, 1]),
        ([0.3, 0.02, 0.02, 0.66], [0, 1, 1, 1]),
    ],
)
def test_neighbours_are_put_together_until_they_hold_a_tenth(shares, groups):
    assert drift.merge_bins(np.array(shares)).tolist() == groups


@given(st.lists(st.integers(0, 100), min_size=1, max_size=60))
def test_merging_keeps_the_order_and_makes_at_most_ten(found):
    assume(sum(found))
    group = drift.merge_bins(np.array(found) / sum(found))
    assert group[0] == 0 and group[-1] < BINS
    assert set(np.diff(group)) <= {0, 1}


def test_a_shift_to_a_bin_that_was_empty_is_found():
    """Merging by the reference alone would have put both into one."""
    before, tonight = np.zeros(26, int), np.zeros(26, int)
    before[12], tonight[13] = 5000, 60
    assert compare_bins(tonight, before).level == Level.UNUSUAL


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 500), max_size=15),
       st.dictionaries(st.text(max_size=3), st.integers(0, 500), max_size=15))  # fmt: skip
def test_categories_compare_the_same_in_both_directions(tonight, reference):
    there, back = compare_categories(tonight, reference), compare_categories(reference, tonight)
    assert there.level == back.level
    assert there.value == (back.value if back.value is None else pytest.approx(back.value))
    assert there.bins <= BINS


def test_categories_beyond_nine_count_as_one():
    before = {f"device {number:02d}": 100 - number for number in range(12)}
    assert compare_categories(before, before).bins == BINS
    swapped = dict(before) | {"device 10": before["device 11"], "device 11": before["device 10"]}
    assert compare_categories(swapped, before).value == pytest.approx(0, abs=1e-12)


def test_a_new_device_is_found():
    found = compare_categories({"old": 50, "new": 20}, {"old": 2000})
    assert found.level == Level.UNUSUAL
