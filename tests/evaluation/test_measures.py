"""Measures against counting by hand, scikit-learn, and the ISIC challenges' own scorer."""

from __future__ import annotations

import csv
import io
import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    roc_auc_score,
)

from batch.evaluation import measures
from batch.evaluation.measures import (
    at_threshold,
    auc_interval,
    bootstrap,
    calibration_error,
    class_measures,
    confusion,
    melanoma_auc,
    melanoma_measures,
    ranking_measures,
)

SCORES = st.integers(0, 20).map(lambda n: n / 20)
CASES = st.lists(st.tuples(st.booleans(), SCORES, st.integers(0, 3)), min_size=2, max_size=40)
BOTH = CASES.filter(
    lambda cases: {kind for kind, _, times in cases if times} == {True, False}
)  # of each kind one with a weight
RANKING = ("melanoma_auc", "average_precision", "partial_auc", "brier")


def arrays(cases):
    kinds, scores, weights = zip(*cases, strict=True)
    return np.array(kinds), np.array(scores), np.array(weights, float)


def challenge_2024(is_melanoma, scores, weights=None):
    """The challenge's own way: kinds and scores turned round, scikit-learn's corrected partial AUC
    below a false positive rate of 0.2, and the correction taken back.
    """
    most = 0.2
    corrected = roc_auc_score(~is_melanoma, -scores, sample_weight=weights, max_fpr=most)
    least = most**2 / 2
    return least + (most - least) * (corrected - 0.5) / 0.5


@settings(deadline=None)
@given(BOTH)
def test_auc_is_the_share_of_pairs_in_the_right_order(cases):
    melanoma = [score for kind, score, _ in cases if kind]
    others = [score for kind, score, _ in cases if not kind]
    pairs = [(m > o) + 0.5 * (m == o) for m in melanoma for o in others]
    assert melanoma_auc(*arrays(cases)[:2]) == pytest.approx(sum(pairs) / len(pairs))


@settings(deadline=None)
@given(BOTH)
def test_weighted_measures_are_scikit_learns(cases):
    is_melanoma, scores, weights = arrays(cases)
    curve = measures.curves(is_melanoma, scores)(weights)
    expected = roc_auc_score(is_melanoma, scores, sample_weight=weights)
    assert measures.auc(curve) == pytest.approx(expected)
    expected = average_precision_score(is_melanoma, scores, sample_weight=weights)
    assert measures.average_precision(curve) == pytest.approx(expected)
    expected = challenge_2024(is_melanoma, scores, weights)
    assert measures.partial_auc(curve) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.9, 0.8, 0.2, 0.1], 0.2),  # every melanoma first
        ([0.5, 0.5, 0.5, 0.5], 0.02),  # chance
        ([0.1, 0.2, 0.8, 0.9], 0.0),  # every melanoma last
    ],
)
def test_the_partial_auc_goes_from_nothing_to_a_fifth(scores, expected):
    is_melanoma = np.array([True, True, False, False])
    found = ranking_measures(is_melanoma, np.array(scores), np.arange(4))["partial_auc"]
    assert found == pytest.approx(expected)


@settings(deadline=None)
@given(BOTH)
def test_sensitivity_at_a_specificity_is_the_best_threshold_found_by_trying_all(cases):
    is_melanoma, scores, _ = arrays(cases)
    tried = []
    for threshold in [2.0, *scores]:
        alert = scores >= threshold
        if np.sum(~alert & ~is_melanoma) * 5 >= 4 * np.sum(~is_melanoma):
            tried.append(np.sum(alert & is_melanoma) / np.sum(is_melanoma))
    curve = measures.curves(is_melanoma, scores)(np.ones(len(scores)))
    assert measures.sensitivity_at_specificity(curve)[0] == pytest.approx(max(tried))


