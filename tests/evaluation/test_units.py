"""Lesions and patients: scores and truth made of their images, against a loop and scikit-learn."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from batch.evaluation.matching import LABEL_KEY, match, spread_over_images
from batch.evaluation.report_page import verdicts
from batch.evaluation.units import (
    UnitCollector,
    archive_lesions,
    lesion_groups,
    lesions_and_patients,
    over_thresholds,
)
from batch.review.worklist.grouping import group_images

POINTS = [{"name": "p", "threshold": 0.5, "found_in": "predictions"}]


def images(rows):
    """Rows of lesion, patient and score."""
    lesions, patients, scores = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "lesion_id": list(lesions), "patient_pseudonym": list(patients),
            "patient_id": None, "issuer_of_patient_id": None, "study_instance_uid": None,
            "melanoma_score": list(scores), "image_id": [str(n) for n in range(len(rows))],
        }
    )  # fmt: skip


def units_of(rows, parts=1):
    """The units of a night that is read in so many parts."""
    collector = UnitCollector()
    for part in range(parts):
        collector.add(rows.iloc[part::parts])
    return collector.units()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 5), st.integers(0, 3), st.integers(0, 20), st.booleans(), st.booleans()
        ),
        min_size=1,
        max_size=25,
    )
)
def test_lesions_are_what_a_loop_makes_of_them(cases):
    night = images([(f"1.{p}.{le}", f"P{p}", s / 20) for le, p, s, _, _ in cases])
    is_labelled = np.array([labelled for *_, labelled in cases])
    truth = np.array([melanoma for *_, melanoma, _ in cases])
    judged = night[is_labelled]
    found = lesions_and_patients(judged, truth[is_labelled], units_of(night), POINTS)
    for name, column in (("by_lesion", "lesion_id"), ("by_patient", "patient_pseudonym")):
        if judged.empty:
            assert found[name] is None
            continue
        keys = sorted(set(judged[column]))
        melanoma = [any(truth[is_labelled][judged[column] == key]) for key in keys]
        score = [max(night["melanoma_score"][night[column] == key]) for key in keys]
        at = found[name]["operating_points"][0]
        assert found[name]["units"] == len(keys)
        pairs = list(zip(melanoma, score, strict=True))
        assert at["true_positive"] == sum(m and s >= 0.5 for m, s in pairs)
        assert at["false_positive"] == sum(not m and s >= 0.5 for m, s in pairs)
        assert at["false_negative"] == sum(m and s < 0.5 for m, s in pairs)
        if 0 < sum(melanoma) < len(melanoma):
            assert found[name]["melanoma_auc"] == pytest.approx(roc_auc_score(melanoma, score))


def test_an_image_without_a_label_counts_for_the_score_of_its_lesion():
    night = images([("1.2", "P", 0.1), ("1.2", "P", 0.9), ("1.3", "P", 0.2)])
    found = lesions_and_patients(
        night.iloc[[0, 2]], np.array([True, False]), units_of(night), POINTS
    )
    assert found["by_lesion"]["operating_points"][0]["sensitivity"] == 1.0


def test_a_tracking_id_is_a_lesion_only_within_its_patient():
    rows = images([("1a", "P", 0.1), ("1a", "Q", 0.1), ("1a", None, 0.1), ("1.2", None, 0.1)])
    assert list(archive_lesions(rows)) == ["P/1a", "Q/1a", "", "1.2"]


def test_one_tracking_id_of_two_patients_is_two_lesions():
    night = images([("1a", "P", 0.9), ("1a", "Q", 0.1)])
    found = lesions_and_patients(night, np.array([True, False]), units_of(night), POINTS)
    assert (found["by_lesion"]["units"], found["by_lesion"]["with_both_labels"]) == (2, 0)


def test_a_group_of_the_labels_joins_lesions_of_the_archive():
    night = images([("1.2", "P", 0.9), ("1.3", "P", 0.1), ("1.4", "P", 0.2)])
    labelled = night.assign(group=["A", "A", ""])
    found = lesions_and_patients(labelled, np.array([True, True, False]), units_of(night), POINTS)
    assert found["by_lesion"]["units"] == 2


def test_without_patients_there_is_no_figure_of_them():
    night = images([("1.2", None, 0.1), (None, None, 0.9)])
    found = lesions_and_patients(night, np.array([True, False]), units_of(night), POINTS)
    assert found["by_patient"] is None
    assert found["by_lesion"]["units"] == 2


def test_the_label_of_a_patient_with_several_lesions_names_none_of_them():
    night = images([("1.2", "P", 0.1), ("1.2", "P", 0.2), ("1.3", "Q", 0.1), ("1.4", "Q", 0.1)])
    labels = pd.DataFrame({"label": ["melanoma", "nevus", "nevus"],
                           "patient_pseudonym": ["P", "Q", "R"]})  # fmt: skip
    spread = spread_over_images(labels, night, "patient_pseudonym", units_of(night).lesions(night))
    assert list(spread.labels[LABEL_KEY]) == ["\n0", "\n1", "Q", "R"]
    assert list(spread.predictions[LABEL_KEY]) == ["\n0", "\n1", "Q", "Q"]
    assert spread.unclear == {"Q"}


TABLE = "MANIFEST:"


@pytest.mark.parametrize(("rows", "lesions"), [
    # a tracking UID of two patients is two lesions, and one of an unknown patient a third
    ([("1.2", "P"), ("1.2", "Q"), ("1.2", None)], [1, 2, 3]),
    ([("1.2", "P"), ("1.2", None)], [1, 1]),
    # a lesion of a hospital's table needs no patient, as in HAM10000's
    ([(TABLE + "7", None), (TABLE + "7", None), (TABLE + "8", None)], [1, 1, 2]),
    ([(TABLE + "7", "P"), (TABLE + "7", "Q")], [1, 2]),
    ([("1a", "P"), ("1a", "P"), ("1a", "Q")], [1, 1, 2]),
    ([("1a", None), ("1a", None)], [1, 2]),
    ([(None, "P"), (None, "P")], [1, 2]),
])  # fmt: skip
@pytest.mark.parametrize("parts", [1, 2])
def test_lesions_are_those_of_the_worklist(rows, lesions, parts):
    """The same partition as `group_images` makes, in whatever parts the night is read."""
    night = images([(lesion, patient, 0.5) for lesion, patient in rows]).assign(path="x.jpg")
    groups = lesion_groups(night, units_of(night, parts))
    of_worklist = group_images(night, None).lesion.codes
    for found in (groups, of_worklist):
        assert [list(found).index(one) for one in found] == [lesions.index(n) for n in lesions]
    units = units_of(night, parts)
    assert len(units.lesion) + units.without_lesion == len(set(lesions))


@pytest.mark.parametrize(("groups", "patients", "joined"), [
    (["A", "A"], ["P", "P"], True),
    (["A", "A"], ["P", "Q"], False),
    (["A", "A"], ["", ""], True),
    (["A", "A"], ["P", ""], True),
])  # fmt: skip
def test_a_group_of_the_labels_is_kept_apart_by_their_patients(groups, patients, joined):
    night = images([(None, None, 0.9), (None, None, 0.1)])
    judged = night.assign(group=groups, patient_id_label=patients)
    assert (len(set(lesion_groups(judged, units_of(night)))) == 1) is joined


def test_a_pattern_finds_lesions_and_patients_of_plain_files():
    night = images([(None, None, 0.9), (None, None, 0.1), (None, None, 0.2), ("1.2", "X", 0.3)])
    night = night.assign(path=["P/L1_a.jpg", "P/L1_b.jpg", "Q/L1_a.jpg", "P/L1_c.jpg"])
    collector = UnitCollector(re.compile("(?P<patient>[^/]+)/(?P<lesion>L.)_"))
    collector.add(night)
    units = collector.units()
    assert len(units.lesion) == 3 and len(units.patient) == 3
    assert units.lesion[units.lesions(night).iloc[0]] == 0.9
    found = lesions_and_patients(night, np.array([True, False, False, False]), units, POINTS)
    assert found["by_lesion"]["units"] == 3 and found["by_patient"]["units"] == 3


NIGHT = [("1a", "P", 0.1), ("1a", "Q", 0.2), ("2a", "P", 0.3), (TABLE + "P/7", "P", 0.4),
         (TABLE + "Q/7", "Q", 0.5), (TABLE + "P/8", "P", 0.6)]  # fmt: skip


@pytest.mark.parametrize(("lesion", "patient", "image"), [
    ("1a", "", None),  # two patients have it
    ("1a", "P", 0),
    ("1a", "Q", 1),
    ("1a", "R", "nobody"),
    ("2a", "", 2),
    ("7", "", None),
    ("7", "Q", 4),
    ("8", "", 5),  # as the hospital's table names it
    (TABLE + "P/8", "", 5),
    ("9", "", "nobody"),
])  # fmt: skip
def test_a_lesion_of_the_labels_is_that_of_one_patient(lesion, patient, image):
    night = images(NIGHT).assign(patient_id=[who for _, who, _ in NIGHT], patient_pseudonym=None)
    labels = pd.DataFrame({"label": ["melanoma"], "lesion_id": [lesion], "patient_id": [patient]})
    spread = spread_over_images(labels, night, "lesion_id", units_of(night).lesions(night))
    (key,) = spread.labels[LABEL_KEY]
    assert spread.unclear == ({lesion} if image is None else set())
    if isinstance(image, int):
        assert list(np.flatnonzero(spread.predictions[LABEL_KEY] == key)) == [image]


def test_a_label_without_its_patient_is_not_given_to_who_is_left():
    """Patient P's row is clear; the other row could be P's or Q's, and must not become Q's."""
    night = images(NIGHT[:2]).assign(patient_id=["P", "Q"], patient_pseudonym=None, path="x.jpg",
                                     content_sha256=["a", "b"], frame_number=None)  # fmt: skip
    labels = pd.DataFrame({"label": ["melanoma", "nevus"], "lesion_id": ["1a", "1a"],
                           "patient_id": ["P", ""]})  # fmt: skip
    spread = spread_over_images(labels, night, "lesion_id", units_of(night).lesions(night))
    unscored = pd.DataFrame({LABEL_KEY: [], "reason": []})
    counts = match(spread.labels, spread.predictions, unscored, LABEL_KEY, 0, spread.unclear).counts
    assert (counts["labels"]["judged"], counts["labels"]["ambiguous"]) == (1, 1)
    assert counts["predictions"]["ambiguous"] == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), min_size=1, max_size=40))
def test_a_threshold_of_the_table_is_the_highest_that_reaches_its_target(cases):
    truth = np.array([melanoma for melanoma, _ in cases])
    scores = np.array([score / 30 for _, score in cases])
    for row in over_thresholds(truth, scores):
        target = row["target_sensitivity"]
        assert row["sensitivity"] >= target - 1e-9
        higher = scores[scores > row["threshold"]]
        assert all(np.mean(scores[truth] >= t) < target for t in higher)


@pytest.mark.parametrize(
    ("interval", "words"),
    [((0.8, 0.98), "do not refute"), ((0.5, 0.9), "is lower"), ((0.96, 1.0), "is higher")],
)
def test_the_verdict_says_what_was_promised_and_what_is_here(interval, words):
    point = {"name": "p", "sensitivity": 0.925, "sensitivity_interval": interval,
             "specificity": 0.4, "specificity_interval": (0.3, 0.5)}  # fmt: skip
    measures = {"operating_points": [point], "melanoma": {"melanomas": 40, "others": 60}}
    (line,) = verdicts(measures, {"p": (0.95, 0.56)})
    assert "promised sensitivity 0.950 and specificity 0.560, here 0.925 (" in line
    assert words in line
    assert "not known" in verdicts(measures, {})[0]
