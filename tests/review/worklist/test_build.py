"""Tiers, order and groups, against a brute-force oracle and at the bounds."""

from __future__ import annotations

import math
import random
import statistics
from fractions import Fraction

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.rules import lesion_pattern
from batch.review.worklist.contract import (
    CHANGE_COLUMNS,
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    UNREADABLE_COLUMNS,
    Tier,
)
from batch.review.worklist.frames import records
from batch.review.worklist.tiers import TIERS, near_from, tier_codes
from tests.support.lists import Mornings, image, key_of, lesion, mark, standings, unreadable

PATTERN = lesion_pattern(r"^(?P<patient>p\d)/(?P<lesion>l\d)/")
GRID = [number / 64 for number in range(65)]
"""Scores that add up without rounding: the oracle's means are exact."""

archives = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 3), st.integers(0, 3), st.sampled_from([*GRID, None])
    ),
    max_size=24,
    unique_by=lambda each: each[:3],
)
"""Patient, lesion, image, score; None cannot be read."""


def oracle(archive, threshold):
    """The list as one would make it with pencil and paper: key, tier, numbers, place."""
    lesions = {}
    for patient, number, _, score in archive:
        lesions.setdefault((patient, number), []).append(score)
    low = Fraction(threshold) / (2 - Fraction(threshold))
    found = {}
    for (patient, number), scores in lesions.items():
        known = [score for score in scores if score is not None]
        if not known:
            tier = "unreadable"
        elif max(known) >= threshold:
            tier = "alert"
        elif Fraction(max(known)) >= low:
            tier = "near_threshold"
        else:
            tier = "below"
        top, mean = (max(known), sum(known) / len(known)) if known else (None, None)
        key = f"PATTERN:p{patient}/l{number}"
        found[key] = (tier, top, mean, len(scores), len(scores) - len(known), f"PATTERN:p{patient}")
    tiers = ["alert", "near_threshold", "unreadable", "unreliable", "below"]

    def place(key):
        tier, top, mean, *_ = found[key]
        return tiers.index(tier), -(top or 0), -(mean or 0), key

    order = sorted(found, key=place)
    places = {}
    for key in order:
        mine = [k for k in order if found[k][5] == found[key][5] and found[k][1] is not None]
        places[key] = (mine.index(key) + 1, len(mine)) if key in mine else (None, None)
    return order, found, places


def night_of(archive, threshold, shuffle=0):
    rows = [(f"p{patient}/l{number}/{count}", score) for patient, number, count, score in archive]
    random.Random(shuffle).shuffle(rows)
    images = [image(s, name, threshold=threshold) for name, s in rows if s is not None]
    return images, [unreadable(name) for name, s in rows if s is None]


@given(archives, st.sampled_from(GRID[1:]), st.integers(0, 9))
def test_the_list_is_the_one_of_the_oracle(archive, threshold, shuffle):
    found = Mornings(PATTERN).night(*night_of(archive, threshold, shuffle))
    order, lesions, places = oracle(archive, threshold)
    listed = [key for key in order if lesions[key][0] != "below"]
    assert list(found.lesions["lesion_key"]) == listed
    assert list(found.lesions["rank"]) == list(range(1, len(listed) + 1))
    assert found.facts.archive["below"] == len(order) - len(listed)
    assert found.facts.archive["lesions"] == len(order)
    for row in found.lesions.itertuples():
        tier, top, mean, count, blind, patient = lesions[row.lesion_key]
        assert row.tier == row.score_tier == tier
        assert (row.image_count, row.unreadable_count, row.patient_key) == (count, blind, patient)
        place = None if row.rank_in_patient is pd.NA else row.rank_in_patient
        size = None if row.lesions_of_patient is pd.NA else row.lesions_of_patient
        assert (place, size) == places[row.lesion_key]
        if top is None:
            assert math.isnan(row.max_score) and math.isnan(row.mean_score)
        else:
            assert (row.max_score, row.mean_score) == (top, mean)
            assert row.margin == top - threshold
    assert set(found.images["lesion_key"]) <= set(listed)
    assert len(found.unreadable) == sum(score is None for *_, score in archive)


@settings(max_examples=40)
@given(archives, st.sampled_from(GRID[1:]))
def test_the_order_of_the_tables_does_not_matter(archive, threshold):
    one, other = (Mornings(PATTERN).night(*night_of(archive, threshold, s)) for s in (1, 2))
    pd.testing.assert_frame_equal(one.lesions, other.lesions)
    pd.testing.assert_frame_equal(one.images, other.images)
    pd.testing.assert_frame_equal(one.unreadable, other.unreadable)


