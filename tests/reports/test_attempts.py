"""Attempts: what is written of them, and what is read of one that is damaged or has no end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from batch.operations.runs import AT_WORK, NO_END, last_runs, runs_table
from batch.reports.attempts import Attempt, AttemptFile, attempts
from batch.storage.locks import exclusive, holder
from tests.operations import ledger, night, point_latest

START = datetime(2026, 11, 21, 2, tzinfo=UTC)
END = START + timedelta(seconds=5)


def test_an_attempt_is_read_as_it_was_noted(tmp_path):
    record = AttemptFile(tmp_path, None, "r1")
    record.begin(START)
    assert attempts(tmp_path) == [Attempt("r1", START)]
    record.end(END, 3, "no image")
    assert attempts(tmp_path) == [Attempt("r1", START, END, 3, "no image")]


def test_what_cannot_be_noted_costs_nothing(tmp_path):
    (tmp_path / "logs").touch()
    record = AttemptFile(tmp_path, None, "r1")
    record.begin(START)
    record.end(END, 0, "published")
    assert attempts(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", Attempt("r1", None)),
        (b"{", Attempt("r1", None)),
        (b"[]\n7\n" + b"[" * 100_000, Attempt("r1", None)),
        (b"\xff\xfe\n" + b'{"exit_code": 4}', Attempt("r1", None, None, 4)),
        (b'{"exit_code": "4"}', Attempt("r1", None)),
        (b'{"exit_code": true}', Attempt("r1", None)),
        (b'{"exit_code": 256}', Attempt("r1", None)),
        (b'{"started_at": "2026-11-21T02:00:00"}', Attempt("r1", None)),
        (b'{"started_at": 7, "reason": null}', Attempt("r1", None)),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_damaged_tells_less(tmp_path, content, expected):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "r1.attempt").write_bytes(content)
    assert attempts(tmp_path) == [expected]


def noted(reports, run_id, start=START, code=None, reason=""):
    record = AttemptFile(reports, None, run_id)
    record.begin(start)
    if code is not None:
        record.end(start + timedelta(seconds=5), code, reason)


def test_runs_lists_attempts_among_the_nights_with_code_and_reason(tmp_path):
    night(tmp_path, "r1", ledger("2026-11-20T02:00:00+00:00"))
    point_latest(tmp_path, "r1")
    noted(tmp_path, "r1", START - timedelta(days=1), 0, "published")
    noted(tmp_path, "r2", START, 3, "ARCHIVE: no file there")
    noted(tmp_path, "r3", START + timedelta(days=1))
    killed, failed, published = last_runs(tmp_path, 9)
    assert (killed.run_id, killed.exit_code, killed.note) == ("r3", None, NO_END)
    assert (failed.run_id, failed.exit_code, failed.duration) == ("r2", 3, timedelta(seconds=5))
    assert failed.note == "failed: ARCHIVE: no file there"
    assert (published.run_id, published.exit_code, published.note) == ("r1", 0, "")
    assert [line.run_id for line in last_runs(tmp_path, 2)] == ["r3", "r2"]
    table = runs_table(last_runs(tmp_path, 9)).splitlines()
    assert table[0].split()[-4:] == ["exit", "model", "stopped", "note"]
    assert "failed: ARCHIVE: no file there" in table[2]


def test_reports_with_attempts_only_are_reports(tmp_path):
    noted(tmp_path, "20261121T020000Z-aaaa", START, 2, "--output: cannot be used as given")
    (line,) = last_runs(tmp_path, 9)
    assert (line.exit_code, line.counts) == (2, {})


def test_an_attempt_without_end_that_holds_the_lock_is_at_work(tmp_path):
    noted(tmp_path, "r1")
    with exclusive(tmp_path, "run r1"):
        assert last_runs(tmp_path, 1, holder(tmp_path))[0].note == AT_WORK
        noted(tmp_path, "r2")  # another start, which was killed before it could say that it lost
        assert {line.note for line in last_runs(tmp_path, 2, holder(tmp_path))} == {
            AT_WORK, NO_END,
        }  # fmt: skip
    assert holder(tmp_path) == ""
    assert last_runs(tmp_path, 1, holder(tmp_path))[0].note == NO_END


def test_an_attempt_of_which_only_the_name_is_left_keeps_its_place(tmp_path):
    night(tmp_path, "20261120T020000Z-aaaa", ledger("2026-11-20T02:00:00+00:00"))
    night(tmp_path, "20261122T020000Z-cccc", ledger("2026-11-22T02:00:00+00:00"))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "20261121T020000Z-bbbb.attempt").touch()
    assert [line.run_id[-4:] for line in last_runs(tmp_path, 9)] == ["cccc", "bbbb", "aaaa"]


UNUSUAL = {"unusual": True, "drift": [
    {"name": "score", "label": "melanoma score", "unusual": True},
    {"name": "size", "label": "size", "unusual": False},
    {"name": "device", "label": "device\n\x1b[2J", "unusual": True},
    {"name": "score", "label": "melanoma score", "unusual": True},
]}  # fmt: skip


@pytest.mark.parametrize(
    ("review", "note"),
    [
        (None, ""),
        ({"unusual": False, "drift": UNUSUAL["drift"]}, ""),
        ({"unusual": "yes"}, ""),
        (UNUSUAL, "unusual: melanoma score, device??[2J"),
        ({"unusual": True}, "unusual: not recorded in what"),
        ({"unusual": True, "drift": [7, {}]}, "unusual: not recorded in what"),
    ],
)
def test_an_unusual_night_is_marked_in_runs(tmp_path, review, note):
    night(tmp_path, "r1", ledger(review=review))
    assert [line.note for line in last_runs(tmp_path, 1)] == [note]
