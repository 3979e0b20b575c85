"""Which images of a lesion are others than the night before, and what is said of it. Pure.

An image is known again by its content (or UID); one of other content at the place of another has
replaced it. Where lesions are grouped anew (other keys), nothing is told: every image is in another
lesion then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from batch.review.worklist.previous_list import Links, Row

if TYPE_CHECKING:
    from batch.review.worklist.lesion_images import Lesion


@dataclass(frozen=True)
class ImageChanges:
    """Sets of image_id. added, gone: not there the night before, or tonight. replaced: new at the
    place of another. now_readable, now_unreadable: of those that stayed or replaced another.
    """

    added: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    replaced: frozenset[str] = frozenset()
    now_readable: frozenset[str] = frozenset()
    now_unreadable: frozenset[str] = frozenset()

    def of(self, image_id: str) -> str | None:
        """What is to be said of one image: added, replaced, readable; None: nothing."""
        for word, ids in (
            ("readable", self.now_readable), ("replaced", self.replaced), ("added", self.added)
        ):  # fmt: skip
            if image_id in ids:
                return word
        return None

    def flags(self) -> list[str]:
        """Names of `wording.FLAGS`."""
        named = {
            "image_added": self.added,
            "image_gone": self.gone,
            "image_replaced": self.replaced,
        }
        return [flag for flag, ids in named.items() if ids]

    def sentences(self) -> Iterator[str]:
        """What a person reads."""
        if self.added:
            yield f"{_counted(self.added)} added since the night before."
        if other := self.replaced - self.now_readable - self.now_unreadable:
            yield f"{_counted(other)} replaced by another at the same place."
        if self.gone:
            yield f"{_images(self.gone)} of the night before {_be(self.gone, 'is')} not there now."
        if self.now_readable:
            yield f"{_images(self.now_readable)} can be read now, and could not the night before."
        if self.now_unreadable:
            yield f"{_images(self.now_unreadable)} could be read the night before, and cannot now."


def image_changes(lesion: Lesion, links: Links, night: datetime) -> ImageChanges:
    """What became of a lesion's images since the last list.

    Args:
        night: start of tonight.
    """
    row = links.by_key.get(lesion.key)
    if row is not None:
        return _since(row, lesion) if row["score_tier"] is not None else ImageChanges()
    if lesion.key in links.by_image:
        return ImageChanges()
    ids = {image.row["image_id"] for image in lesion.images}
    before = {i.row["image_id"] for i in lesion.images if i.before(night) is not None}
    # of a lesion that was not listed, only scores are remembered
    return ImageChanges(added=frozenset(ids - before)) if before else ImageChanges()


def _since(row: Row, lesion: Lesion) -> ImageChanges:
    places = dict(zip(row["image_ids"], row["paths"], strict=True))
    now = lesion.paths()
    scored = {image.row["image_id"] for image in lesion.images}
    pairs = [(i, i) for i in now.keys() & places.keys()]
    replaced = _replaced(places, now)
    pairs += replaced.items()
    had_score = row["image_scores"].keys()
    return ImageChanges(
        added=frozenset(now.keys() - places.keys()).difference(replaced.values()),
        gone=frozenset(places.keys() - now.keys() - replaced.keys()),
        replaced=frozenset(replaced.values()),
        now_readable=frozenset(i for old, i in pairs if i in scored and old not in had_score),
        now_unreadable=frozenset(i for old, i in pairs if i not in scored and old in had_score),
    )


def _replaced(places: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """The image of the night before to the one of other content that lies at its place."""
    new_at: dict[str, list[str]] = defaultdict(list)
    for image_id, path in sorted(now.items(), reverse=True):
        if image_id not in places:
            new_at[path].append(image_id)
    gone = sorted(i for i in places if i not in now)
    return {i: new_at[places[i]].pop() for i in gone if new_at.get(places[i])}


def _images(ids: frozenset[str]) -> str:
    return "1 image" if len(ids) == 1 else f"{len(ids)} images"


def _be(ids: frozenset[str], one: str) -> str:
    return one if len(ids) == 1 else {"is": "are", "was": "were"}[one]


def _counted(ids: frozenset[str]) -> str:
    return f"{_images(ids)} {_be(ids, 'was')}"
