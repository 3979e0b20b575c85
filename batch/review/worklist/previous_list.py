"""The last night's list, and which of its lesions tonight's are. Pure.

A lesion is known again by its key; where keys changed (another `--lesion-pattern`, another level of
identifiers) by its images.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from batch.review.worklist.contract import Status, Tier
from batch.review.worklist.status import Before, Review

Row = Mapping[str, Any]
"""A row of `LESION_COLUMNS`, lists and dicts as such."""


@dataclass(frozen=True, eq=False)
class Remembered:
    """What earlier nights hand on.

    night: of the last list, ISO 8601; None when there is none. rows: its lesions. alerted: image_id
    to the first night after that list (of all nights, without one) in which it raised an alert.
    """

    night: str | None = None
    rows: tuple[Row, ...] = ()
    alerted: Mapping[str, str] = field(default_factory=dict)

    def image_ids(self) -> set[str]:
        """Images of all its lesions."""
        return {image_id for row in self.rows for image_id in row["image_ids"]}

    def without_score(self) -> dict[tuple[str, str], str | None]:
        """(lesion_key, image_id) of images that had no score, to the night that first listed them.

        None for those of a lesion with readable images: it may have been listed before them.
        """
        return {
            (row["lesion_key"], image_id): None if row["image_scores"] else row["first_listed_at"]
            for row in self.rows
            for image_id in row["image_ids"]
            if image_id not in row["image_scores"]
        }


@dataclass(frozen=True, eq=False)
class Links:
    """Of tonight's lesions those that are remembered, and those that left the archive.

    by_key: lesion_key to its own row. by_image: to rows of other keys that share an image. left:
    rows whose deciding image is found nowhere tonight and whose alert is open or was reviewed.
    gone: these, and all others that left.
    """

    by_key: Mapping[str, Row]
    by_image: Mapping[str, tuple[Row, ...]]
    left: tuple[Row, ...]
    gone: tuple[Row, ...]

    def before(self, key: str, image_ids: Iterable[str]) -> Before | None:
        """How a lesion stood."""
        if key in self.by_key:
            return before_of(self.by_key[key])
        rows = self.by_image.get(key, ())
        there = set(image_ids)
        opened = [row for row in rows if _is_open_alert(row) and top_image(row) in there]
        reviewed = [row for row in rows if row["reviewed_at"] is not None]
        if opened:
            return before_of(min(opened, key=lambda row: str(row["first_alerted_at"])))
        if reviewed:
            return before_of(max(reviewed, key=lambda row: str(row["reviewed_at"])))
        asked = [row for row in rows if row["tier"] != Tier.ALERT]
        return before_of(asked[0]) if asked else None


def link(
    remembered: Remembered, keys: Collection[str], lesions_of: Mapping[str, Collection[str]]
) -> Links:
    """Find the remembered lesions again.

    Args:
        keys: of all lesions of tonight. lesions_of: image_id to lesion_keys, of tonight's images
            that are remembered.
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
    left = [row for row in gone if _is_open_alert(row) or row["reviewed_at"] is not None]
    linked = {key: tuple(rows) for key, rows in by_image.items()}
    return Links(by_key, linked, tuple(left), tuple(gone))


def before_of(row: Row) -> Before:
    """A remembered row as the state it tells."""
    return Before(
        Tier(row["tier"]),
        Status(row["status"]),
        row["first_listed_at"],
        row["first_alerted_at"],
        review_in(row),
    )


def review_in(row: Row) -> Review | None:
    """The mark that a row tells of."""
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
    """The image that decided a row's score; the first one where none could be read."""
    scores = row["image_scores"]
    if scores:
        return min(scores, key=lambda image_id: (-scores[image_id], image_id))
    return row["image_ids"][0] if row["image_ids"] else None


def _is_open_alert(row: Row) -> bool:
    return row["tier"] == Tier.ALERT and row["status"] != Status.REVIEWED
