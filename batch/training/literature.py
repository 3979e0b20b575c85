"""The accuracy that the projects of this field would report for a recipe: a leaking protocol.

What they do, and what is wrong with it: labels are the folders' names, though 155 images stand in
two folders; a random fifth of the *files* validates, so that both files of one image, or two
photographs of one lesion, stand on both sides; to rebalance, 500 rotated copies a class are drawn
before that split, so that most validation images are copies of training images. Nothing here
becomes an artifact.

    python -m batch.training.literature RECIPE --data DATA
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from batch.core.errors import BatchError, UsageError
from batch.runtime.terminal import say
from batch.training import datasets
from batch.training.datasets import Dataset
from batch.training.recipes import RECIPES, Change, Cnn, Course, Recipe

COPIES = 500
"""Of each class, as the projects draw them with Augmentor."""
ROTATION = Change(rotation=10 / 360)
VALIDATION_SHARE = 0.2
EPOCHS = 20
EPOCHS_REBALANCED = 30


def leaking(data: Path, recipe: Recipe, seed: int) -> Dataset:
    """All files of isic9's Train folder, split at random; `Test` is the distributor's own folder.

    Raises:
        UsageError: the set is not below `data`.
    """
    found = datasets.isic9_files(data)
    names = found["folder"]
    if len(recipe.class_names) == 2:
        names = names.where(names == recipe.melanoma_class, recipe.class_names[1])
    table, pixels = datasets.read(found.assign(label=names, source="isic9"), data)
    is_test = table["file"].str.startswith("isic9/Test/").to_numpy()
    rng = np.random.default_rng(seed)
    copied = (
        _copies(table, ~is_test, rng) if recipe.course.balance == "class" else np.array([], int)
    )
    pixels = np.concatenate([pixels, *_rotated(pixels[copied], seed)])
    table = pd.concat([table, table.iloc[copied]], ignore_index=True)
    is_test = np.concatenate([is_test, is_test[copied]])
    drawn = rng.random(len(table)) < VALIDATION_SHARE
    split = np.where(is_test, "test", np.where(drawn, "validation", "train"))
    report: dict[str, object] = {"files": len(found), "copies": len(copied)}
    return Dataset(table.assign(split=split), pixels, report)


def _copies(table: pd.DataFrame, allowed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows: list[int] = []
    for label in sorted(table["label"].unique()):
        of_class = np.flatnonzero(allowed & (table["label"] == label).to_numpy())
        rows += rng.choice(of_class, COPIES).tolist()
    return np.array(rows)


def _rotated(pixels: np.ndarray, seed: int) -> list[np.ndarray]:
    import tensorflow as tf

    from batch.training.input_pipeline import change

    tf.random.set_seed(seed)
    parts = []
    for start in range(0, len(pixels), 256):
        changed = change(tf.cast(pixels[start : start + 256], tf.float32), ROTATION)
        parts.append(tf.cast(tf.round(changed), tf.uint8).numpy())
    return parts


def measure(recipe: Recipe, data: Path, seed: int, epochs: int | None = None) -> dict[str, Any]:
    """Train as the projects do; their validation accuracy, and what leaked into it.

    Returns:
        recipe, epochs, seconds, accuracy by split (`train`, `validation`, `test`), images by split,
        and `validation_known`: the share of validation images that the training has seen, as the
        same photograph.
    """
    from batch.training.fit import fit_on

    total = epochs or (EPOCHS_REBALANCED if recipe.course.balance == "class" else EPOCHS)
    plain = replace(recipe, course=Course(epochs=total, patience=0))
    dataset = leaking(data, recipe, seed)
    begun = perf_counter()
    fitted = fit_on(plain, dataset, seed)
    seconds = perf_counter() - begun
    scores = fitted.model.predict(dataset.pixels, batch_size=64, verbose=0)
    right = np.array(recipe.class_names)[scores.argmax(axis=1)] == dataset.table["label"].to_numpy()
    split = dataset.table["split"]
    trained = set(dataset.table.loc[split == "train", "image"])
    known = dataset.table.loc[split == "validation", "image"].isin(trained)
    return {
        "recipe": recipe.name,
        "seed": seed,
        "epochs": total,
        "seconds": round(seconds),
        "images": {str(name): int(count) for name, count in split.value_counts().items()},
        "accuracy": {
            name: round(float(right[(split == name).to_numpy()].mean()), 4)
            for name in ("train", "validation", "test")
            if (split == name).any()
        },
        "validation_known": round(float(known.mean()), 4),
        **dataset.report,
    }


def main(words: Sequence[str] | None = None) -> int:
    """One JSON object a recipe."""
    trained_so = sorted(name for name, recipe in RECIPES.items() if isinstance(recipe.network, Cnn))
    parser = argparse.ArgumentParser(prog="python -m batch.training.literature")
    parser.add_argument("recipes", nargs="+", metavar="RECIPE", help=", ".join(trained_so))
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args(words)
    try:
        if unknown := sorted(set(options.recipes) - set(trained_so)):
            raise UsageError(f"no such recipe: {unknown}; allowed: {', '.join(trained_so)}.")
        for name in options.recipes:
            found = measure(RECIPES[name], options.data, options.seed, options.epochs)
            say(json.dumps(found) + "\n", sys.stdout)
    except BatchError as error:
        say(f"{error}\n", sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    from batch.runtime.process import import_tensorflow

    import_tensorflow()
    raise SystemExit(main())
