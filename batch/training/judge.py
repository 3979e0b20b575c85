"""Which sets of images judge a model, and what was measured on each, through the job's classifier.

A set that was seen in training says little, another split of the same source more, and a source
that was never trained on most; each is named for what it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batch.core.records import OperatingPoint
from batch.evaluation.evaluate import class_measures, melanoma_measures
from batch.evaluation.measures import at_threshold
from batch.model.classifier import KerasClassifier
from batch.training import datasets
from batch.training.datasets import Dataset
from batch.training.fit import Fitted
from batch.training.held_out_runs import HELD_OUT, OWN_SPLITS
from batch.training.recipes import Recipe
from batch.training.sampling import MOST_IMAGES, stratified_rows
from batch.training.source_points import Cases
from batch.training.splits import group_ids, perceptual_hashes


def with_scores(dataset: Dataset, classifier: KerasClassifier) -> pd.DataFrame:
    """The dataset's table with `melanoma_score` and `predicted_class`, by the job's classifier."""
    output = classifier.manifest.output
    scores = classifier.scores(dataset.pixels)
    names = np.array(output.class_names)
    melanoma = output.class_names.index(output.melanoma_class)
    return dataset.table.assign(
        melanoma_score=scores[:, melanoma].astype(float),
        predicted_class=names[scores.argmax(axis=1)],
    )


def measure(
    fitted: Fitted,
    rows: pd.DataFrame,
    classifier: KerasClassifier,
    data: Path,
    points: Sequence[OperatingPoint],
) -> dict[str, Any]:
    """Measures by set.

    Args:
        rows: the training data's table, or what was drawn of it, with scores (`with_scores`).
        points: the first is the default.
    """
    metrics: dict[str, Any] = {}
    whole = {name: len(part) for name, part in own_sets(fitted.dataset.table, fitted.recipe)}
    for name, part in own_sets(rows, fitted.recipe):
        metrics[name] = {"melanoma": _melanoma(part, part["group"], fitted.recipe, points)}
        if len(part) < whole[name]:
            metrics[name]["melanoma"]["drawn_of"] = whole[name]
        named = part[part["label"].isin(fitted.recipe.class_names)]  # no coarse label has a class
        metrics[name]["classes"] = class_measures(
            named["label"].to_numpy(),
            named["predicted_class"].to_numpy(),
            fitted.recipe.class_names,
        )
    if fitted.recipe.has_several_sources:
        return metrics
    for name, load in (("isic2017", datasets.isic2017), ("ham10000", datasets.ham10000)):
        other = load(data)
        if other is not None:
            strangers, groups = unseen(fitted.dataset, other)
            part = with_scores(strangers, classifier)
            metrics[f"{name} without isic9"] = {
                "melanoma": _melanoma(part, groups, fitted.recipe, points)
            }
    return metrics


def own_sets(rows: pd.DataFrame, recipe: Recipe) -> Iterator[tuple[str, pd.DataFrame]]:
    """The splits of the training data, by source where there are several, and held-out sources.

    An image that stands in several sources counts once in a set that has them all.
    """
    for split in OWN_SPLITS:
        yield split, rows[rows["split"] == split].drop_duplicates("image")
    if not recipe.has_several_sources:
        return
    for source, part in rows[rows["split"] == "test"].groupby("source"):
        yield f"test, {source}", part
    held_out = rows[rows["split"] == "held_out"]
    for source in recipe.hold_out:
        yield f"{source}{HELD_OUT}", held_out[held_out["source"] == source]


def _melanoma(
    part: pd.DataFrame, groups: Any, recipe: Recipe, points: Sequence[OperatingPoint]
) -> dict[str, Any]:
    is_melanoma = (part["label"] == recipe.melanoma_class).to_numpy()
    scores = part["melanoma_score"].to_numpy()
    found = melanoma_measures(is_melanoma, scores, np.asarray(groups), points[0].threshold)
    if len(points) > 1:
        found["at_points"] = {
            point.name: at_threshold(is_melanoma, scores, point.threshold) for point in points
        }
    return found


def judging_part(dataset: Dataset, recipe: Recipe) -> Dataset:
    """The images whose scores an artifact needs.

    Of recipes over described sources, which have many images: all that validate, test or are held
    out, and of those that trained a draw, stratified by label.
    """
    if recipe.data != "described":
        return dataset
    split = dataset.table["split"].to_numpy()
    trained = np.flatnonzero(split == "train")
    labels = dataset.table["label"].to_numpy()[trained].astype(str)
    held_out = (split == "held_out") & dataset.table["source"].isin(recipe.hold_out).to_numpy()
    judging = np.flatnonzero(np.isin(split, ("validation", "test")) | held_out)
    rows = np.sort(np.concatenate([judging, trained[stratified_rows(labels, MOST_IMAGES)]]))
    table = dataset.table.iloc[rows].reset_index(drop=True)
    return Dataset(table, np.ascontiguousarray(dataset.pixels[rows]), dataset.report)


def validation_cases(rows: pd.DataFrame, recipe: Recipe) -> Cases:
    """What chooses a threshold that holds at every source.

    Args:
        rows: columns split, source, image, label and melanoma_score.
    """
    part = rows[rows["split"] == "validation"]
    return Cases(
        (part["label"] == recipe.melanoma_class).to_numpy(),
        part["melanoma_score"].to_numpy(float),
        part["source"].to_numpy(str),
        ~part.duplicated("image").to_numpy(),
    )


def unseen(known: Dataset, other: Dataset) -> tuple[Dataset, np.ndarray]:
    """The part of `other` without name, lesion, bytes or look of `known`, and its groups."""
    table = pd.concat([known.table, other.table], ignore_index=True)
    pixels = np.concatenate([known.pixels, other.pixels])
    groups = group_ids(table, perceptual_hashes(pixels))
    seen = set(groups[: len(known.table)])
    named = set(known.table["image"])
    stranger = np.array(
        [
            group not in seen and image not in named
            for group, image in zip(groups[len(known.table) :], other.table["image"], strict=True)
        ]
    )
    part = Dataset(other.table[stranger].reset_index(drop=True), other.pixels[stranger], {})
    return part, groups[len(known.table) :][stranger]
