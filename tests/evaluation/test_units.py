"""Lesions and patients: scores and truth made of their images, against a loop and scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from batch.evaluation.matching import spread_over_images
from batch.evaluation.report_page import verdicts
from batch.evaluation.units import (
    archive_lesions,
    highest_scores,
    lesions_and_patients,
    over_thresholds,
)

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


def highest(rows):
    lesions, patients = archive_lesions(rows), rows["patient_pseudonym"]
    return {
        "lesion": highest_scores(rows["melanoma_score"], lesions),
        "patient": highest_scores(rows["melanoma_score"], patients),
    }


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
    found = lesions_and_patients(judged, truth[is_labelled], highest(night), POINTS)
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
        night.iloc[[0, 2]], np.array([True, False]), highest(night), POINTS
    )
    assert found["by_lesion"]["operating_points"][0]["sensitivity"] == 1.0


def test_a_tracking_id_is_a_lesion_only_within_its_patient():
    rows = images([("1a", "P", 0.1), ("1a", "Q", 0.1), ("1a", None, 0.1), ("1.2", None, 0.1)])
    assert list(archive_lesions(rows)) == ["P/1a", "Q/1a", "", "1.2"]


def test_one_tracking_id_of_two_patients_is_two_lesions():
    night = images([("1a", "P", 0.9), ("1a", "Q", 0.1)])
    found = lesions_and_patients(night, np.array([True, False]), highest(night), POINTS)
    assert (found["by_lesion"]["units"], found["by_lesion"]["with_both_labels"]) == (2, 0)


def test_a_group_of_the_labels_joins_lesions_of_the_archive():
    night = images([("1.2", "P", 0.9), ("1.3", "P", 0.1), ("1.4", "P", 0.2)])
    labelled = night.assign(group=["A", "A", ""])
    found = lesions_and_patients(labelled, np.array([True, True, False]), highest(night), POINTS)
    assert found["by_lesion"]["units"] == 2


def test_without_patients_there_is_no_figure_of_them():
    night = images([("1.2", None, 0.1), (None, None, 0.9)])
    found = lesions_and_patients(night, np.array([True, False]), highest(night), POINTS)
    assert found["by_patient"] is None
    assert found["by_lesion"]["units"] == 2


def test_the_label_of_a_patient_with_several_lesions_names_none_of_them():
    night = images([("1.2", "P", 0.1), ("1.2", "P", 0.2), ("1.3", "Q", 0.1), ("1.4", "Q", 0.1)])
    labels = pd.DataFrame({"label": ["melanoma", "nevus", "nevus"],
                           "patient_pseudonym": ["P", "Q", "R"]})  # fmt: skip
    spread, predictions = spread_over_images(labels, night, "patient_pseudonym")
    assert list(spread["patient_pseudonym"]) == ["P\n0", "P\n1", "Q", "R"]
    assert list(predictions["patient_pseudonym"]) == ["P\n0", "P\n1", "Q", "Q"]


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