@settings(max_examples=40)
@given(archives, st.sampled_from(GRID[1:]))
def test_the_same_night_again_alerts_nobody_twice(archive, threshold):
    """Every status is open: nothing is new, nothing was lost, nothing changed."""
    mornings, night = Mornings(PATTERN), night_of(archive, threshold)
    first, second = mornings.night(*night), mornings.night(*night)
    assert set(first.lesions["status"]) <= {"new"}
    assert set(second.lesions["status"]) <= {"open"}
    same = ["rank", "lesion_key", "tier", "first_listed_at", "first_alerted_at", "max_score"]
    pd.testing.assert_frame_equal(first.lesions[same], second.lesions[same])
    assert (second.lesions["score_change"].dropna() == 0).all()
    assert len(second.changes) == 0


@pytest.mark.parametrize(
    ("threshold", "low"), [(0.5, 1 / 3), (0.02, 0.02 / 1.98), (0.9, 0.9 / 1.1), (1.0, 1.0), (0, 0)]
)
def test_the_band_begins_at_half_the_odds_of_the_threshold(threshold, low):
    assert near_from(threshold) == pytest.approx(low)
    if 0 < threshold < 1:
        odds, half = threshold / (1 - threshold), low / (1 - low)
        assert half == pytest.approx(odds / 2)


@pytest.mark.parametrize("threshold", [0.02, 0.5, 0.9, 1.0])
def test_bounds_belong_to_the_tier_above(threshold):
    low = near_from(threshold)
    scores = [threshold, math.nextafter(threshold, 0), low, math.nextafter(low, 0), 0.0]
    images = pd.DataFrame({"melanoma_score": scores, "threshold": threshold, "is_reliable": None})
    below = TIERS.index(Tier.BELOW)
    codes = tier_codes(images).tolist()
    assert codes == ([0, below, 0, below, below] if threshold == 1.0 else [0, 1, 1, below, below])


@pytest.mark.parametrize("dtype", [object, "bool", "boolean"])
@pytest.mark.parametrize(
    ("score", "sound", "doubtful"),
    [
        (0.6, Tier.ALERT, Tier.ALERT),
        (0.4, Tier.NEAR_THRESHOLD, Tier.NEAR_THRESHOLD),
        (0.1, Tier.BELOW, Tier.UNRELIABLE),
    ],
)
def test_a_doubtful_picture_is_never_below_and_takes_no_alert_back(score, sound, doubtful, dtype):
    is_reliable = pd.Series([True, False], dtype=dtype)
    images = pd.DataFrame({"melanoma_score": score, "threshold": 0.5, "is_reliable": is_reliable})
    assert [TIERS[code] for code in tier_codes(images)] == [sound, doubtful]


def test_a_lesion_with_a_doubtful_picture_is_listed_with_what_to_do():
    blurry = {**image(0.01, "b"), "flags": ["blurry"], "is_reliable": False}
    mornings = Mornings()
    listed = mornings.night([image(0.01, "a"), blurry]).lesions
    assert listed["tier"].tolist() == [Tier.UNRELIABLE]
    assert listed["lesion_key"].tolist() == [key_of("b")]
    assert listed["reason"].tolist() == [
        "Score 0.010 says little: a picture is out of focus, photograph again."
    ]
    assert mornings.night([image(0.01, "a"), blurry]).lesions["status"].tolist() == ["open"]
    marked = mornings.night(
        [image(0.01, "a"), blurry], marks=[mark(3, lesion_key=key_of("b"), decision="new image")]
    )
    assert marked.lesions["status"].tolist() == ["reviewed"]


def test_an_alert_with_a_doubtful_picture_keeps_its_tier_and_tells():
    blurry = {**image(0.9, "b"), "flags": ["overexposed"], "is_reliable": False}
    (row,) = records(Mornings().night([blurry]).lesions)
    assert row["tier"] == Tier.ALERT
    assert "Its score is not reliable: a picture is overexposed" in row["reason"]


def test_nights_before_the_measures_list_as_they_did():
    old = {**image(0.01, "a"), "is_reliable": None}
    assert Mornings().night([old]).lesions.empty


def test_another_image_of_the_night_moves_no_lesion_between_tiers():
    alone = Mornings().night([image(0.4, "a")])
    crowd = Mornings().night([image(0.4, "a"), *(image(0.99, f"x{n}") for n in range(50))])
    assert standings(alone)[key_of("a")] == standings(crowd)[key_of("a")]


