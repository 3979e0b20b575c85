"""Which images of a lesion have changed since the night before, and the sentences about it.

An image is recognised by its content or UID. If other content lies at the path of an image, it has
replaced the image. After a change of lesion keys nothing is said, since then every image is in
another lesion.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from batch.review.worklist.previous_list import LesionLinks, Row

if TYPE_CHECKING:
    from batch.review.worklist.lesion_images import Lesion


@dataclass(frozen=True)
class ImageChanges:
    """Image ids by what has changed since the night before.

    added: not there the night before.
    gone: not there tonight.
    replaced: new, at the path of another image.
    now_readable, now_unreadable: stayed or replaced another, and can or cannot be read now.
    """

    added: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    replaced: frozenset[str] = frozenset()
    now_readable: frozenset[str] = frozenset()
    now_unreadable: frozenset[str] = frozenset()

    def of(self, image_id: str) -> str | None:
        """The change of an image: "added", "replaced", "readable", or None."""
        for change, ids in (
            ("readable", self.now_readable), ("replaced", self.replaced), ("added", self.added)
        ):  # fmt: skip
            if image_id in ids:
                return change
        return None

    def flags(self) -> list[str]:
        """Flags of the lesion, names of `lesions.FLAGS`."""
        named = {
            "image_added": self.added,
            "image_gone": self.gone,
            "image_replaced": self.replaced,
        }
        return [flag for flag, ids in named.items() if ids]

    def sentences(self) -> Iterator[str]:
        """Sentences on the changes, for a person."""
        if self.added:
            yield f"{_count_with_verb(self.added)} added since the night before."
        if other := self.replaced - self.now_readable - self.now_unreadable:
            yield f"{_count_with_verb(other)} replaced by another at the same place."
        if self.gone:
            count, verb = _count_images(self.gone), _verb(self.gone, "is")
            yield f"{count} of the night before {verb} not there now."
        if self.now_readable:
            count = _count_images(self.now_readable)
            yield f"{count} can be read now, and could not the night before."
        if self.now_unreadable:
            count = _count_images(self.now_unreadable)
            yield f"{count} could be read the night before, and cannot now."


def image_changes(lesion: Lesion, links: LesionLinks, night: datetime) -> ImageChanges:
    """Compare a lesion's images with those on the last list.

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
    # if the lesion was not listed, only scores of its images are remembered
    return ImageChanges(added=frozenset(ids - before)) if before else ImageChanges()


def _since(row: Row, lesion: Lesion) -> ImageChanges:
    paths_before = dict(zip(row["image_ids"], row["paths"], strict=True))
    now = lesion.paths()
    scored = {image.row["image_id"] for image in lesion.images}
    pairs = [(i, i) for i in now.keys() & paths_before.keys()]
    replaced = _replaced(paths_before, now)
    pairs += replaced.items()
    scored_before = row["image_scores"].keys()
    return ImageChanges(
        added=frozenset(now.keys() - paths_before.keys()).difference(replaced.values()),
        gone=frozenset(paths_before.keys() - now.keys() - replaced.keys()),
        replaced=frozenset(replaced.values()),
        now_readable=frozenset(i for old, i in pairs if i in scored and old not in scored_before),
        now_unreadable=frozenset(i for old, i in pairs if i not in scored and old in scored_before),
    )


def _replaced(paths_before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Map an image of the night before to the new image at its path."""
    new_at: dict[str, list[str]] = defaultdict(list)
    for image_id, path in sorted(now.items(), reverse=True):
        if image_id not in paths_before:
            new_at[path].append(image_id)
    gone = sorted(i for i in paths_before if i not in now)
    return {i: new_at[paths_before[i]].pop() for i in gone if new_at.get(paths_before[i])}


def _count_images(ids: frozenset[str]) -> str:
    return "1 image" if len(ids) == 1 else f"{len(ids)} images"


def _verb(ids: frozenset[str], one: str) -> str:
    return one if len(ids) == 1 else {"is": "are", "was": "were"}[one]


def _count_with_verb(ids: frozenset[str]) -> str:
    return f"{_count_images(ids)} {_verb(ids, 'was')}"
