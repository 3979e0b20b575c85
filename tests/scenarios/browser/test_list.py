"""Looking through the list: order, filters, keys, an opened lesion; at any length."""

from __future__ import annotations

import pytest

from batch.review.worklist.contract import Tier
from tests.support import worklists

ENTER, ESCAPE, DOWN, UP, TAB = "\ue007", "\ue00c", "\ue015", "\ue013", "\ue004"


@pytest.fixture(scope="module")
def fifty():
    return worklists.worklist(50)


def _keys(lesions, **columns):
    for column, value in columns.items():
        lesions = lesions[lesions[column] == value]
    return list(lesions["lesion_key"])


def _all_keys(page) -> list[str]:
    """The keys of every row, though only those near the window exist."""
    found: dict[str, None] = {}
    before, at = None, page.scroll_to(0)
    while at != before:
        found |= dict.fromkeys(page.keys_listed())
        before, at = at, page.scroll_to(at + 500)
    return list(found)


def test_the_list_opens_in_order_of_priority_with_sections(opened, fifty):
    page = opened(fifty)
    assert _all_keys(page) == list(fifty.lesions["lesion_key"])
    page.run("window.scrollTo(0, 0)")
    page.wait("return document.querySelector('tr.section')?.textContent.startsWith('Alert')")
    assert page.complaints() == []


