"""The images of a lesion, with their scores in time, and since when each stands with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from batch.review.worklist.contract import Tier
from batch.review.worklist.grouping import own
from batch.review.worklist.previous_list import Row
from batch.review.worklist.status import SeenImage
from batch.review.worklist.tiers import TIERS


@dataclass(frozen=True)
class EarlierScore:
    """A score of an earlier night (UTC). place: path and lesion_id that the image had in it."""

    night: datetime
    score: float
    model: str
    place: tuple[str, str | None]


@dataclass(frozen=True, eq=False)
class LesionImage:
    """An image with a score. row: its columns. earlier: (night, score, model version), before the
    present score, oldest first. now: the night of the present score. here_since: first night that
    scored it at its present place; None: none did, it was moved or copied here.
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
        """An image of tonight.

        Args:
            is_new: scored tonight, not remembered. history: of its id, in any order.
        """
        now = night if is_new else row["scored_at"].to_pydatetime()
        earlier = sorted((each.night, each.score, each.model) for each in history
                         if each.night < now)  # fmt: skip
        lesion_id = row["lesion_id"] if isinstance(row["lesion_id"], str) else None
        here = (each.night for each in history if each.place == (row["path"], lesion_id))
        return LesionImage(row, earlier, now, min(here, default=None))

    @property
    def first_scored(self) -> datetime:
        """The night that first scored its content, wherever it lay."""
        return self.earlier[0][0] if self.earlier else self.now

    def seen(self, since: datetime) -> SeenImage:
        """Its scores in time. since: when it joined its lesion."""
        scores = [(when, score) for when, score, _ in self.earlier]
        scores.append((self.now, self.row["melanoma_score"]))
        return SeenImage(self.row["image_id"], since, scores)

    def before(self, night: datetime) -> tuple[float, str] | None:
        """Score and model version as the night before left them."""
        if self.now < night:
            return self.row["melanoma_score"], self.row["model_version"]
        return self.earlier[-1][1:] if self.earlier else None


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion's images. unreadable: rows of `unscored`, with image_id and since."""

    key: str
    images: list[LesionImage] = field(default_factory=list)
    unreadable: list[Mapping[str, Any]] = field(default_factory=list)

    def paths(self) -> dict[str, str]:
        """image_id to path, by id."""
        found = {row["image_id"]: row["path"] for row in self.unreadable}
        found |= {image.row["image_id"]: image.row["path"] for image in self.images}
        return dict(sorted(found.items()))

    def seen(self, rows: Sequence[Row], listed: datetime, night: datetime) -> list[SeenImage]:
        """Its images in time.

        An image counts from when it stood with this lesion, not from when its content was first
        scored somewhere: who looked at the lesion before did not see it.

        Args:
            rows: of the last list, of this lesion. listed: that list's night. night: tonight.
        """
        with_it = {image_id for row in rows for image_id in row["image_ids"]}

        def since(image: LesionImage) -> datetime:
            if self.key in (image.row["image_id"], own(image.row["image_id"])):
                return image.first_scored  # the image is the lesion, wherever it lies
            if rows and image.row["image_id"] not in with_it:
                return night
            return image.here_since or (listed if rows else night)

        scored = {image.row["image_id"]: image.seen(since(image)) for image in self.images}
        others = {
            row["image_id"]: SeenImage(row["image_id"], row["since"]) for row in self.unreadable
        }
        return list({**others, **scored}.values())

    def asking(self) -> set[str]:
        """Images that ask for a look by themselves."""
        below = TIERS.index(Tier.BELOW)
        ids = {image.row["image_id"] for image in self.images if image.row["code"] < below}
        return ids | {row["image_id"] for row in self.unreadable}

    def before(self, night: datetime) -> tuple[float, str] | None:
        """Highest score of the night before, and its model version; None: not known."""
        found = [before for image in self.images if (before := image.before(night))]
        return max(found) if found else None
