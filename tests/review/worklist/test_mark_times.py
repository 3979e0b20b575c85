"""The time of a mark in every form that a page, a person or a country's spreadsheet writes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.review.worklist.mark_times import AMBIGUOUS_DATE, NO_TIME, date_orders, instant

AT = "2026-11-25T07:30:00+00:00"
DAY = "2026-11-25T22:59:59.999999+00:00"

FORMS = [
    ("2026-11-25T07:30:00Z", AT),
    ("2026-11-25T08:30:00.000+01:00", AT),
    ("2026-11-25T08:30+01:00", AT),
    ("2026-11-25 08:30 +01:00", AT),
    ("2026-11-25T08:30", AT),
    ("2026-11-25 08:30", AT),
    ("2026-11-25 8:30", AT),
    ("2026/11/25 8:30", AT),
    ("2026.11.25 08:30", AT),
    ("2026. 11. 25. 08:30", AT),
    ("25.11.2026 08:30", AT),
    ("25.11.2026 08:30:00", AT),
    ("25.11.2026, 08:30 Uhr", AT),
    ("25.11.2026 um 08:30", AT),
    ("25. 11. 2026 08:30", AT),
    ("25.11.26 08:30", AT),
    ("25.11.2026 08.30", AT),
    ("25.11.2026 07:30 UTC", AT),
    ("25.11.2026 07:30Z", AT),
    ("25.11.2026 08:30 +0100", AT),
    ("25/11/2026 08:30", AT),
    ("11/25/2026 8:30 AM", AT),
    ("11/25/2026 8:30:00\u202fa.m.", AT),
    ("11/25/26 8:30", AT),
    ("25-11-2026 08:30", AT),
    ("25-Nov-26 08:30", AT),
    ("25. Nov. 2026 08:30", AT),
    ("25 November 2026, 08:30", AT),
    ("5. Dezember 2026 09:30", "2026-12-05T08:30:00+00:00"),
    ("1. März 2026 09:30", "2026-03-01T08:30:00+00:00"),
    ("11/25/2026 8:30 PM", "2026-11-25T19:30:00+00:00"),
    ("11/25/2026 12:05 AM", "2026-11-24T23:05:00+00:00"),
    ("11/25/2026 12:05 PM", "2026-11-25T11:05:00+00:00"),
    ("01.07.2026 08:30", "2026-07-01T06:30:00+00:00"),  # in summer the zone has another offset
    ("03.04.2026 08:30", "2026-04-03T06:30:00+00:00"),  # points: the day comes first
    ("04/04/2026 08:30", "2026-04-04T06:30:00+00:00"),  # either way the same
    ("2026-11-25", DAY),
    ("25.11.2026", DAY),
    ("11/25/2026", DAY),
    ("2026/11/25", DAY),
]
NONE = (
    "", "yesterday", "25.13.2026", "31.02.2026 08:30", "25.11.2026 25:00", "25.11.2026 13:00 PM",
    "25.11.2026 0:30 AM", "25.11.226", "111.11.2026", "46351.354", "08:30", "25.11.", "25/11-2026",
    "25 Foo 2026", "0001-01-01T00:00+23:00", "01.01.0001", "\ud800",
)  # fmt: skip
TWO = ("03/04/2026", "03/04/2026 08:30", "3-4-2026", "3/4/26 8:30 AM", "25/11/26", "05-06-07")


@pytest.mark.parametrize(("text", "wanted"), FORMS)
def test_every_country_s_form_is_read_in_the_machine_s_zone(berlin, text, wanted):
    assert instant(text, date_orders([text])).isoformat() == wanted


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_time_is_refused(berlin, text):
    with pytest.raises(ValueError, match="^" + NO_TIME.replace(".", r"\.").replace("+", r"\+")):
        instant(text, date_orders([text]))


@pytest.mark.parametrize("text", TWO)
def test_what_can_be_read_two_ways_is_refused_and_not_guessed(text):
    with pytest.raises(ValueError, match=AMBIGUOUS_DATE[:60]):
        instant(text, date_orders([text]))


@pytest.mark.parametrize(
    ("others", "wanted"),
    [
        (["25/11/2026"], "2026-04-03"),
        (["11/25/2026"], "2026-03-04"),
        (["04/05/2026", "13/01/2026", "2026-11-25"], "2026-04-03"),
    ],
)
def test_the_other_dates_of_a_file_tell_its_order(others, wanted):
    known = date_orders(["03/04/2026", *others])
    assert instant("03/04/2026 08:30", known).date().isoformat() == wanted


@pytest.mark.parametrize("others", [["25-11-2026"], ["25.11.2026"], ["99/99/2026"], ["05/06/2026"]])
def test_other_separators_and_other_unclear_dates_tell_nothing(others):
    with pytest.raises(ValueError, match=AMBIGUOUS_DATE[:60]):
        instant("03/04/2026", date_orders(["03/04/2026", *others]))


def test_a_file_of_two_countries_keeps_what_is_clear_by_itself():
    known = date_orders(["25/11/2026", "11/25/2026", "03/04/2026"])
    for text in ("25/11/2026 08:30", "11/25/2026 08:30"):
        assert instant(text, known).date().isoformat() == "2026-11-25"
    with pytest.raises(ValueError, match=AMBIGUOUS_DATE[:60]):
        instant("03/04/2026", known)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)),
    st.sampled_from(["%d.%m.%Y %H:%M:%S", "%d.%m.%y %H:%M:%S", "%Y/%m/%d %H:%M:%S"]),
)
def test_a_form_with_one_meaning_gives_the_time_back(when, form):
    text = when.strftime(form)
    found = instant(text, date_orders([text]))
    assert found == when.replace(microsecond=0).astimezone(UTC)
