"""Marks as people and spreadsheets write them; and cells that a spreadsheet never runs."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.core.text import from_spreadsheet, spreadsheet_safe
from batch.review.worklist.marks import Mark, newest, parse_csv, read_marks
from tests.support.lists import mark

HEAD = "lesion_key,image_id,decision,reviewer,reviewed_at,score,image_count\n"
AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
WHOLE = Mark("1.2", None, "benign", "R", AT, 0.75, 2)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "1.2,,benign,R,2026-11-21T08:30:00Z,0.75,2\n",
        HEAD.replace("\n", "\r\n") + "1.2,,benign,R,2026-11-21T08:30Z,0.75,2\r\n",
        "\ufeff" + HEAD + '1.2,"",benign,R,2026-11-21T09:30+01:00,0.75,2.0',
        HEAD.replace(",", ";") + "1.2;;benign;R;2026-11-21 08:30;0,75;2",
        HEAD.replace(",", "\t") + "1.2\t\tbenign\tR\t2026-11-21 08:30\t0.75\t2",
        HEAD.upper() + "1.2,, benign , R ,2026-11-21 08:30,0.75,2",
        "rank," + HEAD + "7,1.2,,benign,R,2026-11-21 08:30,0.75,2",
    ],
)
def test_marks_are_read_as_spreadsheets_write_them(text):
    found = parse_csv(text.encode(), "reviewed.csv")
    assert found.problems == ()
    assert found.found == (WHOLE,)


def test_what_is_optional_may_be_missing():
    found = parse_csv(b"image_id,decision,reviewed_at\n1.2,seen,2026-11-21\n", "r.csv")
    (one,) = found.found
    assert (one.lesion_key, one.image_id, one.reviewer) == (None, "1.2", None)
    assert (one.score, one.image_count) == (None, None)
    assert one.reviewed_at.date() == AT.date()
    assert one.reviewed_at > AT  # a date alone is that whole day


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (",,benign,R,2026-11-21,,", "neither lesion_key nor image_id"),
        ("1.2,,,R,2026-11-21,,", "no decision"),
        ("1.2,,benign,R,,,", "reviewed_at is no ISO 8601 time"),
        ("1.2,,benign,R,21.13.2026,,", "reviewed_at is no ISO 8601 time"),
        ("1.2,,benign,R,03/04/2026,,", "reviewed_at is a date that can be read two ways"),
        ("1.2,,benign,R,0001-01-01T00:00+23:00,,", "reviewed_at is no ISO 8601 time"),
        ("1.2,,benign,R,2026-11-21,high,", "score is no number"),
        ("1.2,,benign,R,2026-11-21,1.01,", "score is not between 0 and 1"),
        ("1.2,,benign,R,2026-11-21,-0.1,", "score is not between 0 and 1"),
        ("1.2,,benign,R,2026-11-21,,two", "image_count is no number"),
        ("1.2,,benign,R,2026-11-21,,0", "image_count is no whole number"),
        ("1.2,,benign,R,2026-11-21,,1.5", "image_count is no whole number"),
        ("1.2,,benign,R,2026-11-21,,inf", "image_count is no whole number"),
    ],
)
def test_a_row_that_cannot_be_understood_is_told_without_its_values(row, said):
    good = "1.2,,benign,R,2026-11-21T08:30Z,0.75,2\n"
    found = parse_csv((HEAD + good + row + "\n" + good).encode(), "reviewed.csv")
    assert found.found == (WHOLE, WHOLE)
    (problem,) = found.problems
    assert problem.startswith("reviewed.csv: row 3 does not count: ")
    assert said in problem
    assert "1.2" not in problem


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a,b\n1,2\n", "no column decision, reviewed_at"),
        (b"decision,reviewed_at\nx,2026-11-21\n", "no column lesion_key or image_id"),
        (HEAD.encode() + b'1.2,"x\n', "broken CSV"),
        (b"\x00", "no column"),
    ],
)
def test_a_file_that_holds_no_marks_says_so(data, said):
    found = parse_csv(data, "r.csv")
    assert found.found == ()
    assert len(found.problems) == 1
    assert said in found.problems[0]


@pytest.mark.parametrize("data", [b"", b"\n\n", HEAD.encode()])
def test_an_empty_file_is_no_problem(data):
    assert parse_csv(data, "r.csv").found == ()
    assert parse_csv(HEAD.encode() + b",,,,,,\n\n", "r.csv").problems == ()


@given(st.binary(max_size=300))
def test_no_file_ends_a_night(data):
    parse_csv(data, "r.csv")
    parse_csv(HEAD.encode() + data, "r.csv")


def test_parquet_files_are_marks_too(tmp_path):
    file = tmp_path / "reviewed.parquet"
    rows = [
        {"lesion_key": "1.2", "decision": "benign", "reviewer": "R", "reviewed_at": AT,
         "score": 0.75, "image_count": 2, "note": "x"},
        {"lesion_key": None, "decision": "benign", "reviewer": None, "reviewed_at": AT,
         "score": None, "image_count": None, "note": "x"},
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(file)
    found = read_marks(file)
    assert found.found == (WHOLE,)
    assert "row 3" in found.problems[0]


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    for name in ("broken.parquet", "nothing.csv"):
        found = read_marks(tmp_path / name)
        assert found.found == ()
        assert found.problems[0].startswith(f"{name}: cannot be read")
    assert "cannot be read" in read_marks(tmp_path).problems[0]


def test_the_newest_of_several_marks_counts_and_of_equal_ones_the_later_line():
    assert newest([]) is None
    one, two, three = mark(1, reviewer="1"), mark(2, reviewer="2"), mark(2, reviewer="3")
    assert newest([one, three, two]).reviewer == "2"
    assert newest([two, three, one]).reviewer == "3"


def test_words_of_a_mark_lose_their_control_characters():
    text = HEAD + '1.2,,"a\nb\x1b[2Jc","\u202eR",2026-11-21,,\n'
    (found,) = parse_csv(text.encode(), "r.csv").found
    assert (found.decision, found.reviewer) == ("a b [2Jc", "R")


HOSTILE = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''@x")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_begins_a_formula(text):
    cell = spreadsheet_safe(text)
    assert cell[0] in "'\\"


@given(st.text() | st.sampled_from(HOSTILE))
def test_a_cell_is_safe_on_one_line_and_comes_back(text):
    cell = spreadsheet_safe(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
    assert cell.isprintable()
    if text.isprintable():
        assert from_spreadsheet(cell) == text


def test_a_name_may_end_with_a_space():
    """Of a file or folder; what stands around other cells is nobody's."""
    line = 'lesion_key,decision,reviewed_at\n"PATTERN:a ", benign ,2026-11-21T08:00Z\n'
    (found,) = parse_csv(line.encode(), "reviewed.csv").found
    assert (found.lesion_key, found.decision) == ("PATTERN:a ", "benign")
