"""Thresholds that hold at every source, against all thresholds tried one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.evaluation.thresholds import choose
from batch.training.source_points import (
    FEWEST_MELANOMAS,
    TARGETS,
    TOGETHER,
    Cases,
    choose_points,
    choose_threshold,
)

TARGET = st.sampled_from([0.5, 0.8, 0.9, 0.95, 1.0])


@st.composite
def several_sources(draw):
    """Up to four sources with 1 to 50 melanomas; few different scores, so that many are equal."""
    rows = []
    for source in "abcd"[: draw(st.integers(1, 4))]:
        for is_melanoma, least in ((True, 1), (False, 0)):
            scores = draw(st.lists(st.integers(0, 20), min_size=least, max_size=50))
            rows += [(source, is_melanoma, score / 20) for score in scores]
    sources, is_melanoma, scores = map(np.array, zip(*rows, strict=True))
    once = np.array(draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    once[0] = True  # a melanoma counts
    return Cases(is_melanoma, scores, sources, once)


def sensitivity(cases, rows, threshold):
    caught = (cases.scores >= threshold) & cases.is_melanoma & rows
    return caught.sum() / (cases.is_melanoma & rows).sum()


def asked(cases):
    """The parts that must keep the target."""
    found = {TOGETHER: cases.counts_once}
    for source in set(cases.sources.tolist()):
        if (cases.is_melanoma & (cases.sources == source)).sum() >= FEWEST_MELANOMAS:
            found[source] = cases.sources == source
    return found


@settings(deadline=None, max_examples=200)
@given(several_sources(), TARGET)
def test_it_is_the_highest_of_all_thresholds_that_keep_the_target_everywhere(cases, target):
    good = [
        threshold
        for threshold in np.unique(cases.scores)
        if all(sensitivity(cases, rows, threshold) >= target for rows in asked(cases).values())
    ]
    choice = choose_threshold(cases, target)
    assert choice.threshold == max(good)
    assert set(choice.allowed) == set(asked(cases))
    assert set(choice.too_few) == set(cases.sources.tolist()) - set(asked(cases))


@settings(deadline=None)
@given(several_sources(), TARGET)
def test_without_the_one_that_decided_the_threshold_were_higher_or_another_decided(cases, target):
    choice = choose_threshold(cases, target)
    others = [value for name, value in choice.allowed.items() if name != choice.decided_by]
    assert choice.allowed[choice.decided_by] == choice.threshold
    assert all(value >= choice.threshold for value in others)


@settings(deadline=None)
@given(several_sources())
def test_a_lower_target_never_lowers_the_threshold(cases):
    high, low = (choose_threshold(cases, target).threshold for target in (0.95, 0.9))
    assert low >= high


def table(*sources):
    """(name, scores of melanomas, scores of others) each; every row counts once."""
    names, is_melanoma, scores = [], [], []
    for name, melanomas, others in sources:
        names += [name] * (len(melanomas) + len(others))
        is_melanoma += [True] * len(melanomas) + [False] * len(others)
        scores += [*melanomas, *others]
    return Cases(
        np.array(is_melanoma), np.array(scores, float), np.array(names), np.ones(len(names), bool)
    )


EASY = ("easy", np.linspace(0.6, 0.99, 100), np.linspace(0, 0.5, 100))
HARD = ("hard", np.linspace(0.21, 0.6, 40), np.linspace(0, 0.4, 10))
SMALL = ("small", np.linspace(0.01, 0.1, FEWEST_MELANOMAS - 1), [0.0])


@pytest.mark.parametrize(
    ("sources", "target", "decided_by", "threshold"),
    [
        # 38 of 40: two of the hard ones are missed
        ((EASY, HARD), 0.95, "hard", 0.23),
        ((EASY, HARD), 0.9, "hard", 0.25),
        ((EASY,), 0.95, "easy", 0.6 + 5 * 0.39 / 99),
        # 29 melanomas ask for nothing by themselves, but count among all
        ((EASY, HARD, SMALL), 0.95, TOGETHER, None),
        ((EASY, HARD, SMALL), 0.5, "hard", 0.21 + 20 * 0.01),
    ],
    ids=["the hard one decides", "at 0.9", "one source", "a small one counts", "at 0.5"],
)
def test_who_decides(sources, target, decided_by, threshold):
    choice = choose_threshold(table(*sources), target)
    assert choice.decided_by == decided_by
    if threshold is not None:
        assert choice.threshold == pytest.approx(threshold)
    assert choice.too_few == (("small",) if SMALL in sources else ())


def test_points_carry_the_evidence_of_every_source():
    cases = table(EASY, HARD, SMALL)
    points, evidence = choose_points(cases, "ab" * 32, "validation split")
    assert [point.name for point in points] == ["sensitivity-0.95", "sensitivity-0.9"]
    assert tuple(point.target_sensitivity for point in points) == TARGETS
    for point in points:
        told = evidence[point.name]
        assert point.validation_set == f"validation split; {told['decided_by']} decided"
        assert (point.melanomas, point.others) == (169, 111)
        assert point.sensitivity >= point.target_sensitivity
        assert list(told["sources"]) == ["easy", "hard", "small", TOGETHER]
        assert told["too_few"] == ["small"]
        assert told["sources"]["small"]["allowed_threshold"] is None
        everywhere = told["sources"][TOGETHER]
        assert everywhere["sensitivity"] == point.sensitivity
        assert everywhere["specificity_interval"] == point.specificity_interval
        for name in ("easy", "hard"):
            assert told["sources"][name]["sensitivity"] >= point.target_sensitivity
            assert told["sources"][name]["allowed_threshold"] >= point.threshold


def test_of_one_source_it_is_the_rule_that_holds_without_sources():
    cases = table(EASY)
    (point, _), _ = choose_points(cases, "ab" * 32, "validation split")
    without = choose(cases.is_melanoma, cases.scores, "ab" * 32, point.validation_set)
    assert point == without
