"""The list from one morning to the next: what opens, closes and comes back, and why."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.rules import lesion_pattern
from batch.review.worklist.frames import records
from batch.review.worklist.previous_list import PreviousList
from tests.support.lists import (
    Mornings,
    image,
    key_of,
    lesion,
    mark,
    night_start,
    standings,
    unreadable,
)

A, B = key_of("a"), key_of("b")


def changed(worklist):
    return {
        row["lesion_key"]: (row["tier_before"], row["tier"], row["why"])
        for row in records(worklist.changes)
    }


def test_an_open_alert_stays_until_a_mark_closes_it():
    mornings = Mornings()
    rows = [image(0.9, "a"), image(0.6, "b")]
    assert standings(mornings.night(rows)) == {A: ("alert", "new"), B: ("alert", "new")}
    assert standings(mornings.night(rows)) == {A: ("alert", "open"), B: ("alert", "open")}
    third = mornings.night(rows, marks=[mark(2.3, lesion_key=A, decision="excised")])
    assert standings(third) == {A: ("alert", "reviewed"), B: ("alert", "open")}
    assert list(third.lesions["lesion_key"]) == [B, A]  # what was reviewed comes last
    row = lesion(third, A)
    assert (row["decision"], row["reviewer"], row["reviewed_score"]) == ("excised", "R", 0.9)
    assert row["first_alerted_at"] == night_start(1).isoformat()
    fourth = mornings.night(rows)  # the mark's file is gone: the published list remembers
    assert standings(fourth) == {A: ("alert", "reviewed"), B: ("alert", "open")}


def test_a_higher_score_or_a_new_image_reopens_and_a_lower_score_does_not():
    mornings = Mornings(lesion_pattern(r"^(?P<lesion>l\d)"))
    made = [mark(1.3, lesion_key=f"PATTERN:l{n}") for n in (1, 2, 3)]
    mornings.night([image(0.6, "l1-1"), image(0.6, "l2-1"), image(0.6, "l3-1")])
    model = {"model_sha256": "2" * 64}
    second = mornings.night(
        [
            image(0.8, "l1-1", **model), image(0.5, "l2-1", **model), image(0.6, "l3-1"),
            image(0.1, "l3-2"),
        ],
        marks=made,
    )  # fmt: skip
    assert standings(second) == {
        "PATTERN:l1": ("alert", "reopened"),
        "PATTERN:l2": ("alert", "reviewed"),
        "PATTERN:l3": ("alert", "reopened"),
    }
    assert "its score rose from 0.600" in lesion(second, "PATTERN:l1")["reason"]
    assert "an image was added" in lesion(second, "PATTERN:l3")["reason"]


def test_the_same_night_again_gives_the_same_list_and_remembers_nothing():
    mornings = Mornings()
    rows = [image(0.9, "a"), image(0.4, "b")]
    mornings.night(rows)
    once = mornings.night([image(0.95, "c"), *rows])
    again = mornings.night([image(0.95, "c"), *rows], again=True)
    assert standings(once) == standings(again)
    closed = mornings.night([image(0.95, "c"), *rows], again=True, marks=[mark(2.3, lesion_key=A)])
    assert standings(closed)[A] == ("alert", "reviewed")
    assert standings(closed)[key_of("c")] == ("alert", "new")


def test_a_new_model_shows_which_lesions_changed_tier():
    mornings = Mornings()
    mornings.night([image(0.9, "a"), image(0.1, "b"), image(0.4, "c"), image(0.9, "d")])
    model = {"model_version": "2", "model_sha256": "2" * 64}
    rows = [image(0.2, "a", **model), image(0.8, "b", **model), image(0.1, "c", **model)]
    found = mornings.night([*rows, image(0.7, "d", **model)])
    assert changed(found) == {
        B: ("below", "alert", "new model"),
        A: ("alert", "below", "new model"),
        key_of("c"): ("near_threshold", "below", "new model"),
    }
    assert standings(found) == {
        B: ("alert", "new"), key_of("d"): ("alert", "open"), A: ("alert", "open"),
    }  # fmt: skip
    row = lesion(found, A)
    assert row["flags"] == ["below_threshold_now"]
    assert "tonight's score 0.200 is below the threshold 0.500" in row["reason"]
    assert (row["previous_score"], row["score_change"]) == (0.9, pytest.approx(-0.7))
    assert (row["previous_model_version"], row["model_version"]) == (
        "m 1 11111111", "m 2 22222222",
    )  # fmt: skip
    below = lesion(found, B)
    assert (below["previous_score"], below["previous_model_version"]) == (0.1, "m 1 11111111")
    (earlier,) = [r["earlier_scores"] for r in records(found.images) if r["image_id"] == A]
    assert earlier == [(night_start(1).isoformat(), 0.9, "m 1 11111111")]


def test_another_operating_point_changes_tiers_without_a_new_score():
    mornings = Mornings()
    mornings.night([image(0.3, "a")])
    found = mornings.night([image(0.3, "a", threshold=0.25)])
    assert changed(found) == {A: ("below", "alert", "new operating point")}
    assert lesion(found, A)["score_change"] == 0


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([("l1-1", 0.1)], [("l1-1", 0.1), ("l1-2", 0.8)], ("below", "alert", "new image")),
        ([("l1-1", 0.4)], [("l1-1", 0.8)], ("near_threshold", "alert", "score rose")),
        ([("l1-1", 0.8)], [("l1-1", 0.4)], ("alert", "near_threshold", "score fell")),
        ([("l1-1", 0.8), ("l1-2", 0.1)], [("l1-2", 0.1)],
         ("alert", "below", "image left the archive")),
        ([("l1-1", 0.8)], [], ("alert", None, "image left the archive")),
        ([("l1-1", None)], [("l1-1", 0.8)], ("unreadable", "alert", "now readable")),
        ([("l1-1", 0.8)], [("l1-1", None)], ("alert", "unreadable", "no longer readable")),
    ],
)  # fmt: skip
def test_why_a_tier_changed(before, after, expected):
    mornings = Mornings(lesion_pattern(r"^(?P<lesion>l\d)"))
    for night in (before, after):
        found = mornings.night(
            [image(score, name) for name, score in night if score is not None],
            [unreadable(name) for name, score in night if score is None],
        )
    assert changed(found) == {"PATTERN:l1": expected}


def test_an_open_alert_survives_its_image():
    mornings = Mornings()
    mornings.night([image(0.9, "a"), image(0.4, "b")])
    found = mornings.night([image(0.1, "c")])
    assert standings(found) == {A: ("alert", "open")}
    row = lesion(found, A)
    assert row["flags"] == ["left_archive"]
    assert row["reason"] == (
        "Alert of 2026-11-01, not reviewed; its images are no longer in the archive. "
        "Its last score was 0.900."
    )
    (picture,) = records(found.images)
    assert (picture["path"], picture["melanoma_score"], picture["flags"]) == (
        "a.jpg", 0.9, ["left_archive"],
    )  # fmt: skip
    assert math.isnan(row["score_change"])
    closed = mornings.night([image(0.1, "c")], marks=[mark(2.5, image_id=A)])
    assert standings(closed) == {A: ("alert", "reviewed")}
    back = mornings.night([image(0.9, "a")])
    assert standings(back) == {A: ("alert", "reviewed")}


def test_a_lesion_without_alert_that_left_is_forgotten():
    mornings = Mornings()
    mornings.night([image(0.4, "b")])
    found = mornings.night([image(0.1, "c")])
    assert standings(found) == {}
    assert changed(found) == {B: ("near_threshold", None, "image left the archive")}


def test_other_keys_find_their_lesions_again_by_the_images():
    """From one morning to the next a pattern is given: nothing is alerted twice or forgotten."""
    mornings = Mornings()
    rows = [image(0.9, "l1-1"), image(0.8, "l2-1"), image(0.7, "l3-1")]
    mornings.night(rows)
    mornings.night(rows, marks=[mark(1.3, lesion_key=key_of("l2-1"))])
    mornings.pattern = lesion_pattern(r"^(?P<lesion>l\d)")
    found = mornings.night(rows, marks=[mark(2.3, lesion_key=key_of("l3-1"))])
    assert standings(found) == {
        "PATTERN:l1": ("alert", "open"),
        "PATTERN:l2": ("alert", "reviewed"),
        "PATTERN:l3": ("alert", "reviewed"),
    }
    assert lesion(found, "PATTERN:l1")["first_alerted_at"] == night_start(1).isoformat()


def test_a_night_without_a_list_is_made_up_for_by_its_alerts():
    mornings = Mornings()
    mornings.night([image(0.9, "a")])
    late = replace(mornings.remembered, alerted={B: night_start(2).isoformat()})
    mornings.remembered = late
    found = mornings.night([image(0.9, "a"), image(0.8, "b"), image(0.7, "c")])
    assert standings(found) == {
        A: ("alert", "open"), B: ("alert", "open"), key_of("c"): ("alert", "new"),
    }  # fmt: skip
    assert lesion(found, B)["first_alerted_at"] == night_start(2).isoformat()


def test_alerts_of_nights_before_any_list_are_open_even_below_todays_threshold():
    mornings = Mornings(remembered=PreviousList(alerted={A: night_start(0).isoformat()}))
    found = mornings.night([image(0.2, "a"), image(0.2, "b")])
    assert standings(found) == {A: ("alert", "open")}


def test_a_mark_before_every_image_closes_nothing_and_that_is_told():
    found = Mornings().night([image(0.9, "a")], marks=[mark(0.5, lesion_key=A)])
    assert standings(found) == {A: ("alert", "new")}
    assert lesion(found, A)["flags"] == ["mark_without_effect"]


def test_marks_of_nobody_are_counted():
    found = Mornings().night(
        [image(0.9, "a")], marks=[mark(2, lesion_key="x"), mark(2, image_id="y")]
    )
    assert found.facts.archive["marks_unmatched"] == 2
    assert "2 marks name no lesion or image that is known here." in found.facts.notes
    one = mark(2, lesion_key="x", place="r.csv: row 2")
    facts = Mornings().night([image(0.9, "a")], marks=[one]).facts
    told = "r.csv: row 2 names no lesion or image that is known here."
    assert facts.notes == ("1 mark names no lesion or image that is known here.", told)
    assert facts.marks_of_nobody == (told,)


@pytest.mark.parametrize(("blind", "copies"), [(1, "1 copy of an image"), (2, "2 copies")])
def test_an_unreadable_copy_beside_a_good_file_is_a_copy(blind, copies):
    rows = [unreadable(f"u{n}", image_id="1.2.9") for n in range(blind)]
    found = Mornings().night([image(0.797, "a", image_id="1.2.9")], rows)
    (row,) = records(found.lesions)
    assert row["reason"] == (
        "Score 0.797, at or above the threshold 0.500. "
        f"{copies} could not be read; another file of the image was scored."
    )
    assert (row["image_count"], row["unreadable_count"]) == (1, 0)
    assert "unreadable_images" in row["flags"]
    assert len(found.unreadable) == blind


@pytest.mark.parametrize(("key", "named"), [(A, f" {A} "), ("PATTERN: l1", "PATTERN: l1")])
def test_a_mark_names_its_lesion_exactly_or_with_space_around(key, named):
    mornings = Mornings(lesion_pattern(r"^(?P<lesion> l\d)"))
    found = mornings.night([image(0.9, "a"), image(0.9, " l1")], marks=[mark(2, lesion_key=named)])
    assert standings(found)[key] == ("alert", "reviewed")


def test_a_mark_by_image_closes_a_lesion_once_every_asking_image_has_one():
    mornings = Mornings(lesion_pattern(r"^(?P<lesion>l\d)"))
    rows = [image(0.9, "l1-1"), image(0.8, "l1-2"), image(0.1, "l1-3")]
    one, two = (mark(1.3, image_id=key_of(f"l1-{n}")) for n in (1, 2))
    mornings.night(rows)
    assert standings(mornings.night(rows, marks=[one])) == {"PATTERN:l1": ("alert", "open")}
    found = mornings.night(rows, marks=[one, two])
    assert standings(found) == {"PATTERN:l1": ("alert", "reviewed")}
    assert len(lesion(found, "PATTERN:l1")["reviewed_images"]) == 3


def test_a_stale_page_does_not_close_what_it_did_not_show():
    """The mark tells one image; since that page a second one came."""
    mornings = Mornings(lesion_pattern(r"^(?P<lesion>l\d)"))
    mornings.night([image(0.9, "l1-1")])
    made = mark(2.3, lesion_key="PATTERN:l1", score=0.9, image_count=1)
    found = mornings.night([image(0.9, "l1-1"), image(0.7, "l1-2")], marks=[made])
    assert standings(found) == {"PATTERN:l1": ("alert", "reopened")}


def test_a_mark_on_a_lesion_below_the_band_is_remembered_and_not_shown_as_asking():
    mornings = Mornings()
    mornings.night([image(0.1, "a")])
    found = mornings.night([image(0.1, "a")], marks=[mark(1.5, lesion_key=A)])
    assert standings(found) == {A: ("below", "reviewed")}
    assert standings(mornings.night([image(0.9, "a")])) == {A: ("alert", "reopened")}


def test_an_unreadable_image_is_closed_by_a_mark_and_opened_by_other_content():
    mornings = Mornings()
    first = mornings.night([], [unreadable("u")])
    (key,) = standings(first)
    assert standings(first) == {key: ("unreadable", "new")}
    assert list(first.unreadable["first_seen"]) == [night_start(1).isoformat()]
    second = mornings.night([], [unreadable("u")], marks=[mark(1.3, lesion_key=key)])
    assert standings(second) == {key: ("unreadable", "reviewed")}
    assert list(second.unreadable["status"]) == ["reviewed"]
    third = mornings.night([], [unreadable("u", content_sha256="ee")])
    assert standings(third) == {key: ("unreadable", "reopened")}
    assert list(third.unreadable["first_seen"]) == [night_start(3).isoformat()]


events = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.1, 0.4, 0.6, 0.9])), max_size=4,
                 unique_by=lambda pair: pair[0]),
        st.lists(st.integers(0, 3), max_size=2),
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip


@settings(max_examples=40)
@given(events)
def test_no_alert_is_ever_lost_and_none_is_raised_twice(nights):
    """Whatever comes, leaves or changes its score: an alert stays until a mark names it."""
    mornings, open_alerts, ever = Mornings(), set(), set()
    named: set[str] = set()
    for number, (images, marks) in enumerate(nights, 1):
        made = [mark(number - 0.5, lesion_key=key_of(f"x{n}")) for n in marks]
        found = mornings.night([image(score, f"x{n}") for n, score in images], marks=made)
        tonight = {key_of(f"x{n}") for n, score in images if score >= 0.5}
        rows = {row["lesion_key"]: row for row in records(found.lesions)}
        closed = {key for key, row in rows.items() if row["status"] == "reviewed"}
        # only a mark closes, and a lesion with an alert tonight or open before is on the list
        assert tonight | open_alerts <= rows.keys()
        named |= {each.lesion_key for each in made}
        assert closed <= named
        for key in open_alerts - closed:
            assert rows[key]["tier"] == "alert"
        new = {
            key for key, row in rows.items() if row["tier"] == "alert" and row["status"] == "new"
        }
        assert not new & ever
        ever |= new
        open_alerts = {
            key
            for key, row in rows.items()
            if row["tier"] == "alert" and row["status"] != "reviewed"
        }
