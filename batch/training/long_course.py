"""Train over many sources: partial labels, shares by source, checkpoints at every epoch."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np

from batch.training.course_parts import Run, callbacks, optimizer
from batch.training.datasets import Dataset
from batch.training.draws import allowed_matrix, shared_weights
from batch.training.input_pipeline import Side
from batch.training.long_batches import long_batches
from batch.training.losses import PartialLabelLoss, melanoma_is_told
from batch.training.parts import LongCourse


def fit_long(model: keras.Model, run: Run) -> keras.callbacks.History:
    """Train on the rows whose `split` is `train`; some of `validation` are watched.

    The table has `allowed` besides; the report, the sources' shares under `shares`.
    """
    recipe, dataset, table = run.recipe, run.dataset, run.dataset.table
    course = recipe.course
    if not isinstance(course, LongCourse):
        raise TypeError(f"{recipe.name}: its course is not long")
    steps = max(1, course.images // course.batch_size)
    melanoma = recipe.class_names.index(recipe.melanoma_class)
    model.compile(
        optimizer=optimizer(course, steps * run.epochs),
        loss=PartialLabelLoss(course.smoothing),
        metrics=[] if course.mix else [melanoma_is_told(melanoma)],
    )
    side = Side.of(recipe, dataset.pixels.shape[1])
    allowed = allowed_matrix(table, recipe.class_names)
    train = np.flatnonzero((table["split"] == "train").to_numpy())
    drawn = shared_weights(
        table.iloc[train], shares(dataset), recipe.melanoma_class, course.melanoma_share
    )
    watched = np.flatnonzero((table["split"] == "validation").to_numpy())
    if len(watched) > course.watched:
        rng = np.random.default_rng(run.seed)
        watched = np.sort(rng.choice(watched, course.watched, replace=False))
    begun = epochs_done(run.resume)
    return model.fit(
        long_batches(recipe, dataset.pixels, train, allowed[train], drawn, run.seed, side, begun),
        validation_data=(dataset.pixels[watched], allowed[watched]),
        validation_batch_size=course.batch_size,
        epochs=run.epochs,
        steps_per_epoch=steps,
        callbacks=callbacks(run, side),
        verbose=run.verbose,
    )


def shares(dataset: Dataset) -> dict[str, float]:
    """Each source's share of an epoch, as its description says."""
    found = dataset.report["shares"]
    if not isinstance(found, dict):
        raise TypeError("the data set's report has no shares")
    return found


def epochs_done(resume: Path | None) -> int:
    """Whole epochs that the checkpoints hold."""
    file = resume / "training_metadata.json" if resume is not None else None
    if file is None or not file.exists():
        return 0
    return int(json.loads(file.read_text(encoding="utf-8"))["epoch"])
