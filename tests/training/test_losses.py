"""The loss over allowed classes, against what is worked out by hand and Keras's own."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from batch.training.losses import PartialLabelLoss, melanoma_is_told

SCORES = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]], np.float32)


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ([[1, 0, 0], [0, 0, 1]], [0.5, 0.1]),
        ([[1, 1, 0], [0, 1, 1]], [0.8, 0.9]),
        ([[1, 1, 1], [1, 1, 1]], [1.0, 1.0]),  # "anything" teaches nothing
    ],
)
def test_the_loss_is_of_the_sum_of_what_is_allowed(allowed, expected):
    found = np.asarray(PartialLabelLoss()(np.array(allowed, np.float32), SCORES))
    np.testing.assert_allclose(found, -np.log(expected), atol=1e-5)


def test_with_one_allowed_class_it_is_the_usual_loss():
    one = np.eye(3, dtype=np.float32)[[2, 1]]
    usual = keras.losses.categorical_crossentropy(one, SCORES)
    np.testing.assert_allclose(PartialLabelLoss()(one, SCORES), usual, atol=1e-5)


def test_smoothing_is_keras_label_smoothing_where_one_class_is_allowed():
    one = np.eye(3, dtype=np.float32)[[2, 1]]
    usual = keras.losses.categorical_crossentropy(one, SCORES, label_smoothing=0.1)
    np.testing.assert_allclose(PartialLabelLoss(0.1)(one, SCORES), usual, atol=1e-5)


def test_a_mixed_image_answers_for_both_labels_by_their_shares():
    first, second = np.eye(3, dtype=np.float32)[[0, 1]], np.eye(3, dtype=np.float32)[[2, 0]]
    share = np.array([[0.25], [1.0]], np.float32)
    found = np.asarray(PartialLabelLoss()(np.hstack([first, second, share]), SCORES))
    by_hand = [-0.25 * np.log(0.5) - 0.75 * np.log(0.2), -np.log(0.8)]
    np.testing.assert_allclose(found, by_hand, atol=1e-5)


def test_the_watched_metric_asks_on_which_side_of_one_half_melanoma_is():
    allowed = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    scores = np.array([[0.2, 0.4, 0.4], [0.9, 0.1, 0], [0.3, 0.7, 0], [0.6, 0.4, 0]], np.float32)
    assert np.asarray(melanoma_is_told(0)(allowed, scores)).tolist() == [1, 1, 0, 0]
