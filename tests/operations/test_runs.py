"""One line a night, and a damaged night costs its own line only."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from batch.core.errors import UsageError
from batch.operations.runs import last_runs, runs_table
from batch.reports.run_reader import latest_run
from tests.conftest import machine_in
from tests.operations import ledger, night, point_latest
from tests.support.archives import as_nobody


def ids(reports, last=100):
    return [line.run_id for line in last_runs(reports, last)]


def test_a_line_tells_what_run_json_tells(tmp_path):
    night(tmp_path, "r1")
    point_latest(tmp_path, "r1")
    (line,) = last_runs(tmp_path, 1)
    assert (line.run_id, line.is_latest, line.note) == ("r1", True, "")
    assert line.started_at == datetime(2026, 11, 21, 2, tzinfo=UTC)
    assert line.duration == timedelta(hours=1, minutes=2, seconds=3)
    assert list(line.counts.values()) == [21, 1, 2, 3, 4, 5, 6, 8]
    assert (line.images_per_second, line.model, line.stopped) == (123.46, "m1 abcdef01", None)


def test_the_table_shows_every_value_and_marks_the_latest(tmp_path):
    night(tmp_path, "r1", ledger("2026-11-20T02:00:00+00:00", stopped="deadline"))
    night(tmp_path, "r2")
    point_latest(tmp_path, "r2")
    head, newest, older = runs_table(last_runs(tmp_path, 9)).splitlines()
    heads = "run started (UTC) took found scored unchanged reused unscored non-image pending alerts"
    assert head.split() == [*heads.split(), "images/s", "exit", "model", "stopped", "note"]
    values = "2026-11-21 02:00 1:02:03 21 1 2 3 4 5 6 8 123.5 - m1 abcdef01"
    assert newest.split() == ["*", "r2", *values.split()]
    assert older.split()[:2] == ["r1", "2026-11-20"]
    assert older.split()[-1] == "deadline"


def test_all_starts_are_of_the_machine_s_zone_with_the_newest_night_s_offset(tmp_path):
    night(tmp_path, "r1", ledger("2026-07-01T00:30:00+00:00"))
    night(tmp_path, "r2", ledger("2026-11-20T23:30:00+00:00"))
    night(tmp_path, "r0", ledger("no time"))
    with machine_in("Europe/Berlin"):
        head, newest, older, damaged = runs_table(last_runs(tmp_path, 9)).splitlines()
    assert "started (+01:00)" in head
    assert "2026-11-21 00:30" in newest
    assert "2026-07-01 01:30" in older
    assert "r0 " in damaged


def test_nights_are_newest_first_by_start_and_then_by_name(tmp_path):
    night(tmp_path, "b", ledger("2026-01-01T00:00:00+00:00"))
    night(tmp_path, "c", ledger("2026-01-01T01:00:00+01:00"))  # the same instant
    night(tmp_path, "a", ledger("2026-01-02T00:00:00Z"))
    assert ids(tmp_path) == ["a", "c", "b"]


@pytest.mark.parametrize(("last", "expected"), [(1, ["c"]), (2, ["c", "b"]), (4, ["c", "b", "a"])])
def test_last_bounds_the_lines(tmp_path, last, expected):
    for day, name in enumerate("abc", start=1):
        night(tmp_path, name, ledger(f"2026-01-0{day}T00:00:00+00:00"))
    assert ids(tmp_path, last) == expected


def test_last_below_one_is_refused(tmp_path):
    night(tmp_path, "a")
    with pytest.raises(UsageError, match="--last: found 0; allowed: 1 or more"):
        last_runs(tmp_path, 0)


DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b"{}",
    b'{"started_at": 7}',
    b'{"started_at": "yesterday"}',
    b'{"started_at": "2026-01-01T00:00:00"}',
    b'{"started_at": "0001-01-01T00:00:00+23:59"}',
    b'{"started_at": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:40]))
def test_a_damaged_run_json_is_said_and_hides_no_other(tmp_path, content):
    night(tmp_path, "20260102T000000Z-dead", content)
    night(tmp_path, "a", ledger("2026-01-01T00:00:00+00:00"))
    night(tmp_path, "b", ledger("2026-01-03T00:00:00+00:00"))
    lines = last_runs(tmp_path, 3)
    assert [(line.run_id, line.note) for line in lines] == [
        ("b", ""),
        ("20260102T000000Z-dead", "run.json damaged"),  # in its place, by its name
        ("a", ""),
    ]
    assert "run.json damaged" in runs_table(lines)


@pytest.mark.parametrize(
    "changes",
    [
        {"equation": None},
        {"equation": [1]},
        {"equation": {"scored": "many", "files_found": True}},
        {"alerts": 10**400, "images_per_second": float("nan")},
        {"images_per_second": None, "model": 7, "finished_at": None, "stopped": 3},
    ],
)
def test_a_value_of_another_kind_is_left_out(tmp_path, changes):
    night(tmp_path, "r1", ledger(**changes))
    (line,) = last_runs(tmp_path, 1)
    assert line.note == ""
    assert runs_table([line]).splitlines()[1].split().count("-") >= 1


def test_a_run_json_that_is_a_pipe_or_missing_does_not_block(tmp_path):
    (night(tmp_path, "a") / "run.json").unlink()
    folder = night(tmp_path, "b")
    (folder / "run.json").unlink()
    os.mkfifo(folder / "run.json")
    assert [line.note for line in last_runs(tmp_path, 2)] == ["run.json damaged"] * 2


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"complete": False}, "incomplete"),
        ({"complete": False, "content": b"{"}, "incomplete, run.json damaged"),
        ({"tables": ("predictions", "unscored")}, "pruned"),
        ({"tables": ("current", "predictions")}, "pruned"),  # a prune was killed between the two
        ({"content": b"{", "tables": ()}, "run.json damaged, pruned"),
        ({"complete": False, "tables": ()}, "incomplete"),
    ],
)
def test_a_night_that_is_not_whole_is_said(tmp_path, options, note):
    night(tmp_path, "r1", **options)
    assert [line.note for line in last_runs(tmp_path, 1)] == [note]


def test_names_cannot_steer_the_terminal_or_break_the_line(tmp_path):
    night(tmp_path, "r\n\x1b[2J", ledger(model={"model_id": "m\n\u202e"}))
    table = runs_table(last_runs(tmp_path, 1))
    assert len(table.splitlines()) == 2
    assert "r??[2J" in table
    assert "m??" in table


def test_files_and_links_among_the_nights_are_no_nights(tmp_path):
    night(tmp_path, "r1")
    (tmp_path / "runs" / "note.txt").touch()
    (tmp_path / "runs" / "link").symlink_to("r1")
    assert ids(tmp_path) == ["r1"]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda p: None, "REPORTS: nothing at .*needed: a folder"),
        (lambda p: p.touch(), "REPORTS: a file at .*needed: a folder"),
        (lambda p: p.mkdir(), "REPORTS: no run in .*--output"),
        (lambda p: (p / "runs").mkdir(parents=True), "REPORTS: no run in .*--output"),
    ],
)
def test_a_folder_without_nights_is_a_usage_error(tmp_path, prepare, message):
    prepare(tmp_path / "reports")
    with pytest.raises(UsageError, match=message):
        last_runs(tmp_path / "reports", 1)


def test_a_folder_that_cannot_be_listed_is_a_usage_error(tmp_path):
    night(tmp_path, "r1")
    (tmp_path / "runs").chmod(0)
    with as_nobody(), pytest.raises(UsageError, match="REPORTS: cannot look into .*permissions"):
        last_runs(tmp_path, 1)
    (tmp_path / "runs").chmod(0o700)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("runs/r1", "r1"),
        ("./runs/../runs/r1", "r1"),
        ("runs/other", None),
        ("runs", None),
        ("runs/r1/files", None),
        ("elsewhere", None),
        ("latest", None),
    ],
)
def test_latest_is_a_night_in_runs_or_nothing(tmp_path, target, expected):
    night(tmp_path, "r1")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "latest").symlink_to(target)
    assert latest_run(tmp_path) == expected


def test_no_latest_is_none(tmp_path):
    night(tmp_path, "r1")
    assert latest_run(tmp_path) is None
