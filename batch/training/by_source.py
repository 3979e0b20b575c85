"""A model judged source by source, and asked whether it reads the lesion or what came along.

    python -m batch.training.by_source ARTIFACT --data DATA --cache CACHE

judges an artifact on every described source's images that it did not learn from. Of a large set a
part is looked at, drawn by label, the same every time; `drawn_of` says how many images it has.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.evaluation.measures import (
    at_threshold,
    auc_interval,
    melanoma_auc,
    ranking_measures,
)
from batch.model.artifact import find_artifact, open_model
from batch.model.classifier import KerasClassifier
from batch.training.answers import answer
from batch.training.datasets import Dataset
from batch.training.fit import prepare_data
from batch.training.held_out_runs import HELD_OUT
from batch.training.recipes import DERMOSCOPY_CLASSES, RECIPES
from batch.training.sampling import MOST_IMAGES, stratified_rows
from batch.training.shortcuts import at_sharpness, covered, lesion_mask
from batch.training.splits import dark_surrounds

SOFT_SIDE = 84
"""Of the least sharp source: every image can be brought to it, none beyond."""

Scorer = Callable[[np.ndarray], np.ndarray]
"""(N, 180, 180, 3) uint8 to melanoma scores, (N,)."""


def judging_sets(table: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Name and row numbers of every set that may judge: a source's test split, or all of it."""
    judges = table["judges"].to_numpy(bool)
    for source in sorted(table["source"].unique()):
        for split, name in (("test", f"test, {source}"), ("held_out", f"{source}{HELD_OUT}")):
            is_one = judges & ((table["source"] == source) & (table["split"] == split)).to_numpy()
            if is_one.any():
                yield name, np.flatnonzero(is_one)


