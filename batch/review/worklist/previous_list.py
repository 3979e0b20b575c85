"""The last list, and which of tonight's lesions were on it.

A lesion is recognised by its key. After a change of keys (another `--lesion-pattern`, another level
of identifiers) it is recognised by its images.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from batch.review.worklist.contract import Status, Tier
from batch.review.worklist.status import PreviousState, Review

Row = Mapping[str, Any]
"""A row of `LESION_COLUMNS`, with lists and dicts as values."""


@dataclass(frozen=True, eq=False)
class PreviousList:
    """The last list, and alerts of nights after it.

    night: start of the list's night, ISO 8601; None if there is no list.
    rows: its lesions.
    alerted: image_id to the first night after the list in which the image raised an alert; without
        a list, the first night of all.
    """

    night: str | None = None
    rows: tuple[Row, ...] = ()
    alerted: Mapping[str, str] = field(default_factory=dict)

    def image_ids(self) -> set[str]:
        """Ids of the images of all its lesions."""
        return {image_id for row in self.rows for image_id in row["image_ids"]}

    def without_score(self) -> dict[tuple[str, str], str | None]:
        """Map (lesion_key, image_id) of images without a score to the night that first listed them.

        The night is None for images of a lesion that also has readable images, since the lesion may
        have been listed before they came.
        """
        return {
            (row["lesion_key"], image_id): None if row["image_scores"] else row["first_listed_at"]
            for row in self.rows
            for image_id in row["image_ids"]
            if image_id not in row["image_scores"]
        }


@dataclass(frozen=True, eq=False)
class LesionLinks:
    """Links between tonight's lesions and the rows of the last list.

    by_key: lesion_key of tonight to the row with the same key.
    by_image: lesion_key of tonight to the rows with other keys that share an image with it.
    departed: rows whose deciding image is gone tonight, and which have an open alert or a review.
    gone: all rows whose deciding image is gone tonight.
    """

    by_key: Mapping[str, Row]
    by_image: Mapping[str, tuple[Row, ...]]
    departed: tuple[Row, ...]
    gone: tuple[Row, ...]

    def before(self, key: str, image_ids: Iterable[str]) -> PreviousState | None:
        """The state of a lesion on the last list; None if it was not on it."""
        if key in self.by_key:
            return state_of_row(self.by_key[key])
        rows = self.by_image.get(key, ())
        ids = set(image_ids)
        open_alerts = [row for row in rows if _is_open_alert(row) and top_image(row) in ids]
        reviewed = [row for row in rows if row["reviewed_at"] is not None]
        if open_alerts:
            return state_of_row(min(open_alerts, key=lambda row: str(row["first_alerted_at"])))
        if reviewed:
            return state_of_row(max(reviewed, key=lambda row: str(row["reviewed_at"])))
        others = [row for row in rows if row["tier"] != Tier.ALERT]
        return state_of_row(others[0]) if others else None


def link_lesions(
    remembered: PreviousList, keys: Collection[str], lesions_of: Mapping[str, Collection[str]]
) -> LesionLinks:
    """Find the lesions of the last list among tonight's.

    Args:
        remembered: the last list.
        keys: of all lesions of tonight.
        lesions_of: image_id to lesion_keys, for tonight's images that are on the last list.
    """
    by_key, by_image, gone = {}, defaultdict(list), []
    for row in remembered.rows:
        if row["lesion_key"] in keys:
            by_key[row["lesion_key"]] = row
            continue
        for key in sorted({key for i in row["image_ids"] for key in lesions_of.get(i, ())}):
            by_image[key].append(row)
        if top_image(row) not in lesions_of:
            gone.append(row)
    departed = [row for row in gone if _is_open_alert(row) or row["reviewed_at"] is not None]
    linked = {key: tuple(rows) for key, rows in by_image.items()}
    return LesionLinks(by_key, linked, tuple(departed), tuple(gone))


def same_score(before: Row, now: Mapping[str, Any]) -> bool:
    """Whether two rows of a lesion have one score, by one model and of one image."""
    if before["model_version"] != now["model_version"] or before["max_score"] != now["max_score"]:
        return False
    scores = dict(now["image_scores"])
    known = dict(before["image_scores"])
    return any(known.get(i) == now["max_score"] == score for i, score in scores.items())


def carried_spread(row: Row, before: Row | None) -> float:
    """The `score_spread` of an earlier night, if it was measured of the same score; else NaN."""
    if before is None or not same_score(before, row):
        return math.nan
    return float(before["score_spread"])


def state_of_row(row: Row) -> PreviousState:
    """The state of a lesion from its row of the last list."""
    return PreviousState(
        Tier(row["tier"]),
        Status(row["status"]),
        row["first_listed_at"],
        row["first_alerted_at"],
        review_of_row(row),
    )


def review_of_row(row: Row) -> Review | None:
    """The review that a row holds, or None."""
    if row["reviewed_at"] is None:
        return None
    score = row["reviewed_score"]
    return Review(
        row["decision"] or "",
        row["reviewer"],
        datetime.fromisoformat(row["reviewed_at"]),
        None if score is None or math.isnan(score) else score,
        frozenset(row["reviewed_images"]),
    )


def top_image(row: Row) -> str | None:
    """The image with a row's highest score; the first image if none could be read."""
    scores = row["image_scores"]
    if scores:
        return min(scores, key=lambda image_id: (-scores[image_id], image_id))
    return row["image_ids"][0] if row["image_ids"] else None


def _is_open_alert(row: Row) -> bool:
    return row["tier"] == Tier.ALERT and row["status"] != Status.REVIEWED
