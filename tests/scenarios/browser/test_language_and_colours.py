"""German everywhere and remembered; light and dark by the system and by the button."""

from __future__ import annotations

import pytest

from tests.scenarios.browser.opened import ESCAPE
from tests.support import worklists
from tests.support.archives import REPOSITORY
from tests.support.changed_worklists import only, with_unread_file

SEEN_WORDS = """
const words = new Set();
const skipped = "script, style, #report, .banner, code, option, kbd, [lang]:not(html)";
for (const node of (function* (walker) { while (walker.nextNode()) yield walker.currentNode; })(
  document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT))) {
  const within = node.parentElement;
  if (within.checkVisibility() && !within.closest(skipped)) words.add(node.data.trim());
}
for (const each of document.querySelectorAll("[aria-label], [title], [placeholder]")) {
  if (!each.checkVisibility() || each.closest(skipped)) continue;
  for (const name of ["aria-label", "title", "placeholder"]) {
    words.add(each.getAttribute(name) ?? "");
  }
}
for (const each of document.querySelectorAll("select")) {
  if (each.checkVisibility()) [...each.options].forEach((option) => words.add(option.text));
}
return [...words].filter(Boolean);
"""


_SOURCE = "".join(
    (REPOSITORY / "batch/review/page/templates" / f"text-{name}.js").read_text("utf-8")
    for name in ("en", "de")
)
_PLAIN = """
return Object.fromEntries(Object.entries(TEXT).map(([name, all]) => [name, Object.fromEntries(
  [...Object.entries(all), ...Object.entries(all.facts)]
    .filter(([, text]) => typeof text === "string"))]));
"""
_NAMES = """
const names = (all, before) => Object.entries(all).flatMap(([name, value]) =>
  typeof value === "object" ? names(value, `${before}${name}.`)
    : [`${before}${name} ${typeof value === "function" ? value.length : "text"}`]);
return Object.fromEntries(Object.entries(TEXT).map(([name, all]) => [name, names(all, "")]));
"""


@pytest.fixture(scope="module")
def texts(driver):
    """The page's texts by language and name, those without numbers or names in them."""
    driver.get("about:blank")
    return driver.execute_script(_SOURCE + _PLAIN)


@pytest.fixture(scope="module")
def keys_of_texts(driver):
    """By language the name of every text, and how many numbers or names a sentence takes."""
    driver.get("about:blank")
    return driver.execute_script(_SOURCE + _NAMES)


def test_german_has_every_text_in_the_same_form(keys_of_texts):
    german = {name for name in keys_of_texts["de"] if not name.startswith("sites.")}
    assert german == set(keys_of_texts["en"])
    assert len(german) > 150


def english_left(page, texts) -> set[str]:
    """English texts that are seen and that are not German, too."""
    english = set(texts["en"].values()) - set(texts["de"].values())
    sentences = {text for text in english if len(text) > 20}
    return {
        word
        for word in page.run(SEEN_WORDS)
        if {word, word.rstrip(" .,:")} & english or any(text in word for text in sentences)
    }


STATES = {
    "gallery": "#gallery", "list": "#list", "patients": "#patients",
    "a patient": "#patient=PATTERN:patient-0000",
    "a lesion": "#lesion=PATTERN:patient-0000/lesion-00000",
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_no_english_word_is_left_in_the_german_frame(opened, fifty, texts, state):
    page = opened(fifty, pictures=worklists.pictures(fifty, attention=True), language="de")
    assert page.run("return document.documentElement.lang") == "de"
    page.go(STATES[state])
    assert english_left(page, texts) == set()
    if state == "a lesion":
        page.click("#engineer summary")
        page.call_me("KS")
        for keys in ("c", "o", "a", "s", "1", "k", "0"):
            page.press(keys)
            assert english_left(page, texts) == set(), keys
    elif state == "gallery":
        assert page.text(".chip") == "Alle offenen 47"
        page.press("?")
        assert english_left(page, texts) == set()
        page.press(ESCAPE)
        page.fill("#search", "gibt es nicht")
        assert english_left(page, texts) == set()


def test_the_probe_would_find_english(opened, fifty, texts):
    page = opened(fifty)
    assert {"All open", "Tonight’s work", "Gallery", "Alert"} <= english_left(page, texts)


def test_sentences_sites_dates_and_decimals_are_german(opened, fifty):
    page = opened(fifty, language="de", pictures=worklists.pictures(fifty))
    assert page.texts(".card .who")[0] == "patient-0000Rücken, linkslesion-00000"
    assert page.text(".card .sc .v") == "+3,9"
    assert page.text(".card .foot span:last-child") == "aufgenommen 1. Jan. 2026"
    assert "die ersten 12 von 47 offenen Läsionen, 26 % der offenen Liste" in page.text(".sec")
    page.click(".card .open")
    assert "Ein älteres Bild (1. Mai 2023) trägt den Wert" in page.text("#panel")
    page.press("1")
    assert page.is_seen("#who")
    assert "Wer entscheidet?" in page.text("#who")
    empty = opened(only(fifty, "near_threshold"), language="de")
    assert "Das ist kein Befund: 512 Läsionen" in empty.text("#no-alerts")
    row = int(fifty.lesions.index[fifty.lesions["tier"] == "unreadable"][0])
    unread = opened(with_unread_file(fifty, row, "a.dcm"), language="de")
    unread.open_lesion(fifty.lesions["lesion_key"][row])
    assert unread.text("#stage h2") == "Dieses Bild war nicht lesbar"


def test_a_language_is_chosen_and_remembered(opened, fifty):
    page = opened(fifty, language="en")
    page.click("#language")
    assert page.text(".chip").startswith("Alle offenen")
    assert page.driver.title == "Morgenliste, 21. Nov. 2026"
    page.reload()
    assert page.text(".chip").startswith("Alle offenen")
    page = opened(fifty, language="en")  # what a person chose outweighs what the night was told
    assert page.text(".chip").startswith("Alle offenen")
    page.click("#language")
    assert page.text(".chip").startswith("All open")


@pytest.mark.parametrize(("asked", "shown"), [("de-CH", "de"), ("en-GB", "en"), ("fr", "en")])
def test_without_a_choice_the_browser_s_language_counts(opened, fifty, asked, shown):
    page = opened(fifty)
    script = f"Object.defineProperty(navigator, 'languages', {{ get: () => ['{asked}'] }});"
    made = page.command("Page.addScriptToEvaluateOnNewDocument", source=script)
    try:
        page.reload()
        assert page.run("return document.documentElement.lang") == shown
    finally:
        page.command("Page.removeScriptToEvaluateOnNewDocument", identifier=made["identifier"])


GROUND = "return getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(244, 245, 246)", "rgb(15, 18, 21)"


@pytest.mark.parametrize("system", ["light", "dark"])
def test_colours_follow_the_system_until_a_person_chooses(opened, fifty, system):
    page = opened(fifty)
    feature = {"name": "prefers-color-scheme", "value": system}
    page.command("Emulation.setEmulatedMedia", features=[feature])
    there, other = (LIGHT, DARK) if system == "light" else (DARK, LIGHT)
    assert page.run(GROUND) == there
    page.click("#theme")
    assert page.run(GROUND) == other
    page.reload()
    assert page.run(GROUND) == other
    page.click("#theme")
    assert page.run(GROUND) == there


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_stage_behind_a_picture_is_dark_in_both(opened, fifty, system):
    page = opened(fifty)
    page.command(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": system}]
    )
    page.click(".card .open")
    assert page.style("#stage", "backgroundColor") == "rgb(12, 14, 16)"
