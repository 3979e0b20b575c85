"""The images of a lesion: their scores over the nights, and when each joined the lesion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from batch.review.worklist.contract import Tier
from batch.review.worklist.grouping import own_key
from batch.review.worklist.previous_list import Row
from batch.review.worklist.status import SeenImage
from batch.review.worklist.tiers import TIERS


@dataclass(frozen=True)
class EarlierScore:
    """A score of an earlier night.

    night: its start, UTC.
    model: "id version digest".
    place: path and lesion_id of the image in that night.
    """

    night: datetime
    score: float
    model: str
    place: tuple[str, str | None]


@dataclass(frozen=True, eq=False)
class LesionImage:
    """An image with a score.

    row: its columns.
    earlier: (night, score, model version) of the scores before the present one, oldest first.
    now: night of the present score.
    here_since: first night that scored it at its present path and lesion_id; None if no night did,
        since it was moved or copied here.
    """

    row: Mapping[str, Any]
    earlier: Sequence[tuple[datetime, float, str]]
    now: datetime
    here_since: datetime | None = None

    @staticmethod
    def of(
        row: Mapping[str, Any],
        night: datetime,
        is_new: bool,
        history: Sequence[EarlierScore],
    ) -> LesionImage:
        """Make the record of an image of tonight.

        Args:
            row: its columns.
            night: start of tonight.
            is_new: whether it was scored tonight.
            history: earlier scores of its image_id, in any order.
        """
        now = night if is_new else row["scored_at"].to_pydatetime()
        past_scores = [(past.night, past.score, past.model) for past in history]
        earlier = sorted(past for past in past_scores if past[0] < now)
        lesion_id = row["lesion_id"] if isinstance(row["lesion_id"], str) else None
        place = row["path"], lesion_id
        nights_here = (past.night for past in history if past.place == place)
        return LesionImage(row, earlier, now, min(nights_here, default=None))

    @property
    def first_scored(self) -> datetime:
        """The night that first scored its content, at whatever path."""
        return self.earlier[0][0] if self.earlier else self.now

    def seen(self, since: datetime) -> SeenImage:
        """The image with its scores over the nights. since: when it joined its lesion."""
        scores = [(when, score) for when, score, _ in self.earlier]
        scores.append((self.now, self.row["melanoma_score"]))
        return SeenImage(self.row["image_id"], since, scores)

    def before(self, night: datetime) -> tuple[float, str] | None:
        """Score and model version at the end of the night before; None if it had no score."""
        if self.now < night:
            return self.row["melanoma_score"], self.row["model_version"]
        return self.earlier[-1][1:] if self.earlier else None


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion.

    images: those with a score.
    unreadable: rows of `unscored`, with image_id and since.
    """

    key: str
    images: list[LesionImage] = field(default_factory=list)
    unreadable: list[Mapping[str, Any]] = field(default_factory=list)

    def paths(self) -> dict[str, str]:
        """image_id to path of all its images, sorted by id."""
        paths = {row["image_id"]: row["path"] for row in self.unreadable}
        paths |= {image.row["image_id"]: image.row["path"] for image in self.images}
        return dict(sorted(paths.items()))

    def seen(self, rows: Sequence[Row], list_night: datetime, night: datetime) -> list[SeenImage]:
        """Its images, each with the night since which it belongs to this lesion.

        The night when the content was first scored elsewhere does not count, since a reviewer who
        looked at this lesion before did not see the image.

        Args:
            rows: of this lesion on the last list.
            list_night: night of that list.
            night: tonight.
        """
        listed_images = {image_id for row in rows for image_id in row["image_ids"]}

        def since(image: LesionImage) -> datetime:
            if self.key in (image.row["image_id"], own_key(image.row["image_id"])):
                return image.first_scored  # the image alone is the lesion, at whatever path
            if rows and image.row["image_id"] not in listed_images:
                return night
            return image.here_since or (list_night if rows else night)

        scored = {image.row["image_id"]: image.seen(since(image)) for image in self.images}
        others = {
            row["image_id"]: SeenImage(row["image_id"], row["since"]) for row in self.unreadable
        }
        return list({**others, **scored}.values())

    def asking(self) -> set[str]:
        """Ids of its images in a tier that asks for a look."""
        below = TIERS.index(Tier.BELOW)
        ids = {image.row["image_id"] for image in self.images if image.row["code"] < below}
        return ids | {row["image_id"] for row in self.unreadable}

    def before(self, night: datetime) -> tuple[float, str] | None:
        """Highest score of the night before, and its model version; None if unknown."""
        previous_scores = [previous for image in self.images if (previous := image.before(night))]
        return max(previous_scores) if previous_scores else None