ORDERS = {
    "score": ("max_score", False),
    "change": ("score_change", False),
    "date": ("acquisition_datetime", False),
    "site": ("anatomic_site", True),
    "patient": ("patient_key", True),
    "images": ("image_count", False),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("turned", [False, True], ids=["first", "turned"])
def test_a_column_sorts_unknown_last_and_ties_by_rank(opened, fifty, order, turned):
    column, upward = ORDERS[order]
    page = opened(fifty)
    page.click(f"[data-order={order}]")
    if turned:
        page.click(f"[data-order={order}]")
    up = upward != turned
    known = fifty.lesions[fifty.lesions[column].notna()]
    unknown = fifty.lesions[fifty.lesions[column].isna()]
    wanted = known.sort_values(column, ascending=up, kind="stable")
    assert _all_keys(page) == list(wanted["lesion_key"]) + list(unknown["lesion_key"])
    heading = page.find(f"th.c-{order}")
    assert heading.get_attribute("aria-sort") == ("ascending" if up else "descending")
    assert page.find("#sort").get_attribute("value") == order


def test_the_sort_box_sorts_as_the_heading_does(opened, fifty):
    page = opened(fifty)
    page.choose("#sort", "change")
    assert page.count("tr.section") == 0
    known = fifty.lesions[fifty.lesions["score_change"].notna()]
    most = known.sort_values("score_change", ascending=False, kind="stable")
    assert page.keys_listed()[0] == most["lesion_key"].iloc[0]
    page.choose("#sort", "rank")
    assert page.keys_listed()[0] == fifty.lesions["lesion_key"][0]
    assert page.count("tr.section") > 0


@pytest.mark.parametrize("tier", [Tier.ALERT, Tier.NEAR_THRESHOLD, Tier.UNREADABLE])
def test_a_tier_can_be_left_out(opened, fifty, tier):
    page = opened(fifty)
    page.click(f"[name=tier][value={tier}]")
    rest = fifty.lesions[fifty.lesions["tier"] != tier]
    assert _all_keys(page) == list(rest["lesion_key"])
    assert f"{len(rest)} lesions of 50 shown" in page.text("#shown")


def test_filters_of_site_patient_text_and_state(opened, fifty):
    page, lesions = opened(fifty), fifty.lesions
    page.choose("#filter-site", "=scalp")
    assert _all_keys(page) == _keys(lesions, anatomic_site="scalp")
    page.choose("#filter-site", "-")
    assert _all_keys(page) == list(lesions[lesions["anatomic_site"].isna()]["lesion_key"])
    page.click("#reset")
    page.fill("#filter-patient", "PATIENT-0003")
    assert _all_keys(page) == _keys(lesions, patient_key="PATTERN:patient-0003")
    page.click("#reset")
    page.fill("#filter-text", "lesion-00017-0.JPG")
    assert page.keys_listed() == [lesions["lesion_key"][17]]
    page.click("#reset")
    page.choose("#filter-state", "reviewed")
    assert _all_keys(page) == _keys(lesions, status="reviewed")
    page.choose("#filter-state", "open")
    assert _all_keys(page) == list(lesions[lesions["status"] != "reviewed"]["lesion_key"])
    page.click("#reset")
    assert len(_all_keys(page)) == 50


def test_nothing_found_is_said_and_clears_nobody(opened, fifty):
    page = opened(fifty)
    page.fill("#filter-text", "no such words")
    assert page.keys_listed() == []
    assert page.is_seen("#empty")
    assert "nothing about the others" in page.text("#empty")


def test_a_lesion_opens_to_its_images_scores_classes_and_earlier_nights(opened, fifty):
    page = opened(fifty, None, worklists.pictures(fifty))
    lesion = fifty.lesions.iloc[1]
    images = fifty.images[fifty.images["lesion_key"] == lesion["lesion_key"]]
    page.click("tr.lesion:nth-of-type(4) .open")
    assert page.picked == lesion["lesion_key"]
    assert page.count("#detail .image") == len(images)
    taken = page.texts("#detail .image-score small")
    assert taken == [f"taken {day[:10]}" for day in sorted(images["acquisition_datetime"])]
    tops = page.run(
        "return [...document.querySelectorAll('#detail .image')].slice(0, 2)"
        ".map((each) => each.getBoundingClientRect().top)"
    )
    assert len(set(tops)) == 1  # side by side
    first = page.find("#detail .image")
    assert first.find_element("css selector", ".melanoma th").text == "melanoma"
    bars = page.run(
        "return [...arguments[0].querySelectorAll('.class-bar i')].map((bar) => "
        "bar.getBoundingClientRect().width / bar.parentElement.getBoundingClientRect().width)",
        first,
    )
    scores = sorted(images.iloc[0]["class_scores"].values(), reverse=True)
    assert bars == pytest.approx(scores, abs=0.02)
    assert page.text("#detail .earlier").count("2026-11-20") == 1
    loaded = "return [...document.querySelectorAll('#detail img')].every((i) => i.naturalWidth)"
    assert page.wait(loaded)
    assert page.count("#detail img") == len(images)


def test_keys_go_through_the_list_open_and_close(opened, fifty):
    page, keys = opened(fifty), list(fifty.lesions["lesion_key"])
    page.press("j")
    assert page.picked == keys[0]
    page.press("j", "j", "n", "k")
    assert page.picked == keys[2]
    page.press(DOWN, DOWN, UP)
    assert page.picked == keys[3]
    page.press("o")
    assert page.is_seen("#detail")
    assert keys[3].rsplit("/")[-1] in page.text("#detail-title")
    page.press("j")
    assert page.picked == keys[4]
    page.press(ESCAPE)
    assert not page.is_seen("#detail")
    assert page.picked == keys[4]
    page.press(ENTER)  # the button of the row has the focus
    assert page.is_seen("#detail")


def test_every_lesion_can_be_reached_by_the_next_key(opened, fifty):
    page, seen = opened(fifty, height=500), []
    for _ in range(50):
        page.press("j")
        seen.append(page.picked)
        box = page.run(
            "const box = document.querySelector('tr.picked').getBoundingClientRect();"
            "const head = document.querySelector('#headings').getBoundingClientRect();"
            "return [box.top - head.bottom, window.innerHeight - box.bottom]"
        )
        assert min(box) > -1, "the picked row is hidden"
    assert seen == list(fifty.lesions["lesion_key"])


def test_the_search_key_and_help_and_switching_single_keys_off(opened, fifty):
    page = opened(fifty)
    page.press("/")
    assert page.driver.switch_to.active_element.get_attribute("id") == "filter-text"
    page.press("j")  # types, and goes nowhere
    assert page.picked is None
    page.fill("#filter-text", "")
    page.press(ESCAPE, "?")
    assert page.is_seen("#help")
    page.click("#keys")
    page.click("#help-close")
    page.press("j")
    assert page.picked is None
    page.reload()
    page.press("j")
    assert page.picked is None


def test_the_mouse_is_not_needed(opened, fifty):
    page = opened(fifty)
    page.run("document.querySelector('.open').focus()")
    page.press(ENTER)
    assert page.is_seen("#detail")
    reached = set()
    for _ in range(12):
        page.press(TAB)
        reached.add(page.run("return document.activeElement.textContent.trim()"))
    assert {"Next", "Close", "Call back 1", "Follow up 2", "No action now 3"} <= reached


def test_on_a_tablet_a_lesion_covers_the_list_and_gives_it_back(opened, fifty):
    page = opened(fifty, width=820, height=1180)
    assert page.run("return document.documentElement.scrollWidth") <= 820
    page.click(".open")
    assert page.run("return document.getElementById('list').inert") is True
    assert page.run(
        "return document.getElementById('detail').getBoundingClientRect().width"
        " == document.documentElement.clientWidth"
    )
    assert page.run("return document.documentElement.scrollWidth") <= 820
    page.click("#close")
    assert page.run("return document.getElementById('list').inert") is False


@pytest.mark.parametrize("lesions", [0, 1, 5000])
def test_any_length_of_list_keeps_few_rows_alive(opened, lesions):
    worklist = worklists.worklist(lesions)
    page = opened(worklist)
    assert f"of {lesions:,} shown" in page.text("#shown")
    assert page.count("tr.lesion") == len(page.keys_listed()) <= min(lesions, 60)
    assert page.is_seen("#empty") == (lesions == 0)
    if not lesions:
        return
    page.run("document.getElementById('unreadable').scrollIntoView({ block: 'end' })")
    last = worklist.lesions["lesion_key"].iloc[-1]
    page.wait(f"return [...document.querySelectorAll('tr.lesion')].at(-1).dataset.key == '{last}'")
    assert page.count("tr.lesion") <= 60
    if lesions < 5000:
        return
    page.run("window.scrollTo(0, 0)")
    page.choose("#sort", "date")
    page.fill("#filter-text", "lesion-04321")
    assert page.keys_listed() == [worklist.lesions["lesion_key"][4321]]
    page.click(".open")
    assert page.count("#detail .facts") == 1
    assert page.complaints() == []


def test_a_print_holds_every_row_and_the_notice(opened):
    page = opened(worklists.worklist(300))
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    assert page.count("tr.lesion") == 300
    page.run("window.dispatchEvent(new Event('afterprint'))")
    assert page.count("tr.lesion") < 100


def test_a_print_shows_whole_names_and_nothing_to_press(opened):
    page = opened(worklists.worklist(3))
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        names = "[...document.querySelectorAll('.open')]"
        assert page.run(f"return {names}.length") == 3
        assert page.run(f"return {names}.every((e) => e.scrollWidth <= e.clientWidth)")
        pressed = "[...document.querySelectorAll('button:not(.open), input, select')]"
        assert page.run(f"return {pressed}.every((each) => !each.checkVisibility())")
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