def judged(
    dataset: Dataset,
    score: Scorer,
    melanoma_class: str,
    most: int = MOST_IMAGES,
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Measures and shortcut tests of every judging set.

    Args:
        most: images of a set that are looked at, drawn by label but the same every time.
        thresholds: by the name of the operating point.

    Returns:
        by set what `set_measures` gives, and `drawn_of`, the images that the set has.
    """
    found = {}
    labels = dataset.table["label"].to_numpy().astype(str)
    for name, rows in judging_sets(dataset.table):
        drawn = rows[stratified_rows(labels[rows], most)]
        part = dataset.table.iloc[drawn]
        pixels = np.ascontiguousarray(dataset.pixels[drawn])
        measures = set_measures(
            pixels, labels[drawn] == melanoma_class, part["group"].to_numpy(), score, thresholds
        )
        found[name] = {**measures, "drawn_of": len(rows)}
    return found


def set_measures(
    pixels: np.ndarray,
    is_melanoma: np.ndarray,
    groups: np.ndarray,
    score: Scorer,
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """What can be said of one set.

    Args:
        thresholds: by the name of the operating point.

    Returns:
        images, melanomas, AUC and sensitivity at specificity 0.8 with intervals, calibration error;
        under `at_points` the rates at each threshold; and under `shortcuts` the AUC of the images
        with and without a dark surround, of all at one sharpness, with the lesion covered, and of
        the lesion's size alone.
    """
    scores = score(pixels)
    ranking = ranking_measures(is_melanoma, scores, groups)
    at_specificity = ranking["sensitivity_at_specificity"]
    dark = dark_surrounds(pixels)
    masks = np.array([lesion_mask(image) for image in pixels])
    sizes = masks.mean(axis=(1, 2))
    hidden = np.array([covered(*pair) for pair in zip(pixels, masks, strict=True)])
    soft = np.array([at_sharpness(image, SOFT_SIDE) for image in pixels])
    return {
        "images": len(pixels),
        "melanomas": int(is_melanoma.sum()),
        "melanoma_auc": ranking["melanoma_auc"],
        "melanoma_auc_interval": ranking["melanoma_auc_interval"],
        "sensitivity_at_specificity": at_specificity["sensitivity"],
        "sensitivity_at_specificity_interval": at_specificity["interval"],
        "expected_calibration_error": ranking["expected_calibration_error"],
        "at_points": {
            name: at_threshold(is_melanoma, scores, threshold)
            for name, threshold in (thresholds or {}).items()
        },
        "shortcuts": {
            "with_surround": _auc(is_melanoma[dark], scores[dark], groups[dark]),
            "without_surround": _auc(is_melanoma[~dark], scores[~dark], groups[~dark]),
            "at_one_sharpness": _auc(is_melanoma, score(soft), groups),
            "lesion_covered": _auc(is_melanoma, score(hidden), groups),
            "size_alone": _auc(is_melanoma, sizes, groups),
        },
    }


def _auc(is_melanoma: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    return {
        "melanomas": int(is_melanoma.sum()),
        "others": int((~is_melanoma).sum()),
        "auc": melanoma_auc(is_melanoma, scores),
        "interval": auc_interval(is_melanoma, scores, groups),
    }


def unlearned(dataset: Dataset, learned: pd.DataFrame) -> Dataset:
    """What a model did not learn from is `held_out`: no image, lesion or copy of its training.

    Args:
        learned: its split.csv, with content_sha256, image and split.
    """
    table = dataset.table
    used = learned[learned["split"].isin(["train", "validation"])]
    known = table["content_sha256"].isin(used["content_sha256"]) | table["image"].isin(
        used["image"]
    )
    barred = table["group"].isin(table.loc[known, "group"])
    split = np.where(barred, "unused", "held_out")
    return Dataset(table.assign(split=split), dataset.pixels, dataset.report)


def judge_artifact(name: str, data: Path, cache: Path | None, most: int) -> dict[str, Any]:
    """An artifact on every source's images that it did not learn from.

    Raises:
        UsageError: it has no `split.csv`, so that nobody knows what it learned from.
        ArtifactRefused: its manifest or its model breaks the contract.
    """
    artifact = find_artifact(name)
    file = artifact.folder / "split.csv"
    if not file.exists():
        raise UsageError(f"by_source: {name} has no split.csv; allowed: artifacts of `train`.")
    output = artifact.manifest.output
    classifier = KerasClassifier(
        open_model(artifact.read_file, artifact.manifest), artifact.manifest
    )
    melanoma = output.class_names.index(output.melanoma_class)

    def score(pixels: np.ndarray) -> np.ndarray:
        return classifier.scores(pixels)[:, melanoma].astype(float)

    # the split of any recipe over described sources: its groups are those of all images
    recipe = next(
        one
        for one in RECIPES.values()
        if one.data == "described" and one.class_names == DERMOSCOPY_CLASSES
    )
    dataset = unlearned(prepare_data(recipe, data, 0, cache), pd.read_csv(file))
    return {
        "model": f"{artifact.manifest.model_id} {artifact.manifest.model_version}",
        "model_sha256": artifact.manifest.model_sha256,
        "most_images_of_a_set": most,
        "sets": judged(
            dataset,
            score,
            output.melanoma_class,
            most,
            {point.name: point.threshold for point in artifact.manifest.operating_points},
        ),
    }


def main(words: Sequence[str] | None = None) -> int:
    """One JSON object."""
    parser = argparse.ArgumentParser(prog="python -m batch.training.by_source")
    parser.add_argument("artifact", metavar="ARTIFACT", help="bundled model, or an artifact folder")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA")
    parser.add_argument("--cache", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--most", type=int, default=MOST_IMAGES, metavar="N", help="images of a set (%(default)s)"
    )
    options = parser.parse_args(words)
    return answer(
        lambda: json.dumps(
            judge_artifact(options.artifact, options.data, options.cache, options.most)
        )
    )


if __name__ == "__main__":
    from batch.runtime.process import import_tensorflow

    import_tensorflow()
    raise SystemExit(main())
