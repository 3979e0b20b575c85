"""What `evaluate` reads of a night: its tables, and what its ledger says of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from batch.core.errors import UsageError
from batch.evaluation.matching import Matched, as_in_night, spellings, with_key
from batch.model.artifact import bundled_model_ids, find_artifact
from batch.model.manifest import ModelManifest
from batch.reports import parquet
from batch.reports.local import RUN_FILE
from batch.storage.files import read_json

_OF_PREDICTIONS = [
    "path", "image_id", "content_sha256", "frame_number", "lesion_id", "manufacturer",
    "manufacturer_model_name", "class_scores", "predicted_class", "melanoma_score",
    "operating_point", "threshold", "model_id", "model_version", "model_sha256",
]  # fmt: skip


_OF_UNSCORED = ["path", "image_id", "content_sha256", "reason"]


@dataclass(frozen=True, eq=False)
class NightTables:
    """predictions: the rows that a label may name. passed_over: how many others there are.

    unscored: rows of the same night; unscored_known: such a table stands beside the predictions.
    labels: with the key spelled as in these tables. example: a key that stands in the predictions.
    model: what the night's run.json says of its model; empty where there is none.
    """

    predictions: pd.DataFrame
    passed_over: int
    unscored: pd.DataFrame
    unscored_known: bool
    labels: pd.DataFrame
    example: str
    model: Mapping[str, Any]


def read_night(path: Path, labels: pd.DataFrame, key: str) -> NightTables:
    """The predictions that labels may name, and the unscored images of the same night.

    Args:
        path: a reports folder or a night (its current view), a folder of prediction tables, or one
            such file, as `melanoma-batch current --output` writes it.

    Raises:
        UsageError: no predictions there, or tables with other columns.
    """
    folder = _predictions_folder(path)
    wanted = {word for value in set(labels[key]) for word in spellings(value, key)}
    found, passed_over, example = [], 0, ""
    try:
        for rows in _batches("current", folder):
            rows = with_key(rows, key)
            here = rows[key].isin(wanted)
            example = example or next(iter(rows[key].dropna()), "")
            found.append(rows[here][sorted({*_OF_PREDICTIONS, key})])
            passed_over += int((~here).sum())
        beside = folder.parent / "unscored"
        is_known = folder.is_dir() and beside.is_dir()
        lost = list(_batches("unscored", beside)) if is_known else []
    except (ValueError, KeyError, OSError) as error:  # pyarrow's own errors are kinds of these
        raise UsageError(
            f"PREDICTIONS: {folder} has no tables of this version ({type(error).__name__}); "
            "give a reports folder, or a file of `melanoma-batch current --output`."
        ) from error
    if not found:
        raise UsageError(f"PREDICTIONS: no row in {folder}; score an archive first.")
    none = pd.DataFrame(columns=_OF_UNSCORED, dtype=object)
    unscored = with_key(pd.concat([none, *lost], ignore_index=True)[_OF_UNSCORED], key)
    predictions = pd.concat(found, ignore_index=True)
    return NightTables(
        predictions=predictions,
        passed_over=passed_over,
        unscored=unscored,
        unscored_known=is_known,
        labels=as_in_night(labels, [*predictions[key], *unscored[key]], key),
        example=example,
        model=_model(folder),
    )


def _model(folder: Path) -> Mapping[str, Any]:
    """`model` of the run.json beside the folder of predictions, or of its one file's."""
    night = folder.parent if folder.is_dir() else folder.parent.parent
    model = (read_json(night / RUN_FILE) or {}).get("model")
    return model if isinstance(model, dict) else {}


def _predictions_folder(path: Path) -> Path:
    """The folder with the parts, or the one file."""
    if path.is_file():
        return path
    for folder in (path / "latest" / "current", path / "current", path):
        if folder.is_dir() and any(folder.glob("*.parquet")):
            return folder
    raise UsageError(
        f"PREDICTIONS: no predictions below {path}; give a reports folder, a night, or a file of "
        "`melanoma-batch current --output`."
    )


def _batches(table: str, place: Path) -> Iterator[pd.DataFrame]:
    """A row group at a time: an archive's class scores need not fit into memory at once."""
    if place.is_file():
        yield pd.read_parquet(place)
        return
    for rows in parquet.stream(table, place):
        yield rows.to_pandas()


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
