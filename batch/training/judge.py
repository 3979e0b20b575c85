"""Which sets of images judge a model, and what was measured on each, through the job's classifier.

A set that was seen in training says little, another split of the same source more, and a source
that was never trained on most; each is named for what it is.

A model that was trained on every source has no stranger left to judge it. Runs of the same recipe
that left a source out (`held_out_runs`) stand for that; their figures belong beside the shipped
model's, and are not its own.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.core.records import OperatingPoint
from batch.evaluation.evaluate import class_measures, melanoma_measures
from batch.model.classifier import KerasClassifier
from batch.model.manifest import read_manifest
from batch.training import datasets
from batch.training.datasets import Dataset
from batch.training.fit import Fitted
from batch.training.recipes import Recipe
from batch.training.splits import group_ids, perceptual_hashes

HELD_OUT = ", held out"


def held_out_runs(recipe: Recipe, seed: int, folders: Sequence[Path]) -> list[dict[str, Any]]:
    """What sibling artifacts measured on the sources that they had not seen.

    Returns:
        for each folder: command, held_out (sources), model_sha256, preprocessing_version, and
        metrics (set to melanoma measures), held-out sets only.

    Raises:
        UsageError: not an artifact of this recipe and seed with a source held out.
        ArtifactRefused: the manifest breaks its contract.
    """
    return [_run(recipe, seed, folder) for folder in folders]


def _run(recipe: Recipe, seed: int, folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    facts = manifest.provenance
    wanted = dataclasses.asdict(dataclasses.replace(recipe, hold_out=()))
    del wanted["description"]
    wanted = json.loads(json.dumps({**wanted, "seed": seed}))
    found = {**facts.get("recipe", {}), "hold_out": [], "seed": facts.get("seed")}
    if different := sorted(name for name in wanted if found.get(name) != wanted[name]):
        raise UsageError(
            f"--held-out-run: {folder} was made by another recipe or seed (different: "
            f"{', '.join(different)}); allowed: artifacts of the same `train {recipe.name} "
            f"--seed {seed}` with --hold-out."
        )
    metrics = {
        name: measures["melanoma"]
        for name, measures in facts["metrics"].items()
        if name.endswith(HELD_OUT)
    }
    if not metrics:
        raise UsageError(
            f"--held-out-run: {folder} was trained on every source; allowed: artifacts of "
            f"`train {recipe.name} --hold-out SOURCE`."
        )
    return {
        "command": facts["command"],
        "held_out": facts["data"]["held_out"],
        "model_sha256": manifest.model_sha256,
        "preprocessing_version": manifest.input.preprocessing_version,
        "metrics": metrics,
    }


OWN_SPLITS = ("train", "validation", "test")


AUC_FOR_UNSEEN_SOURCES = 0.8
"""Below this lower bound of the 95 % interval the artifact carries a caution."""


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
    point: OperatingPoint,
) -> dict[str, Any]:
    """Measures by set.

    Args:
        rows: the training data's table with scores (`with_scores`).
    """
    metrics: dict[str, Any] = {}
    for name, part in own_sets(rows, fitted.recipe):
        metrics[name] = {"melanoma": _melanoma(part, part["group"], fitted.recipe, point)}
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
                "melanoma": _melanoma(part, groups, fitted.recipe, point)
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


def _melanoma(part: pd.DataFrame, groups: Any, recipe: Recipe, point: OperatingPoint) -> Any:
    is_melanoma = (part["label"] == recipe.melanoma_class).to_numpy()
    scores = part["melanoma_score"].to_numpy()
    return melanoma_measures(is_melanoma, scores, np.asarray(groups), point.threshold)


def caution(metrics: dict[str, Any]) -> str:
    """What must be said with every score when melanoma is not ranked well on unseen sources."""
    weak = [
        f"{found['melanoma']['melanoma_auc']:.2f} on {name}"
        for name, found in metrics.items()
        if name not in OWN_SPLITS
        and not name.startswith("test, ")
        and (found["melanoma"]["melanoma_auc_interval"] or (1,))[0] < AUC_FOR_UNSEEN_SOURCES
    ]
    if not weak:
        return ""
    return (
        f"On images from outside its training set this model ranks melanoma poorly (AUC "
        f"{', '.join(weak)}; 0.5 is chance). It is a reference, not fit to guide review."
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
