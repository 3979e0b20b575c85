"""The page's part of the desk, without a server: what it sends, what it does with others' marks."""

from __future__ import annotations

import html
import json

import pytest

from tests.support import worklists

MARK = {
    "decision": "follow_up", "reviewer": "KS", "reviewed_at": "2026-11-22T08:00:00+00:00",
    "score": 1.0, "image_count": 9, "diagnosis": "nevus", "comment": "dots",
}  # fmt: skip
HEAR = (
    "document.dispatchEvent("
    "new CustomEvent('desk:marks', { cancelable: true, detail: arguments[0] }))"
)


@pytest.fixture
def on_a_desk(opened):
    """Opens a worklist's page as a desk serves it."""

    def open_page(worklist, **settings):
        page = opened(worklist)
        told = html.escape(json.dumps({"read_only": False, "originals": False, **settings}))
        text = page.file.read_text(encoding="utf-8")
        page.file.write_text(text.replace("<html ", f'<html data-desk="{told}" ', 1), "utf-8")
        page.reload()
        return page

    return open_page


def hear(page, marks, **more) -> None:
    page.run(HEAR, {"marks": marks, **more})
    page.settle()


def test_500_marks_are_drawn_together(on_a_desk):
    """Drawn one by one they would keep a reader with 5,000 lesions waiting for seconds."""
    worklist = worklists.worklist(5000)
    page = on_a_desk(worklist)
    keys = list(worklist.lesions["lesion_key"][:500])
    closed = set(worklist.lesions[worklist.lesions["status"] == "reviewed"]["lesion_key"])
    page.run(
        "window.drawn = 0; new MutationObserver(() => { window.drawn += 1; })"
        ".observe(document.getElementById('chips'), { childList: true })"
    )
    page.run(
        "for (const [key, mark] of arguments[0]) document.dispatchEvent(new CustomEvent("
        "'desk:marks', { cancelable: true, detail: { marks: [[key, mark]] } }))",
        [[key, MARK] for key in keys],
    )
    page.settle()
    assert page.run("return window.drawn") == 1
    assert page.chip("reviewed") == len(closed | set(keys))


def test_a_mark_of_another_is_shown_where_the_lesion_is_open_and_typing_goes_on(on_a_desk, fifty):
    page, key = on_a_desk(fifty), fifty.lesions["lesion_key"][0]
    page.open_lesion(key)
    page.press("m")
    page.press(*"my own")
    hear(page, [[key, MARK]])
    assert "by KS" in page.text(".decided")
    assert page.texts(".other p")[1:] == ["Diagnosis: nevus", "Comment: dots"]
    assert page.find("#comment").get_attribute("value") == "my own"
    assert page.focused == "comment"
    hear(page, [[key, None]])
    assert page.count(".decided") == 0


def test_a_lesion_that_another_marks_meanwhile_keeps_its_place(on_a_desk, fifty):
    page = on_a_desk(fifty)
    first, second = fifty.lesions["lesion_key"][:2]
    now = page.run("return new Date().toISOString()")
    hear(page, [[first, MARK], [second, {**MARK, "reviewed_at": now}]])
    assert first not in page.all_keys()  # it was marked before the page was opened
    assert page.all_keys()[0] == second
    assert "Follow up" in page.text(".card .marked")


def test_a_mark_is_sent_and_not_kept_in_the_browser(on_a_desk, fifty):
    page, key = on_a_desk(fifty), fifty.lesions["lesion_key"][0]
    page.run("window.sent = []; document.addEventListener('desk:mark', (e) => sent.push(e.detail))")
    hear(page, [], reviewer="dr-ks")
    assert page.find("#reviewer").get_attribute("readonly")
    page.open_lesion(key)
    page.fill("#diagnosis", "nevus")
    page.run("document.activeElement.blur()")
    page.press("3", "k", "0")
    assert page.run("return window.sent") == [
        {"key": key, "decision": decision, "reviewer": "dr-ks", "diagnosis": said, "comment": ""}
        for decision, said in (("no_action", "nevus"), ("reopen", ""))
    ]
    assert page.run("return Object.keys(localStorage).filter((k) => k.includes('mark/'))") == []


def test_what_the_desk_says_is_a_message_and_what_is_no_mark_is_passed_over(on_a_desk, fifty):
    page, key = on_a_desk(fifty), fifty.lesions["lesion_key"][0]
    page.run(
        "document.dispatchEvent(new CustomEvent('desk:say', "
        "{ detail: { text: '<b>Not saved</b>', wrong: true } }))"
    )
    assert page.text("#message span") == "<b>Not saved</b>"
    for broken in ({}, {"decision": 3}, {**MARK, "reviewed_at": "soon"}, [], "x"):
        hear(page, [[key, broken], ["nobody", MARK]])
    assert page.chip("reviewed") == 3
    assert page.complaints() == []


def test_the_desk_opens_a_lesion_whose_mark_was_refused(on_a_desk, fifty):
    page, key = on_a_desk(fifty), fifty.lesions["lesion_key"][3]
    page.run(
        "document.dispatchEvent(new CustomEvent('desk:open', { detail: { key: arguments[0] } }))",
        key,
    )
    page.settle()
    assert page.opened == key
    assert not page.is_seen("#import")
    assert "saved on the desk" in page.text("#where-marks")


def test_who_may_only_look_has_nothing_to_press(on_a_desk, fifty):
    page = on_a_desk(fifty, read_only=True)
    page.open_lesion(fifty.lesions["lesion_key"][0])
    assert page.text(".decide") == "You may look at this desk, and not mark."
    page.press("1", "0")
    assert page.text("#message span") == "You may look at this desk, and not mark."
    page.press("m")
    assert page.count("#comment") == 0
