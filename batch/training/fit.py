"""Train a recipe: data, split, network, early stopping."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from batch.training import datasets, networks, splits
from batch.training.datasets import Dataset
from batch.training.recipes import Recipe


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained model with everything its artifact must state.

    dataset.table has columns `group` and `split`. history: one dict an epoch.
    """

    recipe: Recipe
    seed: int
    model: keras.Model
    dataset: Dataset
    history: list[dict[str, float]]
    best_epoch: int


def prepare_data(data: Path, seed: int) -> Dataset:
    """The recipe's images with `group` and `split` beside each."""
    dataset = datasets.isic9(data)
    groups = splits.group_ids(dataset.table, splits.perceptual_hashes(dataset.pixels))
    table = dataset.table.assign(group=groups, split=splits.split(dataset.table, groups, seed))
    return Dataset(table, dataset.pixels, dataset.report)


def fit(recipe: Recipe, data: Path, seed: int, epochs: int | None, verbose: int) -> Fitted:
    """Train on the `train` split, stop on the loss of `validation`, keep the best epoch's weights.

    Args:
        epochs: instead of the recipe's. verbose: Keras's (0 silent, 1 bar, 2 a line an epoch).
    """
    keras.utils.set_random_seed(seed)
    dataset = prepare_data(data, seed)
    labels = np.array([recipe.class_names.index(name) for name in dataset.table["label"]])
    rows = {name: (dataset.table["split"] == name).to_numpy() for name in ("train", "validation")}
    model = networks.build(recipe)
    model.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    stop = keras.callbacks.EarlyStopping(patience=recipe.patience, restore_best_weights=True)
    train = rows["train"]
    validation = rows["validation"]
    log = model.fit(
        networks.training_batches(recipe, dataset.pixels[train], labels[train], seed),
        validation_data=networks.plain_batches(
            recipe, dataset.pixels[validation], labels[validation]
        ),
        epochs=epochs or recipe.epochs,
        callbacks=[stop],
        verbose=verbose,
    )
    history = [
        {name: float(values[epoch]) for name, values in log.history.items()}
        for epoch in range(len(log.epoch))
    ]
    best = int(np.argmin([row["val_loss"] for row in history])) + 1
    return Fitted(recipe, seed, model, dataset, history, best)
