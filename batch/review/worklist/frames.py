"""Makes the frames of a `ReviewWorklist` from rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from batch.review.worklist.contract import (
    CHANGE_COLUMNS,
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    UNREADABLE_COLUMNS,
    Status,
    Tier,
)
from batch.review.worklist.image_changes import ImageChanges, image_changes
from batch.review.worklist.lesion_images import Lesion, LesionImage
from batch.review.worklist.previous_list import LesionLinks, PreviousList, Row
from batch.review.worklist.tiers import TIERS, in_order

_NUMBERS = (
    "max_score", "mean_score", "threshold", "score_spread", "margin", "previous_score",
    "score_change", "reviewed_score",
)  # fmt: skip


_COUNTS = ("rank_in_patient", "lesions_of_patient")


def lesion_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The frame of lesions: first those that ask for a look, by tier and score, then the others."""
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
    listed: Iterable[Lesion],
    departed: Mapping[str, Row],
    links: LesionLinks,
    night: str,
) -> pd.DataFrame:
    """The frame of images of the listed lesions, by rank, then score, highest first."""
    started = datetime.fromisoformat(night)
    by_key = {lesion.key: lesion for lesion in listed}
    rows: list[dict[str, Any]] = []
    for key in lesions["lesion_key"]:
        if key in by_key:
            images = sorted(
                by_key[key].images, key=lambda i: (-i.row["melanoma_score"], i.row["image_id"])
            )
            changed = image_changes(by_key[key], links, started)
            rows += [_image_row(image, changed) for image in images]
        else:
            rows += _departed_images(departed[key])
    return pd.DataFrame(rows, columns=list(IMAGE_COLUMNS), dtype=object).astype(
        {"melanoma_score": "float64", "threshold": "float64", "rows": "int64", "columns": "int64"}
    )


def unreadable_frame(
    unscored: pd.DataFrame, lesions: pd.DataFrame, remembered: PreviousList, night: str
) -> pd.DataFrame:
    """The frame of all images without a score, by path and frame."""
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


def _image_row(image: LesionImage, changed: ImageChanges) -> dict[str, Any]:
    row = image.row
    return {
        **{column: _none_for_nan(row.get(column)) for column in IMAGE_COLUMNS},
        "frame_number": _count(row["frame_number"]),
        "class_scores": dict(row["class_scores"]),
        "scored_at": image.now.isoformat(),
        "earlier_scores": [(when.isoformat(), score, by) for when, score, by in image.earlier],
        "flags": [*row["flags"], *(["copies"] if row["copies"] > 1 else [])],
        "arrival": changed.of(row["image_id"]),
    }


def _departed_images(row: Row) -> list[dict[str, Any]]:
    scores = row["image_scores"]
    return [
        {
            "lesion_key": row["lesion_key"], "image_id": image_id, "path": path,
            "path_bytes": None, "frame_number": None, "file_format": None, "rows": 0, "columns": 0,
            "melanoma_score": scores[image_id], "threshold": row["threshold"],
            "predicted_class": None, "class_scores": {}, "scored_at": None,
            "model_version": row["model_version"], "acquisition_datetime": None,
            "study_instance_uid": None, "sop_instance_uid": None, "earlier_scores": [],
            "flags": ["left_archive"], "arrival": None, "content_sha256": None,
        }
        for image_id, path in zip(row["image_ids"], row["paths"], strict=True)
        if image_id in scores
    ]  # fmt: skip


def _count(value: Any) -> int | None:
    return None if value is None or value is pd.NA or math.isnan(value) else int(value)


