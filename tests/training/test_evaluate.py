"""Measures from arrays and from a published night."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.errors import UsageError
from batch.reports import rows, tables
from batch.training.evaluate import (
    auc_interval,
    class_measures,
    evaluate_predictions,
    melanoma_auc,
)
from tests.support import FACTS, prediction


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=30).filter(
        lambda cases: len({melanoma for melanoma, _ in cases}) == 2
    )
)
def test_auc_is_the_share_of_pairs_in_the_right_order(cases):
    melanoma = [score for is_melanoma, score in cases if is_melanoma]
    others = [score for is_melanoma, score in cases if not is_melanoma]
    pairs = [(m > o) + 0.5 * (m == o) for m in melanoma for o in others]
    found = melanoma_auc(np.array([m for m, _ in cases]), np.array([s for _, s in cases]))
    assert found == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.parametrize("kind", [True, False])
def test_without_both_kinds_there_is_no_auc(kind):
    cases = np.full(5, kind)
    assert melanoma_auc(cases, np.arange(5)) is None
    assert auc_interval(cases, np.arange(5), np.arange(5)) is None


def test_the_interval_draws_lesions_not_images():
    """Ten copies of each image add no knowledge: the interval stays as wide."""
    rng = np.random.default_rng(1)
    is_melanoma = rng.random(80) < 0.4
    scores = is_melanoma * 0.3 + rng.random(80)
    low, high = auc_interval(is_melanoma, scores, np.arange(80))
    copied = auc_interval(np.repeat(is_melanoma, 10), np.repeat(scores, 10),
                          np.repeat(np.arange(80), 10))  # fmt: skip
    assert copied == pytest.approx((low, high), abs=1e-9)
    assert low < melanoma_auc(is_melanoma, scores) < high


def test_measures_by_class_count_what_occurs():
    labels = np.array(["a", "a", "b", "b"])
    found = class_measures(labels, np.array(["a", "b", "b", "b"]), ("a", "b", "c"))
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == 0.75
    assert found["per_class"]["a"] == {"images": 2, "predicted": 1, "sensitivity": 0.5}
    assert found["per_class"]["c"] == {"images": 0, "predicted": 0, "sensitivity": None}


@pytest.fixture
def night(tmp_path):
    scores = {"m1": 0.9, "m2": 0.2, "n1": 0.6, "n2": 0.1}
    some = [
        rows.prediction_row(
            prediction(score, f"deep/{name}.jpg", image_id=name, content_sha256=name), FACTS
        )
        for name, score in scores.items()
    ]
    (tmp_path / "runs/r").mkdir(parents=True)
    tables.write_part("current", some, tmp_path / "runs/r/current/part-00000.parquet")
    (tmp_path / "latest").symlink_to("runs/r")
    return tmp_path


@pytest.mark.parametrize("below", ["", "latest", "latest/current"])
@pytest.mark.parametrize("key", ["image", "content_sha256"])
def test_a_night_is_measured_against_labels(night, tmp_path, below, key):
    labels = pd.DataFrame(
        {key: ["m1", "m2", "n1", "n2", "never scored"],
         "label": ["melanoma", "melanoma", "nevus", "nevus", "nevus"]}
    )  # fmt: skip
    labels.to_csv(tmp_path / "labels.csv", index=False)
    found = evaluate_predictions(night / below, tmp_path / "labels.csv", None)
    at = found["melanoma"]["at_operating_point"]
    assert (at["sensitivity"], at["specificity"]) == (0.5, 0.5)
    assert found["melanoma"]["melanoma_auc"] == 0.75
    assert (found["labelled_images"], found["without_prediction"]) == (5, 1)
    assert found["classes"]["accuracy"] == 0.5


def test_a_split_takes_its_rows_only(night, tmp_path):
    labels = pd.DataFrame({"image": ["m1", "n1", "n2"], "label": ["melanoma", "nevus", "nevus"],
                           "split": ["test", "test", "train"]})  # fmt: skip
    labels.to_csv(tmp_path / "labels.csv", index=False)
    assert evaluate_predictions(night, tmp_path / "labels.csv", "test")["labelled_images"] == 2
    with pytest.raises(UsageError, match="no rows of split 'dev'"):
        evaluate_predictions(night, tmp_path / "labels.csv", "dev")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no file"),
        ("image,dx\nm1,mel\n", "needed: label"),
        ("label\nnevus\n", "content_sha256 or image"),
        ("image,label\nother,nevus\n", "no image of .* is among the predictions"),
    ],
)
def test_unusable_labels_are_usage_errors(night, tmp_path, text, message):
    if text:
        (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        evaluate_predictions(night, tmp_path / "labels.csv", None)


def test_a_folder_without_a_night_is_a_usage_error(tmp_path):
    (tmp_path / "labels.csv").write_text("image,label\na,nevus\n")
    with pytest.raises(UsageError, match="no predictions below"):
        evaluate_predictions(tmp_path / "nowhere", tmp_path / "labels.csv", None)
