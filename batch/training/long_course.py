"""Train over many sources: partial labels, shares by source, checkpoints at every epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from batch.training.batches import Side
from batch.training.datasets import Dataset
from batch.training.long_batches import allowed_matrix, long_batches, shared_weights
from batch.training.losses import PartialLabelLoss, melanoma_is_told
from batch.training.parts import LongCourse, Recipe


def compile_long(model: keras.Model, recipe: Recipe, optimizer: keras.optimizers.Optimizer) -> None:
    """Prepare a network for a long course."""
    course = recipe.course
    assert isinstance(course, LongCourse)
    metrics = [] if course.mix else [melanoma_is_told(recipe.class_names.index("melanoma"))]
    model.compile(optimizer=optimizer, loss=PartialLabelLoss(course.smoothing), metrics=metrics)


def fit_long(
    model: keras.Model,
    recipe: Recipe,
    dataset: Dataset,
    seed: int,
    epochs: int,
    verbose: int,
    callbacks: list[Any],
    side: Side,
    resume: Path | None,
) -> keras.callbacks.History:
    """Train a compiled network on the rows whose `split` is `train`.

    Args:
        dataset: its table has `allowed`; its report, the sources' shares under `shares`.
    """
    course, table = recipe.course, dataset.table
    assert isinstance(course, LongCourse)
    train = np.flatnonzero((table["split"] == "train").to_numpy())
    drawn = shared_weights(
        table.iloc[train], shares(dataset), recipe.melanoma_class, course.melanoma_share
    )
    allowed = allowed_matrix(table, recipe.class_names)
    watched = np.flatnonzero((table["split"] == "validation").to_numpy())
    if len(watched) > course.watched:
        watched = np.sort(np.random.default_rng(seed).choice(watched, course.watched, False))
    begun = epochs_done(resume)
    return model.fit(
        long_batches(recipe, dataset.pixels, train, allowed[train], drawn, seed, side, begun),
        validation_data=(dataset.pixels[watched], allowed[watched]),
        validation_batch_size=course.batch_size,
        epochs=epochs,
        steps_per_epoch=steps_an_epoch(course),
        callbacks=callbacks,
        verbose=verbose,
    )


def shares(dataset: Dataset) -> dict[str, float]:
    """Each source's share of an epoch, as its description says."""
    found = dataset.report["shares"]
    assert isinstance(found, dict)
    return found


def steps_an_epoch(course: LongCourse) -> int:
    """Batches that an epoch draws."""
    return max(1, course.images // course.batch_size)


def epochs_done(resume: Path | None) -> int:
    """Whole epochs that the checkpoints hold."""
    file = resume / "training_metadata.json" if resume is not None else None
    if file is None or not file.exists():
        return 0
    return int(json.loads(file.read_text(encoding="utf-8"))["epoch"])
