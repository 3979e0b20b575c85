"""The story of three nights, over generated pictures: every lesion stands where README says."""

from __future__ import annotations

import pytest

from batch.demo import dicom_writer
from batch.demo.lesions import lesion_image
from tests.support.story import Story, changes, play

PICTURES = 60


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    root = tmp_path_factory.mktemp("story")
    pictures = []
    for number in range(PICTURES):
        pictures.append(root / f"{number:03d}.jpg")
        pictures[-1].write_bytes(dicom_writer.jpeg_bytes(lesion_image(number, 120, 160)))
    (root / "archive").mkdir()
    told = Story(root / "archive", root / "reports", pictures)
    play(told, ("dermoscopy-lite0", "isic9-plain"))
    return told


def test_every_lesion_stands_on_every_list_as_the_rules_say(story):
    assert story.wrong == []
    assert [len(each) > 0 for each in story.lists] == [True] * 4


def test_the_story_holds_what_it_tells(story):
    """Without these the comparison above would compare less than it says."""
    one, two, again, three = story.lists
    assert set(one["status"]) == {"new"}
    assert {"new", "open", "reviewed", "reopened"} <= set(two["status"])
    assert "left_archive" in {flag for flags in two["flags"] for flag in flags}
    assert "new" not in set(again["status"])
    assert not {name for name in changes(two, again) if "new" not in name}
    assert {"new", "reopened"} <= set(three["status"])
    assert "unreadable" in set(one["tier"])
    assert "unreadable" not in set(three["score_tier"])
    why = story.runs[-1]["review"]["worklist"]["changed_tier"]
    assert why["new model"] > 0
    assert [run["review"]["worklist"]["new_alerts"] for run in story.runs][2] == 0


def test_a_list_that_is_wrong_is_told(story):
    """The comparison itself: an expectation that is another is named."""
    lesion = next(iter(story.lists[-1].index))
    story.expected.known[lesion].tier = "below"
    told = len(story.wrong)
    story.night(4, "isic9-plain")
    assert any(lesion in line for line in story.wrong[told:])
