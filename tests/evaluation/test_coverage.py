"""Coverage: shares of units and subgroups, small cells not told."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest

from batch.evaluation.coverage import count_subgroups, coverage
from batch.evaluation.subgroups import NOT_STATED


def shares(labelled, known, min_cell=10):
    counts = {"images": 5}, {"images": 20}
    found = coverage(*counts, {"site": Counter(labelled)}, {"site": Counter(known)}, min_cell)
    return found


@pytest.mark.parametrize(("labelled", "known", "cell"), [
    (10, 20, {"known": 20, "labelled": 10, "share": 0.5, "suppressed": False}),
    (9, 20, {"known": 20, "labelled": "<10", "share": None, "suppressed": True}),
    (0, 20, {"known": 20, "labelled": "<10", "share": None, "suppressed": True}),
    (9, 9, {"known": "<10", "labelled": "<10", "share": None, "suppressed": True}),
    (10, 10, {"known": 10, "labelled": 10, "share": 1.0, "suppressed": False}),
])  # fmt: skip
def test_small_cells_have_neither_count_nor_share(labelled, known, cell):
    found = shares({"back": labelled}, {"back": known})
    assert found["by_subgroup"]["site"]["back"] == cell
    assert found["images"] == {"known": 20, "labelled": 5, "share": 0.25}


def test_a_column_of_which_nothing_is_stated_is_left_out_and_not_stated_is_last():
    found = shares({}, {NOT_STATED: 30})
    assert found["by_subgroup"] == {}
    order = list(shares({}, {NOT_STATED: 3, "100-109": 1, "90-99": 2})["by_subgroup"]["site"])
    assert order == ["90-99", "100-109", NOT_STATED]


def test_nothing_known_has_no_share():
    found = coverage({"patients": 0}, {"patients": 0}, {}, {})
    assert found["patients"] == {"known": 0, "labelled": 0, "share": None}


def test_values_are_read_from_the_predictions_and_may_be_missing():
    rows = pd.DataFrame({"manufacturer": ["M", None], "manufacturer_model_name": ["D1", None],
                         "sex": ["female", None], "age": [54.0, float("nan")],
                         "anatomic_region": [" back ", ""]})  # fmt: skip
    counts = count_subgroups(rows)
    assert counts["device"] == Counter({"M D1": 1, NOT_STATED: 1})
    assert counts["age"] == Counter({"50-59": 1, NOT_STATED: 1})
    assert counts["site"] == Counter({"back": 1, NOT_STATED: 1})
    assert counts["skin type"] == Counter({NOT_STATED: 2})  # no such column
