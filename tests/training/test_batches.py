"""How often each image is drawn, and what a batch looks like."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.training.input_pipeline import Side, sampling_weights, training_batches
from batch.training.recipes import RECIPES, Course

TABLE = pd.DataFrame(
    {
        "label": ["melanoma"] * 2 + ["nevus"] * 8 + ["melanoma"] * 5 + ["nevus"] * 5,
        "source": ["a"] * 10 + ["b"] * 10,
    }
)


def share(weights, rows):
    return weights[rows.to_numpy()].sum() / weights.sum()


def test_without_balance_every_image_counts_alike():
    assert set(sampling_weights(TABLE, "none", "melanoma")) == {1 / 20}


def test_balanced_by_class_every_class_is_drawn_equally_often():
    weights = sampling_weights(TABLE, "class", "melanoma")
    assert share(weights, TABLE["label"] == "melanoma") == pytest.approx(0.5)


def test_balanced_by_source_the_clinic_tells_nothing_of_melanoma():
    weights = sampling_weights(TABLE, "source", "melanoma")
    assert weights.sum() == pytest.approx(1)
    for source in "ab":
        part = TABLE["source"] == source
        assert share(weights, part) == pytest.approx(0.5)
        melanoma = share(weights, part & (TABLE["label"] == "melanoma"))
        assert melanoma / share(weights, part) == pytest.approx(1 / 3)


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.sampled_from(["none", "class"])
)
def test_weights_are_probabilities(labels, balance):
    weights = sampling_weights(pd.DataFrame({"label": labels}), balance, "a")
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()


def batches(recipe, count, pixels=None, weights=None):
    pixels = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 180, 180, 3), np.uint8
    )
    labels = np.arange(40)
    weights = np.full(40, 1 / 40) if weights is None else weights
    data = training_batches(recipe, pixels, labels, weights, 1, Side.of(recipe, 180))
    return [(x.numpy(), y.numpy()) for x, y in islice(data, count)]


PLAIN = replace(RECIPES["isic9-plain"], course=Course(batch_size=8))


def test_an_epoch_holds_every_image_once_with_its_own_label():
    found = batches(PLAIN, 5)
    assert sorted(np.concatenate([y for _, y in found])) == list(range(40))
    for x, y in found:
        np.testing.assert_array_equal(x[:, 0, 0, 0], y)


def test_an_image_without_weight_is_never_drawn():
    weights = np.r_[np.full(20, 1 / 20), np.zeros(20)]
    assert np.concatenate([y for _, y in batches(PLAIN, 20, weights=weights)]).max() < 20


def test_a_recipe_may_begin_with_smaller_images():
    small = replace(PLAIN, course=Course(batch_size=8, sides=((0, 112), (3, 180))))
    assert batches(small, 1)[0][0].shape == (8, 112, 112, 3)
    assert batches(PLAIN, 1)[0][0].shape == (8, 180, 180, 3)


def test_the_same_seed_draws_the_same_images():
    assert [y.tolist() for _, y in batches(PLAIN, 3)] == [y.tolist() for _, y in batches(PLAIN, 3)]