def _none_for_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as dicts; missing text is None."""
    plain = frame.copy()
    for name in plain.columns:
        if plain[name].dtype.kind not in "biufM":
            words = plain[name].astype(object)
            plain[name] = words.where(words.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]


def model_names(rows: pd.DataFrame) -> pd.Series:
    """The model of each row as "id version digest", the digest by its first 8 digits."""
    names = ["model_id", "model_version", "model_sha256"]
    models = rows[names].drop_duplicates().astype(object)
    named = {
        tuple(row): f"{row[0]} {row[1]} {row[2][:8]}" for row in models.itertuples(index=False)
    }
    if len(named) == 1:  # the usual case, in which a million rows cost no time
        return pd.Series(next(iter(named.values())), rows.index, "category")
    columns = (rows[name].tolist() for name in names)
    return pd.Series([named[row] for row in zip(*columns, strict=True)], rows.index, "category")


def tier_changes(
    remembered: PreviousList,
    lesions: pd.DataFrame,
    scores: pd.DataFrame,
    candidates: Mapping[str, Lesion],
    links: LesionLinks,
) -> pd.DataFrame:
    """The frame of lesions whose tier has changed, by tier tonight, then key.

    Args:
        lesions: tonight's list.
        scores: of lesions with a readable image, as `lesion_scores` gives them.
        candidates: lesions that may be listed, by key.
    """
    if remembered.night is None:
        return pd.DataFrame([], columns=list(CHANGE_COLUMNS), dtype=object)
    before = datetime.fromisoformat(remembered.night)
    listed = {row["lesion_key"]: row for row in records(lesions)}
    rows: list[tuple[str, Tier | None, Tier | None, str]] = []
    for key, previous in links.by_key.items():
        now = listed.get(key) or _score_below_band(key, scores)
        why = _why(previous, now, candidates[key])
        rows.append((key, _tier(previous["score_tier"]), _tier(now["score_tier"]), why))
    for row in links.gone:
        rows.append((row["lesion_key"], _tier(row["score_tier"]), None, "image left the archive"))
    for key, now in listed.items():
        lesion = candidates.get(key)
        if lesion is None or key in links.by_key or key in links.by_image:
            continue
        images = [image for image in lesion.images if image.first_scored <= before]
        if images:  # it had a score and was not listed, so it was below the band
            previous = _previous_below_band(images[0].row["model_version"], images, before)
            rows.append((key, Tier.BELOW, _tier(now["score_tier"]), _why(previous, now, lesion)))
    changed = [row for row in rows if row[1] != row[2]]
    order = {tier: place for place, tier in enumerate(TIERS)}
    changed.sort(key=lambda row: (order[row[2]] if row[2] else len(order), row[0]))
    return pd.DataFrame(changed, columns=list(CHANGE_COLUMNS), dtype=object)


def _why(previous: Row, now: Row, lesion: Lesion) -> str:
    if now["score_tier"] == Tier.UNREADABLE:
        return "no longer readable"
    if previous["score_tier"] == Tier.UNREADABLE:
        return "now readable"
    if previous["score_tier"] is None:
        return "image is back in the archive"
    if previous["model_version"] != now["model_version"]:
        return "new model"
    if previous["max_score"] == now["max_score"]:
        return "new operating point"
    scores = {image.row["image_id"]: image.row["melanoma_score"] for image in lesion.images}
    if now["max_score"] > previous["max_score"]:
        top = {i for i, score in scores.items() if score == now["max_score"]}
        return "score rose" if top & previous["image_scores"].keys() else "new image"
    gone = [score for i, score in previous["image_scores"].items() if i not in scores]
    return "image left the archive" if any(s > now["max_score"] for s in gone) else "score fell"


def _score_below_band(key: str, scores: pd.DataFrame) -> dict[str, Any]:
    """Tonight's score and tier of a lesion that is not listed, since it is below the band."""
    (row,) = records(scores.loc[[key]])
    return {**row, "score_tier": TIERS[row["code"]]}


def _previous_below_band(
    model_version: str, images: list[LesionImage], before: datetime
) -> dict[str, Any]:
    """Earlier score and tier of a lesion that was not listed, since it was below the band."""
    scores = {}
    for image in images:
        known_scores = [score for score in image.earlier if score[0] <= before]
        if image.now <= before:
            scores[image.row["image_id"]] = image.row["melanoma_score"]
        elif known_scores:
            scores[image.row["image_id"]] = known_scores[-1][1]
            model_version = known_scores[-1][2]
    return {
        "score_tier": Tier.BELOW, "model_version": model_version,
        "max_score": max(scores.values(), default=math.nan), "image_scores": scores,
    }  # fmt: skip


def _tier(value: Any) -> Tier | None:
    return None if value is None else Tier(value)
