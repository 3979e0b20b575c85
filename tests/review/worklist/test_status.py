"""When a lesion is opened, closed and opened again: tables with every side of every bound."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from batch.review.worklist.contract import Status, Tier
from batch.review.worklist.status import (
    RISE,
    PreviousState,
    Review,
    SeenImage,
    mark_of_images,
    next_status,
    review_of,
)
from tests.support.lists import mark, night_start

NEAR = Tier.NEAR_THRESHOLD
NIGHT = night_start(3).isoformat()
LAST = night_start(2).isoformat()
SEEN = Review("seen", "R", night_start(2) + timedelta(hours=6), 0.75, frozenset({"a", "b"}))


def before(tier=Tier.ALERT, status=Status.OPEN, review=None):
    alerted = LAST if tier == Tier.ALERT else None
    return PreviousState(tier, status, LAST, alerted, review)


def standing(score_tier, score=0.75, images=("a", "b"), was=None, alerted=None, review=None):
    return next_status(score_tier, score, images, was, alerted, review, NIGHT)


@pytest.mark.parametrize(
    ("score_tier", "was", "alerted", "expected"),
    [
        (Tier.ALERT, None, None, (Tier.ALERT, Status.NEW)),
        (NEAR, None, None, (NEAR, Status.NEW)),
        (Tier.UNREADABLE, None, None, (Tier.UNREADABLE, Status.NEW)),
        (Tier.BELOW, None, None, None),
        (Tier.ALERT, before(), None, (Tier.ALERT, Status.OPEN)),
        (NEAR, before(), None, (Tier.ALERT, Status.OPEN)),
        (Tier.BELOW, before(), None, (Tier.ALERT, Status.OPEN)),
        (Tier.UNREADABLE, before(), None, (Tier.ALERT, Status.OPEN)),
        (None, before(), None, (Tier.ALERT, Status.OPEN)),
        (Tier.ALERT, before(NEAR), None, (Tier.ALERT, Status.NEW)),
        (Tier.ALERT, before(Tier.UNREADABLE), None, (Tier.ALERT, Status.NEW)),
        (NEAR, before(NEAR), None, (NEAR, Status.OPEN)),
        (Tier.BELOW, before(NEAR), None, None),
        (NEAR, before(Tier.UNREADABLE), None, (NEAR, Status.NEW)),
        (Tier.UNREADABLE, before(NEAR), None, (Tier.UNREADABLE, Status.OPEN)),
        (Tier.ALERT, None, LAST, (Tier.ALERT, Status.OPEN)),
        (Tier.BELOW, None, LAST, (Tier.ALERT, Status.OPEN)),
    ],
)  # fmt: skip
def test_without_a_mark(score_tier, was, alerted, expected):
    found = standing(score_tier, was=was, alerted=alerted)
    assert (found and (found.tier, found.status)) == expected


@pytest.mark.parametrize(
    ("score", "images", "status"),
    [
        (0.75, ("a", "b"), Status.REVIEWED),
        (0.2, ("a", "b"), Status.REVIEWED),
        (0.75 + RISE, ("a", "b"), Status.REVIEWED),
        (0.75 + RISE * 1.01, ("a", "b"), Status.REOPENED),
        (0.75, ("a",), Status.REVIEWED),
        (0.75, ("a", "b", "c"), Status.REOPENED),
        (0.2, ("a", "c"), Status.REOPENED),
    ],
)
@pytest.mark.parametrize("is_new_mark", [True, False])
def test_a_mark_closes_until_the_score_rises_or_an_image_is_added(
    score, images, status, is_new_mark
):
    if is_new_mark:
        found = standing(Tier.ALERT, score, images, before(), review=SEEN)
    else:
        found = standing(Tier.ALERT, score, images, before(status=Status.REVIEWED, review=SEEN))
    assert (found.tier, found.status) == (Tier.ALERT, status)
    assert found.first_alerted_at == LAST
    assert found.review == SEEN
    assert bool(found.why) == (status == Status.REOPENED)


@pytest.mark.parametrize("score_tier", [Tier.BELOW, NEAR])
def test_a_reviewed_lesion_is_reopened_only_where_its_score_asks(score_tier):
    review = replace(SEEN, score=0.1)
    was = before(NEAR, Status.REVIEWED, review)
    found = standing(score_tier, 0.4, was=was)
    assert found.status == (Status.REVIEWED if score_tier == Tier.BELOW else Status.REOPENED)
    assert found.review == review


def test_a_reopened_lesion_stays_so_until_a_new_mark():
    was = before(status=Status.REOPENED, review=SEEN)
    assert standing(Tier.ALERT, 0.1, was=was).status == Status.REOPENED
    assert standing(Tier.ALERT, 0.1, was=was, review=SEEN).status == Status.REOPENED
    again = replace(SEEN, reviewed_at=SEEN.reviewed_at + timedelta(seconds=1))
    assert standing(Tier.ALERT, 0.1, was=was, review=again).status == Status.REVIEWED


def test_an_older_mark_does_not_take_the_place_of_a_remembered_one():
    older = Review("x", None, SEEN.reviewed_at - timedelta(days=1), 0.1, frozenset())
    found = standing(Tier.ALERT, was=before(status=Status.REVIEWED, review=SEEN), review=older)
    assert (found.status, found.review) == (Status.REVIEWED, SEEN)


def test_a_mark_can_be_taken_back():
    reopen = replace(SEEN, decision="Reopen", reviewed_at=night_start(3))
    was = before(status=Status.REVIEWED, review=SEEN)
    for score_tier in (Tier.ALERT, Tier.BELOW, None):
        found = standing(score_tier, was=was, review=reopen)
        assert (found.tier, found.status) == (Tier.ALERT, Status.REOPENED)
    near = before(NEAR, Status.REVIEWED, SEEN)
    assert standing(Tier.BELOW, was=near, review=reopen).status == Status.REVIEWED


def test_what_could_not_be_read_at_the_review_and_now_can_is_reopened():
    blind = replace(SEEN, score=None)
    was = before(Tier.UNREADABLE, Status.REVIEWED, blind)
    assert standing(Tier.UNREADABLE, None, was=was).status == Status.REVIEWED
    assert standing(Tier.ALERT, 0.6, was=was).status == Status.REOPENED
    assert standing(Tier.BELOW, 0.1, was=was).status == Status.REVIEWED


def test_a_reviewed_lesion_that_left_the_archive_stays_reviewed():
    was = before(status=Status.REVIEWED, review=SEEN)
    assert standing(None, was=was).status == Status.REVIEWED


IMAGES = [
    SeenImage("a", night_start(1), [(night_start(1), 0.4), (night_start(3), 0.9)]),
    SeenImage("b", night_start(2), [(night_start(2), 0.6)]),
    SeenImage("c", night_start(3), [(night_start(3), 0.7)]),
    SeenImage("u", night_start(2)),
]


@pytest.mark.parametrize(
    ("made", "score", "images"),
    [
        (mark(0.9), None, None),
        (mark(1), 0.4, {"a"}),
        (mark(1.9), 0.4, {"a"}),
        (mark(2.25), 0.6, {"a", "b", "u"}),
        (mark(3.25), 0.9, {"a", "b", "c", "u"}),
        (mark(3.25, image_count=2), 0.9, {"a", "b"}),
        (mark(3.25, image_count=9), 0.9, {"a", "b", "c", "u"}),
        (mark(2.25, score=0.61), 0.61, {"a", "b", "u"}),
        (mark(0.9, decision="reopen"), None, set()),
    ],
)
def test_a_reviewer_saw_what_there_was_when_the_mark_was_made(made, score, images):
    found = review_of(made, IMAGES)
    if images is None:
        assert found is None
    else:
        assert (found.score, found.images) == (score, images)


def test_marks_of_images_count_for_the_lesion_when_every_asking_image_has_one():
    a, b = mark(2, image_id="a", score=0.6), mark(3, image_id="b", score=0.7)
    assert mark_of_images([], {"a"}) is None
    assert mark_of_images([a], {"a", "b"}) is None
    assert mark_of_images([a, b], {"a", "b"}).reviewed_at == b.reviewed_at
    assert mark_of_images([a, b], {"a", "b"}).score == 0.7
    assert mark_of_images([a, b], {"a"}).reviewed_at == a.reviewed_at
    assert mark_of_images([a, replace(b, score=None)], {"a", "b"}).score is None
    assert mark_of_images([a], set()) is not None
    assert mark_of_images([a, replace(b, decision="reopen")], {"a", "b", "c"}).reopens
