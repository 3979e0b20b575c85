"""Rows to the frames of a `ReviewWorklist`. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from batch.review.contract import IMAGE_COLUMNS, LESION_COLUMNS, UNREADABLE_COLUMNS, Status
from batch.review.image_changes import ImageChanges, image_changes
from batch.review.lesion_images import Lesion, LesionImage
from batch.review.remembered import Links, Remembered, Row
from batch.review.tiers import TIERS, in_order

_NUMBERS = (
    "max_score", "mean_score", "threshold", "margin", "previous_score", "score_change",
    "reviewed_score",
)  # fmt: skip
_COUNTS = ("rank_in_patient", "lesions_of_patient")


def lesion_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of lesions, ranked: what asks for a look first, by tier and score; then the reviewed."""
    frame = pd.DataFrame(
        list(rows), columns=[c for c in LESION_COLUMNS if c != "rank"], dtype=object
    )
    for column in _NUMBERS:
        frame[column] = frame[column].astype("float64")
    for column in _COUNTS:
        frame[column] = pd.array([_count(value) for value in frame[column]], "Int64")
    for column in ("image_count", "unreadable_count"):
        frame[column] = frame[column].astype("int64")
    frame["is_outlier"] = frame["is_outlier"].astype(bool)
    code = frame["tier"].map({tier: place for place, tier in enumerate(TIERS)}).astype("int64")
    reviewed = frame["status"] == Status.REVIEWED
    frame = frame.assign(code=code + len(TIERS) * reviewed)
    frame = in_order(frame).drop(columns="code").reset_index(drop=True)
    frame.insert(0, "rank", range(1, len(frame) + 1))
    return frame[list(LESION_COLUMNS)]


def image_frame(
    lesions: pd.DataFrame,
    found: Iterable[Lesion],
    left: Mapping[str, Row],
    links: Links,
    night: str,
) -> pd.DataFrame:
    """Images of the listed lesions, by rank, then score, highest first."""
    begun = datetime.fromisoformat(night)
    by_key = {lesion.key: lesion for lesion in found}
    rows: list[dict[str, Any]] = []
    for key in lesions["lesion_key"]:
        if key in by_key:
            images = sorted(
                by_key[key].images, key=lambda i: (-i.row["melanoma_score"], i.row["image_id"])
            )
            changed = image_changes(by_key[key], links, begun)
            rows += [_image(image, changed) for image in images]
        else:
            rows += _images_that_left(left[key])
    return pd.DataFrame(rows, columns=list(IMAGE_COLUMNS), dtype=object).astype(
        {"melanoma_score": "float64", "threshold": "float64", "rows": "int64", "columns": "int64"}
    )


def unreadable_frame(
    unscored: pd.DataFrame, lesions: pd.DataFrame, remembered: Remembered, night: str
) -> pd.DataFrame:
    """Images without a score, by place: every one of them."""
    status = dict(zip(lesions["lesion_key"], lesions["status"], strict=True))
    since = remembered.without_score()
    rows = [
        {
            **row,
            "image_id": row["named_id"],
            "frame_number": _count(row["frame_number"]),
            "status": status.get(row["lesion_key"], Status.NEW),
            "first_seen": since.get((row["lesion_key"], row["image_id"]), night),
        }
        for row in records(unscored.sort_values(["path", "frame_number"], kind="stable"))
    ]
    frame = pd.DataFrame(rows, columns=list(UNREADABLE_COLUMNS), dtype=object)
    return frame.where(frame.notna(), None)


def _image(image: LesionImage, changed: ImageChanges) -> dict[str, Any]:
    row = image.row
    return {
        **{column: _none(row.get(column)) for column in IMAGE_COLUMNS},
        "frame_number": _count(row["frame_number"]),
        "class_scores": dict(row["class_scores"]),
        "scored_at": image.now.isoformat(),
        "earlier_scores": [(when.isoformat(), score, by) for when, score, by in image.earlier],
        "flags": [*row["flags"], *(["copies"] if row["copies"] > 1 else [])],
        "arrival": changed.of(row["image_id"]),
    }


def _images_that_left(row: Row) -> list[dict[str, Any]]:
    scores = row["image_scores"]
    return [
        {
            "lesion_key": row["lesion_key"], "image_id": image_id, "path": path,
            "path_bytes": None, "frame_number": None, "file_format": None, "rows": 0, "columns": 0,
            "melanoma_score": scores[image_id], "threshold": row["threshold"],
            "predicted_class": None, "class_scores": {}, "scored_at": None,
            "model_version": row["model_version"], "acquisition_datetime": None,
            "study_instance_uid": None, "sop_instance_uid": None, "earlier_scores": [],
            "flags": ["left_archive"], "arrival": None,
        }
        for image_id, path in zip(row["image_ids"], row["paths"], strict=True)
        if image_id in scores
    ]  # fmt: skip


def _count(value: Any) -> int | None:
    return None if value is None or value is pd.NA or math.isnan(value) else int(value)


def _none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame; missing text is None."""
    plain = frame.copy()
    for name in plain.columns:
        if plain[name].dtype.kind not in "biufM":
            words = plain[name].astype(object)
            plain[name] = words.where(words.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]


def model_names(rows: pd.DataFrame) -> pd.Series:
    """Which model scored: id, version and the start of the digest, from columns of these names."""
    names = ["model_id", "model_version", "model_sha256"]
    each = rows[names].drop_duplicates().astype(object)
    named = {tuple(row): f"{row[0]} {row[1]} {row[2][:8]}" for row in each.itertuples(index=False)}
    if len(named) == 1:  # nearly always, and then a million rows cost nothing
        return pd.Series(next(iter(named.values())), rows.index, "category")
    columns = (rows[name].tolist() for name in names)
    return pd.Series([named[row] for row in zip(*columns, strict=True)], rows.index, "category")
