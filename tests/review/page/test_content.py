"""What the page carries: values as JSON has them, names as people say them, pictures of ours."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.review.page.content import (
    instant,
    lesion_label,
    melanomas_of_100_alerts,
    page_data,
    patient_label,
    percent,
    plain,
    rows,
    script_json,
    shown,
)
from batch.review.page.pictures import NO_PICTURES, PagePicture, PagePictures
from batch.review.page.render import render
from batch.review.worklist.contract import Status, Tier
from tests.support import worklists
from tests.support.archives import POINT
from tests.support.changed_worklists import changed, pictures_of, with_dates

PIXEL = "data:image/png;base64,iVBORw0KGgo="
NAME = "0a" * 16 + ".jpg"
_ANY = st.text(max_size=30) | st.sampled_from(worklists.HOSTILE)


def inside(uri: str) -> PagePicture:
    return PagePicture("", uri, 1, 1)


def of_page(html: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    return json.loads(text)


@pytest.fixture(scope="module")
def worklist():
    return worklists.worklist(40)


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False,
    allow_infinity=False) | _ANY, lambda inner: st.lists(inner) | st.dictionaries(_ANY, inner),
    max_leaves=8,
))  # fmt: skip
def test_json_in_a_script_says_the_same_and_ends_no_script(value):
    text = script_json(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set("<>&") & set(text)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, None),
        (np.nan, None),
        (float("inf"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (True, True),
        (np.array(["a", None], object), ["a", None]),
        (("a", np.nan), ["a", None]),
        ({"a": np.float64(1)}, {"a": 1.0}),
        (pd.Timestamp("2026-11-21T02:00Z"), "2026-11-21T02:00:00+00:00"),
        (Tier.ALERT, "alert"),
    ],
    ids=repr,
)
def test_cells_become_what_json_has(value, wanted):
    found = plain(value)
    assert found == wanted
    assert type(found) is type(wanted)


def test_scores_travel_whole_so_that_an_exported_mark_reopens_nothing():
    worklist = worklists.worklist(5)
    score = np.nextafter(0.7, 1)
    worklist.lesions.loc[0, "max_score"] = score
    assert of_page(render(worklist))["lesions"][0]["score"] == score


def test_a_reviewed_lesion_below_the_band_is_not_listed_and_its_mark_is_kept():
    worklist = worklists.worklist(5)
    worklist.lesions.loc[4, ["tier", "status", "decision", "reviewed_at"]] = [
        Tier.BELOW, Status.REVIEWED, "no_action", "2026-11-19T08:30:00+00:00",
    ]  # fmt: skip
    data = of_page(render(worklist))
    assert worklist.lesions["lesion_key"][4] not in [each["key"] for each in data["lesions"]]
    assert [(mark["key"], mark["decision"]) for mark in data["kept_marks"]] == [
        (worklist.lesions["lesion_key"][4], "no_action")
    ]


def test_bytes_never_reach_the_page(worklist):
    images = worklist.images.copy()
    images["path_bytes"] = b"\xff"
    assert "path_bytes" not in rows(images)[0]
    render(dataclasses.replace(worklist, images=images))


def test_the_melanoma_class_is_told_by_the_scores_whatever_it_is_called(worklist):
    images = worklist.images.copy()
    images["class_scores"] = [{"x": m, "y": 1 - m} for m in images["melanoma_score"]]
    data = page_data(dataclasses.replace(worklist, images=images), NO_PICTURES)
    assert (data["melanoma_class"], data["classes"]) == ("x", ["x", "y"])


def test_a_picture_travels_with_its_size_and_only_of_listed_images(worklist):
    first, second = worklist.images["image_id"][:2]
    found = {first: PagePicture("", PIXEL, 4, 3), "another": inside(PIXEL)}
    made = pictures_of(found, attention={first: [[1.0]]}, withheld=frozenset({second}))
    html = render(worklist, None, made)
    assert html.count(PIXEL) == 1
    images = {image["id"]: image for each in of_page(html)["lesions"] for image in each["images"]}
    assert images[first]["picture"] == {"source": PIXEL, "width": 4, "height": 3}
    assert (images[first]["attention"], images[first]["withheld"]) == ([[1.0]], False)
    assert (images[second]["picture"], images[second]["withheld"]) == (None, True)


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.org/a.jpg",
        "data:image/svg+xml;base64,AAAA",
        "data:text/html;base64,AAAA",
        "data:image/jpeg;base64,AA</script>",
        "data:image/jpeg;base64,AA AA",
        "data:image/jpeg;base64,",
        "data:image/jpeg,abc",
        "data:image/png;base64,AAAA\n",
        "",
    ],
)
def test_a_picture_within_the_page_is_a_jpeg_or_png_or_refused(worklist, uri):
    image_id = worklist.images["image_id"][0]
    with pytest.raises(ValueError, match="data: URI"):
        page_data(worklist, pictures_of({image_id: inside(uri)}))


@pytest.mark.parametrize("prefix", ["pictures/", "../pictures/", "../../pictures/"])
def test_a_file_is_named_by_its_way_from_the_page(worklist, prefix):
    found = {worklist.images["image_id"][0]: PagePicture(NAME, "", 4, 3)}
    data = page_data(worklist, PagePictures(prefix, found, {}, frozenset()))
    assert data["lesions"][0]["images"][0]["picture"]["source"] == prefix + NAME


@pytest.mark.parametrize(
    ("prefix", "name", "uri"),
    [
        ("", NAME, ""),
        ("https://example.org/pictures/", NAME, ""),
        ("/pictures/", NAME, ""),
        ("../pictures", NAME, ""),
        ("pictures/", "a.jpg", ""),
        ("pictures/", "../" + NAME, ""),
        ("pictures/", NAME.upper(), ""),
        ("pictures/", NAME + "\n", ""),
        ("pictures/", NAME, "https://example.org/a.jpg"),
        ("pictures/", NAME, PIXEL),
    ],
)
def test_a_file_of_another_name_or_place_is_refused(worklist, prefix, name, uri):
    found = {worklist.images["image_id"][0]: PagePicture(name, uri, 4, 3)}
    with pytest.raises(ValueError, match="picture"):
        page_data(worklist, PagePictures(prefix, found, {}, frozenset()))


def test_images_of_a_lesion_stand_in_order_of_time_undated_last(worklist):
    dated = with_dates(worklist, (0.1, 0.9, 0.5))
    images = dated.images.copy()
    images.loc[0, "acquisition_datetime"] = None
    images.loc[1, "acquisition_datetime"] = "2027-01-01"
    data = page_data(dataclasses.replace(dated, images=images), NO_PICTURES)
    assert [image["id"] for image in data["lesions"][0]["images"]] == [
        "sha256:2", "sha256:1", "sha256:0"
    ]  # fmt: skip


def test_files_without_a_score_travel_with_their_lesion(worklist):
    key = worklist.lesions["lesion_key"][3]
    files = worklist.unreadable.copy()
    files.loc[1, "lesion_key"] = key
    data = page_data(dataclasses.replace(worklist, unreadable=files), NO_PICTURES)
    (found,) = [each for each in data["lesions"] if each["key"] == key]
    assert found["unread"] == [{"path": files["path"][1], "reason": files["reason"][1]}]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, 52),
        ({"sensitivity": 1.0, "specificity": 1.0}, 100),
        ({"sensitivity": 0.9, "specificity": 0.9, "melanomas": 10, "others": 90}, 50),
        ({"sensitivity": 0.0, "specificity": 0.5}, 0),
        ({"sensitivity": 0.0, "specificity": 1.0}, None),
    ],
)
def test_melanomas_of_100_alerts_follow_from_the_validation_set(changes, wanted):
    assert melanomas_of_100_alerts(dataclasses.replace(POINT, **changes)) == wanted


def test_the_page_knows_budget_language_and_what_the_model_misses(worklist):
    data = of_page(render(worklist, archive_key="here", budget=7, language="de"))
    assert (data["archive"], data["budget"], data["language"]) == ("here", 7, "de")
    assert (data["missed_of_100"], data["of_100_alerts"], data["below"]) == (4, 52, 512)
    assert data["decisions"] == ["call_back", "follow_up", "no_action", "new_image"]
    assert data["tiers"] == ["alert", "near_threshold", "unreadable", "unreliable"]
    assert of_page(render(worklist))["language"] is None


@pytest.mark.parametrize(
    ("cells", "label"),
    [
        ({"patient_key": None}, None),
        ({"patient_key": "ff" * 32}, "f" * 13 + "…"),
        ({"patient_key": "ff" * 32, "patient_id": "4711"}, "4711"),
        ({"patient_key": "PATTERN:anna-7"}, "anna-7"),
    ],
)
def test_a_patient_is_called_by_the_hospital_s_number_where_it_is_known(worklist, cells, label):
    data = page_data(changed(worklist, 0, **cells), NO_PICTURES)
    assert data["lesions"][0]["patient_label"] == label


@pytest.mark.parametrize(
    ("key", "paths", "label"),
    [
        ("sha256:" + "a" * 64, ["visit/IMG_1.jpg"], "IMG_1.jpg"),
        ("sha256:" + "a" * 64, [], "…" + "a" * 39),
        ("FILE:inbox/a.jpg", ["inbox/a.jpg"], "a.jpg"),
        ("IMAGE:odd id", ["x/y.dcm"], "y.dcm"),
        ("PATTERN:patient-1/lesion-2", [], "lesion-2"),
        ("PATTERN:lesion-2", [], "lesion-2"),
        ("TRACKING:abc/back 1", [], "back 1"),
        ("1.2.840.113619.2.1.99.1234567890", [], "…567890"),
        ("1.2.840.113619.2.1.99.1234567890@patient", [], "…567890"),
        ("1.2.3", [], "1.2.3"),
        ("1.2.3@patient", [], "1.2.3"),
    ],
)
def test_a_lesion_is_called_what_a_person_would_call_it(key, paths, label):
    assert lesion_label(key, paths) == label
    assert len(label) <= 40


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("f" * 64, "f" * 13 + "…"),
        ("PATTERN:anna-7", "anna-7"),
        ("issuer|12345", "12345"),
        ("|12345", "12345"),
        ("short", "short"),
    ],
)
def test_a_patient_is_named_shortly(key, label):
    assert patient_label(key) == label


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, ""),
        ("a\u202eb", "a\\u202eb"),
        ("a\x00\n", "a\\u0000\\u000a"),
        ("\ud800", "\\ud800"),
        ("Ünal 皮", "Ünal 皮"),
    ],
)
def test_what_would_hide_is_shown(text, wanted):
    assert shown(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-21T02:00:00+00:00", "2026-11-21 02:00 UTC"),
        ("2026-11-21T02:00:00+01:00", "2026-11-21 01:00 UTC"),
        ("2026-11-21", "2026-11-21"),
        ("2026-11-21T02:00:00", "2026-11-21T02:00:00"),
        ("soon", "soon"),
        ("", ""),
        (None, ""),
    ],
)
def test_times_are_short(text, wanted):
    assert instant(text) == wanted


@pytest.mark.parametrize(("share", "wanted"), [(0.0, "0 %"), (0.9649, "96 %"), (1.0, "100 %")])
def test_shares_are_percent(share, wanted):
    assert percent(share) == wanted
