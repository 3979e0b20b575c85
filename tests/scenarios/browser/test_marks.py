"""Marking, keeping, exporting and importing: what a reviewer decided is never lost or made up."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.text import from_spreadsheet, spreadsheet_safe
from batch.review.worklist.contract import MARK_COLUMNS
from batch.review.worklist.marks import parse_csv
from tests.support import worklists
from tests.support.archives import REPOSITORY

ESCAPE = "\ue00c"


@pytest.fixture(scope="module")
def fifty():
    return worklists.worklist(50)


@pytest.fixture
def page(opened, fifty):
    found = opened(fifty)
    found.fill("#reviewer", "Dr. Ünal")
    found.press(ESCAPE)
    return found


def _changed(worklist, key, **cells):
    """The worklist of a later night, in which one lesion has other values."""
    lesions = worklist.lesions.copy()
    for column, value in cells.items():
        lesions.loc[lesions["lesion_key"] == key, column] = value
    return dataclasses.replace(worklist, lesions=lesions)


def _marks(data: bytes):
    found = parse_csv(data, "reviewed.csv")
    assert found.problems == ()
    return {mark.lesion_key: mark for mark in found.found}


def test_a_mark_needs_a_reviewer(opened, fifty):
    page = opened(fifty)
    page.press("j", "1")
    assert "Reviewer" in page.text("#message")
    assert page.driver.switch_to.active_element.get_attribute("id") == "reviewer"
    assert page.count("tr.done") == 0


@pytest.mark.parametrize(
    ("key", "decision", "label"),
    [("1", "call_back", "Call back"), ("2", "follow_up", "Follow up"),
     ("3", "no_action", "No action now"), ("4", "new_image", "New image needed")],
)  # fmt: skip
def test_a_key_marks_goes_on_and_the_run_reads_what_is_exported(page, fifty, key, decision, label):
    keys = list(fifty.lesions["lesion_key"])
    page.press("j", key)
    assert page.picked == keys[1]
    assert label in page.text("tr.lesion.done .c-mark")
    mark = _marks(page.exported())[keys[0]]
    assert (mark.decision, mark.reviewer) == (decision, "Dr. Ünal")
    assert mark.score == fifty.lesions["max_score"][0]
    assert mark.image_count == fifty.lesions["image_count"][0]
    assert mark.reviewed_at.tzinfo is not None


def test_the_columns_are_those_that_the_run_reads(page):
    page.press("j", "1")
    head = page.exported().decode("utf-8").splitlines()[0]
    assert head == ",".join(MARK_COLUMNS)


def test_marks_of_runs_before_are_exported_again_so_that_none_is_lost(page, fifty):
    read = fifty.lesions[fifty.lesions["decision"].notna()]
    found = _marks(page.exported())
    assert set(found) == set(read["lesion_key"])
    key = read["lesion_key"].iloc[-1]
    assert found[key].reviewer == "Dr. A"
    assert found[key].score == read["reviewed_score"].iloc[-1]
    assert found[key].image_count == 1


def test_a_mark_stays_in_this_browser_under_its_archive_only(opened, fifty):
    page = opened(fifty, archive_key="one")
    page.fill("#reviewer", "A")
    page.press(ESCAPE, "j", "1")
    before = page.count("tr.done")
    page.reload()
    assert page.count("tr.done") == before == 1
    assert page.find("#reviewer").get_attribute("value") == "A"
    assert opened(fifty, archive_key="two").count("tr.done") == 0
    assert opened(fifty, archive_key="one").count("tr.done") == 1


def test_a_mark_is_taken_back_and_changed(page, fifty):
    page.click(".open")
    page.click("#advance")
    page.click("[data-decision=follow_up]")
    assert page.find("[data-decision=follow_up]").get_attribute("aria-pressed") == "true"
    page.click("[data-decision=call_back]")
    assert page.find("[data-decision=follow_up]").get_attribute("aria-pressed") == "false"
    assert "Call back" in page.text(".decided")
    page.click("#unmark")
    assert page.count("tr.done") == 0
    assert page.count(".decided") == 0
    assert fifty.lesions["lesion_key"][0] not in _marks(page.exported())


def test_what_a_run_had_closed_is_taken_back_by_a_mark_of_its_own(page, fifty):
    closed = fifty.lesions[fifty.lesions["status"] == "reviewed"]["lesion_key"].iloc[0]
    page.choose("#filter-state", "reviewed")
    page.click(".open")
    page.click("#unmark")
    mark = _marks(page.exported())[closed]
    assert mark.reopens
    page.choose("#filter-state", "open")
    page.fill("#filter-text", closed.lower())
    assert page.keys_listed() == [closed]


@pytest.mark.parametrize(
    ("cells", "reopens"),
    [
        ({"max_score": 0.9801}, True),
        ({"max_score": 0.97}, False),
        ({"image_count": 99}, True),
        ({"reason": "another one"}, False),
    ],
    ids=["higher", "lower", "new-image", "same"],
)
def test_only_a_higher_score_or_a_new_image_opens_a_marked_lesion(
    opened, page, fifty, cells, reopens
):
    key = fifty.lesions["lesion_key"][0]
    page.press("j", "3")
    later = opened(_changed(fifty, key, **cells))
    closed = "return [...document.querySelectorAll('tr.done')].map((row) => row.dataset.key)"
    assert (key not in later.run(closed)) == reopens
    later.click(".open")
    assert ("opened again" in later.text("#detail .decided")) == reopens
    assert later.count("[aria-pressed=true]") == (not reopens)


def test_the_run_s_judgement_counts_once_it_has_read_the_mark(opened, page, fifty):
    """Exported, read and found outdated there: the page does not say otherwise."""
    key = fifty.lesions["lesion_key"][0]
    page.press("j", "3")
    mark = _marks(page.exported())[key]
    read = {"decision": mark.decision, "reviewer": mark.reviewer, "reviewed_score": mark.score,
            "reviewed_at": mark.reviewed_at.isoformat()}  # fmt: skip
    assert opened(_changed(fifty, key, **read, status="reopened")).count("tr.done") == 0
    assert opened(_changed(fifty, key, **read, status="reviewed")).count("tr.done") == 1


def test_an_export_is_imported_in_another_browser(opened, page, fifty, tmp_path):
    page.press("j", "1", "2", "4")
    file = tmp_path / "reviewed.csv"
    file.write_bytes(page.exported())
    page.run("localStorage.clear()")
    other = opened(fifty)
    assert other.count("tr.done") == 0
    said = other.import_file(file)
    assert said.startswith("Imported 3 marks; ")
    assert other.count("tr.done") == 3
    assert other.exported() == file.read_bytes()
    assert other.import_file(file).startswith("Imported 0 marks; ")


def test_the_newer_mark_wins_on_import(page, fifty, tmp_path):
    key = fifty.lesions["lesion_key"][0]
    page.press("j", "1")
    file = tmp_path / "reviewed.csv"
    for time, decision in (("2020-01-01", "follow_up"), ("2099-01-01T08:00:00", "new_image")):
        file.write_text(f"lesion_key,decision,reviewed_at\n{key},{decision},{time}\n")
        page.import_file(file)
        newest = _marks(page.exported())[key].decision
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
def test_what_can_be_imported_and_what_is_said(page, tmp_path, text, said):
    file = tmp_path / "reviewed.csv"
    file.write_text(text, encoding="utf-8", newline="")
    assert said in page.import_file(file)


def test_a_browser_that_keeps_nothing_says_so_and_still_exports(opened, fifty):
    page = opened(fifty)
    page.run(
        "Object.defineProperty(Storage.prototype, 'setItem',"
        " { value() { throw new Error('full') } })"
    )
    page.fill("#reviewer", "A")
    page.press(ESCAPE, "j", "1")
    assert fifty.lesions["lesion_key"][0] in _marks(page.exported())
    page.press("1")
    assert page.count("tr.done") == 2


def test_damaged_entries_of_the_store_are_passed_over(opened, fifty):
    page = opened(fifty)
    for number, value in enumerate(["{", "null", "7", '{"decision": 3}', '{"decision": "x"}', ""]):
        page.run(
            "localStorage.setItem(arguments[0], arguments[1])",
            f"melanoma-batch/mark//{fifty.lesions['lesion_key'][number]}",
            value,
        )
    page.reload()
    assert page.count("tr.done") == 0
    assert page.complaints() == []


_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=12) | st.sampled_from(
    ["=1+1", "'=1", "''@x", "-a", "+", "\t=1", "a\nb", "\u202eevil", "＝1", '"', ",", "'", " "]
)


_CSV_SCRIPT = (
    "const lesions = [];"
    f"const data = {{ mark_columns: {json.dumps(MARK_COLUMNS)} }};"
    + "".join(
        (REPOSITORY / "batch/review/page/templates" / name).read_text(encoding="utf-8")
        for name in ("2-marks.js", "3-csv.js")
    )
)


@settings(max_examples=60)
@given(keys=st.lists(_TEXTS.filter(str.strip), min_size=1, max_size=6, unique=True), words=_TEXTS)
def test_cells_are_the_program_s_own_and_are_read_back(blank, keys, words):
    """The page's CSV is what `cells` and the csv module write, and it understands both."""
    mark = {"decision": f"x{words}", "reviewer": words, "reviewed_at": "2026-11-21T08:30:00Z",
            "score": 0.25, "image_count": 2}  # fmt: skip
    text, back = blank.execute_script(
        _CSV_SCRIPT + "const text = csvText(new Map(arguments[0]));"
        "return [text, marksOfCsv(text).found]",
        [[key, mark] for key in keys],
    )
    written = io.StringIO(newline="")
    rows = csv.DictWriter(written, MARK_COLUMNS, restval="")
    rows.writeheader()
    safe = {name: spreadsheet_safe(v) if isinstance(v, str) else v for name, v in mark.items()}
    rows.writerows({"lesion_key": spreadsheet_safe(key), **safe} for key in keys)
    assert text == written.getvalue()
    shown = [from_spreadsheet(spreadsheet_safe(key)) for key in keys]
    assert [key for key, _ in back] == shown
    assert {found["reviewer"] for _, found in back} == {from_spreadsheet(safe["reviewer"])}
    assert [key for key in keys if key.isprintable()] == [k for k in shown if k in keys]


@pytest.fixture(scope="module")
def blank(driver):
    driver.get("about:blank")
    return driver
