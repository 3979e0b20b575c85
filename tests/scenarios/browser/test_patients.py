"""Patients: kept apart, found by every name, with a body map and a table of visits."""

from __future__ import annotations

import dataclasses
from urllib.parse import quote

import pytest

from tests.scenarios.browser.opened import ENTER, ESCAPE
from tests.support import worklists
from tests.support.changed_worklists import changed, coloured, pictures_of, with_dates

PATIENTS = [
    ({"patient_key": "PATTERN:Müller-7"}, ["müller-7", "MÜLLER"], "Müller-7"),
    ({"patient_key": "0123456789abcdef" * 4}, ["0123456789abcdef0123", "0123456789abc…"],
     "0123456789abc…"),
    ({"patient_key": "HOSP|4711", "patient_id": "4711", "issuer_of_patient_id": "HOSP"},
     ["4711", "hosp|4711"], "4711"),
    ({"patient_key": "ff" * 32, "patient_id": "4711"}, ["4711", "ff" * 32], "4711"),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "words", "shown"), PATIENTS)
def test_the_search_finds_a_patient_by_every_name(opened, fifty, cells, words, shown):
    worklist = changed(fifty, 7, **cells)
    key = worklist.lesions["lesion_key"][7]
    page = opened(worklist)
    for word in words:
        page.fill("#search", word)
        assert page.keys_listed() == [key], word
    page.go("#patients")
    assert page.texts(".pcard h3") == [shown]
    page.go("#gallery")
    page.click(".card .open")
    assert page.text("#lesion-title").startswith(f"{shown} · ")


@pytest.fixture
def apart(fifty):
    """patient-1 with two lesions, patient-10 with one."""
    found = changed(changed(fifty, 0, patient_key="PATTERN:p-1"), 1, patient_key="PATTERN:p-1")
    return changed(found, 2, patient_key="PATTERN:p-10")


def test_a_patient_s_view_holds_no_other_patient(opened, apart):
    page = opened(apart)
    page.click(".card .open")
    assert page.text("#same-patient") == "2 lesions"
    page.click("#same-patient")
    assert page.attributes("#patient-view [data-key]", "data-key") == list(
        apart.lesions["lesion_key"][:2]
    )
    assert page.text("#patient-view h2") == "p-1"
    assert page.driver.title == "p-1, Morning list"
    page.press(ESCAPE)
    assert page.hash == "#patients"


def test_patients_stand_by_their_highest_lesion_each_once(opened, apart):
    page = opened(apart, width=1440, height=900)
    page.go("#patients")
    named = apart.lesions["patient_key"].dropna().drop_duplicates()
    assert page.text("#patients-view h2") == f"{len(named)} patients"
    assert page.texts(".pcard h3")[:3] == ["p-1", "p-10", "patient-0003"]
    assert "2 of 5 lesions listed · 2 open alerts · stands out" in page.text(".pcard p")
    assert not page.is_seen("#chips")
    page.click(".pcard:nth-child(2)")
    assert page.text("#patient-view h2") == "p-10"
    page.click(".phead a.btn:last-of-type")
    assert page.text("#patient-view h2") == "patient-0003"


def test_5000_lesions_of_patients_keep_few_cards_alive(opened):
    page = opened(worklists.worklist(5000))
    page.go("#patients")
    assert 0 < page.count(".pcard") <= 60
    page.fill("#search", "patient-1234")
    assert page.texts(".pcard h3") == ["patient-1234"]


@pytest.mark.parametrize(
    ("site", "side", "is_back", "towards"),
    [("upper arm", "L", False, 1), ("upper arm", "R", False, -1), ("upper back", "L", True, -1),
     ("upper back", "R", True, 1), ("abdomen", None, False, 0)],
)  # fmt: skip
def test_a_dot_stands_on_the_recorded_side(opened, apart, site, side, is_back, towards):
    """Seen from the front the patient's left is on the right; the other figure shows the back."""
    page = opened(changed(apart, 0, anatomic_site=site, laterality=side))
    page.go("#patient=" + quote("PATTERN:p-1"))
    x = float(page.find("#patient-view .map [data-spot] .m").get_attribute("cx"))
    assert (x > 206) == is_back
    middle = 306 if is_back else 100
    assert (x > middle) - (x < middle) == towards


def test_a_site_without_a_place_is_named_beside_the_figure(opened, apart):
    page = opened(changed(apart, 0, anatomic_site="somewhere"))
    page.go("#patient=" + quote("PATTERN:p-1"))
    assert page.count("#patient-view .map [data-spot]") == 1
    assert "Without a place on the figure: 1. lesion-00000." in page.text(".map")
    assert "not the exact place" in page.text(".map")


def test_a_dot_is_a_link_for_mouse_and_keys(opened, apart):
    page = opened(apart)
    page.go("#patient=" + quote("PATTERN:p-1"))
    assert page.attributes("#patient-view .map [data-spot]", "aria-label")[0].startswith("1: p-1")
    page.run("document.querySelector('#patient-view .map [data-spot]').focus()")
    page.press(ENTER)
    assert page.opened == apart.lesions["lesion_key"][0]


def test_the_table_has_a_column_a_visit_and_opens_the_picture_that_is_clicked(opened, apart):
    worklist = with_dates(apart, (0.7, 0.98))
    there = {f"sha256:{number}": coloured(name) for number, name in enumerate(("red", "lime"))}
    page = opened(worklist, pictures=pictures_of(there), width=1440, height=900)
    page.go("#patient=" + quote("PATTERN:p-1"))
    heads = page.texts("#patient-view [role=columnheader]")
    assert heads[:1] + heads[-1:] == ["Lesion", "Score, 0 = alert line"]
    assert {"1 Jan 2026", "1 Feb 2026"} <= set(heads)
    assert page.texts("#patient-view [data-key] .s")[:2] == ["+0.8", "+3.9"]
    page.click("#patient-view [data-key] .vis a")
    assert page.opened == worklist.lesions["lesion_key"][0]
    assert page.attributes("#stage .mv img", "src") == [there["sha256:0"].uri]


def test_what_stands_out_and_what_was_decided_is_said(opened, apart):
    page = opened(apart)
    page.call_me("A")
    page.open_lesion(apart.lesions["lesion_key"][0])
    page.press("3")
    page.go("#patient=" + quote("PATTERN:p-1"))
    first, second = page.texts("#patient-view [data-key] .l")
    assert "No action now" in first
    assert "Stands out among this patient’s 5 lesions" in second


def test_an_archive_without_patients_says_so_and_calls_nothing_done(opened):
    worklist = worklists.worklist(20)
    lesions = worklist.lesions.assign(patient_key=None, patient_id=None)
    page = opened(dataclasses.replace(worklist, lesions=lesions))
    page.go("#patients")
    assert "No lesion here names a patient" in page.text("#no-patients")
    assert page.count("#all-done") == 0
    assert "20 lesions name no patient" in page.text("#patients-flow .sec")
