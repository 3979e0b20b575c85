"""Reads the tables of a night for `evaluate`, and what its run.json says of the model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from batch.core.errors import UsageError
from batch.core.rules import lesion_pattern
from batch.evaluation.coverage import OF_PREDICTIONS, count_subgroups
from batch.evaluation.matching import (
    GROUP_KEYS,
    LABEL_KEY,
    Matched,
    as_in_night,
    group_words,
    spellings,
    spread_over_images,
    with_key,
)
from batch.evaluation.units import NightUnits, UnitCollector
from batch.model.artifact import bundled_model_ids, find_artifact
from batch.model.manifest import ModelManifest
from batch.reports import parquet
from batch.reports.local import RUN_FILE
from batch.storage.files import read_json

_OF_PREDICTIONS = [
    "path", "image_id", "content_sha256", "frame_number", "lesion_id", "manufacturer",
    "manufacturer_model_name", "class_scores", "predicted_class", "melanoma_score",
    "operating_point", "threshold", "model_id", "model_version", "model_sha256",
    "patient_pseudonym", "patient_id", "issuer_of_patient_id", "study_instance_uid",
]  # fmt: skip

TOLD = "told:"
"""What stands before the name of a column that tells of subgroups; labels have such names, too."""

_OF_UNSCORED = ["path", "image_id", "content_sha256", "reason"]


@dataclass(frozen=True, eq=False)
class NightTables:
    """Tables of a night, as far as labels need them.

    predictions: rows that a label may name.
    passed_over: number of other predictions.
    unscored: rows of the same night.
    unscored_known: whether the night has a table of them.
    labels: with the key written as in these tables.
    key: the column by which labels and predictions are matched; `image` for labels whose image_id
        are names, `LABEL_KEY` for labels of lesions, studies and patients.
    named_by: the column by which labels name images.
    example: a key of a prediction, for messages.
    units: lesions and patients of the whole night.
    images_in: images of the night by value of each subgroup (`coverage.COLUMNS`).
    model: `model` of the night's run.json; empty if there is none.
    unclear: keys that name several lesions.
    """

    predictions: pd.DataFrame
    passed_over: int
    unscored: pd.DataFrame
    unscored_known: bool
    labels: pd.DataFrame
    key: str
    named_by: str
    example: str
    units: NightUnits
    images_in: Mapping[str, Counter[str]]
    model: Mapping[str, Any]
    unclear: frozenset[str] = frozenset()


def read_night(
    path: Path,
    labels: pd.DataFrame,
    key: str,
    by: Sequence[str] = (),
    pattern: re.Pattern[str] | None = None,
) -> NightTables:
    """Read the predictions that labels may name, and the unscored images of the same night.

    Args:
        path: a reports folder or a night (its current view is read), a folder of prediction
            tables, or one such file, as `melanoma-batch current --output` writes it.
        labels: with the column `key`.
        key: column that names images, or lesions, studies or patients (`spread_over_images`).
            Where no prediction has the `image_id` of any label, it is taken for the file's name,
            as in HAM10000's table.
        by: further columns of the predictions to keep, each as `by:NAME`.
        pattern: finds lesion and patient in paths; None for that of the night, if it had one.

    Raises:
        UsageError: there are no predictions, or the tables have other columns.
    """
    night = _read_night(path, labels, key, by, pattern)
    if key == "image_id" and night.predictions.empty and "image" not in labels:
        by_name = _read_night(
            path, labels.rename(columns={"image_id": "image"}), "image", by, pattern
        )
        if not by_name.predictions.empty:
            return by_name
    return night


def _read_night(
    path: Path,
    labels: pd.DataFrame,
    key: str,
    by: Sequence[str],
    pattern: re.Pattern[str] | None,
) -> NightTables:
    folder = _predictions_folder(path)
    run = _run(folder)
    names = {word for value in set(labels[key]) for word in spellings(value, key)}
    collector = UnitCollector(pattern or _pattern_of(run))
    images_in: dict[str, Counter[str]] = {}
    parts, passed_over, example = [], 0, ""
    try:
        for rows in _batches("current", folder):
            rows = with_key(rows, key)
            collector.add(rows)
            for name, counts in count_subgroups(rows).items():
                images_in.setdefault(name, Counter()).update(counts)
            words = group_words(rows[key], key, names) if key in GROUP_KEYS else rows[key]
            is_labelled = words.isin(names)
            example = example or next(iter(rows[key].dropna()), "")
            asked = [name for name in by if name in rows and f"by:{name}" not in labels]
            extra = {f"by:{name}": rows[name] for name in asked}
            told = {f"{TOLD}{name}": rows[name] for name in OF_PREDICTIONS if name in rows}
            # before the choice of rows: columns that are put into a table without rows make some
            wanted = rows[sorted({*_OF_PREDICTIONS, key})].assign(**extra, **told)
            parts.append(wanted[is_labelled])
            passed_over += int((~is_labelled).sum())
        unscored_folder = folder.parent / "unscored"
        is_known = folder.is_dir() and unscored_folder.is_dir()
        unscored_parts = list(_batches("unscored", unscored_folder)) if is_known else []
    except (ValueError, KeyError, OSError) as error:  # errors of pyarrow are subclasses of these
        raise UsageError(
            f"PREDICTIONS: {folder} has no tables of this version ({type(error).__name__}); "
            "give a reports folder, or a file of `melanoma-batch current --output`."
        ) from error
    if not parts:
        raise UsageError(f"PREDICTIONS: no row in {folder}; score an archive first.")
    no_rows = pd.DataFrame(columns=_OF_UNSCORED, dtype=object)
    of_unscored = [*_OF_UNSCORED, *([key] if key in GROUP_KEYS else [])]
    no_rows = no_rows.reindex(columns=of_unscored)
    all_unscored = pd.concat([no_rows, *unscored_parts], ignore_index=True)
    unscored = with_key(all_unscored[of_unscored], key)
    predictions = pd.concat(parts, ignore_index=True)
    units, named_by, unclear = collector.units(), key, frozenset[str]()
    if key in GROUP_KEYS:
        spread = spread_over_images(labels, predictions, key, units.lesions(predictions))
        labels, predictions, unclear = spread.labels, spread.predictions, spread.unclear
        unscored = unscored.assign(**{LABEL_KEY: group_words(unscored[key], key, names)})
        key = LABEL_KEY
    return NightTables(
        predictions=predictions,
        passed_over=passed_over,
        unscored=unscored,
        unscored_known=is_known,
        key=key,
        named_by=named_by,
        labels=as_in_night(labels, [*predictions[key], *unscored[key]], key),
        example=example,
        units=units,
        images_in=images_in,
        model=_part(run, "model"),
        unclear=unclear,
    )


def _run(folder: Path) -> Mapping[str, Any]:
    """The run.json of the night that holds the predictions; empty if there is none."""
    night = folder.parent if folder.is_dir() else folder.parent.parent
    return read_json(night / RUN_FILE) or {}


def _part(run: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = run.get(name)
    return part if isinstance(part, dict) else {}


def _pattern_of(run: Mapping[str, Any]) -> re.Pattern[str] | None:
    """The `--lesion-pattern` that the night had."""
    written = _part(run, "options").get("lesion_pattern")
    return lesion_pattern(written) if isinstance(written, str) and written else None


def _predictions_folder(path: Path) -> Path:
    """The folder with the parts of the predictions, or the one file."""
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
    """Read a row group at a time, so that class scores of an archive need not fit into memory."""
    if place.is_file():
        yield pd.read_parquet(place)
        return
    for rows in parquet.stream(table, place):
        yield rows.to_pandas()


MODEL_COLUMNS = ["model_id", "model_version", "model_sha256"]


_USUAL = "melanoma"


def check_model(judged: pd.DataFrame, manifest: ModelManifest | None) -> None:
    """Make sure that one model made all predictions, and that it is the given one.

    Raises:
        UsageError: several models made them, or another one.
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
    model = models.iloc[0]
    for field, what in (("model_sha256", "digest"), ("model_version", "version")):
        if getattr(manifest, field) != model[field]:
            raise UsageError(
                f"--model: {manifest.model_id} has the model {what} {getattr(manifest, field)}; "
                f"allowed: {model[field]}, that of the predictions ({model['model_id']}). "
                "Its thresholds say nothing of these scores: give the model that made them."
            )


