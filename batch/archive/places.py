"""An archive wherever it lies: the kind of storage that belongs to a place."""

from __future__ import annotations

from batch.archive.object_archive import ObjectArchive
from batch.archive.storage import ArchiveStorage, LocalArchive
from batch.core.location import ObjectUrl, Place


def open_archive(place: Place) -> ArchiveStorage:
    """The storage of an archive. place: a folder, absolute, or a prefix of an object store."""
    return ObjectArchive(place) if isinstance(place, ObjectUrl) else LocalArchive(place)
