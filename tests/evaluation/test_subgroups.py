"""Subgroups: who belongs where, and what is not told of few."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from batch.evaluation.subgroups import (
    NOT_STATED,
    age_band,
    by_subgroup,
    cell,
    device,
    subgroup_values,
)


@pytest.mark.parametrize(
    ("age", "band"),
    [
        ("0", "0-9"), ("9.9", "0-9"), ("10", "10-19"), ("55.0", "50-59"), ("59,5", "50-59"),
        ("60", "60-69"), ("100", "100-109"), ("119", "110-119"), ("120", NOT_STATED),
        ("-1", NOT_STATED), ("", NOT_STATED), ("unknown", NOT_STATED), ("nan", NOT_STATED),
        ("inf", NOT_STATED),
    ],
)  # fmt: skip
def test_ages_fall_into_decades(age, band):
    assert age_band(age) == band


@pytest.mark.parametrize(
    ("maker", "model", "name"),
    [
        ("FotoFinder", "medicam 1000", "FotoFinder medicam 1000"),
        ("FotoFinder", None, "FotoFinder"),
        (None, "medicam", "medicam"),
        (None, None, NOT_STATED),
        (float("nan"), " ", NOT_STATED),
    ],
)
def test_a_device_is_maker_and_model_as_far_as_known(maker, model, name):
    assert device(maker, model) == name


def judged(**columns):
    return pd.DataFrame({"manufacturer": None, "manufacturer_model_name": None} | columns)


def test_subgroups_are_the_columns_that_say_something():
    found = subgroup_values(judged(sex=["female", ""], site=["", " "], age=["31", "unknown"]))
    assert {name: list(values) for name, values in found.items()} == {
        "sex": ["female", NOT_STATED],
        "age": ["30-39", NOT_STATED],
    }


def test_the_device_comes_from_the_predictions():
    found = subgroup_values(judged(manufacturer=["A", None], manufacturer_model_name=["1", None]))
    assert list(found["device"]) == ["A 1", NOT_STATED]


def some(melanomas, others):
    is_melanoma = np.array([True] * melanomas + [False] * others)
    scores = np.linspace(1, 0, melanomas + others)
    return is_melanoma, scores, np.arange(melanomas + others)


@pytest.mark.parametrize(
    ("melanomas", "others", "shown"),
    [
        (10, 10, (10, 10)),
        (9, 10, ("<10", 10)),
        (10, 9, (10, "<10")),
        (0, 50, ("<10", 50)),
        (50, 0, (50, "<10")),
    ],
)
def test_of_few_neither_count_nor_figure_is_told(melanomas, others, shown):
    found = cell(*some(melanomas, others), [0.5])
    assert (found["melanomas"], found["others"]) == shown
    assert found["suppressed"] is ("<10" in shown)
    assert ("melanoma_auc" in found) is ("operating_points" in found) is not found["suppressed"]
    assert set(found) <= {
        "melanomas", "others", "suppressed", "melanoma_auc", "melanoma_auc_interval",
        "operating_points",
    }  # fmt: skip


@pytest.mark.parametrize(("min_cell", "shown"), [(3, 3), (4, "<4")])
def test_what_is_few_can_be_chosen(min_cell, shown):
    assert cell(*some(3, 20), [0.5], min_cell)["melanomas"] == shown


def test_each_value_is_measured_on_its_own_images():
    is_melanoma, scores, groups = some(20, 20)
    sex = np.array(["female", "male"] * 20, dtype=object)
    found = by_subgroup({"sex": sex}, is_melanoma, scores, groups, [0.6, 0.4])["sex"]
    for value in ("female", "male"):
        here = sex == value
        assert found[value]["melanomas"] == 10
        for point, threshold in zip(found[value]["operating_points"], [0.6, 0.4], strict=True):
            assert point["threshold"] == threshold
            caught = np.sum(is_melanoma & here & (scores >= threshold))
            assert point["sensitivity"] == caught / 10
        assert found[value]["melanoma_auc"] == 1.0


def test_values_stand_in_order_and_the_unstated_last():
    ages = np.array(["100-109", NOT_STATED, "20-29", "90-99", "0-9"], dtype=object)
    found = by_subgroup({"age": ages}, *some(2, 3), [0.5])["age"]
    assert list(found) == ["0-9", "20-29", "90-99", "100-109", NOT_STATED]
