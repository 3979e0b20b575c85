"""A long course: whom it draws, what it is shown, and that it goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import keras
import numpy as np
import pandas as pd
import pytest

from batch.training import long_course, networks
from batch.training.datasets import Dataset
from batch.training.draws import allowed_matrix, draws, shared_weights
from batch.training.fit import fit_on
from batch.training.input_pipeline import Side
from batch.training.long_batches import long_batches
from batch.training.parts import Cnn, Disguise, LongCourse
from batch.training.recipes import DERMOSCOPY_CLASSES, find_recipe

BENIGN = ("benign keratosis", "nevus")
TABLE = pd.DataFrame(
    {
        "source": ["a"] * 10 + ["b"] * 10 + ["c"] * 5,
        "label": ["melanoma"] * 2
        + ["nevus"] * 8
        + ["melanoma"] * 5
        + ["benign"] * 5
        + ["nevus"] * 5,
    }
)
TABLE["allowed"] = [BENIGN if label == "benign" else (label,) for label in TABLE["label"]]
COURSE = LongCourse(batch_size=4, images=16, epochs=3, patience=0, average=0.5, watched=4)
PLAIN = replace(
    find_recipe("dermoscopy-lite2"), course=COURSE, network=Cnn(filters=(4,), dense_units=4)
)


def test_sources_get_their_shares_and_each_the_same_share_of_melanoma():
    weights = shared_weights(TABLE, {"a": 3, "b": 1, "c": 1, "absent": 9}, "melanoma", 0.25)
    of = {name: weights[(TABLE["source"] == name).to_numpy()] for name in "abc"}
    assert [of[name].sum() for name in "abc"] == pytest.approx([0.6, 0.2, 0.2])
    assert of["a"][:2].sum() == pytest.approx(0.6 * 0.25)
    assert of["b"][:5].sum() == pytest.approx(0.2 * 0.25)
    assert of["c"] == pytest.approx([0.04] * 5)  # nothing but nevi


def test_a_coarse_label_allows_what_it_says():
    matrix = allowed_matrix(TABLE, DERMOSCOPY_CLASSES)
    assert matrix.shape == (25, 8)
    assert [DERMOSCOPY_CLASSES[at] for at in np.flatnonzero(matrix[15])] == list(BENIGN)
    assert matrix[:15].sum(axis=1).tolist() == [1] * 15


def shown(recipe, count, side, weights=None, first_epoch=0):
    """Images that hold their own number everywhere."""
    pixels = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 60, 60, 3), np.uint8)
    rows, allowed = np.arange(20, 40), np.eye(20, dtype=np.float32)
    weights = np.full(20, 1 / 20) if weights is None else weights
    value = Side.of(replace(recipe, course=replace(recipe.course, sides=((0, side),))), 60)
    found = long_batches(recipe, pixels, rows, allowed, weights, 1, value, first_epoch)
    return [(x.numpy(), y.numpy()) for x, y in islice(found, count)]


@pytest.mark.parametrize("side", [40, 60])
def test_a_batch_holds_images_of_the_wanted_side_with_their_own_labels(side):
    for x, y in shown(replace(PLAIN, change=Disguise()), 3, side):
        assert x.shape == (4, side, side, 3)
        np.testing.assert_allclose(x[:, 3, 3, 0], 20 + y.argmax(axis=1))


def test_rows_without_weight_are_never_drawn():
    weights = np.r_[np.full(10, 0.1), np.zeros(10)]
    plain = replace(PLAIN, change=Disguise())
    assert np.concatenate([y for _, y in shown(plain, 20, 60, weights)])[:, 10:].max() == 0


def test_an_epoch_draws_by_its_number_so_that_a_resumed_course_draws_alike():
    weights = np.full(50, 1 / 50)
    whole = list(islice(draws(weights, COURSE, 7, 0), 12))
    resumed = list(islice(draws(weights, COURSE, 7, 2), 4))
    np.testing.assert_array_equal(whole[8:], resumed)
    assert not np.array_equal(whole[:4], whole[4:8])


def test_mixed_images_carry_both_labels_and_the_share():
    mixing = replace(PLAIN, change=Disguise(), course=replace(COURSE, mix=0.4))
    (x, y), *_ = shown(mixing, 1, 60)
    first, second, share = y[:, :20], y[:, 20:40], y[:, 40]
    np.testing.assert_array_equal(second, np.roll(first, 1, 0))
    by_hand = share * (20 + first.argmax(1)) + (1 - share) * (20 + second.argmax(1))
    np.testing.assert_allclose(x[:, 5, 5, 1], by_hand, rtol=1e-5)


@pytest.fixture(scope="module")
def dataset():
    pixels = np.random.default_rng(0).integers(0, 256, (25, 180, 180, 3), dtype=np.uint8)
    split = np.where(np.arange(25) % 5 == 0, "validation", "train")
    return Dataset(TABLE.assign(split=split), pixels, {"shares": {"a": 1.0, "b": 1.0, "c": 1.0}})


@pytest.mark.parametrize("change", [{}, {"mix": 0.3}, {"smoothing": 0.1}])
def test_every_option_of_a_course_trains(dataset, change):
    recipe = replace(PLAIN, course=replace(COURSE, epochs=1, **change))
    (history,) = fit_on(recipe, dataset, seed=1).history
    assert np.isfinite(history["loss"])
    assert np.isfinite(history["val_loss"])


def test_an_interrupted_course_goes_on_with_its_optimizer_and_average(
    dataset, tmp_path, monkeypatch
):
    """Killed after two of three epochs: the third begins with all that the second ended with."""
    states = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            values = [np.asarray(one) for one in self.model.optimizer.variables]
            states.append((epoch, values + self.model.get_weights()))

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1 and kill:
                raise KeyboardInterrupt

    plain = long_course.callbacks
    monkeypatch.setattr(long_course, "callbacks", lambda *a: [*plain(*a), Watch()])
    kill = True
    with pytest.raises(KeyboardInterrupt):
        fit_on(PLAIN, dataset, seed=1, resume=tmp_path / "run")
    assert [epoch for epoch, _ in states] == [0, 1]
    kill = False
    fitted = fit_on(PLAIN, dataset, seed=1, resume=tmp_path / "run")
    assert [epoch for epoch, _ in states] == [0, 1, 2]
    assert [row["seconds"] > 0 for row in fitted.history] == [True] * 3
    steps = int(states[2][1][0])
    assert steps == 2 * 4  # the optimizer counts on
    again = fit_on(PLAIN, dataset, seed=1, resume=tmp_path / "run")  # nothing is left to do
    for before, after in zip(fitted.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("name", "parameters", "frozen"),
    [("dermoscopy-lite2", 4_842_472, 1), ("dermoscopy-lite0-described", 3_380_000, 1)],
)
def test_the_networks_are_what_they_say(name, parameters, frozen):
    recipe = find_recipe(name)
    assert recipe.network.frozen == frozen
    model = networks.build(recipe, any_size=True)
    assert model.count_params() == pytest.approx(parameters, rel=0.02)
