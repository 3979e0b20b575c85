"""A lesion opened: which picture is shown and why, who it is, the way to the next and back."""

from __future__ import annotations

import base64
import dataclasses

import pytest

from tests.scenarios.browser.opened import ENTER, ESCAPE, LEFT, RIGHT, TAB
from tests.support import worklists
from tests.support.changed_worklists import (
    changed,
    coloured,
    pictures_of,
    with_dates,
    with_images,
    with_unread_file,
)

LOADED = "return [...document.querySelectorAll('#lesion img')].every((i) => i.naturalWidth)"
COLOURS = {"sha256:0": coloured("red"), "sha256:1": coloured("lime"), "sha256:2": coloured("blue")}


@pytest.mark.parametrize(
    ("scores", "there", "seen", "carries"),
    [
        ((0.1, 0.98, 0.5), (0, 1, 2), 1, 1),
        ((0.98, 0.98, 0.5), (0, 1, 2), 0, 0),
        ((0.1, 0.98, 0.5), (0, 2), 2, 1),
        ((0.1, 0.98, 0.5), (), None, 1),
    ],
)
def test_the_picture_that_carries_the_score_is_shown_and_says_so(
    opened, fifty, scores, there, seen, carries
):
    """Not the oldest, which stands first in the film; and where it is another one, that is said."""
    worklist = with_dates(fifty, scores)
    pictures = {each: COLOURS[each] for each in (f"sha256:{number}" for number in there)}
    page = opened(worklist, pictures=pictures_of(pictures))
    uri = COLOURS[f"sha256:{seen}"].uri if seen is not None else None
    assert page.attributes(".card .pic img", "src")[:1] == ([uri] if uri else [])
    instead = seen is not None and seen != carries
    assert ("not the scored picture" in page.text(".card .badges")) == instead
    page.click(".card .open")
    assert page.attributes("#stage .mv img", "src") == ([uri] if uri else [])
    assert page.texts("#stage .cap small") == ([] if instead else ["carries the score"])
    assert ("another one" in page.text("#stage")) == instead
    film = page.run(
        "return [...document.querySelectorAll('#film button')].map((e) => "
        "[e.getAttribute('aria-current') === 'true', e.querySelector('.cs') !== null])"
    )
    on_stage = seen if seen is not None else carries
    assert film == [[number == on_stage, number == carries] for number in range(3)]


@pytest.mark.parametrize(
    ("withheld", "flags", "said"),
    [
        (True, [], "Text is burned into this picture."),
        (False, ["left_archive"], "This picture left the archive."),
        (False, [], "This page holds no picture of it."),
    ],
)
def test_a_picture_that_cannot_be_shown_says_why(opened, fifty, withheld, flags, said):
    worklist = with_images(fifty, melanoma_score=[0.98], flags=[flags])
    hidden = frozenset({"sha256:0"} if withheld else ())
    page = opened(worklist, pictures=pictures_of({}, withheld=hidden))
    assert said in page.text(".card .nopic")
    page.click(".card .open")
    assert said in page.text("#stage .noimg")
    assert page.count("#stage img") == 0


def test_pictures_beside_the_page_are_shown_and_a_missing_file_is_told(opened, fifty, tmp_path):
    name = "0123456789abcdef" * 2 + ".jpg"
    head, _, body = coloured("red").uri.partition(",")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / name).write_bytes(base64.b64decode(body))
    worklist = with_dates(fifty, (0.5, 0.9))
    beside = {
        "sha256:1": dataclasses.replace(coloured("red"), name=name, uri=""),
        "sha256:0": dataclasses.replace(coloured("red"), name="f" * 32 + ".jpg", uri=""),
    }
    page = opened(worklist, pictures=pictures_of(beside, "pictures/"))
    page.click(".card .open")
    page.wait("return document.querySelector('#stage .mv img')?.naturalWidth === 800")
    assert (
        page.find("#stage .mv img").get_attribute("src") == (tmp_path / "pictures" / name).as_uri()
    )
    page.wait("return document.querySelector('#film .no-picture') !== null")
    page.press(LEFT)
    page.wait("return document.querySelector('#stage .no-picture') !== null")
    assert page.text("#stage .no-picture") == "The picture’s file is not beside this page."


