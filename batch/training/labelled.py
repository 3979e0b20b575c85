"""Labelled predictions of one model: read, tied together, and known to be of that very model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from batch.errors import UsageError
from batch.model.artifact import ModelArtifact
from batch.model.manifest import ModelManifest, scoring_fingerprint
from batch.training.evaluation_checks import check_names
from batch.training.evaluation_inputs import read_labels, read_night
from batch.training.matching import match

_REMEDY = "Score the archive with this model first, and calibrate from that night."


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with a label and a score of the model.

    labels: (N,) text. scores: (N, K) float64, classes in the manifest's order.
    is_melanoma: (N,) bool. counts: rows of labels by what became of them.
    """

    labels: np.ndarray
    scores: np.ndarray
    is_melanoma: np.ndarray
    counts: dict[str, int]


def read_labelled(
    predictions: Path, labels: Path, split: str | None, artifact: ModelArtifact
) -> Labelled:
    """Read labels and the predictions that belong to them, as `evaluate` does.

    Raises:
        UsageError: a file or column is missing, nothing matches, the predictions are another
            model's or of another contract, or the model was trained on these images.
    """
    manifest = artifact.manifest
    truth, key = read_labels(labels, split)
    night = read_night(predictions, truth, key)
    matched = match(truth, night.predictions, night.unscored, key, night.passed_over)
    rows, counts = matched.judged, matched.counts["labels"]
    if rows.empty:
        found = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise UsageError(
            f"--labels: no image of {labels.name} is among the predictions (by {key}): {found}. "
            "Compare the values of that column with those of the predictions."
        )
    _check_contract(rows, predictions, manifest)
    names = manifest.output.class_names
    check_names(truth["label"], names, manifest.output.melanoma_class)
    _check_unseen(rows, artifact.folder, labels)
    found_scores = [dict(row) for row in rows["class_scores"]]
    return Labelled(
        labels=rows["label"].to_numpy(str),
        scores=np.array([[row[name] for name in names] for row in found_scores], np.float64),
        is_melanoma=(rows["label"] == manifest.output.melanoma_class).to_numpy(bool),
        counts=counts,
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


def _check_unseen(rows: pd.DataFrame, folder: Path, labels: Path) -> None:
    """Images that the model learned by heart would make every figure too good."""
    split = folder / "split.csv"
    if not split.is_file():
        return
    own = pd.read_csv(split, dtype=str)
    if not {"content_sha256", "split"} <= set(own):
        return
    trained = set(own.loc[own["split"] == "train", "content_sha256"])
    if known := int(rows["content_sha256"].isin(trained).sum()):
        raise UsageError(
            f"--labels: the model was trained on {known} of the {len(rows)} labelled images of "
            f"{labels.name}; what it says of them tells nothing of others. Give --split validation "
            "or other labels."
        )
