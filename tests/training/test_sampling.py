"""The part of a large set that is judged: shares of labels stay, and so does the draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.training.sampling import stratified_rows

LABELS = st.lists(st.sampled_from(["melanoma", "nevus", "keratosis"]), max_size=60).map(np.array)


@settings(deadline=None)
@given(LABELS, st.integers(0, 70))
def test_every_label_has_its_share_to_the_next_whole_image(labels, most):
    rows = stratified_rows(labels, most)
    assert len(rows) == min(most, len(labels))
    assert (np.diff(rows) > 0).all()
    for label in np.unique(labels):
        share = np.sum(labels == label) * len(rows) / len(labels)
        assert abs(np.sum(labels[rows] == label) - share) < 1


def test_the_draw_is_the_same_every_time_and_from_the_whole_set():
    labels = np.array(["melanoma"] * 100 + ["nevus"] * 900)
    rows = stratified_rows(labels, 200)
    assert rows.tolist() == stratified_rows(labels.copy(), 200).tolist()
    assert (rows < 100).sum() == 20
    assert len(set(rows // 100)) == 10  # no stretch of the set is left out


@pytest.mark.parametrize("most", [5, 6, 100])
def test_a_small_set_is_taken_whole(most):
    assert stratified_rows(np.array(list("aabbb")), most).tolist() == [0, 1, 2, 3, 4]
