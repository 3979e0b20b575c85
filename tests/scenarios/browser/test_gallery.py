"""The gallery: tonight's work first, what the chips say and do, no alerts, any length of list."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest

from batch.core.config import REVIEW_BUDGET
from tests.scenarios.browser.opened import DOWN, ENTER, ESCAPE, LEFT, RIGHT, UP
from tests.support import worklists
from tests.support.changed_worklists import changed, only, with_dates

OF_100_ALERTS = "Of 100 alerts about 52 were melanoma where this was measured."


def still_open(worklist):
    return worklist.lesions[worklist.lesions["status"] != "reviewed"]


def keys(lesions, **columns):
    for column, value in columns.items():
        lesions = lesions[lesions[column] == value]
    return list(lesions["lesion_key"])


def test_the_first_ranked_lesions_are_tonight_s_work_and_the_rest_follows(opened, fifty):
    page = opened(fifty, pictures=worklists.pictures(fifty))
    rest = still_open(fifty)
    ranked = keys(rest[rest["tier"] != "unreadable"])
    unread = keys(rest, tier="unreadable")
    assert page.all_keys() == ranked[:REVIEW_BUDGET] + unread + ranked[REVIEW_BUDGET:]
    assert page.text(".sec h2") == "Tonight’s work"
    assert f"first {REVIEW_BUDGET} of 47 open lesions, 26 % of the open list" in page.text(".sec")
    assert OF_100_ALERTS in page.text(".sec")
    page.scroll_to(1000)
    assert [each for each in page.texts(".sec h2") if each != "Tonight’s work"] == [
        "No usable score", "Beyond tonight’s work"
    ]  # fmt: skip
    assert "4 lesions, not ranked" in page.texts(".sec.later")[0]
    assert f"{len(ranked) - REVIEW_BUDGET} more open" in page.texts(".sec.later")[1]
    assert page.complaints() == []


@pytest.mark.parametrize(
    ("lesions", "budget", "said"),
    [(50, 3, "first 3 of 47 open lesions, 6 % of the open list"), (3, 3, "all 3 open lesions")],
)
def test_the_budget_is_said_and_what_is_done_of_it(opened, lesions, budget, said):
    page = opened(worklists.worklist(lesions, unreadable=0), budget=budget)
    assert said in page.text(".sec")
    assert page.text("#done-tonight") == f"0 of {budget} done"
    page.call_me("A")
    page.click(".card .open")
    page.press("1", ESCAPE)
    assert page.text("#done-tonight") == f"1 of {budget} done"


def test_chips_count_what_is_open_and_filter(opened, fifty):
    worklist = changed(fifty, 4, flags=["image_added"])
    page, rest = opened(worklist), still_open(worklist)
    counts = {"all": 47, "newTonight": len(keys(rest, status="new")), "newImage": 1, "reviewed": 3}
    counts |= {
        tier: len(keys(rest, tier=tier)) for tier in ("alert", "near_threshold", "unreadable")
    }
    assert {name: page.chip(name) for name in counts} == counts
    assert page.find("[data-filter=all]").get_attribute("aria-pressed") == "true"

    page.click("[data-filter=unreadable]")
    assert page.all_keys() == keys(rest, tier="unreadable")
    assert page.text(".sec h2") == "4 of 50 lesions"
    page.click("[data-filter=alert]")  # within a group: either
    assert page.all_keys() == keys(rest[rest["tier"].isin(["alert", "unreadable"])])
    page.click("[data-filter=newTonight]")  # between groups: both
    new = rest[rest["status"] == "new"]
    assert page.all_keys() == keys(new[new["tier"].isin(["alert", "unreadable"])])
    assert page.attributes("[aria-pressed=true]", "data-filter") == [
        "newTonight", "alert", "unreadable"
    ]  # fmt: skip
    page.click("#show-all")
    assert len(page.all_keys()) == 47
    page.click("[data-filter=reviewed]")
    assert page.keys_listed() == keys(worklist.lesions, status="reviewed")
    page.click("[data-filter=all]")
    page.click("[data-filter=newImage]")
    assert page.keys_listed() == [worklist.lesions["lesion_key"][4]]


@pytest.mark.parametrize(
    ("scores", "foot"),
    [
        ((0.5, 0.9), "+2.2 since 1 Jan 2026"),
        ((0.9, 0.5), "−2.2 since 1 Jan 2026"),
        ((0.9, 0.9), ""),
    ],
)
def test_what_moved_from_visit_to_visit_is_changed_and_says_by_how_much(
    opened, fifty, scores, foot
):
    worklist = changed(with_dates(fifty, scores), 0, status="open")
    page, key = opened(worklist), worklist.lesions["lesion_key"][0]
    assert page.text(".card .foot span:last-child") == (foot or "taken 1 Jan 2026")
    page.click("[data-filter=changed]")
    assert (key in page.all_keys()) == bool(foot)


def test_a_night_without_alerts_says_that_this_is_no_finding(opened, fifty):
    page = opened(only(fifty, "near_threshold", "unreadable"))
    told = page.text("#no-alerts")
    for part in (
        "No open alerts", "That is not a finding: 512 lesions scored below the band",
        "misses about 4 of 100 melanomas", "still stand below",
    ):  # fmt: skip
        assert part in told
    assert page.count(".card") > 4
    page.click("[data-filter=unreadable]")
    assert page.count("#no-alerts") == 0


def test_an_empty_list_says_no_more_than_that(opened):
    page = opened(worklists.worklist(0))
    assert page.is_seen("#no-alerts")
    assert "matches" not in page.text("#main")
    assert "below." not in page.text("#main")
    assert page.complaints() == []


def test_a_list_whose_lesions_all_have_marks_says_so_and_clears_nobody(opened, fifty):
    page = opened(only(worklists.worklist(1), "alert"))
    page.fill("#reviewer", "KS")
    page.open_lesion(page.all_keys()[0])
    page.press("1")
    page.reload()
    page.press(ESCAPE)
    told = page.text("#all-done")
    assert "Every lesion of this list has a mark" in told
    assert "512 lesions scored below the band" in told
    page.click("[data-filter=reviewed]")
    assert page.count(".card") == 1


def test_nothing_found_is_said_and_clears_nobody(opened, fifty):
    page = opened(fifty)
    page.fill("#search", "no such words")
    assert page.keys_listed() == []
    assert page.texts(".empty h2, .empty p") == [
        "No lesion matches.", "That says nothing about the others."
    ]  # fmt: skip
    page.click(".empty button")
    assert page.find("#search").get_attribute("value") == ""
    assert len(page.all_keys()) == 47


def test_the_search_looks_through_paths_sites_and_names(opened, fifty):
    page, lesions = opened(fifty), still_open(fifty)
    for words, wanted in (
        ("lesion-00017-0.JPG", [fifty.lesions["lesion_key"][17]]),
        ("PATIENT-0003", keys(lesions, patient_key="PATTERN:patient-0003")),
        (
            "scalp decode_failed",
            keys(lesions[lesions["anatomic_site"] == "scalp"], tier="unreadable"),
        ),
        ("upper left", keys(lesions, anatomic_site="upper arm", laterality="L")),
    ):
        page.fill("#search", words)
        assert page.all_keys() == wanted, words


@pytest.mark.parametrize(
    ("width", "height", "most"), [(1280, 800, 200), (1440, 900, 200), (820, 1180, 300)]
)
def test_the_first_card_stands_high_and_nothing_sticks_out(opened, fifty, width, height, most):
    page = opened(fifty, width=width, height=height)
    assert page.box(".card")["top"] <= most
    assert page.count(".banner") == 1
    for place in ("#gallery", "#list", "#patients", "#patient=PATTERN:patient-0000"):
        page.go(place)
        assert page.run("return document.documentElement.scrollWidth") <= width, place


@pytest.mark.parametrize("lesions", [1, 5000])
def test_any_length_of_list_keeps_few_cards_alive(opened, lesions):
    worklist = worklists.worklist(lesions)
    page = opened(worklist)
    assert page.count(".card") <= min(lesions, 60)
    page.run("document.getElementById('report').scrollIntoView({ block: 'end' })")
    last = keys(still_open(worklist)[lambda rows: rows["tier"] != "unreadable"])[-1]
    page.wait(f"return [...document.querySelectorAll('.card')].at(-1)?.dataset.key === '{last}'")
    assert page.count(".card") <= 60
    if lesions < 5000:
        return
    assert page.chip("all") == len(still_open(worklist))
    page.run("window.scrollTo(0, 0)")
    page.choose("#sort", "date")
    page.fill("#search", "lesion-02321")
    assert page.keys_listed() == [worklist.lesions["lesion_key"][2321]]
    page.press(ENTER, ENTER)
    assert page.opened == worklist.lesions["lesion_key"][2321]
    assert page.complaints() == []


def test_arrows_walk_over_cards_and_the_focus_comes_back(opened, fifty):
    page, order = opened(fifty), keys(still_open(fifty))
    page.press(RIGHT)
    assert page.focused == order[0]
    page.press(RIGHT, DOWN, LEFT)
    assert page.focused == order[4]  # four columns
    page.press(UP)
    assert page.focused == order[0]
    page.press(RIGHT, ENTER)
    assert page.opened == order[1]
    assert page.run("return document.getElementById('app').inert")
    page.press("j", "j", ESCAPE)
    assert page.opened is None
    assert page.focused == order[3]
    assert not page.run("return document.getElementById('app').inert")


def test_every_card_can_be_reached_by_the_arrow_and_is_seen(opened, fifty):
    page, reached = opened(fifty, height=500), []
    for _ in range(20):
        page.press(RIGHT)
        reached.append(page.focused)
        box = page.run(
            "const box = document.activeElement.closest('.card').getBoundingClientRect();"
            "const top = document.querySelector('.top').getBoundingClientRect().bottom;"
            "return [box.top - top, window.innerHeight - box.bottom]"
        )
        assert min(box) > -1, "the card with the focus is hidden"
    assert len(set(reached)) == 20


def test_the_search_key_and_help_and_switching_single_keys_off(opened, fifty):
    page = opened(fifty)
    page.press("/")
    assert page.focused == "search"
    page.press("l")  # types, and goes nowhere
    assert page.hash == ""
    page.press(ESCAPE, "?")
    assert page.is_seen("#help")
    page.click("#keys")
    page.click("#help-close")
    page.press("l")
    assert page.hash == ""
    page.reload()
    page.press("l")
    assert page.hash == ""
    page.press("?")
    assert not page.is_seen("#help")
    page.click("#help-open")
    page.click("#keys")
    page.press(ESCAPE, "l")
    assert page.hash == "#list"
    page.press("p")
    assert page.hash == "#patients"
    page.press("g")
    assert page.hash == "#gallery"


def test_the_size_of_the_cards_is_chosen_and_kept(opened, fifty):
    page = opened(fifty, width=1600, height=900)
    narrow = page.box(".card")["width"]
    page.run(
        "const size = document.getElementById('size'); size.value = 480;"
        "size.dispatchEvent(new Event('input'))"
    )
    assert page.box(".card")["width"] > 1.4 * narrow
    wide = page.box(".card")["width"]
    page.reload()
    assert page.box(".card")["width"] == wide


@pytest.mark.parametrize("caution", [None, "A reference, not fit to guide review."])
def test_the_caution_stands_above_the_list_and_in_the_bar(opened, caution):
    page = opened(worklists.worklist(3, caution=caution))
    assert page.text(".brand p") == "Review priority, not a diagnosis. Unverified."
    assert page.is_seen(".brand p")
    assert page.texts(".banner.caution") == ([f"Caution. {caution}"] if caution else [])


@pytest.mark.parametrize("width", [1280, 390])
def test_notices_stand_one_below_the_other_and_over_nothing(opened, width):
    worklist = worklists.worklist(3, notes=("One note.", "Another."))
    facts = dataclasses.replace(worklist.facts, changed=("Other options.",))
    page = opened(dataclasses.replace(worklist, facts=facts), width=width)
    assert page.texts(".banner b") == ["Changed.", "Caution.", "Note.", "Note."]
    boxes = page.run(
        "return [...document.querySelectorAll('.top, .banner, #chips, .card')].slice(0, 7)"
        ".map((e) => e.getBoundingClientRect().toJSON())"
    )
    for above, below in pairwise(boxes):
        assert above["bottom"] <= below["top"]
