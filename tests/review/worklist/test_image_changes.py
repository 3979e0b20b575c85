"""Images that came, went or were exchanged since the night before: said, and not contradicted."""

from __future__ import annotations

import pytest

from batch.core.rules import lesion_pattern
from batch.review.worklist.frames import records
from tests.support.lists import Mornings, image, lesion, mark, standings, unreadable

KEY = "PATTERN:l1"
ADDED, GONE = "added since the night before", "not there now"
REPLACED, READABLE, UNREADABLE = "replaced by another", "can be read now", "cannot now"

# name and content of the images of two nights: a score, or None where it cannot be read
NIGHTS = [
    ("the same", {"a": 0.9}, {"a": 0.9}, [], [None], []),
    ("added, lower", {"a": 0.9}, {"a": 0.9, "b": 0.1}, ["image_added"], [None, "added"], [ADDED]),
    ("added, higher", {"a": 0.9}, {"a": 0.9, "b": 0.95}, ["image_added"], ["added", None], [ADDED]),
    ("added to one below the band", {"a": 0.1}, {"a": 0.1, "b": 0.9}, ["image_added"],
     ["added", None], [ADDED]),
    ("added, unreadable", {"a": 0.9}, {"a": 0.9, "b": None}, ["image_added"], [None],
     [ADDED, "1 image of 2 could not be read"]),
    ("gone", {"a": 0.9, "b": 0.6}, {"a": 0.9}, ["image_gone"], [None], [GONE]),
    ("the highest gone", {"a": 0.9, "b": 0.6}, {"b": 0.6}, ["image_gone"], [None],
     [GONE, "-0.300 since the night before"]),
    ("one added, one gone", {"a": 0.9, "b": 0.6}, {"a": 0.9, "c": 0.7},
     ["image_added", "image_gone"], [None, "added"], [ADDED, GONE]),
    ("replaced", {"a": 0.9, "b": 0.6}, {"a": 0.9, "b2": 0.7}, ["image_replaced"],
     [None, "replaced"], [REPLACED]),
    ("damaged", {"a": 0.9, "b": 0.6}, {"a": 0.9, "b2": None}, ["image_replaced"], [None],
     [UNREADABLE]),
    ("repaired", {"a": 0.9, "b": None}, {"a": 0.9, "b2": 0.7}, ["image_replaced"],
     [None, "readable"], [READABLE]),
    ("no decoder any more", {"a": 0.9, "b": 0.6}, {"a": 0.9, "b": None}, [], [None], [UNREADABLE]),
    ("a decoder at last", {"a": 0.9, "b": None}, {"a": 0.9, "b": 0.6}, [], [None, "readable"],
     [READABLE]),
    ("all unreadable, one added", {"a": None}, {"a": None, "b": None}, ["image_added"], [],
     [ADDED]),
    ("all unreadable, a readable one added", {"a": None}, {"a": None, "b": 0.9}, ["image_added"],
     ["added"], [ADDED]),
    ("two added", {"a": 0.9}, {"a": 0.9, "b": 0.1, "c": 0.2}, ["image_added"],
     [None, "added", "added"], [f"2 images were {ADDED}"]),
]  # fmt: skip


def night(mornings, images):
    """`b2` is other content at the place of `b`."""
    read = [
        image(score, f"l1-{name}", path=f"l1-{name[0]}.jpg")
        for name, score in images.items()
        if score is not None
    ]
    stuck = [
        unreadable(f"l1-{name}", path=f"l1-{name[0]}.jpg")
        for name, score in images.items()
        if score is None
    ]
    return mornings.night(read, stuck)


OF_IMAGES = {"image_added", "image_gone", "image_replaced"}


@pytest.mark.parametrize(
    ("before", "after", "flags", "arrivals", "said"),
    [case[1:] for case in NIGHTS],
    ids=[case[0] for case in NIGHTS],
)
def test_what_became_of_a_lesion_s_images(before, after, flags, arrivals, said):
    mornings = Mornings(lesion_pattern(r"^(?P<lesion>l\d)"))
    night(mornings, before)
    worklist = night(mornings, after)
    row = lesion(worklist, KEY)
    assert sorted(OF_IMAGES & {*row["flags"]}) == flags
    assert [found["arrival"] for found in records(worklist.images)] == arrivals
    for phrase in (ADDED, GONE, REPLACED, READABLE, UNREADABLE, *said):
        assert (phrase in row["reason"]) == any(phrase in each for each in said), phrase
    again = night(mornings, after)  # the same archive once more: nothing is new
    assert not OF_IMAGES & {*lesion(again, KEY)["flags"]}
    assert {found["arrival"] for found in records(again.images)} <= {None}


def test_nothing_is_added_to_a_lesion_of_tonight_or_of_the_first_night():
    mornings = Mornings(lesion_pattern(r"^(?P<lesion>l\d)"))
    for images in ({"a": 0.9, "b": 0.8}, {"a": 0.9, "b": 0.8}):
        found = night(mornings, images)
        assert not OF_IMAGES & {*lesion(found, KEY)["flags"]}
    found = mornings.night([image(0.9, "l2-x"), image(0.8, "l2-y")])
    assert not OF_IMAGES & {*lesion(found, "PATTERN:l2")["flags"]}


def test_lesions_that_are_grouped_anew_have_no_image_added():
    mornings = Mornings()
    rows = [image(0.9, "l1-a"), image(0.8, "l1-b")]
    mornings.night(rows)
    mornings.pattern = lesion_pattern(r"^(?P<lesion>l\d)")
    assert not OF_IMAGES & {*lesion(mornings.night(rows), KEY)["flags"]}


def test_images_that_came_back_and_lesions_that_left_say_nothing_of_images():
    mornings = Mornings(lesion_pattern(r"^(?P<lesion>l\d)"))
    night(mornings, {"a": 0.9})
    night(mornings, {"a": 0.9, "b": 0.6})
    left = mornings.night([image(0.1, "x")])
    assert lesion(left, KEY)["flags"] == ["left_archive"]
    back = night(mornings, {"a": 0.9, "b": 0.6})
    assert not OF_IMAGES & {*lesion(back, KEY)["flags"]}


def test_a_reviewed_lesion_tells_of_its_images_too():
    mornings = Mornings(lesion_pattern(r"^(?P<lesion>l\d)"))
    night(mornings, {"a": 0.9, "b": 0.6})
    rows = [image(0.9, "l1-a", path="l1-a.jpg")]
    found = mornings.night(rows, marks=[mark(1.5, lesion_key=KEY)])
    assert standings(found) == {KEY: ("alert", "reviewed")}
    assert lesion(found, KEY)["reason"].endswith("1 image of the night before is not there now.")
