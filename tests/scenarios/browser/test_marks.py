"""Marking and keeping: what a reviewer decided is never lost or made up."""

from __future__ import annotations

import pytest

from batch.review.worklist.contract import MARK_COLUMNS
from batch.review.worklist.marks import parse_csv
from tests.scenarios.browser.opened import ENTER, ESCAPE
from tests.support import worklists
from tests.support.changed_worklists import changed


@pytest.fixture
def page(opened, fifty):
    """The first lesion, opened."""
    found = opened(fifty)
    found.call_me("Dr. Ünal")
    found.click(".card .open")
    return found


def marks_of(data: bytes):
    found = parse_csv(data, "reviewed.csv")
    assert found.problems == ()
    return {mark.lesion_key: mark for mark in found.found}


def test_the_name_is_asked_for_once_and_the_decision_is_kept_meanwhile(opened, fifty):
    page, keys = opened(fifty), list(fifty.lesions["lesion_key"])
    page.click(".card .open")
    page.press("2")
    assert page.is_seen("#who")
    assert page.focused == "who-name"
    assert "Who marks?" in page.text("#who")
    page.press(ENTER)  # without a name
    assert page.is_seen("#who")
    page.press(*"KS")
    page.press(ENTER)
    assert not page.is_seen("#who")
    assert page.opened == keys[1]
    page.press("1")
    assert not page.is_seen("#who")
    found = marks_of(page.exported())
    assert [(found[key].decision, found[key].reviewer) for key in keys[:2]] == [
        ("follow_up", "KS"), ("call_back", "KS")
    ]  # fmt: skip
    page.reload()
    assert page.find("#reviewer").get_attribute("value") == "KS"


def test_who_gives_no_name_marks_nothing(opened, fifty):
    page = opened(fifty)
    page.click(".card .open")
    page.press("1", ESCAPE)
    assert not page.is_seen("#who")
    page.click("[data-decision=no_action]")
    page.click("#who-cancel")
    assert page.opened == fifty.lesions["lesion_key"][0]
    assert len(page.exported_rows()) == len(fifty.lesions["decision"].dropna())
    assert page.run("return Object.keys(localStorage).filter((k) => k.includes('mark/'))") == []


@pytest.mark.parametrize(
    ("key", "decision", "label"),
    [("1", "call_back", "Call back"), ("2", "follow_up", "Follow up"),
     ("3", "no_action", "No action now"), ("4", "new_image", "New image needed")],
)  # fmt: skip
def test_a_key_marks_goes_on_and_the_run_reads_what_is_exported(page, fifty, key, decision, label):
    keys = list(fifty.lesions["lesion_key"])
    page.press(key)
    assert page.opened == keys[1]
    page.press(ESCAPE)
    assert page.text(f".card.done[data-key='{keys[0]}'] .marked") == f"{label} · Dr. Ünal"
    mark = marks_of(page.exported())[keys[0]]
    assert (mark.decision, mark.reviewer) == (decision, "Dr. Ünal")
    assert mark.score == fifty.lesions["max_score"][0]
    assert mark.image_count == fifty.lesions["image_count"][0]
    assert mark.reviewed_at.tzinfo is not None


def test_no_key_marks_where_no_picture_is_open_or_a_person_types(opened, fifty):
    page = opened(fifty)
    page.call_me("A")
    page.press("1", "2")
    assert page.count(".card.done") == 0
    page.click(".card .open")
    page.press("m")
    assert page.focused == "comment"
    page.press("1", "j")
    assert page.opened == fifty.lesions["lesion_key"][0]
    assert page.find("#comment").get_attribute("value") == "1j"


def test_comment_and_diagnosis_are_kept_exported_and_shown_again(opened, page, fifty, tmp_path):
    key = fifty.lesions["lesion_key"][0]
    page.press("m")
    page.press(*'dots, "blue"')
    page.press(ESCAPE)
    page.fill("#diagnosis", "=nevus")
    page.press(ESCAPE, "j", "k")  # not marked yet, and not forgotten
    assert page.find("#diagnosis").get_attribute("value") == "=nevus"
    page.press("1")
    data = page.exported()
    assert data.decode().splitlines()[0] == ",".join([*MARK_COLUMNS, "diagnosis", "comment"])
    (row,) = [row for row in page.exported_rows() if row["lesion_key"] == key]
    assert (row["diagnosis"], row["comment"]) == ("'=nevus", 'dots, "blue"')
    assert marks_of(data)[key].decision == "call_back"  # the run passes the two columns over

    file = tmp_path / "reviewed.csv"
    file.write_bytes(data)
    page.run("localStorage.clear()")
    other = opened(fifty)
    other.import_file(file)
    other.open_lesion(key)
    assert other.texts(".other p")[1:] == ["Diagnosis: =nevus", 'Comment: dots, "blue"']
    assert other.find("#comment").get_attribute("value") == ""  # nobody marks with another's words
    other.press(ESCAPE)
    other.fill("#reviewer", row["reviewer"])
    other.open_lesion(key)
    assert other.find("#comment").get_attribute("value") == 'dots, "blue"'
    assert other.find("#diagnosis").get_attribute("value") == "=nevus"


