"""run.json as a model: what is not of its kind is not told, whatever else the file says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.reports.run_record import RunRecord, record_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = sorted(RunRecord.model_fields)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_content_of_a_field_is_an_error_or_touches_another(content):
    found = record_of(content | {"left_archive": 7})
    assert found.left_archive == 7
    assert isinstance(found.unusual_by, str | None)
    for name in FIELDS:
        alone = record_of({name: content[name]} if name in content else {})
        assert name == "left_archive" or repr(getattr(found, name)) == repr(getattr(alone, name))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (2**53 - 1, 2**53 - 1), (2**53, None), (-1, None), (1.5, None), (True, None),
     ("1", None), (None, None), ([1], None)],
)  # fmt: skip
def test_a_count_is_a_whole_number_that_is_exact(value, expected):
    assert record_of({"alerts": value}).alerts == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0.0), (1.5, 1.5), (-1.5, None), (10**400, None), (float("nan"), None),
     (float("inf"), None), (True, None), ("1", None)],
)  # fmt: skip
def test_a_number_is_finite_and_not_negative(value, expected):
    assert record_of({"unscored_rate": value}).unscored_rate == expected


def test_an_entry_of_another_kind_costs_itself_only():
    found = record_of({"unscored_by_reason": {"empty_file": 3, "vanished": "x"}, "seconds": 3})
    assert (found.unscored_by_reason, found.seconds) == ({"empty_file": 3}, {})
    drift = [7, {"label": "scores", "unusual": True}, {"name": 3, "unusual": "yes"}]
    assert record_of({"review": {"unusual": True, "drift": drift}}).unusual_by == "scores"


def test_what_a_night_was_unusual_in_is_told_or_said_to_be_not_told():
    assert (
        record_of({"review": {"unusual": True, "drift": "x"}}).unusual_by == "not recorded in what"
    )
    assert record_of({"review": {"unusual": False}}).unusual_by is None
    assert record_of({"review": {"unusual": 1}}).unusual_by is None
    assert record_of({}).unusual_by is None


def test_a_time_has_a_zone():
    assert str(record_of({"started_at": "2026-01-01T00:00:00+01:00"}).start)[:16] == (
        "2025-12-31 23:00"
    )
    for none in ("2026-01-01T00:00:00", "yesterday", 7, None, "0001-01-01T00:00:00+23:59"):
        assert record_of({"started_at": none}).start is None


def test_text_steers_no_terminal_and_may_be_no_text_at_all():
    assert record_of({"model": {"model_id": "m\n\u202e"}}).model.model_id == "m??"
    odd = json.loads('{"\\ud800": 1, "run_id": "\\ud800", "alerts": 2, "model": {"\\ud800": 1}}')
    assert record_of(odd).alerts == 2


def test_fields_that_nobody_reads_here_are_kept():
    content = {"versions": {"python": "3.11"}, "equation": {"scored": 1, "later": 2}}
    kept = record_of(content).model_dump(exclude_unset=True)
    assert kept == content
