"""Reads labelled predictions of a model, and checks that this model made them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.evaluation.inputs import check_both, read_night
from batch.evaluation.label_table import FOUND, in_words_of, read_labels
from batch.evaluation.label_words import Vocabulary
from batch.evaluation.matching import labelled_predictions, match
from batch.evaluation.trained_on import named_as_trained, own_images
from batch.evaluation.units import lesion_groups
from batch.model.artifact import ModelArtifact
from batch.model.manifest import ModelManifest, scoring_fingerprint

_REMEDY = "Score the archive with this model first, and calibrate from that night."


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with a label and scores of the model.

    labels: (N,) text, in the model's words.
    scores: (N, K) float64, classes in the manifest's order.
    is_melanoma: (N,) bool.
    counts: rows of the labels by what became of them.
    groups: (N,) lesions.
    found: (N,) labels as in the file.
    own: number of images in the artifact's own validation or test split.
    learned_names: number of images named like an image that it was trained on.
    """

    labels: np.ndarray
    scores: np.ndarray
    is_melanoma: np.ndarray
    counts: dict[str, int]
    groups: np.ndarray
    found: np.ndarray
    own: int = 0
    learned_names: int = 0


def read_labelled(
    predictions: Path,
    labels: Path,
    split: str | None,
    artifact: ModelArtifact,
    map_labels: Sequence[str] = (),
    positive: Sequence[str] = (),
    maps: Sequence[str] = (),
    pattern: re.Pattern[str] | None = None,
) -> Labelled:
    """Read labels and their predictions, as `evaluate` does.

    Args:
        predictions, labels, split: as in `read_night` and `read_labels`.
        artifact: the model that made the predictions.
        map_labels, positive: as `Vocabulary.of` takes them.
        maps: `THEIRS=OURS`, as `read_labels` takes them.
        pattern: as `read_night` takes it.

    Raises:
        UsageError: a file or column is missing, nothing matches, another model or contract made the
            predictions, a label is not clear, there are only melanomas or none, or the model was
            trained on these images.
    """
    manifest = artifact.manifest
    output = manifest.output
    label_rows, key = read_labels(labels, split, maps)
    night = read_night(predictions, label_rows, key, pattern=pattern)
    key = night.key
    named = labelled_predictions(
        night.labels, night.predictions, night.unscored, key, night.example, night.named_by
    )
    _check_contract(named, predictions, manifest)
    vocabulary = Vocabulary.of(output.class_names, output.melanoma_class, map_labels, positive)
    truth = in_words_of(night.labels, vocabulary)
    matched = match(truth, night.predictions, night.unscored, key, night.passed_over, night.unclear)
    rows = matched.judged
    check_both(matched, output.melanoma_class)
    own, learned = _known_images(rows, artifact.folder, labels)
    scores = [dict(row) for row in rows["class_scores"]]
    return Labelled(
        labels=rows["label"].to_numpy(str),
        scores=np.array([[row[name] for name in output.class_names] for row in scores], np.float64),
        is_melanoma=(rows["label"] == output.melanoma_class).to_numpy(bool),
        counts=matched.counts["labels"],
        groups=lesion_groups(rows, night.units),
        found=rows[FOUND].to_numpy(str),
        own=own,
        learned_names=learned,
    )


def _check_contract(rows: pd.DataFrame, predictions: Path, manifest: ModelManifest) -> None:
    """Compare model digest and scoring fingerprint of the rows; without `files`, the version.

    The digest alone is not enough, since the same weights give other scores at another temperature.
    The version is only a substitute, since `--no-temperature` changes the version but no score.
    """
    _check_column(rows, "model_sha256", manifest.model_sha256)
    if (files := _files_folder(predictions)) is None:
        _check_column(rows, "model_version", manifest.model_version)
    else:
        files_table = pd.read_parquet(files, columns=["path", "scoring_fingerprint"])
        scored = files_table[files_table["path"].isin(rows["path"])]
        other = int((scored["scoring_fingerprint"] != scoring_fingerprint(manifest)).sum())
        if other:
            raise UsageError(
                f"PREDICTIONS: {other} of {len(scored)} labelled files were scored under another "
                "contract than that of --model (temperature, classes, input or preprocessing). "
                + _REMEDY
            )
    if any(set(dict(row)) != set(manifest.output.class_names) for row in rows["class_scores"]):
        raise UsageError(
            "PREDICTIONS: their classes are not those of --model, "
            f"{list(manifest.output.class_names)}. {_REMEDY}"
        )


def _check_column(rows: pd.DataFrame, column: str, expected: str) -> None:
    others = rows[rows[column] != expected]
    if len(others):
        raise UsageError(
            f"PREDICTIONS: {len(others)} of {len(rows)} labelled images were scored by "
            f"{others['model_id'].iloc[0]} with {column} {others[column].iloc[0]}; allowed: "
            f"{expected}, that of --model. {_REMEDY}"
        )


def _files_folder(predictions: Path) -> Path | None:
    """`files/` of the night of the predictions; None if they are not in a night's folder."""
    if not predictions.is_dir():
        return None
    nights = (predictions / "latest", predictions, predictions.parent)
    return next((night / "files" for night in nights if (night / "files").is_dir()), None)


def _known_images(rows: pd.DataFrame, folder: Path, labels: Path) -> tuple[int, int]:
    """Numbers of images in the artifact's own validation or test, and named as training images.

    Raises:
        UsageError: the model was trained on some of the images, which would make every measure too
            good.
    """
    own = own_images(folder)
    if own is None:
        return 0, 0
    digests = rows["content_sha256"]
    if trained := int(digests.isin(own.trained).sum()):
        raise UsageError(
            f"--labels: the model was trained on {trained} of the {len(rows)} labelled images of "
            f"{labels.name}; its scores of these say nothing about others. Give --split "
            "validation, or other labels."
        )
    learned = named_as_trained(rows["path"], own.trained_names)
    return int(digests.isin(own.judging).sum()), int(learned.sum())