def test_the_message_takes_the_mark_back_after_the_next_one_is_open(page, fifty):
    keys = list(fifty.lesions["lesion_key"])
    page.press("3")
    assert page.opened == keys[1]
    assert page.text("#message span") == "patient-0000 · Back, left · lesion-00000: No action now"
    page.click("#undo-last")
    assert page.text("#message span").endswith("lesion-00000: mark taken back")
    assert keys[0] not in marks_of(page.exported())
    page.open_lesion(keys[1])
    page.press("3", "0")  # 0 on the next one takes back the last
    assert keys[1] not in marks_of(page.exported())


def test_0_says_nothing_of_a_mark_that_is_not_there(opened, fifty):
    page = opened(fifty)
    page.call_me("A")
    row = int(fifty.lesions.index[fifty.lesions["status"] == "reopened"][0])
    for key in (fifty.lesions["lesion_key"][0], fifty.lesions["lesion_key"][row]):
        page.open_lesion(key)
        page.press("0")
        assert not page.is_seen("#message")


def test_a_mark_is_taken_back_and_changed(page, fifty):
    page.click("#advance")
    page.click("[data-decision=follow_up]")
    assert page.find("[data-decision=follow_up]").get_attribute("aria-pressed") == "true"
    page.click("[data-decision=call_back]")
    assert page.find("[data-decision=follow_up]").get_attribute("aria-pressed") == "false"
    assert "Marked “Call back” by Dr. Ünal" in page.text(".decided")
    page.click("#unmark")
    assert page.count(".decided") == 0
    assert fifty.lesions["lesion_key"][0] not in marks_of(page.exported())


def test_with_the_last_lesion_marked_the_page_stays_and_counts(opened):
    worklist = worklists.worklist(2)
    page = opened(worklist)
    page.call_me("A")
    page.click(".card .open")
    page.press("3", "3")
    assert page.opened == worklist.lesions["lesion_key"][1]
    assert page.count("[data-decision=no_action][aria-pressed=true]") == 1
    page.press(ESCAPE)
    assert page.text("#done-tonight") == "2 of 2 done"
    assert page.text("#mark-count").strip() == "2"


def test_marked_lesions_keep_their_places_until_the_page_is_opened_again(page, fifty):
    keys = list(fifty.lesions["lesion_key"])
    page.press("1", "1", ESCAPE)
    assert page.keys_listed()[:3] == keys[:3]
    assert (page.chip("all"), page.chip("reviewed")) == (45, 5)
    page.reload()
    assert page.keys_listed()[0] == keys[2]
    assert (page.chip("all"), page.chip("reviewed")) == (45, 5)
    page.click("[data-filter=reviewed]")
    assert page.keys_listed()[:2] == keys[:2]


def test_marks_of_runs_before_are_exported_again_so_that_none_is_lost(opened, fifty):
    page = opened(fifty)
    read = fifty.lesions[fifty.lesions["decision"].notna()]
    found = marks_of(page.exported())
    assert set(found) == set(read["lesion_key"])
    key = read["lesion_key"].iloc[-1]
    assert found[key].reviewer == "Dr. A"
    assert found[key].score == read["reviewed_score"].iloc[-1]
    assert found[key].image_count == 1


def test_a_mark_stays_in_this_browser_under_its_archive_only(opened, fifty):
    page = opened(fifty, archive_key="one")
    page.call_me("A")
    page.click(".card .open")
    page.press("1")
    page.reload()
    page.press(ESCAPE)
    assert page.chip("reviewed") == 4
    assert opened(fifty, archive_key="two").chip("reviewed") == 3
    assert opened(fifty, archive_key="one").chip("reviewed") == 4


def test_what_a_run_had_closed_is_taken_back_by_a_mark_of_its_own(page, fifty):
    closed = fifty.lesions[fifty.lesions["status"] == "reviewed"]["lesion_key"].iloc[0]
    page.press(ESCAPE)
    page.click("[data-filter=reviewed]")
    page.click(".card .open")
    assert page.opened == closed
    page.click("#unmark")
    assert marks_of(page.exported())[closed].reopens
    page.click("[data-filter=all]")
    page.fill("#search", closed.lower())
    assert page.keys_listed() == [closed]


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"max_score": 0.9802}, None),
        ({"max_score": 0.9812}, "a higher score than when it was marked"),
        ({"max_score": 0.97}, None),
        ({"image_count": 99}, "a new image since it was marked"),
        ({"reason": "another one"}, None),
    ],
    ids=["hardly-higher", "higher", "lower", "new-image", "same"],
)
def test_only_a_higher_score_or_a_new_image_opens_a_marked_lesion(opened, page, fifty, cells, why):
    key = fifty.lesions["lesion_key"][0]
    page.press("3")
    later = opened(changed(fifty, 0, **cells))
    assert later.chip("reviewed") == (3 if why else 4)
    later.open_lesion(key)
    assert ("opened again" in later.text(".decided")) == bool(why)
    assert (why or "") in later.text(".decided")
    assert later.count("[data-decision][aria-pressed=true]") == (not why)