@pytest.mark.parametrize(
    ("width", "height", "least"), [(1280, 800, 900), (1440, 900, 1000), (390, 844, 370)]
)
def test_the_open_picture_is_large(opened, fifty, width, height, least):
    page = opened(fifty, pictures=worklists.pictures(fifty), width=width, height=height)
    page.click(".card .open")
    page.wait(LOADED)
    assert page.box("#stage .mv")["width"] >= least
    assert page.run("return document.documentElement.scrollWidth") <= width


def test_who_it_is_stands_on_card_bar_title_and_confirmation(opened, fifty):
    page = opened(fifty)
    assert page.texts(".card .who")[0] == "patient-0000Back, leftlesion-00000"
    name = "patient-0000 · Back, left · lesion-00000"
    told = page.find(".card .open").accessible_name
    for part in (*name.split(" · "), "Alert, +3.9; 0 is the alert line", "New tonight"):
        assert part in told
    page.call_me("A")
    page.click(".card .open")
    assert page.text("#lesion-title") == name
    assert page.driver.title == f"{name}, Morning list"
    assert page.find("#lesion").get_attribute("aria-label") == name
    assert page.text("#idbar .id p") == "Review priority, not a diagnosis. Unverified."
    page.press("1")
    assert page.text("#message span") == f"{name}: Call back"


def test_an_unknown_patient_is_called_so(opened, fifty):
    page = opened(changed(fifty, 0, patient_key=None, anatomic_site=None, laterality=None))
    page.click(".card .open")
    assert page.text("#lesion-title") == "lesion-00000 · site not stated · patient not known"
    assert page.count("#same-patient") == 0


def test_the_film_stands_in_order_of_time_and_shows_what_is_chosen(opened, fifty):
    worklist = with_dates(fifty, (0.7, 0.98, 0.5))
    page = opened(worklist, pictures=pictures_of(COLOURS))
    page.click(".card .open")
    assert page.texts("#film b") == ["1 Jan 2026", "1 Feb 2026", "1 Mar 2026"]
    assert page.texts("#film .num") == ["+0.8", "+3.9", "+0.0"]
    shown = "return document.querySelector('#stage .mv img').src"
    page.click("#film [data-image='0']")
    assert page.run(shown) == COLOURS["sha256:0"].uri
    assert page.texts("#stage .cap small") == []
    assert page.run("return document.activeElement.dataset.image") == "0"
    page.press(RIGHT, RIGHT, RIGHT)
    assert page.run(shown) == COLOURS["sha256:2"].uri
    page.press(LEFT)
    assert page.run(shown) == COLOURS["sha256:1"].uri
    assert "An older picture (1 Feb 2026) carries the score" in page.text("#panel")


def test_an_unreadable_lesion_says_so_and_can_be_decided(opened, fifty):
    row = int(fifty.lesions.index[fifty.lesions["tier"] == "unreadable"][0])
    worklist = with_unread_file(fifty, row, "visit/odd name.dcm", "pixel_data_missing")
    page, key = opened(worklist), worklist.lesions["lesion_key"][row]
    page.call_me("A")
    page.click("[data-filter=unreadable]")
    card = f".card[data-key='{key}']"
    assert "pixel data missing" in page.text(f"{card} .nopic")
    page.click(f"{card} .open")
    assert page.text("#stage h2") == "This picture could not be read"
    assert page.text("#stage code") == "visit/odd name.dcm"
    told = page.text("#stage")
    assert "No picture of it could be read (pixel data missing)." in told
    assert "tells nothing about the skin" in told
    assert page.text("#panel .big") == "No score"
    assert page.count("#stage .tools") == page.count("#film") == 0
    page.press("4")
    assert key in {row["lesion_key"] for row in page.exported_rows()}


def test_j_and_k_walk_through_the_list_that_was_left(opened, fifty):
    page = opened(fifty)
    page.click("[data-filter=near_threshold]")
    near = page.all_keys()
    page.click(".card .open")
    assert page.opened == near[0]
    assert page.find("[data-step='-1']").get_attribute("disabled")
    assert page.text("#idbar .where") == f"1 of {len(near)}"
    page.press("j", "n", "k", "j")
    assert page.opened == near[2]
    page.click("[data-step='1']")
    assert page.opened == near[3]
    for _ in near[4:]:
        page.press("j")
    assert page.opened == near[-1]
    page.press("j")
    assert page.opened == near[-1]
    assert page.text("#live") == "That was the last lesion of this list."
    page.press(ESCAPE)
    assert page.focused == near[-1]


