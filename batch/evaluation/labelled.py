"""Labelled predictions of one model: read, tied together, and known to be of that very model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.evaluation.inputs import check_both, read_night
from batch.evaluation.label_table import FOUND, in_words_of, read_labels
from batch.evaluation.label_words import Vocabulary
from batch.evaluation.matching import labelled_predictions, lesion_groups, match
from batch.evaluation.trained_on import named_as_trained, own_images
from batch.model.artifact import ModelArtifact
from batch.model.manifest import ModelManifest, scoring_fingerprint

_REMEDY = "Score the archive with this model first, and calibrate from that night."


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with a label and a score of the model.

    labels: (N,) text. scores: (N, K) float64, classes in the manifest's order.
    is_melanoma: (N,) bool. counts: rows of labels by what became of them. groups: (N,) lesions.
    found: (N,) labels as they stand in the file. own: of these images stand in the artifact's own
    validation or test split. learned_names: bear the name of an image that it was trained on.
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
) -> Labelled:
    """Read labels and the predictions that belong to them, as `evaluate` does.

    Raises:
        UsageError: a file or column is missing, nothing matches, the predictions are another
            model's or of another contract, a label does not say plainly whether it is melanoma,
            there is no melanoma, or nothing else, or the model was trained on these images.
    """
    manifest = artifact.manifest
    output = manifest.output
    found, key = read_labels(labels, split)
    night = read_night(predictions, found, key)
    named = labelled_predictions(
        night.labels, night.predictions, night.unscored, key, night.example
    )
    _check_contract(named, predictions, manifest)
    vocabulary = Vocabulary.of(output.class_names, output.melanoma_class, map_labels)
    truth = in_words_of(night.labels, vocabulary)
    matched = match(truth, night.predictions, night.unscored, key, night.passed_over)
    rows = matched.judged
    check_both(matched, output.melanoma_class)
    own, learned = _known_images(rows, artifact.folder, labels)
    scores = [dict(row) for row in rows["class_scores"]]
    return Labelled(
        labels=rows["label"].to_numpy(str),
        scores=np.array([[row[name] for name in output.class_names] for row in scores], np.float64),
        is_melanoma=(rows["label"] == output.melanoma_class).to_numpy(bool),
        counts=matched.counts["labels"],
        groups=lesion_groups(rows),
        found=rows[FOUND].to_numpy(str),
        own=own,
        learned_names=learned,
    )


def _check_contract(rows: pd.DataFrame, predictions: Path, manifest: ModelManifest) -> None:
    """The digest of every row, and what `files` says of its scoring; without it, the version.

    The same weights at another temperature give other scores. `--no-temperature` raises the
    version alone, so the version is asked only where nothing better is known.
    """
    _check_column(rows, "model_sha256", manifest.model_sha256)
    if (files := _files_folder(predictions)) is None:
        _check_column(rows, "model_version", manifest.model_version)
    else:
        known = pd.read_parquet(files, columns=["path", "scoring_fingerprint"])
        scored = known[known["path"].isin(rows["path"])]
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


def _check_column(rows: pd.DataFrame, column: str, wanted: str) -> None:
    others = rows[rows[column] != wanted]
    if len(others):
        raise UsageError(
            f"PREDICTIONS: {len(others)} of {len(rows)} labelled images were scored by "
            f"{others['model_id'].iloc[0]} with {column} {others[column].iloc[0]}; allowed: "
            f"{wanted}, that of --model. {_REMEDY}"
        )


def _files_folder(predictions: Path) -> Path | None:
    """`files/` of the night that predictions were read from; None for a bare folder or file."""
    if not predictions.is_dir():
        return None
    nights = (predictions / "latest", predictions, predictions.parent)
    return next((night / "files" for night in nights if (night / "files").is_dir()), None)


def _known_images(rows: pd.DataFrame, folder: Path, labels: Path) -> tuple[int, int]:
    """How many images are of the artifact's own validation or test, and named as trained ones.

    Raises:
        UsageError: it was trained on some: what it learned by heart makes every figure too good.
    """
    own = own_images(folder)
    if own is None:
        return 0, 0
    digests = rows["content_sha256"]
    if known := int(digests.isin(own.trained).sum()):
        raise UsageError(
            f"--labels: the model was trained on {known} of the {len(rows)} labelled images of "
            f"{labels.name}; what it says of them tells nothing of others. Give --split validation "
            "or other labels."
        )
    learned = named_as_trained(rows["path"], own.trained_names)
    return int(digests.isin(own.judging).sum()), int(learned.sum())