def test_the_run_s_judgement_counts_once_it_has_read_the_mark(opened, page, fifty):
    """Exported, read and found outdated there: the page does not say otherwise."""
    key = fifty.lesions["lesion_key"][0]
    page.press("3")
    mark = marks_of(page.exported())[key]
    read = {"decision": mark.decision, "reviewer": mark.reviewer, "reviewed_score": mark.score,
            "reviewed_at": mark.reviewed_at.isoformat()}  # fmt: skip
    assert opened(changed(fifty, 0, **read, status="reopened")).chip("reviewed") == 3
    assert opened(changed(fifty, 0, **read, status="reviewed")).chip("reviewed") == 4


def test_a_browser_that_keeps_nothing_says_so_and_still_exports(opened, fifty):
    page = opened(fifty)
    page.run(
        "Object.defineProperty(Storage.prototype, 'setItem',"
        " { value() { throw new Error('full') } })"
    )
    page.call_me("A")
    assert "keeps nothing" in page.text("#message")
    page.click(".card .open")
    page.press("1")
    assert page.is_seen("#undo-last") or "keeps nothing" in page.text("#message")
    assert fifty.lesions["lesion_key"][0] in marks_of(page.exported())


def test_damaged_entries_of_the_store_are_passed_over(opened, fifty):
    page = opened(fifty)
    for number, value in enumerate(["{", "null", "7", '{"decision": 3}', '{"decision": "x"}', ""]):
        page.run(
            "localStorage.setItem(arguments[0], arguments[1])",
            f"melanoma-batch/mark//{fifty.lesions['lesion_key'][number]}",
            value,
        )
    page.reload()
    assert page.chip("reviewed") == 3
    assert page.complaints() == []


def test_a_mark_of_another_window_is_seen_at_once(opened, page, fifty):
    key = fifty.lesions["lesion_key"][0]
    page.press("1")
    stored = page.run("return localStorage.getItem(arguments[0])", f"melanoma-batch/mark//{key}")
    page.run("localStorage.clear()")
    page = opened(fifty)
    assert page.chip("reviewed") == 3
    page.run(
        "localStorage.setItem(arguments[0], arguments[1])", f"melanoma-batch/mark//{key}", stored
    )
    page.run("window.dispatchEvent(new Event('storage'))")
    assert page.chip("reviewed") == 4


def test_a_key_that_is_held_marks_one_lesion(page, fifty):
    page.run(
        "for (const repeat of [false, true, true]) document.body.dispatchEvent(new KeyboardEvent("
        "'keydown', { key: '3', bubbles: true, repeat }))"
    )
    assert page.opened == fifty.lesions["lesion_key"][1]
    assert len(page.exported_rows()) == len(marks_of(page.exported()))
    assert [row["decision"] for row in page.exported_rows()].count("no_action") == 1


def test_what_was_exported_is_taken_back_by_a_mark_of_its_own(page, fifty):
    key = fifty.lesions["lesion_key"][0]
    page.press("3", ESCAPE)
    page.exported()
    page.open_lesion(key)
    page.click("#unmark")
    page.press(ESCAPE)
    assert marks_of(page.exported())[key].reopens


def test_the_name_s_owner_is_the_lesion_that_was_marked(opened, fifty):
    page = opened(fifty)
    first, second = fifty.lesions["lesion_key"][:2]
    page.open_lesion(first)
    page.press("2")
    page.run("location.hash = '#lesion=' + encodeURIComponent(arguments[0])", second)
    page.settle()
    page.press(*"KS")
    page.press(ENTER)
    assert [row["lesion_key"] for row in page.exported_rows() if row["reviewer"] == "KS"] == [first]


def test_words_typed_after_the_decision_join_it_and_drafts_outlive_a_reload(page, fifty):
    first, second = fifty.lesions["lesion_key"][:2]
    page.press("1", "k")
    page.fill("#comment", "later")
    page.press(ESCAPE)
    page.press("j")
    page.fill("#diagnosis", "a draft")
    page.press(ESCAPE)
    page.reload()
    page.open_lesion(second)
    assert page.find("#diagnosis").get_attribute("value") == "a draft"
    rows = {row["lesion_key"]: row for row in page.exported_rows()}
    assert (rows[first]["decision"], rows[first]["comment"]) == ("call_back", "later")
    assert second not in rows or rows[second]["diagnosis"] == ""


def test_an_address_of_what_is_not_listed_says_so(opened, fifty):
    page = opened(fifty)
    page.go("#lesion=nobody")
    assert "not on this night’s list" in page.text("#message")
    assert page.opened is None
