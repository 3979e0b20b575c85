"""The stage: zoom at the pointer in every pane, compare, fade, attention, full screen."""

from __future__ import annotations

import math

import pytest

from tests.scenarios.browser.opened import DOWN, LEFT, RIGHT, SHIFT
from tests.support import worklists
from tests.support.changed_worklists import coloured, pictures_of, with_dates

COLOURS = {"sha256:0": coloured("red"), "sha256:1": coloured("lime"), "sha256:2": coloured("blue")}
LOADED = (
    "const all = [...document.querySelectorAll('#stage .mv img')];"
    "return all.length && all.every((image) => image.naturalWidth && image.complete)"
)
OUTLINE = """
const canvas = document.querySelector(arguments[0]), pen = canvas.getContext("2d");
const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
let covered = 0;
for (let at = 3; at < data.length; at += 4) if (data[at]) covered += 1;
const middle = pen.getImageData(6.5 * canvas.width / 12, 5.5 * canvas.height / 12, 1, 1).data[3];
return [covered / (data.length / 4), middle];
"""


@pytest.fixture
def page(opened, fifty):
    """A lesion of three pictures, opened."""
    found = opened(with_dates(fifty, (0.7, 0.98, 0.5)), pictures=pictures_of(COLOURS))
    found.click(".card .open")
    found.wait(LOADED)
    return found


def zooms(page) -> list[float]:
    """How many times the fitting size, of each pane."""
    return page.run(
        "return [...document.querySelectorAll('#stage .mv')].map("
        "(e) => new DOMMatrix(getComputedStyle(e).transform).a)"
    )


def under(page, x: float, y: float, pane: int = 0) -> tuple[float, float]:
    """Which point of a pane's picture lies at a point of the screen, in shares of the picture."""
    box = page.run(
        "return document.querySelectorAll('#stage .mv')[arguments[0]]"
        ".getBoundingClientRect().toJSON()",
        pane,
    )
    return (x - box["left"]) / box["width"], (y - box["top"]) / box["height"]


def mouse(page, kind: str, x: float, y: float, **more) -> None:
    page.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
    page.settle()


def touch(page, kind: str, *points: tuple[float, float]) -> None:
    page.command(
        "Input.dispatchTouchEvent",
        type=kind,
        touchPoints=[{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)],
    )
    page.settle()


def test_the_wheel_zooms_and_what_lies_under_the_pointer_stays(page):
    before = under(page, 300, 300)
    for _ in range(3):
        mouse(page, "mouseWheel", 300, 300, deltaX=0, deltaY=-200)
    (zoom,) = zooms(page)
    assert zoom == pytest.approx(math.exp(3 * 200 * 0.0022), rel=0.01)
    assert under(page, 300, 300) == pytest.approx(before, abs=0.01)
    assert page.text("#stage .z") == f"{zoom:.1f}×"
    for _ in range(8):
        mouse(page, "mouseWheel", 300, 300, deltaX=0, deltaY=400)
    assert zooms(page) == [1]
    assert page.text("#stage .z") == "Fit"


def test_keys_zoom_move_and_fit(page):
    page.press("+")
    assert zooms(page) == [pytest.approx(1.4)]
    page.press("=", "-", "+", "+")
    middle = under(page, 460, 430)
    page.press_with(SHIFT, RIGHT)
    page.press_with(SHIFT, DOWN)
    moved = under(page, 460, 430)
    assert moved[0] > middle[0] + 0.02
    assert moved[1] > middle[1] + 0.02
    page.press("z")
    assert zooms(page) == [1]
    page.press(*"+" * 12)
    assert zooms(page) == [12]
    page.click("[data-tool=fit]")
    assert zooms(page) == [1]
    page.click("[data-tool=in]")
    assert page.run("return document.activeElement.dataset.tool") == "in"
    page.click("[data-tool=in]")
    page.click("[data-tool=out]")
    assert zooms(page) == [pytest.approx(1.4)]


def test_a_double_click_zooms_there_and_the_next_one_fits(page):
    before = under(page, 600, 500)
    for count in (1, 2):
        mouse(page, "mousePressed", 600, 500, button="left", clickCount=count)
        mouse(page, "mouseReleased", 600, 500, button="left", clickCount=count)
    assert zooms(page) == [pytest.approx(2.5)]
    assert under(page, 600, 500) == pytest.approx(before, abs=0.01)
    for count in (1, 2):
        mouse(page, "mousePressed", 600, 500, button="left", clickCount=count)
        mouse(page, "mouseReleased", 600, 500, button="left", clickCount=count)
    assert zooms(page) == [1]


def test_two_fingers_zoom_between_them_and_one_moves(page):
    before = under(page, 400, 400)
    touch(page, "touchStart", (370, 400), (430, 400))
    for apart in (40, 60, 90):
        touch(page, "touchMove", (400 - apart, 400), (400 + apart, 400))
    touch(page, "touchEnd")
    (zoom,) = zooms(page)
    # the first move of a finger only tells how far apart they are
    assert 2 < zoom < 3.2
    assert under(page, 400, 400) == pytest.approx(before, abs=0.03)
    touch(page, "touchStart", (400, 400))
    touch(page, "touchMove", (430, 400))
    touch(page, "touchMove", (460, 400))
    touch(page, "touchEnd")
    assert under(page, 460, 400) == pytest.approx(before, abs=0.03)


def test_dragging_moves_the_picture_and_never_out_of_sight(page):
    page.press("+", "+", "+")
    grasped = under(page, 400, 400)
    mouse(page, "mousePressed", 400, 400, button="left", clickCount=1)
    mouse(page, "mouseMoved", 460, 440, button="left", buttons=1)
    assert under(page, 460, 440) == pytest.approx(grasped, abs=0.01)
    mouse(page, "mouseMoved", 5000, 5000, button="left", buttons=1)
    mouse(page, "mouseReleased", 900, 700, button="left", clickCount=1)
    assert page.box("#stage .mv")["left"] < 60


