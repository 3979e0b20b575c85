"""The caution after a calibration: what the local labels say, no more and no less."""

from __future__ import annotations

import pytest

from batch.training.calibration_caution import AUC_THAT_GUIDES, caution
from batch.training.source_caution import AUC_FOR_UNSEEN_SOURCES

FORMER = "AUC 0.74 on ham10000. It is a reference, not fit to guide review."


def entry(low, high, **changes):
    return {
        "images": 400, "melanomas": 120, "labels": "mine.csv", "melanoma_auc": (low + high) / 2,
        "melanoma_auc_interval": (low, high), "own_images": 0, "names_of_trained": 0, **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "poor", "unproven"),
    [
        (0.70, 0.79, True, False),
        (0.70, 0.80, False, True),
        (0.79, 0.93, False, True),
        (0.80, 0.93, False, False),
    ],
)
def test_it_judges_by_the_interval(low, high, poor, unproven):
    text = caution(entry(low, high), False, FORMER)
    assert "400 images of mine.csv, 120 of them melanomas" in text
    assert f"({low:.2f}–{high:.2f}; 0.5 is chance)" in text
    assert ("not fit to guide review" in text) is poor
    assert ("does not show an AUC of 0.8" in text) is unproven
    assert "ham10000" not in text
    assert "provisional" not in text


def test_few_melanomas_and_known_images_are_told():
    text = caution(entry(0.9, 0.95, own_images=7, names_of_trained=3), True, FORMER)
    assert "provisional" in text
    assert "3 of the images are named as" in text
    assert "7 of the images are of its own validation or test set" in text
    assert text.endswith(FORMER)


def test_training_and_calibration_ask_the_same():
    assert AUC_THAT_GUIDES == AUC_FOR_UNSEEN_SOURCES


@pytest.mark.parametrize(("named", "stays"), [(0, False), (1, False), (40, False), (41, True)])
def test_the_former_caution_stays_where_many_are_named_like_trained_ones(named, stays):
    text = caution(entry(0.9, 0.95, names_of_trained=named), False, FORMER)
    assert ("named as images that it was trained on" in text) is (named > 0)
    assert (FORMER in text) is stays
    assert "AUC of 0.9" in text


def test_the_former_caution_stands_once():
    text = caution(entry(0.9, 0.95, names_of_trained=300, own_images=9), False, FORMER)
    assert text.count(FORMER) == 1
