"""Train a recipe: data, split, network, course."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.training import datasets, described, networks, splits
from batch.training.course_parts import HISTORY, Run
from batch.training.datasets import Dataset
from batch.training.long_course import fit_long
from batch.training.parts import LongCourse, Recipe
from batch.training.pixels import kept_array
from batch.training.short_course import fit_short

_FINAL = "final.weights.h5"


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained model with everything its artifact must state.

    dataset.table has columns `group` and `split`. history: one dict an epoch. split_seed: where the
    split has another seed than the course. course: facts of a course that ran elsewhere, which had
    no epochs: images_drawn, seconds, loss, device, jobs.
    """

    recipe: Recipe
    seed: int
    model: keras.Model
    dataset: Dataset
    history: list[dict[str, float]]
    best_epoch: int
    split_seed: int | None = None
    course: dict[str, Any] | None = None


def prepare_data(recipe: Recipe, data: Path, seed: int, cache: Path | None = None) -> Dataset:
    """The recipe's images with `group` and `split` beside each.

    Groups that touch a held-out source are in the split `held_out`, in whatever source they stand.
    An image of a source that does not judge is `unused` where its group validates or tests.

    Raises:
        UsageError: the data is not there.
    """
    dataset = load(recipe, data, cache)
    table = dataset.table
    _check_hold_out(recipe, set(table["source"]))
    contents = table["content_sha256"].tolist()

    def kept(name: str, compute: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return kept_array(cache, name, contents, lambda: compute(dataset.pixels))

    hashes = kept("hashes", splits.perceptual_hashes)
    many = recipe.data == "described"
    dark = kept("dark_surrounds", splits.dark_surrounds) if many else None
    groups = splits.group_ids(table, hashes, dark)
    table = table.assign(group=groups)
    return Dataset(
        table.assign(split=split_without(recipe, table, seed)), dataset.pixels, dataset.report
    )


def split_without(recipe: Recipe, table: pd.DataFrame, seed: int) -> np.ndarray:
    """(N,) the split of each image, as `prepare_data` describes it.

    Args:
        table: with the column `group`.
    """
    groups = table["group"].to_numpy()
    held_out = table["source"].isin(recipe.hold_out) if recipe.hold_out else np.zeros(len(table))
    barred = np.isin(groups, groups[np.asarray(held_out, bool)])
    split = np.full(len(table), "held_out", dtype=object)
    split[~barred] = splits.split(table[~barred], groups[~barred], seed)
    if "judges" in table:
        cannot = ~table["judges"].to_numpy() & np.isin(split, ("validation", "test"))
        split[cannot] = "unused"
    return split


def _check_hold_out(recipe: Recipe, found: set[str]) -> None:
    wanted = set(recipe.hold_out)
    if not wanted <= found or wanted == found:
        raise UsageError(
            f"--hold-out: found {', '.join(recipe.hold_out)}; allowed: some of "
            f"{', '.join(sorted(found))}, but not all."
        )


def load(recipe: Recipe, data: Path, cache: Path | None = None) -> Dataset:
    """The recipe's images, cleaned, without `group` and `split`.

    Args:
        cache: folder for the decoded images, where the recipe has many.

    Raises:
        UsageError: the data is not there.
    """
    if recipe.data == "described":
        return described.load_described(data, recipe.class_names, cache)
    if recipe.data == "dermoscopy":
        return datasets.dermoscopy(data)
    found = datasets.isic9(data)
    if recipe.data == "isic9-binary":
        melanoma, other = recipe.class_names
        names = np.where(found.table["label"] == melanoma, melanoma, other)
        return Dataset(found.table.assign(label=names), found.pixels, found.report)
    return found


def fit(
    recipe: Recipe,
    data: Path,
    seed: int,
    epochs: int | None,
    verbose: int,
    weights: Path | None = None,
    resume: Path | None = None,
    cache: Path | None = None,
) -> Fitted:
    """Train a recipe on what stands below `data`; otherwise as `fit_on`.

    Args:
        cache: folder for the decoded images.

    Raises:
        UsageError: data or weights are missing.
    """
    keras.utils.set_random_seed(seed)
    dataset = prepare_data(recipe, data, seed, cache)
    return fit_on(recipe, dataset, seed, epochs, verbose, weights, resume)


def fit_on(
    recipe: Recipe,
    dataset: Dataset,
    seed: int,
    epochs: int | None = None,
    verbose: int = 0,
    weights: Path | None = None,
    resume: Path | None = None,
) -> Fitted:
    """Train on the rows whose `split` is `train`; `validation` is watched.

    Args:
        epochs: instead of the recipe's. verbose: Keras's (0 silent, 1 bar, 2 a line an epoch).
        weights: of the backbone, for recipes that have one. resume: folder of checkpoints; a run
            that was interrupted goes on from its last whole epoch.

    Raises:
        UsageError: the weights are missing.
    """
    keras.utils.set_random_seed(seed)
    with _precision():
        model = networks.build(recipe, any_size=bool(recipe.course.sides))
    networks.load_backbone(model, recipe, weights)
    course = recipe.course
    if resume is None or not _finished(resume, model):
        run = Run(recipe, dataset, seed, epochs or course.epochs, verbose, resume)
        log = (fit_long if isinstance(course, LongCourse) else fit_short)(model, run)
        history = pd.DataFrame(log.history)
        if resume is not None:
            model.save_weights(resume / _FINAL)
    if resume is not None:
        history = pd.read_csv(resume / HISTORY).drop(columns="epoch")
    best = int(history["val_loss"].argmin()) + 1 if course.patience else len(history)
    rounds = [{str(k): float(v) for k, v in row.items()} for row in history.to_dict("records")]
    return Fitted(recipe, seed, networks.finished(recipe, model), dataset, rounds, best)


@contextmanager
def _precision() -> Iterator[None]:
    """Layers made inside compute in half precision where a GPU is present: it is made for that.

    Weights stay float32, and so does the artifact. Without a GPU it is slower (measured: bfloat16
    trained EfficientNet-Lite0 at under half the speed of float32 on two CPU cores).
    """
    if not keras.distribution.list_devices("gpu"):
        yield
        return
    keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def _finished(resume: Path, model: keras.Model) -> bool:
    """Whether the checkpoints are of a training that ended; then the model has its weights."""
    resume.mkdir(parents=True, exist_ok=True)
    if not (resume / _FINAL).exists():
        return False
    model.load_weights(resume / _FINAL)
    return True