@pytest.mark.parametrize(
    ("false_alarms", "sensitivity", "threshold", "specificity"),
    [(2, 1.0, 0.5, 0.8), (3, 0.0, None, 1.0)],  # just at a specificity of 0.8, and below
)
def test_the_threshold_of_a_specificity_is_one_that_holds_it(
    false_alarms, sensitivity, threshold, specificity
):
    is_melanoma = np.array([True] * 4 + [False] * 10)
    scores = np.array([0.5] * (4 + false_alarms) + [0.1] * (10 - false_alarms))
    found = ranking_measures(is_melanoma, scores, np.arange(14))["sensitivity_at_specificity"]
    assert found["sensitivity"] == sensitivity
    assert found["threshold"] == threshold
    assert found["specificity"] == pytest.approx(specificity)


@settings(deadline=None)
@given(BOTH)
def test_calibration_error_is_what_sorting_into_bins_gives(cases):
    is_melanoma, scores, _ = arrays(cases)
    bins = {}
    for kind, score in zip(is_melanoma, scores, strict=True):
        bins.setdefault(min(math.floor(score * 15), 14), []).append((kind, score))
    gaps = [
        abs(sum(kind for kind, _ in part) / len(part) - sum(score for _, score in part) / len(part))
        * len(part)
        for part in bins.values()
    ]
    assert calibration_error(is_melanoma, scores) == pytest.approx(sum(gaps) / len(scores))


@pytest.mark.parametrize(
    ("kinds", "scores", "expected"),
    [
        ([True, False], [1.0, 0.0], 0.0),
        ([False, True], [1.0, 0.0], 1.0),
        ([True, False], [0.5, 0.5], 0.0),  # right on average
        ([True, True], [0.95, 1.0], 0.025),  # a score of 1 belongs to the last bin
    ],
)
def test_calibration_error_at_the_ends(kinds, scores, expected):
    assert calibration_error(np.array(kinds), np.array(scores)) == pytest.approx(expected)


def test_brier_is_scikit_learns():
    rng = np.random.default_rng(4)
    is_melanoma, scores = rng.random(50) < 0.3, rng.random(50)
    found = ranking_measures(is_melanoma, scores, np.arange(50))
    assert found["brier"] == pytest.approx(brier_score_loss(is_melanoma, scores))
    assert found["brier_interval"][0] < found["brier"] < found["brier_interval"][1]


@pytest.mark.parametrize("kind", [True, False])
def test_without_both_kinds_nothing_is_said_that_speaks_of_both(kind):
    cases, scores = np.full(5, kind), np.linspace(0, 1, 5)
    assert melanoma_auc(cases, scores) is None
    assert auc_interval(cases, scores, np.arange(5)) is None
    found = melanoma_measures(cases, scores, np.arange(5), 0.5)
    for name in RANKING:
        assert (found[name], found[f"{name}_interval"]) == (None, None)
    assert found["expected_calibration_error"] is None
    assert found["sensitivity_at_specificity"]["sensitivity"] is None
    at = found["at_operating_point"]
    absent = {"sensitivity", "specificity"} - {"sensitivity" if kind else "specificity"}
    for name in ("ppv", "npv", *absent):
        assert (at[name], at[f"{name}_interval"]) == (None, None)


@settings(deadline=None)
@given(BOTH, SCORES)
def test_rates_at_a_threshold_are_what_counting_gives(cases, threshold):
    found = at_threshold(*arrays(cases)[:2], threshold)
    alerts = [kind for kind, score, _ in cases if score >= threshold]
    silent = [kind for kind, score, _ in cases if score < threshold]
    assert found["ppv"] == (alerts.count(True) / len(alerts) if alerts else None)
    assert found["npv"] == (silent.count(False) / len(silent) if silent else None)
    melanomas = sum(kind for kind, _, _ in cases)
    assert found["sensitivity"] == alerts.count(True) / melanomas


def test_predictive_values_have_exact_intervals():
    is_melanoma = np.array([True] * 8 + [False] * 10)
    scores = np.array([0.9] * 8 + [0.9] * 2 + [0.1] * 8)
    found = at_threshold(is_melanoma, scores, 0.5)
    assert found["ppv_interval"] == pytest.approx((0.4439, 0.9748), abs=5e-5)  # 8 of 10, tabulated


