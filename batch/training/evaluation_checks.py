"""Do labels, predictions and manifest speak of the same model and the same classes?

Each check is of a mistake that would not fail but give a figure: a melanoma by another name would
count as another class, and a threshold of another model would judge these scores.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from batch.errors import UsageError
from batch.model.manifest import ModelManifest
from batch.training.isic_format import FORMATS, code_of

MODEL_COLUMNS = ["model_id", "model_version", "model_sha256"]
_USUAL = "melanoma"
_CODES = {code for codes in FORMATS.values() for code in codes}


def check_model(judged: pd.DataFrame, manifest: ModelManifest | None) -> None:
    """One model made all predictions, and it is the one asked for.

    Raises:
        UsageError: it is not.
    """
    models = judged[MODEL_COLUMNS].drop_duplicates()
    if len(models) > 1:
        names = "; ".join(" ".join(map(str, row)) for row in models.to_numpy().tolist())
        raise UsageError(
            f"PREDICTIONS: the labelled images were scored by {len(models)} models: {names}; "
            "allowed: one. Let a night with one model end, or evaluate a night's predictions."
        )
    if manifest is None:
        return
    found = models.iloc[0]
    for field, what in (("model_sha256", "digest"), ("model_version", "version")):
        if getattr(manifest, field) != found[field]:
            raise UsageError(
                f"--model: {manifest.model_id} has the model {what} {getattr(manifest, field)}; "
                f"allowed: {found[field]}, that of the predictions ({found['model_id']}). "
                "Its thresholds say nothing of these scores: give the model that made them."
            )


def melanoma_class_of(judged: pd.DataFrame, manifest: ModelManifest | None) -> str:
    """The class whose score is the melanoma score: by the manifest, else by the scores themselves.

    Raises:
        UsageError: several classes could be it.
    """
    if manifest is not None:
        return manifest.output.melanoma_class
    rows = [dict(pairs) for pairs in judged["class_scores"]]
    fitting = [
        name
        for name in rows[0]
        if all(
            row[name] == score for row, score in zip(rows, judged["melanoma_score"], strict=True)
        )
    ]
    if len(fitting) == 1 or _USUAL in fitting:
        return _USUAL if _USUAL in fitting else fitting[0]
    raise UsageError(
        f"PREDICTIONS: which of {list(rows[0])} is melanoma cannot be told from {len(rows)} "
        "images; give the model with --model."
    )


def check_names(labels: pd.Series, class_names: tuple[str, ...], melanoma_class: str) -> None:
    """No label is a class of the model, or melanoma, by another name.

    Raises:
        UsageError: `Melanoma`, `MEL` or `melanoma in situ` for `melanoma`: each would count as
            another class, and every such melanoma as an other.
    """
    by_folded = {name.casefold(): name for name in class_names}
    codes = [code_of(name) for name in class_names]
    for label in labels.unique():
        if label in class_names or not label:
            continue
        folded = label.strip().casefold()
        right = by_folded.get(folded)
        if right is None and folded.upper() in _CODES and code_of(folded) in codes:
            right = class_names[codes.index(code_of(folded))]
        if right is None and "melanom" in folded:
            right = melanoma_class
        if right is not None:
            raise UsageError(
                f"--labels: found {label!r}; allowed: {right!r}, as the model says it. "
                "Rename the label, or another word if it is another diagnosis."
            )


def operating_points(judged: pd.DataFrame, manifest: ModelManifest | None) -> list[dict[str, Any]]:
    """The operating points of the predictions, then further ones of the manifest."""
    of_night = judged[["operating_point", "threshold"]].drop_duplicates().itertuples(index=False)
    found = [(str(name), float(threshold), "predictions") for name, threshold in of_night]
    known = {(name, threshold) for name, threshold, _ in found}
    for point in manifest.operating_points if manifest else ():
        if (point.name, point.threshold) not in known:
            found.append((point.name, point.threshold, "manifest"))
    return [
        {"name": name, "threshold": threshold, "found_in": place}
        for name, threshold, place in found
    ]
