"""axe-core finds nothing serious, in light and dark, at both widths, closed and opened."""

from __future__ import annotations

import pytest

from tests.review.monitoring.test_night_report import ANOTHER_CAMERA, EARLIER, figures, report
from tests.support import worklists

ESCAPE = "\ue00c"


@pytest.fixture(scope="module")
def worklist():
    return worklists.worklist(25, notes=("Marks of one file could not be read.",))


@pytest.mark.parametrize(
    ("state", "colours", "width", "height"),
    [
        ("list", "dark", 1280, 800),
        ("list", "light", 820, 1180),
        ("opened", "light", 1280, 800),
        ("marked", "dark", 1280, 800),
        ("marked", "light", 820, 1180),
        ("opened", "dark", 820, 1180),
        ("help", "light", 820, 1180),
    ],
)
def test_axe_finds_no_violation(opened, axe_source, worklist, colours, width, height, state):
    night = report(figures(3, **ANOTHER_CAMERA), EARLIER)
    page = opened(worklist, night, worklists.pictures(worklist), width=width, height=height)
    page.run("document.documentElement.dataset.theme = arguments[0]", colours)
    if state == "help":
        page.press("?")
    elif state != "list":
        page.fill("#reviewer", "A")
        page.press(ESCAPE)
        page.click(".open")
    if state == "marked":
        page.press("1", "2")
    page.run(axe_source)
    found = page.driver.execute_async_script(
        "axe.run(document, { resultTypes: ['violations'] }).then("
        "({ violations }) => arguments[0](violations), (error) => arguments[0](String(error)))"
    )
    assert isinstance(found, list), found
    told = [
        (each["id"], each["impact"], [node["html"][:160] for node in each["nodes"]][:3])
        for each in found
    ]
    assert told == []


def test_axe_would_find_a_violation(opened, axe_source, worklist):
    page = opened(worklist)
    page.run("document.querySelector('[for], label').remove(); document.body.append(new Image())")
    page.run(axe_source)
    found = page.driver.execute_async_script(
        "axe.run().then(({ violations }) => arguments[0](violations.map(({ id }) => id)))"
    )
    assert "image-alt" in found


@pytest.mark.parametrize("dark", [False, True])
def test_colours_follow_the_system_and_the_button(opened, worklist, dark):
    page = opened(worklist)
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    ground = "return getComputedStyle(document.body).backgroundColor"
    system = page.run(ground)
    page.click("#theme")  # light
    light = page.run(ground)
    page.click("#theme")  # dark
    assert page.run(ground) != light
    assert system == (page.run(ground) if dark else light)
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
