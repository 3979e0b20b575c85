"""A trained model becomes an artifact: model.keras, manifest, golden cases, split, history, card.

Everything measured here is measured through the classifier that the job uses, on the file that was
written, so the card speaks of what will run.
"""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from PIL import Image

from batch import __version__
from batch.archive.preprocess import (
    CHANNELS,
    HEIGHT,
    PREPROCESSING_VERSION,
    RESIZE_RULE,
    WIDTH,
)
from batch.archive.reader import read_image
from batch.demo.lesions import lesion_image
from batch.errors import UsageError
from batch.model.artifact import ModelArtifact, check_manifest, verify_artifact
from batch.model.classifier import KerasClassifier, load_model
from batch.model.golden import GOLDEN_FOLDER
from batch.model.manifest import (
    MODEL_FILE,
    GoldenCase,
    InputContract,
    ModelManifest,
    OutputContract,
    read_manifest,
    write_manifest,
)
from batch.records import OperatingPoint
from batch.training import datasets, networks, operating_point
from batch.training.datasets import Dataset
from batch.training.evaluate import class_measures, melanoma_measures
from batch.training.fit import Fitted
from batch.training.model_card import model_card
from batch.training.recipes import Recipe
from batch.training.splits import group_ids, perceptual_hashes

GOLDEN_TOLERANCE = 1e-4
"""Scores on another processor differed by less than 1e-5; another scaling differs by tenths."""

OWN_SPLITS = ("train", "validation", "test")
AUC_FOR_UNSEEN_SOURCES = 0.8
"""Below this lower bound of the 95 % interval the artifact carries a caution."""

_GOLDEN_SOURCES = (
    ("lesion-0.png", 360, 480),
    ("lesion-1.jpg", 480, 640),
    ("lesion-2.png", 180, 180),
    ("lesion-3.png", 150, 200),
)


def new_folder(folder: Path) -> Path:
    """Create an artifact folder, refusing one that holds something.

    Raises:
        UsageError: not empty, or not creatable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"--output: {folder} is not empty; choose a new folder.")
    except OSError as error:
        raise UsageError(f"--output: cannot create {folder} ({error.strerror}).") from error
    return folder


def export(fitted: Fitted, data: Path, folder: Path, command: str) -> ModelArtifact:
    """Write the artifact of a trained model and check it as the job will.

    Args:
        folder: empty. command: what reproduces it, for the card.
    """
    path = folder / MODEL_FILE
    _without_optimizer(fitted).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = _manifest(fitted.recipe, digest, (), (), {})
    classifier = KerasClassifier(load_model(path), manifest)
    rows = _with_scores(fitted.dataset, classifier)
    validation = rows[rows["split"] == "validation"]
    point = operating_point.choose(
        (validation["label"] == fitted.recipe.melanoma_class).to_numpy(),
        validation["melanoma_score"].to_numpy(),
        digest,
        f"isic9, validation split, seed {fitted.seed}",
    )
    metrics = _metrics(fitted, rows, classifier, data, point)
    provenance = _provenance(fitted, metrics, command)
    golden = _write_golden(folder / GOLDEN_FOLDER, classifier)
    manifest = _manifest(fitted.recipe, digest, (point,), golden, provenance)
    check_manifest(manifest)
    write_manifest(manifest, folder)
    (folder / "MODEL_CARD.md").write_text(model_card(manifest), encoding="utf-8")
    columns = ["image", "content_sha256", "label", "label_origin", "group", "split"]
    fitted.dataset.table[columns].to_csv(folder / "split.csv", index=False)
    pd.DataFrame(fitted.history).rename_axis("epoch").to_csv(folder / "history.csv")
    artifact = ModelArtifact(folder, read_manifest(folder))
    verify_artifact(artifact)
    return artifact


def _without_optimizer(fitted: Fitted) -> keras.Model:
    """The same network never compiled: the optimizer's state would triple the file."""
    bare = networks.build(fitted.recipe)
    bare.set_weights(fitted.model.get_weights())
    return bare


def _manifest(
    recipe: Recipe,
    digest: str,
    points: tuple[OperatingPoint, ...],
    golden: tuple[GoldenCase, ...],
    provenance: dict[str, Any],
) -> ModelManifest:
    return ModelManifest(
        manifest_version=1,
        model_id=recipe.name,
        model_version="1.0.0",
        description=recipe.description,
        caution=caution(provenance.get("metrics", {})),
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


def _with_scores(dataset: Dataset, classifier: KerasClassifier) -> pd.DataFrame:
    """The dataset's table with `melanoma_score` and `predicted_class`, by the job's classifier."""
    output = classifier.manifest.output
    scores = classifier.scores(dataset.pixels)
    names = np.array(output.class_names)
    melanoma = output.class_names.index(output.melanoma_class)
    return dataset.table.assign(
        melanoma_score=scores[:, melanoma].astype(float),
        predicted_class=names[scores.argmax(axis=1)],
    )


def _metrics(
    fitted: Fitted,
    rows: pd.DataFrame,
    classifier: KerasClassifier,
    data: Path,
    point: OperatingPoint,
) -> dict[str, Any]:
    """Measures by set: each split of the training data, and sources that were never trained on."""
    metrics: dict[str, Any] = {}
    for name in OWN_SPLITS:
        part = rows[rows["split"] == name]
        metrics[name] = {
            "melanoma": _melanoma(part, part["group"], fitted.recipe, point),
            "classes": class_measures(
                part["label"].to_numpy(),
                part["predicted_class"].to_numpy(),
                fitted.recipe.class_names,
            ),
        }
    for name, load in (("isic2017", datasets.isic2017), ("ham10000", datasets.ham10000)):
        other = load(data)
        if other is not None:
            strangers, groups = unseen(fitted.dataset, other)
            part = _with_scores(strangers, classifier)
            metrics[f"{name} without isic9"] = {
                "melanoma": _melanoma(part, groups, fitted.recipe, point)
            }
    return metrics


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


def _provenance(fitted: Fitted, metrics: dict[str, Any], command: str) -> dict[str, Any]:
    counts = fitted.dataset.table.groupby(["split", "label"]).size().unstack(fill_value=0)
    recipe = {key: value for key, value in vars(fitted.recipe).items() if key != "description"}
    return {
        "command": command,
        "recipe": recipe,
        "seed": fitted.seed,
        "epochs_run": len(fitted.history),
        "best_epoch": fitted.best_epoch,
        "data": {
            "sources": ["isic9 (ISIC Archive, contributors' CC0, CC-BY, CC-BY-NC)"],
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


def _write_golden(folder: Path, classifier: KerasClassifier) -> tuple[GoldenCase, ...]:
    folder.mkdir()
    cases = []
    for seed, (file, height, width) in enumerate(_GOLDEN_SOURCES):
        Image.fromarray(lesion_image(seed, height, width)).save(folder / file)
        pixels = read_image(folder / file).pixels
        input_file = f"{Path(file).stem}.input.png"
        Image.fromarray(pixels).save(folder / input_file)
        scores = classifier.scores(pixels[None])[0]
        names = classifier.manifest.output.class_names
        named = {name: float(score) for name, score in zip(names, scores, strict=True)}
        cases.append(GoldenCase(file, input_file, named))
    return tuple(cases)
