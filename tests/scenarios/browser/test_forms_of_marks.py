"""The page imports what the run reads: one table of forms, read by both."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from batch.review.worklist.mark_files import lines
from batch.review.worklist.marks import parse_csv
from tests.review.worklist.test_mark_files import HEAD, SAVED, text
from tests.review.worklist.test_mark_times import FORMS, NONE, TWO
from tests.support import worklists
from tests.support.archives import REPOSITORY

_SCRIPT = "const lesions = []; const data = { mark_columns: [], offset_minutes: 60 };" + "".join(
    (REPOSITORY / "batch/review/page/templates" / name).read_text(encoding="utf-8")
    for name in ("marks.js", "csv.js")
)


def run(driver, script, *arguments):
    return driver.execute_script(_SCRIPT + script, *arguments)


def test_every_form_of_a_time_means_the_same_to_page_and_run(blank):
    found = run(
        blank,
        "return arguments[0].map((text) => {"
        " const time = timeOf(text, ordersOf([text]));"
        " return time && new Date(when({ reviewed_at: time })).toISOString(); })",
        [form for form, _ in FORMS],
    )
    read = dict(zip((form for form, _ in FORMS), found, strict=True))
    # in summer the run knows the zone's rule, and the page the offset of its night
    winter = {f: t for f, t in FORMS if not "2026-03-29" < t < "2026-10-25"}
    assert len(winter) > 30
    for form, wanted in winter.items():
        at = datetime.fromisoformat(wanted)
        assert read[form] == f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z", form


def test_what_is_no_time_and_what_can_be_read_two_ways_are_refused_by_the_page(blank):
    answer = "return arguments[0].map((text) => timeOf(text, ordersOf([text])))"
    plain = [text for text in NONE if text.isascii() and "0001" not in text]
    assert run(blank, answer, plain) == [""] * len(plain)
    assert run(blank, answer, list(TWO)) == [None] * len(TWO)
    known = "return timeOf('03/04/2026', ordersOf(['03/04/2026', arguments[0]]))"
    assert run(blank, known, "25/11/2026") == "2026-04-03"
    assert run(blank, known, "11/25/2026") == "2026-03-04"
    assert run(blank, known, "25-11-2026") is None


@pytest.mark.parametrize("form", SAVED)
def test_a_copy_that_a_spreadsheet_saved_is_imported(blank, berlin, form):
    (mark,) = parse_csv(SAVED[form], "reviewed.csv").found
    found = run(
        blank,
        "const { found, refused, unclear } = marksOfCsv(textOf(new Uint8Array(arguments[0])));"
        "return [refused + unclear, found]",
        list(SAVED[form]),
    )
    wanted = {"decision": mark.decision, "reviewer": mark.reviewer, "score": mark.score,
              "image_count": mark.image_count, "reviewed_at": "2026-11-25T08:30:00",
              "diagnosis": "", "comment": ""}  # fmt: skip
    assert found == [0, [[mark.lesion_key, wanted]]]
    assert len(list(lines(SAVED[form]))) >= 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04" + bytes(40), "a spreadsheet's own file; save it as CSV"),
        (text(HEAD, "1;;x;R;03/04/2026;;").encode(), "1 row with a date that can be read two ways"),
        (text(HEAD, "1;;x;R;never;;").encode(), "1 row without lesion_key, decision or time"),
        (text(HEAD, "1;;;;;0,5;2").encode(), "Imported 0 marks."),
    ],
)
def test_what_is_not_taken_is_said(opened, tmp_path, data, said):
    page = opened(worklists.worklist(3))
    file = tmp_path / "reviewed (1).csv"
    file.write_bytes(data)
    assert said in page.import_file(file)


def test_a_mark_of_this_page_is_of_the_page_s_zone(opened, berlin):
    page = opened(worklists.worklist(3))
    page.call_me("A")
    page.click(".card .open")
    page.press("1", "k")
    assert "+01:00" in page.text(".decided")
    (row,) = [row for row in page.exported_rows() if row["reviewer"] == "A"]
    assert row["reviewed_at"].endswith("+01:00")
    assert json.loads(page.text("#data"))["offset_minutes"] == 60
