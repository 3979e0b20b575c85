"""A trained model becomes an artifact: model.keras, manifest, golden cases, split, history, card.

Everything measured here is measured through the classifier that the job uses, on the file that was
written, so the card speaks of what will run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batch import __version__
from batch.core.records import OperatingPoint
from batch.evaluation import thresholds
from batch.images.preprocess import (
    CHANNELS,
    HEIGHT,
    PREPROCESSING_VERSION,
    RESIZE_RULE,
    WIDTH,
    mean_colour,
)
from batch.model.artifact import ModelArtifact, verify_artifact
from batch.model.classifier import KerasClassifier, load_model
from batch.model.manifest import (
    MODEL_FILE,
    GoldenCase,
    InputContract,
    Licence,
    ModelManifest,
    OutputContract,
    check_manifest,
    read_manifest,
    scoring_fingerprint,
    write_manifest,
)
from batch.review.monitoring.figures import QUANTITIES, NightFigures, histogram_of, quantities_of
from batch.review.monitoring.reference import REFERENCE, provenance_entry
from batch.training.datasets import Dataset
from batch.training.expected_alerts import alerts_of_sets
from batch.training.fit import Fitted
from batch.training.golden_cases import GOLDEN_TOLERANCE, write_golden
from batch.training.held_out_runs import unseen_sets
from batch.training.judge import (
    judging_part,
    measure,
    own_sets,
    validation_cases,
    with_scores,
)
from batch.training.licences import licence_words, not_stated, of_sources
from batch.training.model_card import model_card
from batch.training.plots import draw
from batch.training.recipes import Recipe
from batch.training.source_caution import caution
from batch.training.source_points import choose_points

JUDGING = ("validation", "test")
"""Scores of images that the weights were fitted to are too sure of themselves."""


_OF_PIXELS = ("melanoma_score", "brightness", "red_share", "blue_share")
"""Sizes and devices are left out: the public sets are distributed resized and without device."""


def reference(rows: pd.DataFrame, pixels: np.ndarray, manifest: ModelManifest) -> dict[str, Any]:
    """What the manifest's provenance stores under `reference`.

    Args:
        rows: (N,) columns image, split, melanoma_score. pixels: (N, 180, 180, 3) uint8, in the
            same order. manifest: with model digest, input and output as they will be.
    """
    judging = rows["split"].isin(JUDGING)
    # an image that stands in several sources counts once
    taken = (judging & ~rows["image"].where(judging).duplicated()).to_numpy()
    colours = np.array([mean_colour(pixels[at]) for at in np.flatnonzero(taken)]).reshape(-1, 3)
    unknown = np.full(len(colours), np.nan)
    measured = quantities_of(
        {
            "melanoma_score": rows["melanoma_score"].to_numpy()[taken],
            "mean_red": colours[:, 0],
            "mean_green": colours[:, 1],
            "mean_blue": colours[:, 2],
            "rows": unknown,
            "columns": unknown,
        }
    )
    histograms = {
        each.name: histogram_of(measured[each.name], each)
        for each in QUANTITIES
        if each.name in _OF_PIXELS
    }
    images = f"the {len(colours)} validation and test images of its training data"
    return provenance_entry(NightFigures(histograms), images, scoring_fingerprint(manifest))


def export(
    fitted: Fitted,
    data: Path,
    folder: Path,
    command: str,
    siblings: Sequence[dict[str, Any]] = (),
    model_version: str = "1.0.0",
) -> ModelArtifact:
    """Write the artifact of a trained model and check it as the job will.

    Args:
        folder: empty. command: what reproduces it, for the card. siblings: `held_out_runs`.
    """
    fitted.model.save(folder / MODEL_FILE)
    facts = {"command": command, "held_out_runs": list(siblings)}
    return judge(fitted, data, folder, facts, model_version)


def judge(
    fitted: Fitted,
    data: Path,
    folder: Path,
    facts: dict[str, Any],
    model_version: str = "1.0.0",
    licence: Licence | None = None,
) -> ModelArtifact:
    """Measure the model file in a folder, write all else of its artifact, check it as the job will.

    Args:
        folder: holds model.keras only. facts: of its provenance, `command` and `held_out_runs`.
            licence: that it had before; by the sources that it learned from unless given.
    """
    path = folder / MODEL_FILE
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = _manifest(fitted.recipe, model_version, digest, (), (), {})
    classifier = KerasClassifier(load_model(path), manifest)
    part = judging_part(fitted.dataset, fitted.recipe)
    rows = with_scores(part, classifier)
    points, by_source = _points(fitted, rows, digest)
    metrics = measure(fitted, rows, classifier, data, points)
    provenance = {
        **facts,
        **_provenance(fitted, metrics),
        **by_source,
        REFERENCE: reference(rows, part.pixels, manifest),
    }
    if by_source:
        provenance["expected_alerts"] = alerts_of_sets(
            metrics["test"]["melanoma"], _sets_of_sources(provenance)
        )
    golden = write_golden(folder, classifier)
    manifest = _manifest(fitted.recipe, model_version, digest, points, golden, provenance)
    manifest = dataclasses.replace(manifest, licence=licence or _licence(fitted.dataset))
    check_manifest(manifest)
    write_manifest(manifest, folder)
    (folder / "MODEL_CARD.md").write_text(model_card(manifest), encoding="utf-8")
    columns = ["image", "content_sha256", "label", "label_origin", "group", "split", "source"]
    fitted.dataset.table[columns].to_csv(folder / "split.csv", index=False)
    pd.DataFrame(fitted.history).rename_axis("epoch").to_csv(folder / "history.csv")
    judging = {name: part for name, part in own_sets(rows, fitted.recipe) if name != "train"}
    classes = fitted.recipe.class_names
    draw(folder / "plots", fitted.history, judging, fitted.recipe.melanoma_class, classes)
    artifact = ModelArtifact(folder, read_manifest(folder))
    verify_artifact(artifact)
    return artifact


def _manifest(
    recipe: Recipe,
    model_version: str,
    digest: str,
    points: tuple[OperatingPoint, ...],
    golden: tuple[GoldenCase, ...],
    provenance: dict[str, Any],
) -> ModelManifest:
    return ModelManifest(
        manifest_version=1,
        model_id=recipe.name,
        model_version=model_version,
        description=recipe.description,
        caution=caution(unseen_sets(provenance), points[0].target_sensitivity if points else None),
        model_sha256=digest,
        input=InputContract(
            height=HEIGHT,
            width=WIDTH,
            channels=CHANNELS,
            dtype="float32",
            value_range=(0.0, 255.0),
            colour_order="RGB",
            rescaling_in_model=True,
            resize_rule=RESIZE_RULE,
            preprocessing_version=PREPROCESSING_VERSION,
        ),
        output=OutputContract(
            kind="softmax",
            class_names=recipe.class_names,
            melanoma_class=recipe.melanoma_class,
            malignant_classes=recipe.malignant_classes,
            temperature=1.0,
            calibrated=False,
        ),
        default_operating_point=points[0].name if points else "",
        operating_points=points,
        golden_tolerance=GOLDEN_TOLERANCE,
        golden=golden,
        contract_sha256="",  # set when it is written
        provenance=provenance,
    )


def _points(
    fitted: Fitted, rows: pd.DataFrame, digest: str
) -> tuple[tuple[OperatingPoint, ...], dict[str, Any]]:
    """Operating points, and for the provenance what each source said to them, if asked."""
    recipe = fitted.recipe
    seed = fitted.seed if fitted.split_seed is None else fitted.split_seed
    words = f"{recipe.data}, validation split, seed {seed}"
    if recipe.data == "described":
        points, evidence = choose_points(validation_cases(rows, recipe), digest, words)
        return points, {"points_by_source": evidence}
    validation = dict(own_sets(rows, recipe))["validation"]
    is_melanoma = (validation["label"] == recipe.melanoma_class).to_numpy()
    scores = validation["melanoma_score"].to_numpy()
    return (thresholds.choose(is_melanoma, scores, digest, words),), {}


def _sets_of_sources(provenance: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Measures of melanoma of every set that is of one source and did not train."""
    own = {
        name: measures["melanoma"]
        for name, measures in provenance["metrics"].items()
        if name.startswith("test, ")
    }
    return {**own, **unseen_sets(provenance)}


