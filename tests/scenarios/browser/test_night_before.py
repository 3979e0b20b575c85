"""What is said of a lesion and of its images since the night before; the night's report."""

from __future__ import annotations

import dataclasses

import pytest

from tests.review.monitoring.test_night_report import ANOTHER_CAMERA, figures, report
from tests.review.monitoring.test_night_report import EARLIER as NIGHTS_BEFORE
from tests.support.changed_worklists import changed, with_images

NIGHT, BEFORE = "2026-11-21T02:00:00+00:00", "2026-11-18T02:00:00+00:00"
EARLIER = [(BEFORE, 0.4, "m 1 11111111")]
MODEL = "isic9-dropout 1.0.0"
CASES = [
    # previous score, change, its model; flags; arrival, earlier; chips; of the lesion; of the image
    (0.9821, 0.0, MODEL, [], (None, []), [], f"0.9821 (+0.0000), {MODEL}", None),
    (0.9821, 0.0, MODEL, ["image_added"], ("added", []), ["newImage"],
     f"0.9821 (+0.0000), {MODEL}", "added"),
    (0.9821, 0.0, MODEL, ["image_replaced"], ("replaced", []), ["newImage"],
     f"0.9821 (+0.0000), {MODEL}", "replaced"),
    (0.9821, 0.0, MODEL, ["image_gone"], (None, EARLIER), ["changed"],
     f"0.9821 (+0.0000), {MODEL}", None),
    (0.4, 0.58, MODEL, [], (None, EARLIER), ["changed"], f"0.4000 (+0.5800), {MODEL}", None),
    (0.99, -0.01, "m 1", [], (None, EARLIER), [], "0.9900 (−0.0100), m 1", None),
    (None, None, None, ["image_replaced"], ("readable", []), ["newImage"], None, "readable"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("previous", "change", "model", "flags", "image", "chips", "of_lesion", "of_image"), CASES
)
def test_what_is_said_of_a_lesion_and_of_its_images_agrees(
    opened, fifty, previous, change, model, flags, image, chips, of_lesion, of_image
):
    worklist = changed(
        fifty, 0, previous_score=previous, score_change=change, previous_model_version=model,
        flags=flags, status="open", max_score=0.98, anatomic_site="back",
    )  # fmt: skip
    arrival, earlier = image
    worklist = with_images(
        worklist, melanoma_score=[0.98], arrival=[arrival], earlier_scores=[earlier]
    )
    page, key = opened(worklist), worklist.lesions["lesion_key"][0]
    for chip in ("newTonight", "newImage", "changed"):
        page.click(f"[data-filter={chip}]")
        assert (key in page.all_keys()) == (chip in chips), chip
        page.click("[data-filter=all]")
    page.click(".card .open")
    page.click("#engineer summary")
    facts = page.run(
        "return Object.fromEntries([...document.querySelectorAll('#engineer dt')]"
        ".map((e) => [e.textContent, e.nextElementSibling.textContent]))"
    )
    assert facts.get("Night before") == of_lesion
    assert facts.get("Since the night before") == of_image
    assert page.count("[aria-label='Earlier scores'] tr") == len(earlier)
    another = model is not None and model != MODEL
    assert ("another model (m 1); the two do not compare" in page.text("#panel")) == another
    risen = "Risen since the night before: −0.4 to +3.9." in page.text("#panel")
    assert risen == (previous == 0.4)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["below_threshold_now"], "tonight’s score is below the line"),
        (["left_archive"], "its pictures left the archive"),
        (["no_longer_readable"], "tonight no picture of it can be read"),
    ],
)
def test_an_old_alert_that_nobody_closed_says_why_it_still_stands(opened, fifty, flags, said):
    page = opened(changed(fifty, 0, flags=flags))
    page.click(".card .open")
    assert said in page.text("#panel .why")
    assert "An alert of an earlier night that nobody has closed" in page.text("#panel .why")


def test_the_value_on_a_card_is_the_distance_to_the_line_with_its_sign(opened, fifty):
    worklist = changed(changed(fifty, 0, max_score=0.5), 1, max_score=0.4999)
    worklist = changed(worklist, 2, max_score=1.0)
    page = opened(worklist)
    values = page.texts(".card .sc .v")
    assert values[:2] == ["+0.0", "−0.0"]
    assert float(values[2]) > 9
    assert page.attributes(".card .sc", "aria-label")[1] == "Alert, −0.0; 0 is the alert line"
    assert "%" not in page.text(".card .body")


def test_an_unusual_night_stands_above_the_list_and_links_to_the_report(opened, fifty):
    page = opened(fifty, report(figures(3, **ANOTHER_CAMERA), NIGHTS_BEFORE))
    assert page.text("#unusual-night").strip().startswith("Unusual night.")
    for camera in ("brightness", "device"):
        assert camera in page.text("#unusual-night").lower()
    assert page.box("#unusual-night")["bottom"] < page.box(".card")["top"] < 250
    assert not page.is_seen("#night")
    page.click("#unusual-night a")
    assert page.is_seen("#night")
    assert page.run("return document.activeElement.parentElement.id") == "report"
    page = opened(fifty, report(figures(3), NIGHTS_BEFORE))
    assert page.count("#unusual-night") == 0
    assert "nothing unusual" in page.text("#report summary")


def test_where_it_was_measured_is_one_click_away(opened, fifty):
    page = opened(fifty)
    page.click(".sec .r a")
    assert page.is_seen("#measured")
    assert "95 % intervals" in page.text("#measured")
    assert "Of 100 alerts there about 52 were melanoma." in page.text("#measured")
    facts = dataclasses.replace(fifty.facts, archive={})
    assert opened(dataclasses.replace(fifty, facts=facts)).complaints() == []
