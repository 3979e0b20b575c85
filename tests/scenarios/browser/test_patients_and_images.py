"""Whose lesion it is, which image scored, what came since the night before; and the print of it."""

from __future__ import annotations

import base64
import dataclasses
import io

import pandas as pd
import pytest
from PIL import Image

from tests.review.monitoring.test_night_report import ANOTHER_CAMERA, figures, report
from tests.review.monitoring.test_night_report import EARLIER as NIGHTS_BEFORE
from tests.support import worklists

ESCAPE = "\ue00c"


@pytest.fixture(scope="module")
def fifty():
    return worklists.worklist(50)


def changed(worklist, row=0, **cells):
    """The worklist with other values in one lesion."""
    lesions = worklist.lesions.copy()
    for column, value in cells.items():
        lesions.at[row, column] = value
    return dataclasses.replace(worklist, lesions=lesions)


def with_images(worklist, row=0, **columns):
    """The worklist with other values in the images of one lesion; it has as many as are given."""
    key = worklist.lesions["lesion_key"][row]
    first = worklist.images[worklist.images["lesion_key"] == key].iloc[0]
    count = len(next(iter(columns.values())))
    mine = worklist.images.loc[[first.name] * count].copy()
    mine["image_id"] = [f"sha256:{number}" for number in range(count)]
    for column, values in columns.items():
        mine[column] = values
    rest = worklist.images[worklist.images["lesion_key"] != key]
    images = pd.concat([mine, rest], ignore_index=True)
    return dataclasses.replace(worklist, images=images)