def test_the_interval_draws_lesions_not_images():
    """Ten copies of each image add no knowledge: the interval stays as wide."""
    rng = np.random.default_rng(1)
    is_melanoma = rng.random(80) < 0.4
    scores = is_melanoma * 0.3 + rng.random(80)
    low, high = auc_interval(is_melanoma, scores, np.arange(80))
    copied = auc_interval(np.repeat(is_melanoma, 10), np.repeat(scores, 10),
                          np.repeat(np.arange(80), 10))  # fmt: skip
    assert copied == pytest.approx((low, high), abs=1e-9)
    assert low < melanoma_auc(is_melanoma, scores) < high


def test_a_round_of_the_bootstrap_is_the_drawn_cases_measured(monkeypatch):
    """Weights are only a faster way to say which rows were drawn, and how often."""
    monkeypatch.setattr(measures, "BOOTSTRAP_ROUNDS", 50)
    rng = np.random.default_rng(2)
    is_melanoma, scores = rng.random(60) < 0.3, np.round(rng.random(60), 1)
    groups = np.array([f"lesion {n}" for n in rng.integers(0, 20, 60)])
    order = list(dict.fromkeys(groups))
    draws, expected = np.random.default_rng(7), []
    for _ in range(50):
        drawn = [order[i] for i in draws.integers(0, len(order), len(order))]
        rows = np.concatenate([np.flatnonzero(groups == name) for name in drawn])
        expected.append(roc_auc_score(is_melanoma[rows], scores[rows]))
    found = auc_interval(is_melanoma, scores, groups, seed=7)
    assert found == pytest.approx(tuple(np.percentile(expected, [2.5, 97.5])))


def test_a_statistic_that_is_never_defined_has_no_interval():
    assert bootstrap(lambda weights: [float("nan"), 1.0], np.arange(3)) == [None, (1.0, 1.0)]


def test_ranking_measures_carry_their_own_intervals():
    """Each interval holds its value: none stands under another's name."""
    rng = np.random.default_rng(3)
    is_melanoma = rng.random(300) < 0.3
    scores = np.clip(is_melanoma * 0.25 + rng.random(300) * 0.7, 0, 1)
    found = ranking_measures(is_melanoma, scores, np.arange(300))
    assert found["melanoma_auc_interval"] == auc_interval(is_melanoma, scores, np.arange(300))
    at = found["sensitivity_at_specificity"]
    for value, (low, high) in [
        *((found[name], found[f"{name}_interval"]) for name in RANKING),
        (at["sensitivity"], at["interval"]),
    ]:
        assert low < value < high
        assert high - low < 0.3


def test_measures_by_class_count_what_occurs():
    labels = np.array(["a", "a", "b", "b"])
    found = class_measures(labels, np.array(["a", "b", "b", "b"]), ("a", "b", "c"))
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == 0.75
    assert found["per_class"]["a"] == {"images": 2, "predicted": 1, "sensitivity": 0.5}
    assert found["per_class"]["c"] == {"images": 0, "predicted": 0, "sensitivity": None}


def test_without_any_image_there_is_no_accuracy():
    found = class_measures(np.array([]), np.array([]), ("a", "b"))
    assert (found["accuracy"], found["balanced_accuracy"]) == (None, None)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
def test_classes_are_counted_as_scikit_learn_counts_them(pairs):
    labels, predicted = (np.array(words) for words in zip(*pairs, strict=True))
    found = class_measures(labels, predicted, ("a", "b", "c"))
    expected = balanced_accuracy_score(labels, predicted)
    assert found["balanced_accuracy"] == pytest.approx(expected)
    table = confusion(labels, predicted, ("a", "b", "c"))
    rows = [[table[label][other] for other in "abc"] for label in "abc"]
    assert rows == confusion_matrix(labels, predicted, labels=["a", "b", "c"]).tolist()


PUBLIC = json.loads((Path(__file__).parent / "public_scores.json").read_text())
"""What the challenges' scorer said of made-up scores: `python -m tests.tools.public_scorer`."""


def columns(case):
    rows = list(csv.DictReader(io.StringIO(case["export"])))
    codes = [name for name in rows[0] if name != "image"]
    return {code: np.array([float(row[code]) for row in rows]) for code in codes}