def _licence(dataset: Dataset) -> Licence:
    """By the sources of the images that had a part in the weights."""
    learned = dataset.table.loc[dataset.table["split"] != "held_out", "source"].unique()
    return of_sources(learned, dataset.report)


def _provenance(fitted: Fitted, metrics: dict[str, Any]) -> dict[str, Any]:
    counts = fitted.dataset.table.groupby(["split", "label"]).size().unstack(fill_value=0)
    recipe = dataclasses.asdict(fitted.recipe)
    del recipe["description"]
    table = fitted.dataset.table
    sources = sorted(table["source"].unique())
    elsewhere = fitted.course is not None
    return {
        "recipe": recipe,
        "seed": fitted.seed,
        **({} if fitted.split_seed is None else {"split_seed": fitted.split_seed}),
        **({"course": fitted.course} if elsewhere else {}),
        "epochs_run": None if elsewhere else len(fitted.history),
        "best_epoch": None if elsewhere else fitted.best_epoch,
        "data": {
            "sources": [
                f"{source} ({words})"
                for source, words in licence_words(sources, fitted.dataset.report).items()
            ],
            "licence_not_stated": not_stated(
                table[table["split"] == "train"], fitted.dataset.report
            ),
            "held_out": list(fitted.recipe.hold_out),
            "cleaning": fitted.dataset.report,
            "images_by_split": {
                str(name): {str(label): int(count) for label, count in row.items()}
                for name, row in counts.iterrows()
            },
            "split_rule": "StratifiedGroupKFold over lesion, identical and near-duplicate groups",
        },
        "metrics": metrics,
        "versions": {
            "melanoma-batch": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("tensorflow", "keras", "numpy", "Pillow")},
        },
    }
