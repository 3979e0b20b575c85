"""An archive wherever it lies: the kind of storage that belongs to a place."""

from __future__ import annotations

import os

from batch.archive.local import ArchiveStorage, LocalArchive
from batch.archive.objects import ObjectArchive
from batch.core.errors import UsageError
from batch.core.location import ObjectUrl, Place
from batch.core.records import ImageLocation
from batch.storage.object_store import check_store


def open_archive(place: Place) -> ArchiveStorage:
    """The storage of an archive. place: a folder, absolute, or a prefix of an object store."""
    return ObjectArchive(place) if isinstance(place, ObjectUrl) else LocalArchive(place)


FOLDERS = 512
"""So many folders keep a hundred workers busy, and no level below is looked at by the driver."""


def top_levels(archive: ArchiveStorage, folders: int = FOLDERS) -> list[ImageLocation | str]:
    """The archive in the order of its listing, some folders of it not looked into yet.

    Level by level, until there are as many folders as wanted or none is left.

    Returns:
        files as locations, folders as prefixes ending in `/`.
    """
    found: list[ImageLocation | str] = [""]
    while 0 < sum(isinstance(entry, str) for entry in found) < folders:
        found = [
            each
            for entry in found
            for each in (archive.entries(entry) if isinstance(entry, str) else [entry])
        ]
    return found


def check_archive(archive: Place) -> None:
    """Make sure that the archive is there and can be listed.

    Raises:
        UsageError: it is not.
    """
    if isinstance(archive, ObjectUrl):
        check_store("ARCHIVE", archive)
        return
    try:
        if not archive.is_dir():
            kind = "a file" if archive.exists() else "nothing"
            raise UsageError(
                f"ARCHIVE: {kind} at {archive}; needed: a folder. Is the archive mounted?"
            )
        os.scandir(archive).close()
    except OSError as error:
        raise UsageError(
            f"ARCHIVE: cannot look into {archive} ({error.strerror}). Check its permissions."
        ) from error