def test_compare_shows_two_pictures_and_both_follow(page):
    page.press("c")
    assert page.attributes("#stage .mv img", "src") == [
        COLOURS["sha256:0"].uri, COLOURS["sha256:1"].uri
    ]  # fmt: skip
    page.wait(LOADED)
    begun = zooms(page)
    page.press("+")
    assert zooms(page) == [pytest.approx(1.4 * each) for each in begun]
    left, right = page.run(
        "return [...document.querySelectorAll('#stage .pane')].map("
        "(e) => e.getBoundingClientRect().toJSON())"
    )
    for _ in range(2):
        mouse(page, "mouseWheel", left["left"] + 200, 300, deltaX=0, deltaY=-200)
    points = [under(page, box["left"] + 200, 300, pane) for pane, box in enumerate((left, right))]
    assert points[0] == pytest.approx(points[1], abs=0.005)
    assert page.attributes("#film button", "aria-current") == ["true", "true", "false"]
    page.click("#film [data-image='2']")
    assert page.attributes("#stage .mv img", "src") == [
        COLOURS["sha256:1"].uri, COLOURS["sha256:2"].uri
    ]  # fmt: skip
    page.press(LEFT)
    assert page.attributes("#stage .mv img", "src")[0] == COLOURS["sha256:0"].uri
    page.choose("#stage .pane select", "1")
    assert page.attributes("#stage .mv img", "src")[0] == COLOURS["sha256:1"].uri
    page.press("s")
    assert page.count("#stage .pane") == 1
    assert page.find("[data-tool=single]").get_attribute("aria-pressed") == "true"


def test_one_picture_is_compared_with_nothing(opened, fifty):
    page = opened(with_dates(fifty, (0.98,)), pictures=pictures_of(COLOURS))
    page.click(".card .open")
    assert page.find("[data-tool=compare]").get_attribute("disabled")
    assert page.find("[data-tool=fade]").get_attribute("disabled")
    page.press("c", "o", RIGHT)
    assert page.count("#stage .pane") == 1


def test_fading_shows_two_pictures_over_each_other_and_space_flips(page):
    page.click("[data-tool=fade]")
    over = "return Number(document.querySelector('#stage .over').style.opacity)"
    assert page.run(over) == 0.5
    assert "not aligned" in page.text("#stage .note")
    page.run(
        "const slide = document.getElementById('fade'); slide.value = '0.8';"
        "slide.dispatchEvent(new Event('input'))"
    )
    assert page.run(over) == pytest.approx(0.2)
    space = {"key": " ", "code": "Space", "windowsVirtualKeyCode": 32}
    page.command("Input.dispatchKeyEvent", type="keyDown", text=" ", **space)
    assert page.run(over) == 1
    page.command("Input.dispatchKeyEvent", type="keyUp", **space)
    assert page.run(over) == pytest.approx(0.2)
    assert page.count("#stage .pane") == 1
    page.press("o")
    assert page.count("#stage .over") == 0


def test_attention_is_an_outline_and_the_picture_stays_as_it_is(opened, fifty):
    page = opened(fifty, pictures=worklists.pictures(fifty, attention=True))
    page.click(".card .open")
    page.wait(LOADED)
    page.press("a")
    assert page.count("#stage canvas") == 1
    covered, middle = page.run(OUTLINE, "#stage canvas")
    assert 0.005 < covered < 0.15
    assert middle == 0
    plain = [page.style("#stage .mv img", name) for name in ("filter", "opacity", "mixBlendMode")]
    assert plain == ["none", "1", "normal"]
    assert "not about the skin" in page.text("#stage .note")
    picture, canvas = (page.box(f"#stage .mv {each}") for each in ("img", "canvas"))
    assert picture == canvas
    page.press("+")
    assert page.box("#stage .mv img") == page.box("#stage .mv canvas")

    page.click("[data-tool=beside]")
    assert page.run("return document.activeElement.dataset.tool") == "beside"
    assert page.count("#stage .pane") == 2
    assert page.count("#stage .pane:not(.grey) canvas") == 0
    assert page.style("#stage .pane:not(.grey) img", "filter") == "none"
    filled, middle = page.run(OUTLINE, "#stage .pane.grey canvas")
    assert filled > 2 * covered
    assert middle > 0
    page.press("c")
    assert page.count("#stage canvas") == 2
    page.press("a")
    assert page.count("#stage canvas") == 0


def test_attention_that_was_not_worked_out_is_not_drawn(page):
    page.click("[data-tool=attention]")
    assert page.count("#stage canvas") == 0
    assert "not worked out" in page.text("#stage .note")
    assert page.find("[data-tool=attention]").get_attribute("aria-pressed") == "true"


def test_the_full_screen_names_who_it_is(page):
    page.click("[data-tool=full]")
    page.wait("return document.fullscreenElement?.id === 'stage'")
    assert page.is_seen(".fsid")
    assert page.text(".fsid b") == "patient-0000 · Back, left · lesion-00000"
    assert page.text(".fsid small") == "Review priority, not a diagnosis. Unverified."
    page.press("c")
    assert page.count("#stage .pane") == 2
    page.press("f")
    page.wait("return document.fullscreenElement === null")
    assert page.opened is not None


def test_the_zoom_begins_anew_with_the_next_lesion(page):
    page.press("+", "+", "a")
    page.press("j")
    page.settle()
    assert page.text("#stage .z") == "Fit"
    assert page.complaints() == []