def melanoma_class_of(judged: pd.DataFrame, manifest: ModelManifest | None) -> str:
    """The class whose score is the melanoma score, by the manifest, else by comparing scores.

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
        f"PREDICTIONS: {len(rows)} images do not show which of {list(rows[0])} is melanoma; give "
        "the model with --model."
    )


def check_both(matched: Matched, melanoma_class: str) -> None:
    """Make sure that there are melanomas and others among the judged images.

    Raises:
        UsageError: one kind is missing, so that most measures are not defined.
    """
    labels = Counter(matched.judged["label"])
    if 0 < labels[melanoma_class] < labels.total():
        return
    absent = "other than melanoma" if labels[melanoma_class] else f"labelled {melanoma_class!r}"
    counted = ", ".join(f"{label!r} {count}" for label, count in labels.most_common(12)) or "none"
    counts = matched.counts["labels"].items()
    rows = ", ".join(f"{count} {name}" for name, count in counts if count)
    raise UsageError(
        f"--labels: no judged image is {absent}; found: {counted} (labels: {rows}); needed: "
        "melanomas and others. Give labels of both kinds, or say with --map-label LABEL=CLASS what "
        "a label means."
    )


def caution_of(
    judged: pd.DataFrame, manifest: ModelManifest | None, of_night: Mapping[str, Any]
) -> str | None:
    """The caution of the model's artifact: from `--model`, the night, or the bundled artifact.

    Args:
        judged: predictions of one model.
        manifest: of `--model`, or None.
        of_night: `model` of run.json, which may be another model.

    Returns:
        "" if the artifact has no caution, None if it is unknown.
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
    """The operating points of the predictions, and then the others of the manifest."""
    of_night = judged[["operating_point", "threshold"]].drop_duplicates().itertuples(index=False)
    points = [(str(name), float(threshold), "predictions") for name, threshold in of_night]
    names = {(name, threshold) for name, threshold, _ in points}
    for point in manifest.operating_points if manifest else ():
        if (point.name, point.threshold) not in names:
            points.append((point.name, point.threshold, "manifest"))
    return [
        {"name": name, "threshold": threshold, "found_in": source}
        for name, threshold, source in points
    ]