@pytest.mark.parametrize(
    ("others", "top", "expected"),
    [
        ((0.1, 0.1, 0.1), 0.9, True),
        ((0.1,), 0.9, False),  # two lesions tell nothing of what is usual
        ((0.1, 0.1), 0.9, True),
        ((0.1, 0.5, 0.9), 0.9, False),  # everything is usual here
        ((0.9, 0.9, 0.9), 0.91, False),
        ((0.9, 0.9, 0.9), 0.5, False),  # low is not asked for
    ],
)
def test_the_ugly_duckling(others, top, expected):
    images = [image(s, f"p1/l{n}/1") for n, s in enumerate((*others, top))]
    found = Mornings(PATTERN).night([*images, image(0.9, "p2/l1/1")])
    outliers = dict(zip(found.lesions["lesion_key"], found.lesions["is_outlier"], strict=True))
    assert outliers[f"PATTERN:p1/l{len(others)}"] is expected
    assert not outliers["PATTERN:p2/l1"]


def test_the_outlier_rule_is_the_published_one():
    """Modified z-score of the log odds, recomputed with the standard library."""
    scores = [0.2, 0.3, 0.4, 0.5, 0.97]
    odds = [math.log(s / (1 - s)) for s in scores]
    middle = statistics.median(odds)
    spread = max(0.2, statistics.median(abs(o - middle) for o in odds))
    expected = {f"PATTERN:p1/l{n}": 0.6745 * (o - middle) / spread >= 3.5
                for n, o in enumerate(odds)}  # fmt: skip
    found = Mornings(PATTERN).night([image(s, f"p1/l{n}/1") for n, s in enumerate(scores)])
    for row in found.lesions.itertuples():
        assert row.is_outlier == expected[row.lesion_key]
    assert any(expected.values())


def test_scores_of_two_models_make_no_outlier():
    images = [image(0.1, f"p1/l{n}/1") for n in range(4)]
    images.append(image(0.9, "p1/l9/1", model_sha256="2" * 64))
    assert not Mornings(PATTERN).night(images).lesions["is_outlier"].any()


def test_an_image_that_lies_in_several_files_counts_once_with_its_highest_score():
    rows = [image(0.6, "x/1", image_id="1.2"), image(0.9, "x/2", image_id="1.2")]
    found = lesion(Mornings().night(rows), "1.2")
    assert (found["image_count"], found["max_score"], found["mean_score"]) == (1, 0.9, 0.9)
    assert found["flags"] == ["copies"]


def test_the_lesion_is_judged_by_the_model_that_scored_each_image():
    """Half of a night is scored again: thresholds of two models stand side by side."""
    old = image(0.3, "p1/l1/1", threshold=0.2, model_sha256="2" * 64)
    new = image(0.4, "p1/l1/2", threshold=0.5)
    found = lesion(Mornings(PATTERN).night([new, old]), "PATTERN:p1/l1")
    assert (found["tier"], found["max_score"], found["threshold"]) == ("alert", 0.4, 0.2)
    assert found["margin"] == pytest.approx(0.1)
    assert "mixed_models" in found["flags"]


def test_a_lesion_tells_site_side_date_and_identifiers_of_its_images():
    rows = [
        image(0.9, "a", lesion_id="1.2.3", anatomic_region="Back", laterality="L",
              acquisition_datetime="2026-01-02", study_instance_uid="5", patient_id="P",
              issuer_of_patient_id="H", accession_number="A1"),
        image(0.1, "b", lesion_id="1.2.3", anatomic_region="Trunk", laterality="L",
              acquisition_datetime="2026-03-01T10:00:00", study_instance_uid="4", patient_id="P",
              issuer_of_patient_id="H", flags=["lossy"]),
    ]  # fmt: skip
    found = lesion(Mornings().night(rows), "1.2.3")
    assert found["anatomic_site"] == "Back; Trunk"
    assert (found["laterality"], found["acquisition_datetime"]) == ("L", "2026-03-01T10:00:00")
    assert found["study_instance_uids"] == ["4", "5"]
    assert (found["patient_id"], found["issuer_of_patient_id"]) == ("P", "H")
    assert (found["accession_numbers"], found["patient_key"]) == (["A1"], "H|P")
    assert found["flags"] == ["lossy"]
    assert found["image_ids"] == [key_of("a"), key_of("b")]
    assert found["paths"] == ["a.jpg", "b.jpg"]


