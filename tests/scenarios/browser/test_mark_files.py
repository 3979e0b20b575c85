"""Files of marks: what is exported is imported elsewhere, and a spreadsheet runs nothing of it."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.text import from_spreadsheet, spreadsheet_safe
from batch.review.worklist.contract import MARK_COLUMNS
from tests.scenarios.browser.test_marks import marks_of
from tests.support.archives import REPOSITORY

COLUMNS = (*MARK_COLUMNS, "diagnosis", "comment")


def test_an_export_is_imported_in_another_browser(opened, fifty, tmp_path):
    page = opened(fifty)
    page.call_me("A")
    page.click(".card .open")
    page.press("1", "2", "4")
    file = tmp_path / "reviewed.csv"
    file.write_bytes(page.exported())
    assert page.text("#message").startswith("Exported ")
    page.run("document.getElementById('message').hidden = true")
    page.press("e")
    assert page.is_seen("#message")
    page.run("localStorage.clear()")
    other = opened(fifty)
    assert other.chip("reviewed") == 3
    assert other.import_file(file).startswith("Imported 3 marks; ")
    assert other.chip("reviewed") == 6
    assert other.exported() == file.read_bytes()
    assert other.import_file(file).startswith("Imported 0 marks; ")


def test_an_import_is_seen_in_the_lesion_that_is_open(opened, fifty, tmp_path):
    page, key = opened(fifty), fifty.lesions["lesion_key"][0]
    file = tmp_path / "reviewed.csv"
    file.write_text(f"lesion_key,decision,reviewer,reviewed_at\n{key},call_back,KS,2026-11-22\n")
    page.click(".card .open")
    page.import_file(file)
    assert "by KS" in page.text(".decided")
    assert page.count("[data-decision=call_back][aria-pressed=true]") == 1


def test_the_newer_mark_wins_on_import(opened, fifty, tmp_path):
    page, key = opened(fifty), fifty.lesions["lesion_key"][0]
    page.call_me("A")
    page.click(".card .open")
    page.press("1")
    file = tmp_path / "reviewed.csv"
    for time, decision in (("2020-01-01", "follow_up"), ("2099-01-01T08:00:00", "new_image")):
        file.write_text(f"lesion_key,decision,reviewed_at\n{key},{decision},{time}\n")
        page.import_file(file)
        newest = marks_of(page.exported())[key].decision
        assert newest == ("call_back" if time < "2026" else "new_image")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lesion_key,reviewer\n1,A\n", "no column decision, reviewed_at"),
        ("", "no column lesion_key, decision, reviewed_at"),
        ("lesion_key,decision,reviewed_at\n", "Imported 0 marks"),
        ("lesion_key,decision,reviewed_at\n1,,2026-01-01\n", "1 row without"),
        ("lesion_key,decision,reviewed_at\n1,x,yesterday\n", "1 row without"),
        ("\ufefflesion_key,decision,reviewed_at\r\n1,x,2026-01-01\r\n", "Imported 1 mark."),
        ("lesion_key;decision;reviewed_at\r\n1;a, b;2026-01-01\r\n", "Imported 1 mark."),
        ("lesion_key\tdecision\treviewed_at\n1\ta;b\t2026-01-01\n", "Imported 1 mark."),
        ('decision,reviewed_at,lesion_key\n"a ""b"", c",2026-01-01,"1\n2"\n', "Imported 1 mark."),
    ],
)  # fmt: skip
def test_what_can_be_imported_and_what_is_said(opened, fifty, tmp_path, text, said):
    file = tmp_path / "reviewed.csv"
    file.write_text(text, encoding="utf-8", newline="")
    assert said in opened(fifty).import_file(file)


def test_a_file_can_be_chosen_by_the_button_and_twice(opened, fifty, tmp_path):
    page = opened(fifty)
    assert page.is_seen("#import")
    assert not page.is_seen("#import-file")
    file = tmp_path / "reviewed.csv"
    file.write_text("lesion_key,decision,reviewed_at\n1,x,2026-01-01\n")
    for said in ("Imported 1 mark.", "Imported 0 marks; 1 not newer"):
        assert said in page.import_file(file)


_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=12) | st.sampled_from(
    ["=1+1", "'=1", "''@x", "-a", "+", "\t=1", "a\nb", "\u202eevil", "＝1", '"', ",", "'", " "]
)


_CSV_SCRIPT = (
    "const lesions = [];"
    f"const data = {{ mark_columns: {json.dumps(MARK_COLUMNS)} }};"
    + "".join(
        (REPOSITORY / "batch/review/page/templates" / name).read_text(encoding="utf-8")
        for name in ("marks.js", "csv.js")
    )
)


@settings(max_examples=60)
@given(keys=st.lists(_TEXTS.filter(str.strip), min_size=1, max_size=6, unique=True), words=_TEXTS)
def test_cells_are_the_program_s_own_and_are_read_back(blank, keys, words):
    """The page's CSV is what `cells` and the csv module write, and it understands both."""
    mark = {"decision": f"x{words}", "reviewer": words, "reviewed_at": "2026-11-21T08:30:00Z",
            "score": 0.25, "image_count": 2, "diagnosis": words, "comment": words}  # fmt: skip
    text, back = blank.execute_script(
        _CSV_SCRIPT + "const text = csvText(new Map(arguments[0]));"
        "return [text, marksOfCsv(text).found]",
        [[key, mark] for key in keys],
    )
    written = io.StringIO(newline="")
    rows = csv.DictWriter(written, COLUMNS, restval="")
    rows.writeheader()
    safe = {name: spreadsheet_safe(v) if isinstance(v, str) else v for name, v in mark.items()}
    rows.writerows({"lesion_key": spreadsheet_safe(key), **safe} for key in keys)
    assert text == written.getvalue()
    shown = [from_spreadsheet(spreadsheet_safe(key)) for key in keys]
    assert [key for key, _ in back] == shown
    for name in ("reviewer", "diagnosis", "comment"):
        assert {found[name] for _, found in back} == {from_spreadsheet(safe[name])}
    assert [key for key in keys if key.isprintable()] == [k for k in shown if k in keys]
