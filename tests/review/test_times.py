"""One time zone for people, the machine's, with its offset: on page, in the CSV, in sentences."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from batch.core.times import day, local, minute, offset_minutes, zone
from batch.review.outputs import as_csv
from batch.review.page.render import render
from tests.conftest import machine_in
from tests.support import worklists
from tests.support.lists import Mornings, image, key_of, lesion, mark

LATE = "2026-11-20T23:30:00+00:00"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("UTC", ("2026-11-20 23:30 UTC", "2026-11-20", "UTC", 0)),
        ("Europe/Berlin", ("2026-11-21 00:30 +01:00", "2026-11-21", "CET, +01:00", 60)),
        ("Europe/London", ("2026-11-20 23:30 +00:00", "2026-11-20", "GMT, +00:00", 0)),
        ("America/New_York", ("2026-11-20 18:30 -05:00", "2026-11-20", "EST, -05:00", -300)),
        ("Asia/Kolkata", ("2026-11-21 05:00 +05:30", "2026-11-21", "IST, +05:30", 330)),
        ("America/St_Johns", ("2026-11-20 20:00 -03:30", "2026-11-20", "NST, -03:30", -210)),
    ],
)
def test_a_time_is_told_in_the_machine_s_zone(name, wanted):
    with machine_in(name):
        assert (minute(LATE), day(LATE), zone(LATE), offset_minutes(LATE)) == wanted


def test_each_time_has_the_offset_of_its_own_season(berlin):
    assert local("2026-07-01T00:00:00+00:00") == "2026-07-01T02:00:00+02:00"
    assert local("2026-12-01T00:00:00Z") == "2026-12-01T01:00:00+01:00"


@pytest.mark.parametrize("text", [None, "", "soon", "2026-05", "2026-05-01T10:00:00", "\ud800"])
def test_what_states_no_zone_stays_as_it_is(berlin, text):
    assert local(text) == text


def test_the_csv_has_local_times_with_their_offset_and_the_frame_keeps_utc(berlin):
    mornings = Mornings()
    rows = [image(0.9, "a", acquisition_datetime="2026-05-01T10:00:00")]
    mornings.night(rows)
    worklist = mornings.night(rows, marks=[mark(1.5, lesion_key=key_of("a"))])
    (line,) = csv.DictReader(io.StringIO(as_csv(worklist.lesions).lstrip("\ufeff")))
    assert line["first_listed_at"] == line["first_alerted_at"] == "2026-11-01T03:00:00+01:00"
    assert line["reviewed_at"] == "2026-11-01T15:00:00+01:00"
    assert line["acquisition_datetime"] == "2026-05-01T10:00:00"
    row = lesion(worklist, key_of("a"))
    assert row["first_listed_at"] == "2026-11-01T02:00:00+00:00"
    assert row["reason"] == "Marked as reviewed on 2026-11-01 15:00 +01:00."


def test_an_alert_is_of_the_local_day():
    with machine_in("America/New_York"):
        mornings = Mornings()
        mornings.night([image(0.9, "a")])  # 2 o'clock UTC of the first is the evening before there
        found = mornings.night([image(0.1, "a", model_sha256="2" * 64)])
        assert "Alert of 2026-10-31, not reviewed" in lesion(found, key_of("a"))["reason"]


def test_every_time_of_the_page_is_local_and_the_zone_is_named(berlin):
    html = render(worklists.worklist(30))
    assert "night of 2026-11-21 03:00 +01:00" in re.sub(r"<[^>]+>", "", html)
    assert "local to the machine that made this page: CET, +01:00" in html
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    data = json.loads(text)
    assert data["offset_minutes"] == 60
    times = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[+-]\d\d:\d\d|Z)", text)
    assert len(times) > 30
    assert {time[-6:] for time in times} == {"+01:00"}
    assert "UTC" not in re.sub(r"<(script|style).*?</\1>", "", html, flags=re.S)
