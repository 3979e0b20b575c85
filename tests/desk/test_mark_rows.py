"""Rows of the desk: a night reads what was marked, and a crash costs the unfinished row only."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.core.text import one_line
from batch.desk.mark_rows import (
    COLUMNS,
    Decision,
    NotOurRows,
    heads,
    read_rows,
    row,
    whole_rows,
)
from batch.review.worklist.marks import parse_csv

AT = datetime(2026, 11, 21, 8, 30, 0, 123456, UTC)
ID = "0123456789abcdef" * 2
HOSTILE = ['=HYPERLINK("http://x","y")', "'=1+1", 'a"b,c;d\te', "line\r\nend", "‮gpj.exe", " space ",
           "-1", "ä, ü; ß", "\x00", "''-"]  # fmt: skip
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def told(key: str, **changes) -> Decision:
    values = {"decision": "call_back", "reviewer": "Dr Ünal", "score": 0.75, "image_count": 2}
    return Decision(key, **{**values, "mark_id": ID, **changes})


@pytest.mark.parametrize("key", HOSTILE)
def test_a_night_reads_the_key_as_the_list_has_it(key):
    found = parse_csv(heads() + row(told(key), AT), "reviewed-desk.csv")
    assert found.problems == ()
    (mark,) = found.found
    assert (mark.lesion_key, mark.decision, mark.reviewer) == (key, "call_back", "Dr Ünal")
    assert (mark.score, mark.image_count, mark.reviewed_at) == (0.75, 2, AT)


@given(texts.filter(lambda text: text.strip()), texts, texts, st.floats(0, 1) | st.none())
def test_desk_and_night_read_the_same_from_any_text(key, reviewer, comment, score):
    data = heads() + row(told(key, reviewer=reviewer, comment=comment, score=score), AT)
    (mark,) = read_rows(data)
    (same,) = parse_csv(data, "reviewed-desk.csv").found
    assert mark.told.lesion_key == same.lesion_key == key
    assert mark.told.score == same.score == score
    assert (mark.told.reviewer or None) == same.reviewer
    assert mark.told.comment == one_line(comment, 2000)
    assert mark.reviewed_at == same.reviewed_at == AT


def test_no_cell_of_a_row_is_a_formula():
    data = row(told("=1+1", reviewer="@SUM(1)", comment="+1", diagnosis="-1"), AT).decode()
    assert not any(cell.strip('"')[:1] in ("=", "+", "-", "@") for cell in data.split(","))


@pytest.mark.parametrize("key", ["a", "line\r\nend", 'q"\r\n"'])
def test_wherever_a_crash_cuts_the_file_the_marks_before_it_stay(key):
    first = heads() + row(told("first", mark_id="f" * 32), AT)
    data = first + row(told(key), AT)
    for cut in range(len(first), len(data) + 1):
        size, end = whole_rows(data[:cut])
        marks = [mark.told.lesion_key for mark in read_rows(data[:size] + end)]
        is_whole = cut >= len(data) - 2
        assert marks == (["first", key] if is_whole else ["first"])
        again = data[:size] + end + row(told("next"), AT)
        assert parse_csv(again, "reviewed-desk.csv").problems == ()
        assert read_rows(again)[-1].told.lesion_key == "next"


def test_a_file_cut_within_its_heads_begins_anew():
    assert whole_rows(heads()[:20]) == (0, b"")
    assert whole_rows(heads()[:-2]) == (0, b"")
    assert whole_rows(b"") == (0, b"")


@pytest.mark.parametrize(
    "data",
    [
        b"lesion_key,decision,reviewed_at\r\na,b,2026-11-21\r\n",
        heads().replace(b",", b";"),
        heads() + b"a,,call_back,x,21.11.2026 08:30,0.5,1,,," + ID.encode() + b"\r\n",
        heads() + b"a,,call_back,x,2026-11-21T08:30:00,0.5,1,,," + ID.encode() + b"\r\n",
        heads() + b"a,,call_back,x,2026-11-21T08:30:00Z,0.5,1,,,1.23E+31\r\n",
        heads() + b"a,b\r\n",
        heads() + b"\xff\xfe\r\n",
    ],
)
def test_a_file_that_something_else_saved_is_refused_without_quoting_it(data):
    with pytest.raises(NotOurRows) as refused:
        read_rows(data)
    assert "call_back" not in str(refused.value)


def test_the_columns_begin_with_those_of_every_file_with_marks():
    assert COLUMNS[-1] == "mark_id"
    assert heads().decode().strip().split(",") == list(COLUMNS)
