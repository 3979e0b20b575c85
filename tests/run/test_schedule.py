"""Deadlines on the wall's clock, in nights of 23, 24 and 25 hours; durations; what still fits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from batch.core.errors import UsageError
from batch.run.schedule import TimeAllowance, duration_seconds, seconds_until

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600.0
SPRING = (2026, 3, 29)
"""02:00 becomes 03:00."""
AUTUMN = (2026, 10, 25)
"""03:00 becomes 02:00: the hour from 02:00 comes twice."""


def berlin(day, hour, minute=0, second=0, fold=0):
    return datetime(*day, hour, minute, second, tzinfo=BERLIN, fold=fold)


@pytest.mark.parametrize(
    ("now", "deadline", "hours"),
    [
        (berlin((2026, 6, 1), 22), "06:00", 8),
        (berlin((2026, 6, 1), 22), "6:00", 8),
        (berlin((2026, 6, 1), 2), "06:30", 4.5),
        (berlin((2026, 6, 1), 0), "00:00", 24),
        (berlin((2026, 6, 1), 23, 59), "00:00", 1 / 60),
        (berlin((2026, 6, 1), 0), "23:59", 24 - 1 / 60),
        (berlin((2026, 12, 31), 22), "06:00", 8),
        # exactly now is the next one
        (berlin((2026, 6, 1), 6), "06:00", 24),
        (berlin((2026, 6, 1), 6, 0, 1), "06:00", 24 - 1 / 3600),
        (berlin((2026, 6, 1), 5, 59, 59), "06:00", 1 / 3600),
        # the night in which summer time begins
        (berlin((2026, 3, 28), 22), "06:00", 7),
        (berlin(SPRING, 1, 30), "03:00", 0.5),
        (berlin(SPRING, 1, 59, 59), "03:00", 1 / 3600),
        (berlin(SPRING, 3), "01:59", 23 - 1 / 60),
        (berlin((2026, 3, 28), 6), "06:00", 23),
        # the night in which it ends
        (berlin((2026, 10, 24), 22), "06:00", 9),
        (berlin(AUTUMN, 1), "02:30", 1.5),
        (berlin(AUTUMN, 2, 45), "02:30", 0.75),
        (berlin(AUTUMN, 2, 30), "02:30", 1),
        (berlin(AUTUMN, 2, 30, fold=1), "02:30", 24),
        (berlin(AUTUMN, 2, 45, fold=1), "02:30", 23.75),
        (berlin(AUTUMN, 2, 30), "03:00", 1.5),
        (berlin(AUTUMN, 2, 30, fold=1), "03:00", 0.5),
        (berlin((2026, 10, 24), 6), "06:00", 25),
        # clocks without summer time
        (datetime(*SPRING, 1, tzinfo=UTC), "02:30", 1.5),
        (datetime(*SPRING, 1, tzinfo=timezone(timedelta(hours=1))), "02:30", 1.5),
    ],
)
def test_the_deadline_is_the_next_time_that_the_wall_shows_it(now, deadline, hours):
    assert seconds_until(deadline, now) == pytest.approx(hours * HOUR, abs=1e-6)


# 02:30 does not exist in this night; it is past when the clock jumps from 02:00 to 03:00.
@pytest.mark.parametrize("minute", [0, 15, 45])
def test_a_time_that_the_clock_leaps_over_is_when_it_leaps(minute):
    now = berlin(SPRING, 1, minute)
    assert seconds_until("02:30", now) == HOUR - 60 * minute


def test_a_local_time_without_zone_is_the_machines():
    now = datetime(2026, 6, 1, 22)
    assert seconds_until("23:30", now) == 1.5 * HOUR


def _by_looking_at_the_wall(deadline, now):
    """Minute after minute until the clock shows it."""
    instant = now.astimezone(UTC).replace(second=0, microsecond=0)
    while True:
        instant += timedelta(minutes=1)
        if f"{instant.astimezone(now.tzinfo):%H:%M}" == deadline:
            return (instant - now.astimezone(UTC)).total_seconds()


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([SPRING, AUTUMN, (2026, 6, 1)]),
    st.integers(-36 * 3600, 36 * 3600),
    st.integers(0, 23),
    st.integers(0, 59),
)
def test_any_deadline_is_found_as_by_looking_at_the_wall(day, offset, hour, minute):
    now = (berlin(day, 3).astimezone(UTC) + timedelta(seconds=offset)).astimezone(BERLIN)
    assume(day != SPRING or hour != 2)  # see above
    deadline = f"{hour:02d}:{minute:02d}"
    found = seconds_until(deadline, now)
    assert found == pytest.approx(_by_looking_at_the_wall(deadline, now), abs=1e-6)
    assert 0 < found <= 25 * HOUR


@pytest.mark.parametrize(
    "words", ["", "6", "24:00", "12:60", "06:0", "006:00", "6:00 ", " 6:00", "06:00\n", "-1:00",
              "06.00", "6:00pm", "٠٦:٠٠"]
)  # fmt: skip
def test_what_is_no_time_of_day_is_refused(words):
    with pytest.raises(UsageError, match=r"--deadline: found .*; allowed: HH:MM, 00:00 to 23:59"):
        seconds_until(words, berlin((2026, 6, 1), 0))


@pytest.mark.parametrize(
    ("words", "seconds"),
    [("3h", 10_800), ("45m", 2700), ("90s", 90), ("3h30m", 12_600), ("1h1m1s", 3661),
     ("1h1s", 3601), ("0s", 0), ("0h0m0s", 0), ("120m", 7200), ("9999h", 35_996_400)],
)  # fmt: skip
def test_durations_are_read(words, seconds):
    assert duration_seconds(words) == seconds


@pytest.mark.parametrize(
    "words", ["", "3", "h", "m30", "3h 30m", "30m3h", "-3h", "3.5h", "3H", "10000h", "3h30", "3h\n",
              "٣h", "3h3h"]
)  # fmt: skip
def test_what_is_no_duration_is_refused(words):
    with pytest.raises(
        UsageError, match="--max-duration: found .*; allowed: a duration like 3h, 45m"
    ):
        duration_seconds(words)


# --- the allowance ----


def test_without_a_limit_everything_fits():
    allowance = TimeAllowance(None)
    allowance.learn(1, 1e9)
    assert allowance.fits(1e9, 10**9)


@pytest.mark.parametrize(
    ("elapsed", "fits"), [(0, True), (99.9, True), (100, False), (100.1, False)]
)
def test_the_first_segment_is_tried_while_there_is_any_time(elapsed, fits):
    assert TimeAllowance(100.0).fits(elapsed, 10**6) == fits


@pytest.mark.parametrize(
    ("elapsed", "files", "fits"),
    [
        (90.0, 5, True),
        (90.0, 6, False),
        (90.1, 5, False),
        (89.0, 5, True),
        (99.9, 0, True),
        (100.0, 0, False),
    ],
)
def test_a_segment_fits_when_it_would_end_in_time(elapsed, files, fits):
    allowance = TimeAllowance(100.0)
    allowance.learn(10, 20.0)
    assert allowance.fits(elapsed, files) == fits


def test_the_slowest_segment_so_far_sets_the_pace():
    allowance = TimeAllowance(100.0)
    for files, seconds in ((10, 10.0), (10, 40.0), (10, 5.0)):
        allowance.learn(files, seconds)
    assert allowance.fits(60.0, 10)
    assert not allowance.fits(60.1, 10)


def test_a_segment_without_files_teaches_without_dividing():
    allowance = TimeAllowance(100.0)
    allowance.learn(0, 7.0)
    assert not allowance.fits(94.0, 1)
    assert allowance.fits(93.0, 1)


def test_no_time_at_all_fits_nothing():
    assert not TimeAllowance(0.0).fits(0.0, 1)
