"""Files with marks as browsers and spreadsheets leave them."""

from __future__ import annotations

import codecs
import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.reports.layout import is_mark_file
from batch.review.worklist.marks import Mark, Marks, parse_csv, read_marks

COLUMNS = "lesion_key,image_id,decision,reviewer,reviewed_at,score,image_count"
HEAD = COLUMNS.replace(",", ";")
ROW = "PATTERN:Jörg/1;;Excision;Dr. Ünal;25.11.2026 08:30;0,75;2"
AT = datetime(2026, 11, 25, 7, 30, tzinfo=UTC)
WHOLE = Mark("PATTERN:Jörg/1", None, "Excision", "Dr. Ünal", AT, 0.75, 2)


def test_which_names_are_files_with_marks():
    for name in ("reviewed.csv", "reviewed (1).csv", "reviewed(2).csv", "reviewed-3.csv",
                 "Reviewed.CSV", "reviewed - Kopie.csv", "reviewed.parquet", "reviewed_A.parquet",
                 "reviewed.txt", "reviewed.tsv", "reviewed.xlsx", "reviewed (1).ods"):  # fmt: skip
        assert is_mark_file(name), name
    for name in ("review_worklist.csv", "reviewed", "reviewed.csv.crdownload", "reviewed.csv.part",
                 "~$reviewed.xlsx", ".~lock.reviewed.csv#", "._reviewed.csv", "reviewed.csv~",
                 "reviewed.json", "my reviewed.csv", "worklist"):  # fmt: skip
        assert not is_mark_file(name), name


def text(*lines: str, end: str = "\r\n") -> str:
    return end.join([*lines, ""])


SAVED = {
    "semicolons": text(HEAD, ROW).encode(),
    "semicolons, byte order mark": text(HEAD, ROW).encode("utf-8-sig"),
    "sep=": text("sep=;", HEAD, ROW).encode(),
    "sep=, byte order mark": text("sep=;", HEAD, ROW).encode("utf-8-sig"),
    "sep= as a cell": text('"sep=;"', HEAD, ROW).encode(),
    "sep= that was saved again": text("SEP=;;;;;;;", HEAD, ROW).encode(),
    "sep=|": text("sep=|", HEAD.replace(";", "|"), ROW.replace(";", "|")).encode(),
    "sep= a tab": text("sep=\t", HEAD.replace(";", "\t"), ROW.replace(";", "\t")).encode(),
    "Windows-1252": text(HEAD, ROW).encode("cp1252"),
    "Windows-1252, sep=": text("sep=;", HEAD, ROW).encode("cp1252"),
    "UTF-16 with tabs": text(HEAD, ROW).replace(";", "\t").encode("utf-16"),
    "UTF-16, big endian": codecs.BOM_UTF16_BE + text(HEAD, ROW).encode("utf-16-be"),
    "UTF-16 without a mark": text(HEAD, ROW).encode("utf-16-le"),
    "UTF-16 without a mark, big endian": text(HEAD, ROW).encode("utf-16-be"),
    "line ends of an old Macintosh": text(HEAD, ROW, end="\r").encode(),
    "empty lines before the head": text("", ";;;;;;", HEAD, ROW).encode(),
    "empty rows": text(HEAD, ";;;;;;", ROW, "", ";;;;;;").encode(),
    "all cells quoted": text('"' + HEAD.replace(";", '";"') + '"',
                             '"' + ROW.replace(";", '";"') + '"').encode(),
    "columns beside ours": text("rank;" + HEAD + ";note", "1;" + ROW + ";x").encode(),
    "a row that ends early": text("rank;" + HEAD + ";note", "1;" + ROW).encode(),
    "lesions that nobody has marked": text(HEAD, "1.2;;;;;0,5;1", ROW).encode(),
}  # fmt: skip


@pytest.mark.parametrize("form", SAVED)
def test_a_copy_that_a_spreadsheet_saved_is_read(berlin, form):
    assert parse_csv(SAVED[form], "reviewed.csv") == Marks((WHOLE,))


@pytest.mark.parametrize(
    ("lines", "row"),
    [
        ((HEAD, ROW, "1.2;;x;R;never;;"), 3),
        (("sep=;", HEAD, ROW, "1.2;;x;R;never;;"), 4),
        ((HEAD, "", "", ROW, "1.2;;x;R;never;;"), 5),
        ((HEAD, '"a\nb";;x;R;25.11.2026;;', "1.2;;x;R;never;;"), 4),
    ],
)
def test_a_problem_names_the_line_of_the_file(lines, row):
    found = parse_csv(text(*lines, end="\n").encode(), "reviewed (1).csv")
    (problem,) = found.problems
    assert problem.startswith(f"reviewed (1).csv: row {row} does not count: reviewed_at is no")
    assert found.not_understood == 1
    assert len(found.found) == 1


@pytest.mark.parametrize(
    ("data", "said", "rows"),
    [
        (b"PK\x03\x04" + bytes(50), "a spreadsheet's own file", 1),
        (b"\xd0\xcf\x11\xe0" + bytes(50), "a spreadsheet's own file", 1),
        (codecs.BOM_UTF16_LE + b"\x00", "not UTF-8, UTF-16 or Windows-1252", 1),
        (text(HEAD, ROW, ROW).encode() + b"\x81\x8d", "not UTF-8, UTF-16 or Windows-1252", 3),
        (text("a;b", "1;2", "3;4").encode(), "no column decision, reviewed_at", 2),
        (text(ROW, ROW, ROW).encode(), "no column decision, reviewed_at", 2),
    ],
)
def test_a_file_that_is_lost_as_a_whole_counts_with_its_rows(data, said, rows):
    found = parse_csv(data, "r.csv")
    assert found.found == ()
    (problem,) = found.problems
    assert said in problem
    assert "no mark of it counts" in problem
    assert found.not_understood == rows


def test_what_follows_a_quote_that_is_not_closed_counts_as_lost():
    found = parse_csv(text(HEAD, ROW, '1.2;;"x;R', ROW, ROW, end="\n").encode(), "r.csv")
    assert len(found.found) == 1
    assert "broken CSV from row 3 on" in found.problems[0]
    assert found.not_understood == 3


def test_a_spreadsheet_s_own_file_and_a_pipe_are_told_by_name(tmp_path):
    (tmp_path / "reviewed.xlsx").write_bytes(b"anything")
    os.mkfifo(tmp_path / "reviewed.csv")
    assert (
        "reviewed.xlsx: a spreadsheet's own file"
        in (read_marks(tmp_path / "reviewed.xlsx").problems[0])
    )
    assert "no regular file" in read_marks(tmp_path / "reviewed.csv").problems[0]


def test_a_file_s_name_steers_no_terminal(tmp_path):
    for name in ("reviewed\x1b[2J.csv", "reviewed\udcff.csv"):
        (tmp_path / name).write_bytes(b"a,b\n1,2\n")
        assert read_marks(tmp_path / name).problems[0].isprintable()


@given(st.text(st.characters(codec="cp1252", exclude_categories=["Cc"]), min_size=1))
def test_words_come_back_from_every_encoding(word):
    rows = f'lesion_key;decision;reviewed_at\r\n"{word.replace(chr(34), chr(34) * 2)}";x;2026-11-25'
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        found = parse_csv(rows.encode(encoding), "r.csv")
        if word.strip():
            assert [mark.decision for mark in found.found] == ["x"]
