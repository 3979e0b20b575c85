"""Assigns each mark to its lesion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from batch.review.worklist.marks import Mark, newest
from batch.review.worklist.previous_list import Row
from batch.review.worklist.status import mark_of_images


@dataclass(frozen=True, eq=False)
class MarkAssignment:
    """Marks by lesion.

    of_lesions: lesion_key to marks that name the lesion.
    of_images: lesion_key to marks that name one of its images.
    unmatched: marks that name no lesion or image of the archive or of the last list.
    """

    of_lesions: Mapping[str, Sequence[Mark]]
    of_images: Mapping[str, Sequence[Mark]]
    unmatched: Sequence[Mark]

    def keys(self) -> set[str]:
        """Keys of the lesions with a mark."""
        return self.of_lesions.keys() | self.of_images.keys()

    def mark(self, key: str, asking: Collection[str]) -> Mark | None:
        """The newest mark that counts for a lesion.

        Args:
            key: of the lesion.
            asking: ids of its images in a tier that asks for a look. Marks of images
                count for the lesion when each of these images has one.
        """
        of_lesion = newest(self.of_lesions.get(key, ()))
        by_image: dict[str | None, list[Mark]] = defaultdict(list)
        for mark in self.of_images.get(key, ()):
            by_image[mark.image_id].append(mark)
        newest_marks = [newest(marks) for marks in by_image.values()]
        of_images = mark_of_images([mark for mark in newest_marks if mark], asking)
        return newest([mark for mark in (of_images, of_lesion) if mark])


def assign_marks(
    marks: Iterable[Mark],
    keys: Collection[str],
    lesions_of: Mapping[str, Collection[str]],
    rows: Iterable[Row],
) -> MarkAssignment:
    """Find the lesion of each mark.

    Args:
        marks: in the order of the files.
        keys: of tonight's lesions, and of those that left the archive.
        lesions_of: image_id to the keys of its lesions.
        rows: of the last list, for marks that name a key that has changed since.
    """
    images_of = {row["lesion_key"]: row["image_ids"] for row in rows}
    of_lesions: dict[str, list[Mark]] = defaultdict(list)
    of_images: dict[str, list[Mark]] = defaultdict(list)
    unmatched: list[Mark] = []
    for mark in marks:
        lesion_key = _matching_name(mark.lesion_key or "", keys, images_of)
        ids = (
            images_of.get(lesion_key, ())
            if lesion_key
            else (_matching_name(mark.image_id or "", lesions_of),)
        )
        by_image = {key for image_id in ids for key in lesions_of.get(image_id, ())}
        matching = {lesion_key} if lesion_key in keys else by_image
        for key in matching:
            (of_lesions if lesion_key else of_images)[key].append(mark)
        if not matching:
            unmatched.append(mark)
    return MarkAssignment(of_lesions, of_images, unmatched)


def _matching_name(name: str, *collections: Container[str]) -> str:
    """A name as the file has it if a collection holds it, else without spaces around it."""
    return name if any(name in names for names in collections) else name.strip()
