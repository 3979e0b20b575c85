"""Which mark of today's file belongs to which lesion. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from batch.review.worklist.marks import Mark, newest
from batch.review.worklist.previous_list import Row
from batch.review.worklist.status import of_images


@dataclass(frozen=True, eq=False)
class Assigned:
    """Marks by lesion_key. unmatched: marks of lesions and images that nobody knows (any more)."""

    of_lesions: Mapping[str, Sequence[Mark]]
    of_images: Mapping[str, Sequence[Mark]]
    unmatched: Sequence[Mark]

    def keys(self) -> set[str]:
        """Lesions with a mark."""
        return self.of_lesions.keys() | self.of_images.keys()

    def mark(self, key: str, asking: Collection[str]) -> Mark | None:
        """The newest mark of a lesion.

        Args:
            asking: its images in tier alert, near_threshold or unreadable: marks of single images
                count for the lesion when each of these has one.
        """
        whole = newest(self.of_lesions.get(key, ()))
        by_image: dict[str | None, list[Mark]] = defaultdict(list)
        for mark in self.of_images.get(key, ()):
            by_image[mark.image_id].append(mark)
        last = [newest(marks) for marks in by_image.values()]
        single = of_images([mark for mark in last if mark], asking)
        return newest([mark for mark in (single, whole) if mark])


def assign(
    marks: Iterable[Mark],
    keys: Collection[str],
    lesions_of: Mapping[str, Collection[str]],
    rows: Iterable[Row],
) -> Assigned:
    """Find the lesion of each mark.

    Args:
        keys: of tonight's lesions, and of those that left the archive. lesions_of: image_id to
            lesion_keys of these. rows: the last night's, for keys that changed since.
    """
    images_of = {row["lesion_key"]: row["image_ids"] for row in rows}
    of_lesions: dict[str, list[Mark]] = defaultdict(list)
    single: dict[str, list[Mark]] = defaultdict(list)
    unmatched: list[Mark] = []
    for mark in marks:
        named = _known(mark.lesion_key or "", keys, images_of)
        ids = images_of.get(named, ()) if named else (_known(mark.image_id or "", lesions_of),)
        by_image = {key for image_id in ids for key in lesions_of.get(image_id, ())}
        found = {named} if named in keys else by_image
        for key in found:
            (of_lesions if named else single)[key].append(mark)
        if not found:
            unmatched.append(mark)
    return Assigned(of_lesions, single, unmatched)


def _known(name: str, *known: Container[str]) -> str:
    """The name as it stands in the file, or without the space that a hand left around it."""
    return name if any(name in names for names in known) else name.strip()