def colour(name):
    """A picture of one colour as a data: URI."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), name).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    ("scores", "pictures", "shown", "said"),
    [
        ((0.1, 0.98, 0.5), (0, 1, 2), 1, ""),
        ((0.98, 0.98, 0.5), (0, 1, 2), 0, ""),
        ((0.1, 0.98, 0.5), (0, 2), 2, "Not the image with the highest score"),
        ((0.1, 0.98, 0.5), (), None, ""),
    ],
)
def test_the_row_s_picture_is_of_the_image_that_scored_highest(
    opened, fifty, scores, pictures, shown, said
):
    """Not of the oldest, which stands first in the opened lesion."""
    days = [f"2026-0{number + 1}-01T10:00:00" for number in range(3)]
    worklist = with_images(fifty, melanoma_score=list(scores), acquisition_datetime=days)
    uris = dict(zip(("sha256:0", "sha256:1", "sha256:2"), map(colour, ("red", "lime", "blue")),
                    strict=True))  # fmt: skip
    others = {fifty.images["image_id"].iloc[-1]: colour("white")}
    given = {f"sha256:{number}": uris[f"sha256:{number}"] for number in pictures}
    page = opened(worklist, None, given | others)
    found = page.run(
        "const image = document.querySelector('tr.lesion td.c-picture img');"
        "return image && [image.src, image.alt]"
    )
    if shown is None:
        assert found is None
        return
    assert found[0] == uris[f"sha256:{shown}"]
    assert found[1].startswith(said)
    assert bool(found[1]) == bool(said)
    page.click(".open")
    tags = [bool(tag) for tag in page.run(
        "return [...document.querySelectorAll('#detail .image')]"
        ".map((each) => each.querySelector('.image-score .tag') !== null)"
    )]  # fmt: skip
    assert tags == [number == scores.index(max(scores)) for number in range(3)]


def test_the_patient_stands_in_row_title_and_confirmation(opened, fifty):
    page = opened(fifty)
    page.fill("#reviewer", "A")
    page.press(ESCAPE)
    assert "patient-0000" in page.text("tr.lesion .c-patient")
    assert page.find(".open").get_attribute("aria-label").endswith("patient patient-0000")
    assert not page.is_seen("tr.lesion .who")
    page.click(".open")
    assert page.is_seen("tr.lesion .who")
    assert page.text("tr.lesion .who") == "patient patient-0000: "
    assert page.text("#detail-title") == "1. lesion-00000, patient patient-0000"
    page.click("#advance")
    page.press("1")
    assert page.text("#message") == "lesion-00000, patient patient-0000, marked: Call back."


def test_on_a_phone_the_row_names_the_patient(opened, fifty):
    page = opened(fifty, width=400, height=800)
    assert not page.is_seen("tr.lesion .c-patient")
    assert page.is_seen("tr.lesion .who")


PATIENTS = [
    ({"patient_key": "PATTERN:Müller-7"}, ["müller-7", "MÜLLER"], "patient Müller-7"),
    ({"patient_key": "0123456789abcdef" * 4}, ["0123456789abcdef0123", "0123456789abc…"],
     "patient 0123456789abc…"),
    ({"patient_key": "HOSP|4711", "patient_id": "4711", "issuer_of_patient_id": "HOSP"},
     ["4711", "hosp|4711"], "patient 4711"),
    ({"patient_key": "ff" * 32, "patient_id": "4711"}, ["4711", "ff" * 32], "patient 4711"),
    ({"patient_key": None}, [], "patient not known"),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "words", "shown"), PATIENTS)
def test_search_and_filter_find_a_patient_by_every_name(opened, fifty, cells, words, shown):
    worklist = changed(fifty, 7, **cells)
    key = worklist.lesions["lesion_key"][7]
    page = opened(worklist)
    for box in ("#filter-text", "#filter-patient"):
        for word in words:
            if box == "#filter-patient" and "…" in word:
                continue
            page.fill(box, word)
            assert page.keys_listed() == [key], (box, word)
        page.click("#reset")
    page.fill("#filter-text", key.rsplit("/")[-1])
    page.click(".open")
    assert page.text("#detail-title").endswith(shown)


def test_a_patient_s_list_holds_no_other_patient(opened, fifty):
    worklist = changed(changed(fifty, 0, patient_key="PATTERN:p-1"), 1, patient_key="PATTERN:p-1")
    worklist = changed(worklist, 2, patient_key="PATTERN:p-10")
    page = opened(worklist)
    page.click(".open")
    page.click("#same-patient")
    assert page.keys_listed() == list(worklist.lesions["lesion_key"][:2])


NIGHT, BEFORE = "2026-11-21T02:00:00+00:00", "2026-11-18T02:00:00+00:00"
EARLIER = [(BEFORE, 0.4, "m 1 11111111")]
CASES = [
    # previous score, change; flags; of an image: arrival, scored at, earlier; lesion, image
    (0.98, 0.0, [], (None, BEFORE, []), "0.980 (m), no change",
     "Scored in the night of 2026-11-18, and not changed since."),
    (0.98, 0.0, ["image_added"], ("added", NIGHT, []), "0.980 (m), no change; new image since",
     "New: this lesion had no such image the night before."),
    (0.98, 0.0, ["image_replaced"], ("replaced", NIGHT, []),
     "0.980 (m), no change; image replaced since", "New at its place"),
    (0.98, 0.0, ["image_gone"], (None, BEFORE, EARLIER), "0.980 (m), no change; image gone since",
     "Scored in the night of 2026-11-18"),
    (0.4, 0.58, [], (None, NIGHT, EARLIER), "0.400 (m), ▲ +0.580", "Scored again tonight."),
    (None, None, [], (None, NIGHT, []), "no score: it was not there, or could not be read",
     "Scored tonight for the first time."),
    (None, None, ["image_replaced"], ("readable", NIGHT, []),
     "no score: no image of it could be read; image replaced since",
     "Could not be read the night before."),
]  # fmt: skip


@pytest.mark.parametrize(("previous", "change", "flags", "image", "of_lesion", "of_image"), CASES)
def test_what_is_said_of_a_lesion_and_of_its_images_agrees(
    opened, fifty, previous, change, flags, image, of_lesion, of_image
):
    listed_before = previous is not None or image[0] == "readable"
    worklist = changed(
        fifty, 0, previous_score=previous, score_change=change, flags=flags,
        previous_model_version=None if previous is None else "m",
        first_listed_at=BEFORE if listed_before else NIGHT,
    )  # fmt: skip
    arrival, scored_at, earlier = image
    worklist = with_images(
        worklist, melanoma_score=[0.98], arrival=[arrival], scored_at=[scored_at],
        earlier_scores=[earlier],
    )  # fmt: skip
    page = opened(worklist)
    page.click(".open")
    facts = dict(zip(page.texts("#detail dt"), page.texts("#detail dd"), strict=True))
    assert facts["Night before"] == of_lesion
    assert of_image in page.text("#detail .image-text")
    assert "No score of an earlier night" not in page.text("#detail")
    assert page.count("#detail .earlier tbody tr") == len(earlier)
    page.press(ESCAPE)
    came = page.texts("tr.lesion .c-change .came")[:1] if flags else []
    assert bool(came) == bool(flags)


def test_in_the_first_night_there_is_no_night_before(opened, fifty):
    facts = dataclasses.replace(fifty.facts, previous_night=None)
    worklist = changed(fifty, 0, previous_score=None, score_change=None)
    page = opened(dataclasses.replace(worklist, facts=facts))
    page.click(".open")
    found = dict(zip(page.texts("#detail dt"), page.texts("#detail dd"), strict=True))
    assert found["Night before"] == "there was none"


@pytest.mark.parametrize("width", [1280, 820], ids=["wide", "narrow"])
@pytest.mark.parametrize("what", ["a lesion open", "the help open", "nothing open"])
def test_a_print_is_the_list_whatever_is_open(opened, width, what):
    """What lies over the page on a screen would lie over every printed page."""
    page = opened(worklists.worklist(60), width=width)
    if what == "a lesion open":
        page.click(".open")
        assert page.is_seen("#detail")
    elif what == "the help open":
        page.press("?")
        assert page.is_seen("#help")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        fixed = page.run(
            "return [...document.querySelectorAll('body *')].filter((each) => "
            "each.checkVisibility() && ['fixed', 'sticky'].includes("
            "getComputedStyle(each).position)).map((each) => each.id || each.className)"
        )
        assert fixed == []
        for part in ("#detail", "#help"):
            assert not page.is_seen(part)
        for column in ("rank", "label", "tier", "score", "patient", "mark"):
            assert page.is_seen(f"tr.lesion .c-{column}"), column
        size = page.run(
            "return getComputedStyle(document.querySelector('tr.lesion .c-mark .sub')).fontSize"
        )
        assert float(size.removesuffix("px")) > 5
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    pdf = page.driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
    assert base64.b64decode(pdf).startswith(b"%PDF")


def test_an_unusual_night_stands_above_the_list(opened, fifty):
    page = opened(fifty, report(figures(3, **ANOTHER_CAMERA), NIGHTS_BEFORE))
    assert page.text("#unusual-night").strip().startswith("Unusual night: ")
    top = "return document.querySelector(arguments[0]).getBoundingClientRect().bottom"
    assert page.run(top, "#unusual-night") < page.run(top, "#worklist-title")
    page = opened(fifty, report(figures(3), NIGHTS_BEFORE))
    assert page.count("#unusual-night") == 0
