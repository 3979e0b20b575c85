"""Marks that are dated after they were read."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest

from batch.review.worklist.mark_limits import with_marks_before, without_future
from batch.review.worklist.marks import Marks, parse_csv
from tests.support.lists import mark, night_start

UNTIL, NOW = night_start(3), night_start(3) + timedelta(hours=3)
JUST_BEFORE = UNTIL - timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("made", "taken"),
    [
        (night_start(2), night_start(2)),
        (JUST_BEFORE, JUST_BEFORE),
        (UNTIL, JUST_BEFORE),
        (UNTIL + timedelta(hours=1), JUST_BEFORE),  # while the night runs
        (NOW + timedelta(minutes=1), JUST_BEFORE),
        (NOW + timedelta(minutes=1, microseconds=1), None),
        (night_start(400), None),
    ],
)
def test_a_mark_of_the_future_is_not_understood(made, taken):
    marks = Marks((mark(1, lesion_key="1.2", reviewed_at=made, place="r.csv: row 2"),))
    found = without_future(marks, UNTIL, NOW)
    assert [each.reviewed_at for each in found.found] == ([taken] if taken else [])
    told = "r.csv: row 2 does not count: reviewed_at is in the future; correct the date."
    assert found.problems == (() if taken else (told,))
    assert found.not_understood == (0 if taken else 1)


def test_today_without_a_time_is_no_future_and_tomorrow_is():
    today = NOW.astimezone().date()
    ends = [datetime.combine(today + timedelta(days=d), time.max).astimezone() for d in (0, 1)]
    marks = Marks(tuple(mark(1, lesion_key="1.2", reviewed_at=end) for end in ends))
    found = without_future(marks, NOW, NOW)
    assert [each.reviewed_at for each in found.found] == [NOW - timedelta(microseconds=1)]
    assert found.not_understood == 1


def test_a_mark_tells_its_file_and_row_and_is_the_same_in_another_file():
    data = b"lesion_key,decision,reviewed_at\n1.2,x,2026-11-21T08:00Z\n"
    one, other = (parse_csv(data, name).found[0] for name in ("a.csv", "b.csv"))
    assert (one.place, other.place, one == other) == ("a.csv: row 2", "b.csv: row 2", True)


@pytest.mark.parametrize(
    ("reviewed_at", "expected"),
    [
        (None, None),
        (night_start(1).isoformat(), night_start(1).isoformat()),
        (night_start(2).isoformat(), night_start(2).isoformat()),
        (night_start(99).isoformat(), night_start(2).isoformat()),
    ],
)
def test_what_a_list_remembers_was_made_before_it(reviewed_at, expected):
    (row,) = with_marks_before([{"reviewed_at": reviewed_at}], night_start(2).isoformat())
    assert row == {"reviewed_at": expected}