@pytest.mark.parametrize("place", ["#list", "#patient=PATTERN:patient-0000"])
def test_the_focus_comes_back_to_the_row(opened, fifty, place):
    page = opened(fifty)
    page.go(place)
    page.click(f"{place.partition('=')[0]}-view [data-key] .open")
    key = page.opened
    assert key is not None
    page.press("j")
    second = page.opened
    assert second != key
    page.press(ESCAPE)
    assert page.hash == place
    assert page.focused == second


def test_an_address_of_a_lesion_opens_it_and_a_wrong_one_opens_the_gallery(opened, fifty):
    worklist = with_dates(fifty, (0.7, 0.98))
    page, key = opened(worklist, pictures=pictures_of(COLOURS)), worklist.lesions["lesion_key"][0]
    page.open_lesion(key, "&image=0")
    assert page.attributes("#film button", "aria-current") == ["true", "false"]
    page.go("#gallery")
    page.open_lesion(key, "&mode=compare")
    assert page.count("#stage .pane") == 2
    for wrong in ("#lesion=nobody", "#patient=nobody", "#%E0%A4%A", "#lesion=%E0%A4%A"):
        page.go(wrong)
        assert page.opened is None
        assert page.is_seen("#gallery-view")
    assert page.complaints() == []


def test_the_mouse_is_not_needed(opened, fifty):
    page = opened(fifty, pictures=worklists.pictures(fifty))
    page.run("document.querySelector('.card .open').focus()")
    page.press(ENTER)
    assert page.opened is not None
    reached = set()
    for _ in range(26):
        page.press(TAB)
        reached.add(page.run(
            "const e = document.activeElement;"
            "return e.getAttribute('aria-label') ?? e.id ?? e.textContent"
        ) or page.run("return document.activeElement.textContent.trim()"))  # fmt: skip
    assert {"Next lesion", "Zoom in", "Compare (C)", "Attention (A)", "comment"} <= reached
    assert {"1Call back", "2Follow up", "3No action now", "4New image needed"} <= reached


def test_details_for_engineers_hold_classes_scores_and_earlier_nights(opened, fifty):
    page, row = opened(fifty), fifty.lesions.iloc[1]
    images = fifty.images[fifty.images["lesion_key"] == row["lesion_key"]]
    page.open_lesion(row["lesion_key"])
    assert not page.is_seen("#engineer dl")
    page.click("#engineer summary")
    first = page.run(
        "return [...document.querySelector('[aria-label=\"Class scores\"]').rows]"
        ".map((row) => [row.cells[0].textContent, Number(row.cells[1].textContent), row.className])"
    )
    classes = images.sort_values("acquisition_datetime").iloc[0]["class_scores"]
    assert [name for name, _, kind in first if kind == "melanoma"] == ["melanoma"]
    assert {name: share for name, share, _ in first} == pytest.approx(classes, abs=1e-3)
    shares = [share for _, share, _ in first]
    assert shares == sorted(shares, reverse=True)
    told = page.text("#engineer")
    for part in (row["lesion_key"], images["path"].iloc[0], "isic9-dropout 1.0.0", row["reason"],
                 "alert from 0.5000", f"{row['max_score']:.4f} highest"):  # fmt: skip
        assert part in told
    assert page.count("[aria-label='Earlier scores'] tr") == len(images)


def test_pictures_are_never_tinted(opened, fifty):
    page = opened(fifty, pictures=worklists.pictures(fifty, attention=True))
    page.call_me("A")
    page.click(".card .open")
    page.press("1", ESCAPE)
    plain = ["none", "normal", "1"]
    for place in ("#gallery", "#list", f"#lesion={fifty.lesions['lesion_key'][0]}"):
        page.go(place)
        found = page.run(
            "return [...document.querySelectorAll('.pic img, .c-picture img, #stage .mv img,"
            " #film img')].filter((i) => i.checkVisibility()).map((i) => { const all = [];"
            " for (let e = i; e !== document.body; e = e.parentElement) { const s = "
            "getComputedStyle(e); all.push([s.filter, s.mixBlendMode, s.opacity]); } return all; })"
        )
        assert found
        assert {tuple(each) for chain in found for each in chain} == {tuple(plain)}
    page.go("#gallery")
    assert page.count(".card.done img") == 1
