"""Do labels, predictions and manifest speak of the same model and the same classes?

Each check is of a mistake that would not fail but give a figure: a threshold of another model would
judge these scores, and without a melanoma there is no sensitivity to tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from batch.core.errors import UsageError
from batch.model.artifact import bundled_model_ids, find_artifact
from batch.model.manifest import ModelManifest
from batch.training.matching import Matched

MODEL_COLUMNS = ["model_id", "model_version", "model_sha256"]
_USUAL = "melanoma"


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


def check_both(matched: Matched, melanoma_class: str) -> None:
    """There is a melanoma among the judged images, and something else.

    Raises:
        UsageError: there is not, so that half of the figures could not be told.
    """
    labels = Counter(matched.judged["label"])
    if 0 < labels[melanoma_class] < labels.total():
        return
    absent = "other than melanoma" if labels[melanoma_class] else f"labelled {melanoma_class!r}"
    found = ", ".join(f"{label!r} {count}" for label, count in labels.most_common(12)) or "none"
    counts = matched.counts["labels"].items()
    rows = ", ".join(f"{count} {name}" for name, count in counts if count)
    raise UsageError(
        f"--labels: no judged image is {absent}; found: {found} (labels: {rows}); needed: "
        "melanomas and others. Give labels of both kinds, or say with --map-label LABEL=CLASS what "
        "a label means."
    )


def caution_of(
    judged: pd.DataFrame, manifest: ModelManifest | None, of_night: Mapping[str, Any]
) -> str | None:
    """What the model's artifact cautions of: by `--model`, the night, or the bundled artifact.

    Args:
        judged: of one model. of_night: `model` of run.json, which may be of another model.

    Returns:
        "" where it cautions of nothing, None where nobody knows.
    """
    model = dict(judged[MODEL_COLUMNS].iloc[0])
    if manifest is not None:
        return manifest.caution
    if all(of_night.get(name) == value for name, value in model.items()):
        caution = of_night.get("caution")
        return caution if isinstance(caution, str) else None
    if model["model_id"] in bundled_model_ids():
        bundled = find_artifact(str(model["model_id"])).manifest
        if all(getattr(bundled, name) == value for name, value in model.items()):
            return bundled.caution
    return None


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
