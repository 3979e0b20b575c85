"""The list: a row a lesion, sorted by a column, filtered by site; at any length."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from tests.scenarios.browser.opened import DOWN, ENTER, UP
from tests.scenarios.browser.test_gallery import keys, still_open
from tests.support import worklists
from tests.support.changed_worklists import changed


def odds(score: float) -> float:
    return math.log(score / (1 - score))


def moved(worklist) -> pd.Series:
    """How far each lesion's score has moved: between the last two visits, else since last night."""
    found = []
    for _, row in worklist.lesions.iterrows():
        mine = worklist.images[worklist.images["lesion_key"] == row["lesion_key"]]
        scores = list(mine.sort_values("acquisition_datetime")["melanoma_score"])
        if len(scores) > 1:
            found.append(odds(scores[-1]) - odds(scores[-2]))
        elif pd.isna(row["previous_score"]) or pd.isna(row["max_score"]):
            found.append(None)
        else:
            found.append(odds(row["max_score"]) - odds(row["previous_score"]))
    return pd.Series(found, dtype=object)


ORDERS = {
    "score": ("max_score", False),
    "change": ("moved", False),
    "date": ("acquisition_datetime", False),
    "site": ("anatomic_site", True),
    "patient": ("patient_key", True),
    "images": ("image_count", False),
    "rank": ("rank", True),
}


@pytest.mark.parametrize("order", ORDERS)
def test_a_column_sorts_unknown_last_and_ties_by_rank(opened, fifty, order):
    column, upward = ORDERS[order]
    page = opened(fifty, width=1440, height=900)
    page.go("#list")
    lesions = fifty.lesions.assign(moved=moved(fifty))
    lesions = lesions[lesions["status"] != "reviewed"]
    unknown = lesions[lesions[column].isna()]
    turns = [upward] if order == "rank" else [upward, not upward]
    for up in turns:
        page.click(f"[data-order={order}]")
        known = lesions[lesions[column].notna()]
        wanted = known.sort_values(column, ascending=up, kind="stable")
        listed = page.all_keys()
        if order == "rank":  # the groups are back
            ranked = wanted[wanted["tier"] != "unreadable"]
            assert listed[:12] == keys(ranked)[:12]
            continue
        assert listed == keys(wanted) + keys(unknown)
        sort = page.find(f".c-{order}[role=columnheader]").get_attribute("aria-sort")
        assert sort == ("ascending" if up else "descending")
        assert page.find("#sort").get_attribute("value") == order
        assert page.run("return document.activeElement.dataset.order") == order


def test_the_sort_box_sorts_as_the_heading_does(opened, fifty):
    page = opened(fifty)
    page.go("#list")
    page.choose("#sort", "score")
    assert page.texts(".group-row h2") == ["47 of 50 lesions"]
    assert page.keys_listed()[0] == fifty.lesions["lesion_key"][0]
    page.click("[data-order=score]")
    assert page.keys_listed()[0] == keys(
        still_open(fifty)[lambda rows: rows["tier"] == "near_threshold"]
    )[-1]  # fmt: skip
    page.choose("#sort", "rank")
    assert page.texts(".group-row h2")[0] == "Tonight’s work"


def test_a_row_tells_rank_who_score_movement_and_review(opened, fifty):
    page = opened(changed(fifty, 0, max_score=0.9, previous_score=0.5), width=1440, height=900)
    page.go("#list")
    row = ".row[data-key]"
    found = {
        name: page.text(f"{row} .c-{name}")
        for name in ("rank", "patient", "site", "label", "score", "date")
    }
    assert found == {
        "rank": "1", "patient": "patient-0000", "site": "Back, left", "label": "lesion-00000",
        "score": "+2.2", "date": "1 Jan 2026",
    }  # fmt: skip
    assert page.text(f"{row} .c-tier").startswith("Alert")
    third = f".row[data-key='{fifty.lesions['lesion_key'][2]}']"
    assert page.text(f"{third} .c-mark") == "opened again since the mark"
    page.click("[data-filter=reviewed]")
    assert page.text(f"{row} .c-mark") == "Follow upDr. A"


def test_a_click_anywhere_in_a_row_opens_it_and_arrows_walk(opened, fifty):
    page, order = opened(fifty), keys(still_open(fifty))
    page.go("#list")
    page.press(DOWN, DOWN, DOWN, UP)
    assert page.focused == order[1]
    page.press(ENTER)
    assert page.opened == order[1]
    page.go("#list")
    page.click(f".row[data-key='{order[2]}'] .c-date")
    assert page.opened == order[2]


def test_a_site_can_be_asked_for_and_none(opened, fifty):
    page, lesions = opened(fifty), still_open(fifty)
    page.choose("#site", "=scalp")
    assert page.all_keys() == keys(lesions, anatomic_site="scalp")
    assert "Scalp" in page.text("#site")
    assert page.focused == "site"
    page.choose("#site", "-")
    assert page.all_keys() == keys(lesions[lesions["anatomic_site"].isna()])
    page.click("[data-filter=all]")
    assert len(page.all_keys()) == 47


def test_the_view_is_kept_while_filters_change_and_the_address_tells_it(opened, fifty):
    page = opened(fifty)
    page.click(".seg a[href='#list']")
    assert page.is_seen("#list-view")
    assert not page.is_seen("#gallery-view")
    assert page.attributes(".seg [aria-current]", "href") == ["#list"]
    page.click("[data-filter=alert]")
    assert page.is_seen("#list-view")
    assert page.count(".row[data-key]") > 0
    page.reload()
    assert page.is_seen("#list-view")
    page.run("history.back()")
    page.wait("return document.getElementById('gallery-view').checkVisibility()")


def test_a_list_of_5000_keeps_few_rows_alive_and_reaches_the_last(opened):
    worklist = worklists.worklist(5000)
    page = opened(worklist)
    page.go("#list")
    assert page.count(".row[data-key]") <= 60
    page.choose("#sort", "patient")
    page.run("document.getElementById('report').scrollIntoView({ block: 'end' })")
    nobody = still_open(worklist)[lambda rows: rows["patient_key"].isna()]
    last = keys(nobody)[-1]
    page.wait(
        f"return [...document.querySelectorAll('.row[data-key]')].at(-1)?.dataset.key === '{last}'"
    )
    assert page.count(".row[data-key]") <= 60
    assert page.complaints() == []
