"""On paper: a lesion, a patient or the list; caution, model and number on each page."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess

import pytest

from tests.scenarios.browser.opened import ESCAPE
from tests.support import worklists
from tests.support.changed_worklists import changed

CAUTION = "Review priority, not a diagnosis. No alert does not mean cleared."
GERMAN_CAUTION = (
    "Reihenfolge zur Durchsicht, keine Diagnose. Kein Hinweis bedeutet nicht: unbedenklich."
)
A4 = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True}


@pytest.fixture
def page(opened, fifty):
    found = opened(fifty, pictures=worklists.pictures(fifty))
    found.run("window.print = () => { window.printed = true; }")
    return found


def sheet(page, button: str) -> None:
    """Press a print button, up to where the browser would ask for the printer."""
    page.run("window.printed = false")
    page.click(button)
    page.wait("return window.printed")


def printed(page, folder) -> list[str]:
    """The text of each page as a printer gets it."""
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext (Debian: apt-get install poppler-utils)")
    file = folder / "page.pdf"
    file.write_bytes(base64.b64decode(page.command("Page.printToPDF", **A4)["data"]))
    made = subprocess.run(
        ["pdftotext", "-layout", str(file), "-"], capture_output=True, check=True, timeout=60
    )
    pages = made.stdout.decode("utf-8").split("\f")[:-1]
    assert pages
    return [" ".join(text.split()) for text in pages]


def check_frame(pages: list[str], title="Morning list", unverified="Unverified", caution=CAUTION):
    for number, text in enumerate(pages, 1):
        assert text.startswith(f"{title}, 2026-11-21 02:00 UTC · isic9-dropout 1.0.0 {unverified}")
        assert re.search(rf"{re.escape(caution)} {number} ?/ ?{len(pages)}$", text), text


def test_the_list_on_paper_holds_every_open_lesion_once(page, fifty, tmp_path):
    sheet(page, "#print-list")
    pages = printed(page, tmp_path)
    check_frame(pages)
    whole = " ".join(pages)
    still_open = fifty.lesions[fifty.lesions["status"] != "reviewed"]
    for key in still_open["lesion_key"]:
        assert whole.count(key.rsplit("/")[-1] + " ") == 1, key
    for part in (
        "A reference, not fit to guide review.", "Tonight’s work", "No usable score",
        "Beyond tonight’s work", "Of 100 alerts about 52", "Call back Follow up",
    ):  # fmt: skip
        assert part in whole
    assert 5 <= len(pages) <= 11


def test_only_what_is_filtered_is_printed(page, fifty, tmp_path):
    page.click("[data-filter=unreadable]")
    sheet(page, "#print-list")
    whole = " ".join(printed(page, tmp_path))
    assert "4 of 50 lesions" in whole
    assert whole.count("No picture of it could be read") == 4


def test_a_lesion_on_paper_holds_picture_score_reasons_and_lines_to_fill(page, fifty, tmp_path):
    page.call_me("A")
    page.open_lesion(fifty.lesions["lesion_key"][0])
    page.press("m")
    page.press(*"dark rim")
    page.press(ESCAPE)
    page.click("#advance")
    page.press("2")
    page.press("c", "a")  # what is on the screen does not matter
    sheet(page, "#idbar [aria-label=Print]")
    assert page.count("#print .main img") == 1
    assert page.count("#print .row img") == 3
    assert page.texts("#print .tick .x") == ["Follow up"]
    pages = printed(page, tmp_path)
    check_frame(pages)
    assert len(pages) == 1
    for part in (
        "patient-0000 · Back, left · lesion-00000", "Alert · +3.9 · taken 1 Jan 2026 · Rank 1",
        "carries the score", "Comment dark rim", "Diagnosis", "Date, initials",
    ):  # fmt: skip
        assert part in pages[0]


def test_a_patient_on_paper_holds_map_and_lesions(page, fifty, tmp_path):
    page.go("#patient=PATTERN:patient-0000")
    sheet(page, "#patient-view [aria-label=Print]")
    assert page.count("#print .printed-map svg") == 1
    pages = printed(page, tmp_path)
    check_frame(pages)
    whole = " ".join(pages)
    mine = fifty.lesions[fifty.lesions["patient_key"] == "PATTERN:patient-0000"]
    for key in mine["lesion_key"]:
        assert key.rsplit("/")[-1] in whole
    assert "patient-0001" not in whole


def test_the_browser_s_own_print_has_the_sheet_too(page, tmp_path):
    pages = printed(page, tmp_path)
    check_frame(pages)
    assert "1. patient-0000" in " ".join(pages)
    page.wait("return document.getElementById('print').childElementCount === 0")


def test_a_german_sheet_is_german(opened, fifty, tmp_path):
    page = opened(fifty, language="de")
    pages = printed(page, tmp_path)
    check_frame(pages, "Morgenliste", "Ungeprüft", GERMAN_CAUTION)
    assert "Einbestellen" in pages[0]
    assert "Call back" not in " ".join(pages)


@pytest.mark.parametrize("what", ["a lesion open", "the help open", "a message", "dark"])
def test_nothing_that_lies_over_the_page_is_printed(page, fifty, what):
    if what == "a lesion open":
        page.click(".card .open")
    elif what == "the help open":
        page.press("?")
    elif what == "a message":
        page.exported()
        assert page.is_seen("#message")
    else:
        page.click("#theme")
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    page.command("Emulation.setEmulatedMedia", media="print")
    try:
        fixed = page.run(
            "return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && "
            "['fixed', 'sticky'].includes(getComputedStyle(e).position)).map((e) => e.id)"
        )
        assert fixed == []
        for part in ("#app", "#lesion", "#help", "#message"):
            assert not page.is_seen(part)
        assert page.is_seen("#print h1")
        assert page.style("body", "backgroundColor") == "rgb(255, 255, 255)"
        assert page.style("#print h1", "color") == "rgb(0, 0, 0)"
        small = page.run(
            "return Math.min(...[...document.querySelectorAll('#print *')].filter((e) => "
            "e.childElementCount === 0 && e.textContent.trim() && !e.closest('svg'))"
            ".map((e) => parseFloat(getComputedStyle(e).fontSize)))"
        )
        assert small > 10.5  # 8 points
        assert page.count("#print button, #print a[href^='#lesion'], #print input") == 0
    finally:
        page.command("Emulation.setEmulatedMedia", media="")


def test_a_very_long_list_is_cut_and_says_so(opened):
    page = opened(worklists.worklist(400))
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    assert page.count("#print .pr") == 300
    still_open = page.chip("all")
    assert f"300 of {still_open} lesions" in page.text("#print .sub")
    page.run("window.dispatchEvent(new Event('afterprint'))")
    assert page.count("#print *") == 0


def test_a_picture_that_is_not_there_is_told_on_paper(opened, fifty):
    page = opened(changed(fifty, 0, flags=["left_archive"]))
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    assert "No picture" in page.text("#print .pr .ph")
    page.run("window.dispatchEvent(new Event('afterprint'))")
    page.click(".card .open")
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    assert "No picture" in page.text("#print .ph.tall")
