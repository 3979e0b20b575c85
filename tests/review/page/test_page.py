"""The page as text: what must stand on it, and that nothing of the archive becomes markup."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.review.page.render import render
from tests.review.monitoring.test_night_report import ANOTHER_CAMERA, EARLIER, figures, report
from tests.support import worklists
from tests.support.changed_worklists import coloured, pictures_of


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
        "sensitivity-0.95: alert from score 0.5000 (provisional)",
        "near the line from 0.3333",
        "Sensitivity 96 % (90 % to 99 %; 57 melanomas)",
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
        "No alert does not mean cleared.",
        "Golden images: 4 rescored",
        "Images of the archive without a score",
    ],
)
def test_what_must_stand_on_every_page(parsed, text):
    assert text in parsed.text


_DENIED = r"none of them is|not a diagnosis|does not mean|benign keratosis"


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
    assert "In the archive: 1,000 files, 900 images with a score" in text
    assert "Unusual" not in text
    assert "nights before" not in text
    assert '"lesions":[]' in html


def test_an_unusual_night_is_said_at_the_top_in_one_sentence_or_two(worklist):
    text = _Parsed(render(worklist, report(figures(3, **ANOTHER_CAMERA), EARLIER))).text
    assert "Unusual night. Brightness (0 to 255), share of red, share of blue," in text
    assert "Look at cameras, export and model before relying on tonight's list." in text
    assert "Night report unusual" in " ".join(text.split())
    one = report(figures(3, **ANOTHER_CAMERA), EARLIER)
    one = dataclasses.replace(
        one, drift=tuple(dataclasses.replace(e, unusual=not n) for n, e in enumerate(one.drift))
    )
    assert f"Unusual night. {one.drift[0].sentence}" in _Parsed(render(worklist, one)).text
    usual = _Parsed(render(worklist, report(figures(3), EARLIER))).text
    assert "Unusual night" not in usual
    assert "Night report nothing unusual in what could be compared" in " ".join(usual.split())


def test_the_policy_names_the_very_script_and_style_and_forbids_the_rest(worklist):
    html = render(worklist, None, pictures_of({worklist.images["image_id"][0]: coloured("red")}))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.replace("&#39;", "'").split(";"))
    scripts = re.findall(r"<script>(.*?)</script>", html, re.S)
    styles = re.findall(r"<style>(.*?)</style>", html, re.S)
    assert (len(scripts), len(styles)) == (1, 1)
    for rule, (text,) in (("script-src", scripts), ("style-src", styles)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data: file: 'self'"
    assert "unsafe" not in policy and "http" not in policy  # noqa: PT018
    assert html.index("Content-Security-Policy") < html.index("<style>") < html.index("<script")


def test_the_page_names_no_address_and_no_handler(parsed):
    for tag, attributes in parsed.elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "img"}
        assert tag != "form" or attributes["method"] == "dialog"  # asks nobody
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            assert name not in {"src", "href"} or (value or "").startswith("#")


def test_only_our_font_is_asked_for_and_it_is_within_the_page(worklist):
    (style,) = _Parsed(render(worklist)).raw["style"]
    urls = re.findall(r"url\(([^)]*)\)", style)
    assert len(urls) == 1
    assert urls[0].startswith("data:font/woff2;base64,")
    assert "@import" not in style


@pytest.mark.parametrize("word", [*worklists.HOSTILE, '"}*{display:none}', "\\", "a\nb"])
def test_a_model_s_name_stays_within_the_words_on_paper(worklist, word):
    """It stands in the style, between quotation marks."""
    facts = dataclasses.replace(worklist.facts, model_id=word, model_version=word)
    (style,) = _Parsed(render(dataclasses.replace(worklist, facts=facts))).raw["style"]
    (harmless,) = _Parsed(render(worklist)).raw["style"]
    assert style[: style.index("@page en")] == harmless[: harmless.index("@page en")]
    told = re.sub(r'"(?:[A-Za-z0-9 /.,:+-]|\\[0-9a-f]+ )*"', '""', style[style.index("@page en") :])
    assert told == re.sub(r'"[^"]*"', '""', harmless[harmless.index("@page en") :])


def test_every_language_has_its_words_on_paper(worklist):
    (style,) = _Parsed(render(worklist)).raw["style"]
    for language in ("en", "de"):
        assert f"@page {language}{{@top-left" in style
        assert f":lang({language}) #print{{page:{language}}}" in style
    assert style.count("counter(page)") == style.count("counter(pages)") == 2


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
