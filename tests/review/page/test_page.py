"""The page as text: what must stand on it, and that nothing of the archive becomes markup."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.review.page.content import (
    instant,
    lesion_label,
    page_data,
    patient_label,
    percent,
    plain,
    rows,
    script_json,
    shown,
)
from batch.review.page.pictures import PagePicture, PagePictures
from batch.review.page.render import render
from batch.review.worklist.contract import Status, Tier
from tests.review.monitoring.test_night_report import ANOTHER_CAMERA, EARLIER, figures, report
from tests.support import worklists


def pictures(uris: dict[str, str]) -> PagePictures:
    found = {image_id: PagePicture("", uri, 1, 1) for image_id, uri in uris.items()}
    return PagePictures("", found, {}, frozenset())


PIXEL = "data:image/png;base64,iVBORw0KGgo="


class _Parsed(HTMLParser):
    """Elements with their attributes, and all text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._within = tag if tag in self.raw else ""

    def handle_endtag(self, tag):
        self._within = ""
        if tag in ("td", "th", "dt", "dd"):
            self.words.append(" ")

    def handle_data(self, data):
        (self.raw[self._within] if self._within else self.words).append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def _data(html: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    return json.loads(text)


@pytest.fixture(scope="module")
def worklist():
    return worklists.worklist(40, notes=("One note.",))


@pytest.fixture(scope="module")
def parsed(worklist):
    return _Parsed(render(worklist, report(figures(3), EARLIER)))


@pytest.mark.parametrize(
    "text",
    [
        "Review priority, not a diagnosis. Unverified.",
        "night of 2026-11-21 02:00 UTC",
        "isic9-dropout 1.0.0",
        "sensitivity-0.95: alert from score 0.5000 provisional",
        "near the threshold from 0.3333",
        "sensitivity 96 % (90 % to 99 %; 57 melanomas)",
        "specificity 50 % (40 % to 60 %; 100 others) on numbers made up for tests",
        "20261121T020000Z-1f3a; compared with 2026-11-20 02:00 UTC",
        "Caution. A reference, not fit to guide review.",
        "Note. One note.",
        "512 lesions lie below the band and are not listed; none of them is called clear.",
        "In the archive: 1,000 files, 900 images with a score, 800 lesions, 90 patients.",
        "inbox/broken-0.jpg frame 2",
        "non image: other file type 12",
        "pending: not settled 4",
        "Near threshold Alert score rose",
        "No alert never means cleared.",
        "Golden images: 4 rescored",
        "Images of the archive without a score",
    ],
)
def test_what_must_stand_on_every_page(parsed, text):
    assert text in parsed.text


_DENIED = r"none of them is|not a diagnosis|never means|benign keratosis"


def test_nothing_is_called_clear_or_diagnosed(parsed, worklist):
    """But to deny it."""
    told = parsed.text + json.dumps(_data(render(worklist)))
    for word in ("clear", "benign", "healthy", "diagnos", "negative", "cancer"):
        for found in re.finditer(word, told, re.IGNORECASE):
            around = told[max(0, found.start() - 60) : found.end() + 20]
            assert re.search(_DENIED, around), around


def test_without_report_changes_and_lesions_the_page_still_stands():
    html = render(dataclasses.replace(
        worklists.worklist(0, caution=None, unreadable=0, not_looked_at={}),
    ))  # fmt: skip
    text = _Parsed(html).text
    assert "Every image that was found could be read." in text
    assert "Every file that was found was looked at." in text
    assert "Caution" not in text
    assert "Night report" not in text
    assert _data(html)["lesions"] == []


def test_an_unusual_night_is_said_at_the_top(worklist):
    text = _Parsed(render(worklist, report(figures(3, **ANOTHER_CAMERA), EARLIER))).text
    assert "Night report unusual" in text
    assert "Night report unusual" not in _Parsed(render(worklist, report(figures(3), EARLIER))).text


def test_the_policy_names_the_very_script_and_style_and_forbids_the_rest(worklist):
    html = render(worklist, None, pictures({worklist.images["image_id"][0]: PIXEL}))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.replace("&#39;", "'").split(";"))
    scripts = re.findall(r"<script>(.*?)</script>", html, re.S)
    styles = re.findall(r"<style>(.*?)</style>", html, re.S)
    assert (len(scripts), len(styles)) == (1, 1)
    for rule, (text,) in (("script-src", scripts), ("style-src", styles)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data: 'self'"
    assert "unsafe" not in policy and "http" not in policy  # noqa: PT018
    assert html.index("Content-Security-Policy") < html.index("<style>") < html.index("<script")


def test_the_page_names_no_address_and_no_handler(parsed):
    for tag, attributes in parsed.elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form", "img"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            assert name not in {"src", "href"} or (value or "").startswith("#")


_ANY = st.text(max_size=30) | st.sampled_from(worklists.HOSTILE)


@settings(max_examples=40)
@given(_ANY, _ANY)
def test_no_text_of_an_archive_changes_the_elements(first, second):
    harmless = _Parsed(render(worklists.worklist(3, words=("a", "b"))))
    spoilt = _Parsed(render(worklists.worklist(3, words=(f"{first}1", f"{second}2"))))
    found, wanted = (
        Counter((tag, *sorted(attributes)) for tag, attributes in each.elements)
        for each in (spoilt, harmless)
    )
    assert found == wanted
    assert spoilt.raw["style"] == harmless.raw["style"]
    assert spoilt.raw["script"][1:] == harmless.raw["script"][1:]


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
    assert _data(render(worklist))["lesions"][0]["score"] == score


def test_a_reviewed_lesion_below_the_band_is_not_listed_and_its_mark_is_kept():
    worklist = worklists.worklist(5)
    worklist.lesions.loc[4, ["tier", "status", "decision", "reviewed_at"]] = [
        Tier.BELOW, Status.REVIEWED, "no_action", "2026-11-19T08:30:00+00:00",
    ]  # fmt: skip
    data = _data(render(worklist))
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
    data = page_data(dataclasses.replace(worklist, images=images), {}, {})
    assert (data["melanoma_class"], data["classes"]) == ("x", ["x", "y"])


def test_each_picture_stands_once_and_only_of_listed_images(worklist):
    ids = list(worklist.images["image_id"][:2])
    html = render(worklist, None, pictures(dict.fromkeys([*ids, "another"], PIXEL)))
    assert html.count(PIXEL) == 2
    images = {image["id"]: image for each in _data(html)["lesions"] for image in each["images"]}
    assert [images[i]["picture"] for i in ids] == [0, 1]


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
def test_a_picture_is_embedded_or_refused(worklist, uri):
    image_id = worklist.images["image_id"][0]
    with pytest.raises(ValueError, match="data: URI"):
        render(worklist, None, pictures({image_id: uri}))


def test_a_file_is_named_by_its_way_from_the_page(worklist):
    image_id, name = worklist.images["image_id"][0], f"{'0a' * 16}.jpg"
    found = {image_id: PagePicture(name, "", 4, 3)}
    for prefix in ("pictures/", "../pictures/", "../../pictures/"):
        html = render(worklist, None, PagePictures(prefix, found, {}, frozenset()))
        assert html.count(f">{prefix}{name}<") == 1
    for prefix in ("", "https://example.org/pictures/", "/pictures/", "../pictures"):
        with pytest.raises(ValueError, match="picture"):
            render(worklist, None, PagePictures(prefix, found, {}, frozenset()))


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
        ("1.2.840.113619.2.1.99.1234567890", [], "…0.113619.2.1.99.1234567890"[-20:]),
        ("1.2.3", [], "1.2.3"),
        ("1.2.3@patient", [], "1.2.3"),
    ],
)
def test_a_lesion_is_called_what_a_person_would_call_it(key, paths, label):
    found = lesion_label(key, paths)
    assert found.lstrip("…") == label.lstrip("…")[-len(found.lstrip("…")) :]
    assert found
    assert len(found) <= 40


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
