"""What every course has: a run's facts, its optimizer, and what happens around an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import keras

from batch.training.datasets import Dataset
from batch.training.input_pipeline import Side
from batch.training.parts import Course, LongCourse, Recipe

HISTORY = "history.csv"


@dataclass(frozen=True, eq=False)
class Run:
    """One training: a recipe on images whose table has `split`.

    verbose: Keras's. resume: folder of checkpoints, where there is one.
    """

    recipe: Recipe
    dataset: Dataset
    seed: int
    epochs: int
    verbose: int = 0
    resume: Path | None = None


def optimizer(course: Course, steps: int) -> keras.optimizers.Optimizer:
    """Adam, or with a moving average AdamW under a cosine that falls to zero in `steps`."""
    if not course.average:
        return keras.optimizers.Adam(course.learning_rate)
    warmup = int(course.warmup * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=course.learning_rate / 20,
        decay_steps=max(1, steps - warmup),
        warmup_target=course.learning_rate,
        warmup_steps=warmup,
    )
    return keras.optimizers.AdamW(
        rate,
        weight_decay=course.weight_decay,
        use_ema=True,
        ema_momentum=course.average,
    )


def callbacks(run: Run, side: Side) -> list[Any]:
    """What happens around an epoch: its side, checkpoints, history, average, early end."""
    course, resume = run.recipe.course, run.resume
    found: list[Any] = [_Sides(course, side)]
    if isinstance(course, LongCourse):
        found.append(_Seconds())
    if resume is not None:  # before the swap: what is saved are the weights that are trained
        found.append(
            keras.callbacks.BackupAndRestore(
                str(resume),
                delete_checkpoint=False,
                double_checkpoint=isinstance(course, LongCourse),
            )
        )
        found.append(keras.callbacks.CSVLogger(resume / HISTORY, append=True))
    if course.average:
        found.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    if course.patience:
        found.append(
            keras.callbacks.EarlyStopping(patience=course.patience, restore_best_weights=True)
        )
    return found


class _Seconds(keras.callbacks.Callback):
    """What each epoch took, for the history."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._begun = perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs is not None:
            logs["seconds"] = round(perf_counter() - self._begun, 1)


class _Sides(keras.callbacks.Callback):
    """Smaller images at first, as the recipe says."""

    def __init__(self, course: Course, side: Side) -> None:
        super().__init__()
        self._course, self._side = course, side

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        begun = [side for first, side in self._course.sides if first <= epoch]
        if begun:
            self._side.value.assign(begun[-1])