CATEGORIES = [(name, code) for name, case in PUBLIC["cases"].items() for code in columns(case)]


@pytest.mark.parametrize(("name", "code"), CATEGORIES)
def test_figures_agree_with_the_public_scorer(name, code):
    case = PUBLIC["cases"][name]
    theirs, scores = case["per_category"][code], columns(case)[code]
    positive = np.array(case["codes"]) == code
    ours = melanoma_measures(positive, scores, np.arange(len(scores)), np.nextafter(0.5, 1))
    assert ours["melanoma_auc"] == pytest.approx(theirs["auc"], abs=1e-12)
    assert ours["average_precision"] == pytest.approx(theirs["ap"], abs=1e-12)
    for rate in ("sensitivity", "specificity", "ppv", "npv"):
        found = ours["at_operating_point"][rate]
        # of no alert at all the scorer says a PPV of 1.0, "a freebie"; we say that there is none
        assert (1.0 if found is None else found) == pytest.approx(theirs[rate], abs=1e-12)


@pytest.mark.parametrize(("name", "code"), CATEGORIES)
def test_the_partial_auc_is_the_public_scorers_above_its_base(name, code):
    """Theirs of 2018 goes down to the axis; that of the 2024 challenge ends at 0.8."""
    case = PUBLIC["cases"][name]
    positive, scores = np.array(case["codes"]) == code, columns(case)[code]
    curve = measures.curves(positive, scores)(np.ones(len(scores)))
    ours = measures.partial_auc(curve)
    theirs = case["per_category"][code]["auc_sens_80"]
    assert ours + 0.8 * (1 - false_alarms_at(0.8, curve)) == pytest.approx(theirs, abs=1e-12)
    assert ours == pytest.approx(challenge_2024(positive, scores), abs=1e-12)


def false_alarms_at(sensitivity, curve):
    """Where the ROC curve reaches a sensitivity, on the line between two of its points."""
    caught, alarmed = (part / part[-1] for part in curve)
    for index in range(1, len(caught)):
        if caught[index] >= sensitivity:
            share = (sensitivity - caught[index - 1]) / (caught[index] - caught[index - 1])
            return alarmed[index - 1] + share * (alarmed[index] - alarmed[index - 1])
    raise AssertionError("a ROC curve ends at a sensitivity of 1")


@pytest.mark.parametrize("name", PUBLIC["cases"])
def test_balanced_accuracy_agrees_with_the_public_scorer(name):
    case = PUBLIC["cases"][name]
    scores = columns(case)
    codes, table = np.array(list(scores)), np.array(list(scores.values())).T
    predicted = codes[table.argmax(axis=1)]
    tied = (table == table.max(axis=1, keepdims=True)).sum(axis=1) > 1
    predicted = np.where(tied, "undecided", predicted)  # as the scorer has it
    ours = class_measures(np.array(case["codes"]), predicted, tuple(codes))
    assert ours["balanced_accuracy"] == pytest.approx(case["balanced_accuracy"], abs=1e-12)


@pytest.mark.skipif(
    find_spec("isic_challenge_scoring") is None,
    reason="isic-challenge-scoring needs a C compiler: not in the extra `test`, see setup.py",
)
@pytest.mark.parametrize("name", PUBLIC["cases"])
def test_what_was_written_down_of_the_public_scorer_is_what_it_says(name):
    import pandas as pd
    from isic_challenge_scoring import ClassificationMetric, ClassificationScore

    case = PUBLIC["cases"][name]
    scores = pd.DataFrame(columns(case), index=case["images"])
    truth = pd.DataFrame(
        {code: np.array(case["codes"]) == code for code in scores}, index=case["images"]
    ).astype(float)
    weights = pd.DataFrame({"score_weight": 1.0, "validation_weight": 1.0}, index=case["images"])
    metric = ClassificationMetric.BALANCED_ACCURACY
    found = ClassificationScore(truth, scores, weights, metric)
    assert found.overall == pytest.approx(case["balanced_accuracy"])
    for code, row in found.per_category.iterrows():
        assert row.to_dict() == pytest.approx(case["per_category"][code])
