"""axe-core finds no violation: all views, dialogs, states, languages, colours and sizes."""

from __future__ import annotations

import pytest

from tests.review.monitoring.test_night_report import ANOTHER_CAMERA, EARLIER, figures, report
from tests.support import worklists
from tests.support.changed_worklists import only, with_unread_file

AXE = (
    "axe.run(document, { resultTypes: ['violations'] }).then("
    "({ violations }) => arguments[0](violations), (error) => arguments[0](String(error)))"
)
KEY = "PATTERN:patient-0000/lesion-00000"
WIDE, PHONE, TABLET, LARGE = (1280, 800), (390, 844), (820, 1180), (2560, 1440)
STATES = [
    # name, address, keys, colours, language, size
    ("gallery", "", "", "light", "en", WIDE),
    ("gallery", "", "", "dark", "en", WIDE),
    ("gallery", "", "", "light", "de", PHONE),
    ("gallery", "", "", "dark", "en", TABLET),
    ("gallery", "", "", "light", "en", LARGE),
    ("list", "#list", "", "light", "en", WIDE),
    ("list", "#list", "", "dark", "de", TABLET),
    ("list", "#list", "", "light", "en", PHONE),
    ("patients", "#patients", "", "dark", "en", WIDE),
    ("a patient", "#patient=PATTERN:patient-0000", "", "light", "en", WIDE),
    ("a patient", "#patient=PATTERN:patient-0000", "", "dark", "en", PHONE),
    ("a lesion", f"#lesion={KEY}", "", "light", "en", WIDE),
    ("a lesion", f"#lesion={KEY}", "", "dark", "de", PHONE),
    ("a lesion", f"#lesion={KEY}", "", "light", "en", TABLET),
    ("compare", f"#lesion={KEY}", "c", "dark", "en", LARGE),
    ("fade", f"#lesion={KEY}", "o", "light", "en", WIDE),
    ("attention", f"#lesion={KEY}", "a", "dark", "en", WIDE),
    ("marked", f"#lesion={KEY}", "1k", "light", "en", WIDE),
    ("details", f"#lesion={KEY}", "", "light", "en", WIDE),
    ("report", "", "", "dark", "en", WIDE),
    ("help", "", "?", "light", "en", TABLET),
    ("help", "", "?", "dark", "de", WIDE),
    ("who", f"#lesion={KEY}", "1", "dark", "en", WIDE),
    ("no alerts", "", "", "light", "en", WIDE),
    ("nothing found", "", "", "dark", "en", WIDE),
    ("unreadable", "", "", "light", "en", WIDE),
    ("without pictures", "", "", "dark", "en", WIDE),
]


@pytest.fixture(scope="module")
def worklist():
    return worklists.worklist(25, notes=("Marks of one file could not be read.",))


def violations(page, source: str) -> list[tuple]:
    page.run(source)
    found = page.driver.execute_async_script(AXE)
    assert isinstance(found, list), found
    return [
        (each["id"], each["impact"], [node["html"][:160] for node in each["nodes"]][:3])
        for each in found
    ]


@pytest.mark.parametrize(
    ("state", "place", "keys", "colours", "language", "size"),
    STATES,
    ids=[
        f"{name}-{colours}-{language}-{size[0]}" for name, _, _, colours, language, size in STATES
    ],
)
def test_axe_finds_no_violation(
    opened, axe_source, worklist, state, place, keys, colours, language, size
):
    shown, pictures = worklist, worklists.pictures(worklist, attention=True)
    row = int(worklist.lesions.index[worklist.lesions["tier"] == "unreadable"][0])
    if state == "no alerts":
        shown = only(worklist, "near_threshold", "unreadable")
    elif state == "unreadable":
        shown = with_unread_file(worklist, row, "visit/a.dcm")
    elif state == "without pictures":
        pictures = type(pictures)("", {}, {}, frozenset())
    night = report(figures(3, **ANOTHER_CAMERA), EARLIER)
    page = opened(shown, night, pictures, language=language, width=size[0], height=size[1])
    page.run("document.documentElement.dataset.theme = arguments[0]", colours)
    if state == "marked":
        page.call_me("A")
    if place:
        page.go(place)
    page.press(*keys)
    if state == "unreadable":
        page.open_lesion(worklist.lesions["lesion_key"][row])
    elif state == "nothing found":
        page.fill("#search", "no such words")
    elif state in ("report", "details"):
        page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    wanted = {"help": "#help", "who": "#who", "no alerts": "#no-alerts", "nothing found": ".empty",
              "unreadable": "#stage .noimg", "fade": "#stage .over", "attention": "#stage canvas",
              "marked": ".decided", "without pictures": ".nopic", "report": "#night",
              "details": "#engineer dl"}.get(state)  # fmt: skip
    assert wanted is None or page.is_seen(wanted)
    page.settle()
    assert violations(page, axe_source) == []


def test_axe_would_find_a_violation(opened, axe_source, worklist):
    page = opened(worklist)
    page.run("document.body.append(new Image())")
    assert "image-alt" in {name for name, _, _ in violations(page, axe_source)}


def test_texts_are_large_enough_and_targets_can_be_hit(opened, worklist):
    page = opened(worklist, pictures=worklists.pictures(worklist))
    smallest = (
        "return Math.min(...[...document.querySelectorAll('body *')].filter((e) => "
        "e.checkVisibility() && !e.closest('kbd, svg, .axl, .av, script, style') && "
        "[...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))"
        ".map((e) => parseFloat(getComputedStyle(e).fontSize)))"
    )
    lowest = (
        "return Math.min(...[...document.querySelectorAll('#lesion button, #lesion a.btn')]"
        ".filter((e) => e.checkVisibility()).map((e) => e.getBoundingClientRect().height))"
    )
    for place in ("#gallery", "#list", "#patients", f"#lesion={KEY}"):
        page.go(place)
        assert page.run(smallest) >= 12, place
    assert page.run(lowest) >= 34
    assert page.box("[data-decision]")["height"] >= 42
    phone = opened(worklist, width=390, height=844)
    phone.go(f"#lesion={KEY}")
    assert phone.box("[data-decision]")["height"] >= 46
    assert phone.box(".dbs")["bottom"] <= 844
