"""Two models on the same lesions, against what can be counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.evaluation.measures import melanoma_auc
from batch.evaluation.two_models import (
    MOVES,
    by_lesion,
    disagreement,
    moves,
    on_outcomes,
    rank_correlation,
)


def images(*rows: tuple[int, float, float | None]) -> pd.DataFrame:
    """Lesion, score and silent score of each image; an alert from 0.5 of both."""
    frame = pd.DataFrame(rows, columns=["lesion", "score", "silent_score"]).astype(
        {"silent_score": float}
    )
    return frame.assign(
        is_alert=frame["score"] >= 0.5,
        would_alert=frame["silent_score"] >= 0.5,
        row=np.arange(len(frame)),
    )


def test_a_lesion_counts_by_its_highest_scores_and_only_if_all_its_images_have_both():
    lesions = by_lesion(
        images((1, 0.2, 0.7), (1, 0.6, 0.1), (2, 0.9, None), (2, 0.1, 0.1), (3, 0.3, 0.2))
    )
    assert list(lesions.index) == [1, 3]
    assert lesions.loc[1, ["score", "silent_score", "images"]].tolist() == [0.6, 0.7, 2]
    assert lesions.loc[1, ["row", "silent_row"]].tolist() == [1, 0]
    assert moves(lesions).tolist() == ["both_alert", "no_alert"]


@pytest.mark.parametrize(
    ("score", "silent", "move"),
    [(0.5, 0.5, "both_alert"), (0.5, 0.49, "only_ours"), (0.49, 0.5, "only_silent"),
     (0.49, 0.49, "no_alert")],
)  # fmt: skip
def test_who_would_move_over_which_threshold(score, silent, move):
    assert move in MOVES
    assert moves(by_lesion(images((1, score, silent)))).tolist() == [move]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3], [10, 20, 30], 1.0), ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2], [1, 2], None), ([1, 1, 1], [1, 2, 3], None), ([], [], None),
        ([1, 2, 2, 3], [1, 3, 2, 4], 0.9486832980505138),
    ],
)  # fmt: skip
def test_rank_correlation(first, second, expected):
    assert rank_correlation(np.array(first, float), np.array(second, float)) == (
        None if expected is None else pytest.approx(expected)
    )


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_distances_of_ranks_cancel_out_and_keep_within_one(pairs):
    found = disagreement(by_lesion(images(*((n, *pair) for n, pair in enumerate(pairs)))))
    assert found.abs().max() < 1
    assert found.sum() == pytest.approx(0, abs=1e-9)


def test_both_are_measured_on_the_same_lesions_each_at_its_own_threshold():
    random = np.random.default_rng(3)
    truth = np.arange(60) % 3 == 0
    scores = np.clip(truth * 0.2 + random.random(60) * 0.8, 0, 1)
    silent = np.clip(truth * 0.6 + random.random(60) * 0.4, 0, 1)
    lesions = by_lesion(images(*((n, scores[n], silent[n]) for n in range(60))))
    found = on_outcomes(lesions, truth, np.arange(60), {"score": 0.3, "silent_score": 0.5})
    for name, values, threshold in (("score", scores, 0.3), ("silent_score", silent, 0.5)):
        assert found[name]["auc"] == pytest.approx(melanoma_auc(truth, values))
        assert found[name]["sensitivity"] == pytest.approx(np.mean(values[truth] >= threshold))
        assert found[name]["specificity"] == pytest.approx(np.mean(values[~truth] < threshold))
    assert found["auc_difference"] == pytest.approx(
        found["silent_score"]["auc"] - found["score"]["auc"]
    )
    low, high = found["auc_difference_interval"]
    assert 0 < low < found["auc_difference"] < high


def test_without_a_melanoma_there_is_no_area():
    lesions = by_lesion(images((1, 0.2, 0.3), (2, 0.4, 0.1)))
    found = on_outcomes(
        lesions, np.zeros(2, bool), np.arange(2), {"score": 0.3, "silent_score": 0.5}
    )
    assert found["score"]["auc"] is found["auc_difference"] is None
    assert found["score"]["specificity"] == 0.5
