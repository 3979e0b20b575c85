"""Train on sources that fit the memory: one label an image, an epoch as long as they are many."""

from __future__ import annotations

import keras
import numpy as np

from batch.training.course_parts import Run, callbacks, optimizer
from batch.training.input_pipeline import Side, plain_batches, sampling_weights, training_batches


def fit_short(model: keras.Model, run: Run) -> keras.callbacks.History:
    """Train on the rows whose `split` is `train`; `validation` is watched."""
    recipe, dataset = run.recipe, run.dataset
    course = recipe.course
    labels = np.array([recipe.class_names.index(name) for name in dataset.table["label"]])
    rows = {name: (dataset.table["split"] == name).to_numpy() for name in ("train", "validation")}
    train = rows["train"]
    steps = max(1, int(train.sum()) // course.batch_size)
    model.compile(
        optimizer=optimizer(course, steps * run.epochs),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    side = Side.of(recipe, dataset.pixels.shape[1])
    drawn = sampling_weights(dataset.table[train], course.balance, recipe.melanoma_class)
    return model.fit(
        training_batches(recipe, dataset.pixels[train], labels[train], drawn, run.seed, side),
        validation_data=plain_batches(
            recipe, dataset.pixels[rows["validation"]], labels[rows["validation"]]
        ),
        epochs=run.epochs,
        steps_per_epoch=steps,
        callbacks=callbacks(run, side),
        verbose=run.verbose,
    )