def test_an_empty_archive_gives_an_empty_list_with_all_columns():
    found = Mornings().night([])
    for frame, columns in (
        (found.lesions, LESION_COLUMNS),
        (found.images, IMAGE_COLUMNS),
        (found.unreadable, UNREADABLE_COLUMNS),
        (found.changes, CHANGE_COLUMNS),
    ):
        assert (len(frame), tuple(frame.columns)) == (0, columns)


def test_every_image_without_a_score_is_told_with_its_place():
    found = Mornings(PATTERN).night(
        [image(0.1, "p1/l1/1")], [unreadable("p1/l1/2"), unreadable("alone"), unreadable("other")]
    )
    assert list(found.unreadable["path"]) == ["alone.jpg", "other.jpg", "p1/l1/2.jpg"]
    keys = ["FILE:alone.jpg", "FILE:other.jpg", "PATTERN:p1/l1"]
    assert list(found.unreadable["lesion_key"]) == keys
    assert set(found.unreadable["reason"]) == {"decode_failed"}
    assert list(found.lesions["lesion_key"]) == keys[:2]  # the third has a score, below the band


def test_an_unreadable_object_stands_with_its_lesion_and_its_patient():
    patient = {"patient_pseudonym": "ab", "study_instance_uid": "1.5"}
    found = Mornings().night(
        [image(0.9, "a", lesion_id="9.8", **patient)],
        [
            unreadable("b", image_id="1.2.3", lesion_id="9.8", **patient),
            unreadable("c", image_id="1.2.4", lesion_id="9.9", patient_id="7",
                       issuer_of_patient_id="H", study_instance_uid="1.6"),
        ],
    )  # fmt: skip
    assert dict(zip(found.lesions["lesion_key"], found.lesions["tier"], strict=True)) == {
        "9.8": "alert", "9.9": "unreadable",
    }  # fmt: skip
    first, second = records(found.lesions)
    assert (first["image_count"], first["unreadable_count"]) == (2, 1)
    assert "unreadable_images" in first["flags"]
    assert (second["patient_key"], second["patient_id"]) == ("H|7", "7")
    assert second["study_instance_uids"] == ["1.6"]
    assert list(found.unreadable["patient_key"]) == ["ab", "H|7"]
    assert found.facts.archive["patients"] == 2


def test_an_unreadable_object_of_another_patient_is_kept_apart_and_that_is_said():
    found = Mornings().night(
        [image(0.9, "a", lesion_id="9.8", patient_pseudonym="ab")],
        [unreadable("b", image_id="1.2.3", lesion_id="9.8", patient_pseudonym="cd")],
    )
    assert list(found.lesions["lesion_key"]) == ["9.8", "9.8@cd"]
    assert [("shared_tracking_uid" in flags) for flags in found.lesions["flags"]] == [False, True]


def test_a_lesion_keeps_its_place_when_its_only_image_can_be_read_no_more():
    mornings = Mornings()
    known = {"lesion_id": "9.8", "patient_pseudonym": "ab"}
    mornings.night([image(0.9, "a", image_id="1.2.3", **known)])
    found = mornings.night([], [unreadable("a", image_id="1.2.3", **known)])
    (row,) = records(found.lesions)
    assert (row["lesion_key"], row["tier"], row["status"]) == ("9.8", "alert", "open")
    assert "no_longer_readable" in row["flags"]
    assert row["patient_key"] == "ab"


def test_two_empty_files_are_not_one_lesion():
    found = Mornings().night(
        [], [unreadable("a", content_sha256="0"), unreadable("b", content_sha256="0")]
    )
    assert len(found.lesions) == 2


def test_a_picture_that_holds_next_to_nothing_is_told_in_the_reason():
    night = Mornings().night([image(0.6, "x/1", flags=["nearly_uniform"]), image(0.6, "y/1")])
    told = ["nearly one colour" in reason for reason in night.lesions["reason"]]
    assert sorted(told) == [False, True]


def test_no_reason_calls_anything_clear_or_a_diagnosis():
    rows = [image(s, f"p1/l{n}/1") for n, s in enumerate((0.01, 0.4, 0.6, 0.9))]
    mornings = Mornings(PATTERN)
    for worklist in (mornings.night(rows, [unreadable()]), mornings.night(rows[:2])):
        for reason in worklist.lesions["reason"]:
            assert reason.endswith(".")
            assert not {"clear", "benign", "diagnos", "melanoma", "safe"} & set(
                reason.lower().split()
            )
