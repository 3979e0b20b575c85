"""Which lesions have another tier by score than the night before, and why. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from batch.review.contract import CHANGE_COLUMNS, Tier
from batch.review.frames import records
from batch.review.lesion_images import Lesion, LesionImage
from batch.review.remembered import Links, Remembered, Row
from batch.review.tiers import TIERS


def changes(
    remembered: Remembered,
    lesions: pd.DataFrame,
    scores: pd.DataFrame,
    known: Mapping[str, Lesion],
    links: Links,
) -> pd.DataFrame:
    """Rows of `CHANGE_COLUMNS`, by what they are now, then key.

    Args:
        lesions: tonight's list. scores: of lesions with a readable image. known: images of what
            might be listed.
    """
    if remembered.night is None:
        return pd.DataFrame([], columns=list(CHANGE_COLUMNS), dtype=object)
    before = datetime.fromisoformat(remembered.night)
    listed = {row["lesion_key"]: row for row in records(lesions)}
    rows: list[tuple[str, Tier | None, Tier | None, str]] = []
    for key, last in links.by_key.items():
        now = listed.get(key) or _unlisted(key, scores)
        why = _why(last, now, known[key])
        rows.append((key, _tier(last["score_tier"]), _tier(now["score_tier"]), why))
    for row in links.gone:
        rows.append((row["lesion_key"], _tier(row["score_tier"]), None, "image left the archive"))
    for key, now in listed.items():
        lesion = known.get(key)
        if lesion is None or key in links.by_key or key in links.by_image:
            continue
        there = [image for image in lesion.images if image.first_scored <= before]
        if there:  # not on the last list: it was below the band
            was = _below(there[0].row["model_version"], there, before)
            rows.append((key, Tier.BELOW, _tier(now["score_tier"]), _why(was, now, lesion)))
    changed = [row for row in rows if row[1] != row[2]]
    order = {tier: place for place, tier in enumerate(TIERS)}
    changed.sort(key=lambda row: (order[row[2]] if row[2] else len(order), row[0]))
    return pd.DataFrame(changed, columns=list(CHANGE_COLUMNS), dtype=object)


def _why(was: Row, now: Row, lesion: Lesion) -> str:
    if now["score_tier"] == Tier.UNREADABLE:
        return "no longer readable"
    if was["score_tier"] == Tier.UNREADABLE:
        return "now readable"
    if was["score_tier"] is None:
        return "image is back in the archive"
    if was["model_version"] != now["model_version"]:
        return "new model"
    if was["max_score"] == now["max_score"]:
        return "new operating point"
    scores = {image.row["image_id"]: image.row["melanoma_score"] for image in lesion.images}
    if now["max_score"] > was["max_score"]:
        top = {i for i, score in scores.items() if score == now["max_score"]}
        return "score rose" if top & was["image_scores"].keys() else "new image"
    gone = [score for i, score in was["image_scores"].items() if i not in scores]
    return "image left the archive" if any(s > now["max_score"] for s in gone) else "score fell"


def _unlisted(key: str, scores: pd.DataFrame) -> dict[str, Any]:
    """What a lesion is now that is on no list: below the band."""
    (row,) = records(scores.loc[[key]])
    return {**row, "score_tier": TIERS[row["code"]]}


def _below(model_version: str, images: list[LesionImage], before: datetime) -> dict[str, Any]:
    """What a lesion was that was on no list."""
    scores = {}
    for image in images:
        earlier = [each for each in image.earlier if each[0] <= before]
        if image.now <= before:
            scores[image.row["image_id"]] = image.row["melanoma_score"]
        elif earlier:
            scores[image.row["image_id"]] = earlier[-1][1]
            model_version = earlier[-1][2]
    return {
        "score_tier": Tier.BELOW, "model_version": model_version,
        "max_score": max(scores.values(), default=math.nan), "image_scores": scores,
    }  # fmt: skip


def _tier(value: Any) -> Tier | None:
    return None if value is None else Tier(value)
