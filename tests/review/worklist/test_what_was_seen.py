"""What the reviewer of a mark without score and image_count saw: what stood with the lesion."""

from __future__ import annotations

import math

import pytest

from batch.core.rules import lesion_pattern
from batch.review.worklist.lesion_images import EarlierScore, LesionImage
from tests.support.lists import Mornings, image, key_of, lesion, mark, night_start, unreadable

PATTERN = lesion_pattern(r"^(?P<lesion>l\d)")
L1, L2 = "PATTERN:l1", "PATTERN:l2"


def moved(score: float, content: str, to: str) -> dict[str, object]:
    return image(score, content, path=f"{to}.jpg")


def lists(*nights):
    """The lists of nights: of each its images, unscored rows and marks."""
    mornings = Mornings(PATTERN)
    return [mornings.night(*each) for each in nights]


@pytest.mark.parametrize("own_score", [0.9, 0.4, 0.1])
@pytest.mark.parametrize("stays", [True, False])
def test_an_alert_that_comes_to_a_marked_lesion_from_another_is_not_reviewed(own_score, stays):
    """The content was known to the program in night 1, and joined l2 after the mark."""
    there, alert = image(own_score, "l2-1"), image(0.8, "l1-1")
    second = [there, moved(0.8, "l1-1", "l2-2")] + ([alert] if stays else [])
    *_, found = lists(([there, alert],), (second, (), [mark(1.3, lesion_key=L2)]))
    row = lesion(found, L2)
    assert (row["tier"], row["status"]) == ("alert", "reopened")
    assert row["reviewed_images"] == [key_of("l2-1")]
    assert row["reviewed_score"] == own_score


def test_it_stays_open_in_later_nights_and_a_mark_after_it_came_closes_it():
    second = [image(0.9, "l2-1"), moved(0.8, "l1-1", "l2-2")]
    old, new = mark(1.3, lesion_key=L2), mark(3.3, lesion_key=L2)
    nights = lists(
        ([image(0.9, "l2-1"), image(0.8, "l1-1")],), (second, (), [old]), (second, (), [old]),
        (second, (), [old, new]), (second, (), [old, new]),
    )  # fmt: skip
    found = [lesion(each, L2) for each in nights]
    assert [row["status"] for row in found] == [
        "new", "reopened", "reopened", "reviewed", "reviewed",
    ]  # fmt: skip
    assert found[-1]["reviewed_images"] == sorted([key_of("l1-1"), key_of("l2-1")])
    assert "mark_without_effect" not in found[-1]["flags"]


def test_an_alert_that_alone_replaces_what_was_marked_is_not_reviewed():
    *_, found = lists(
        ([image(0.9, "l2-1"), image(0.8, "l1-1")],),
        ([moved(0.8, "l1-1", "l2-1")], (), [mark(1.3, lesion_key=L2)]),
    )
    row = lesion(found, L2)
    assert row["status"] != "reviewed"
    assert math.isnan(row["reviewed_score"])


@pytest.mark.parametrize("score", [0.9, 0.1])
def test_what_could_not_be_read_and_is_repaired_with_known_bytes_is_reopened(score):
    known = image(score, "l1-1")
    blind = unreadable("l2-1")
    mended = [known, moved(score, "l1-1", "l2-1"), image(0.6, "l2-2")]
    nights = lists(([known, image(0.6, "l2-2")], [blind]), (mended, (), [mark(1.3, lesion_key=L2)]))
    row = lesion(nights[-1], L2)
    assert row["status"] == "reopened"
    assert row["reviewed_images"] == [key_of("l2-2")]


def test_alone_it_is_reopened_too_also_when_the_mark_was_taken_in_before():
    known, blind = image(0.9, "l1-1"), unreadable("l2-1")
    made = mark(1.3, lesion_key=L2)
    mended = [known, moved(0.9, "l1-1", "l2-1")]
    *_, marked, found = lists(([known], [blind]), ([known], [blind], [made]), (mended, (), [made]))
    assert lesion(marked, L2)["status"] == "reviewed"
    assert lesion(found, L2)["status"] == "reopened"
    *_, found = lists(([known], [blind]), (mended, (), [made]))
    assert lesion(found, L2)["status"] != "reviewed"


@pytest.mark.parametrize("score", [0.9, 0.1])
@pytest.mark.parametrize("name", ["l1-1", "l1-renamed"])
def test_an_image_that_stayed_with_its_lesion_was_seen(score, name):
    other = image(0.6, "l1-2")
    found = lists(
        ([image(score, "l1-1"), other],),
        ([moved(score, "l1-1", name), other],),
        ([moved(score, "l1-1", name), other], (), [mark(2.3, lesion_key=L1)]),
    )[-1]
    assert lesion(found, L1)["status"] == "reviewed"


def test_a_lesion_below_the_band_that_was_marked_keeps_its_mark():
    """It was on no list: its image lies where it was scored."""
    rows = [image(0.1, "l1-1")]
    found = lists((rows,), (rows, (), [mark(1.3, lesion_key=L1)]))[-1]
    assert lesion(found, L1)["status"] == "reviewed"


@pytest.mark.parametrize("score", [0.9, 0.1])
def test_an_image_that_is_a_lesion_by_itself_is_the_same_wherever_it_lies(score):
    mornings = Mornings()
    mornings.night([image(score, "a")])
    made = mark(1.3, lesion_key=key_of("a"))
    found = mornings.night([moved(score, "a", "elsewhere")], marks=[made])
    assert lesion(found, key_of("a"))["status"] == "reviewed"


def test_another_tracking_uid_in_the_file_at_the_same_place_is_another_lesion():
    def visit(uid):
        return image(0.8, "x", image_id="1.2.9", lesion_id=uid, model_sha256=uid[-1] * 64)

    there = image(0.1, "y", image_id="1.2.8", lesion_id="1.2.3.2")
    mornings = Mornings()
    mornings.night([visit("1.2.3.1"), there])
    found = mornings.night([visit("1.2.3.2"), there], marks=[mark(1.3, lesion_key="1.2.3.2")])
    rows = {row["status"] for row in found.lesions.to_dict("records")}
    assert "reviewed" not in rows


def test_a_mark_of_one_lesion_saw_nothing_of_another_that_joins_it():
    """Another pattern makes one lesion of two."""
    mornings = Mornings(PATTERN)
    rows = [image(0.9, "l1-1"), image(0.8, "l2-1")]
    mornings.night(rows)
    mornings.pattern = lesion_pattern(r"^(?P<lesion>l)\d")
    found = mornings.night(rows, marks=[mark(1.3, lesion_key=L1)])
    row = lesion(found, "PATTERN:l")
    assert (row["status"], row["reviewed_images"]) == ("reopened", [key_of("l1-1")])


@pytest.mark.parametrize(
    ("places", "since"),
    [
        ([], None),
        ([(1, "a.jpg", None)], night_start(1)),
        ([(1, "b.jpg", None)], None),
        ([(1, "a.jpg", "1.2")], None),
        ([(1, "b.jpg", None), (2, "a.jpg", None), (3, "a.jpg", None)], night_start(2)),
    ],
)
def test_since_when_an_image_lies_where_it_lies(places, since):
    history = [EarlierScore(night_start(n), 0.5, "m", place) for n, *place in places]
    history = [EarlierScore(e.night, e.score, e.model, tuple(e.place)) for e in history]
    found = LesionImage.of(image(0.5, "a"), night_start(4), True, history)
    assert found.here_since == since
