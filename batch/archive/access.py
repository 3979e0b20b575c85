"""Opens an archive in a folder or in object storage."""

from __future__ import annotations

import os

from batch.archive.local import ArchiveStorage, LocalArchive
from batch.archive.objects import ObjectArchive
from batch.core.errors import UsageError
from batch.core.location import ObjectUrl, Place
from batch.core.records import ImageLocation
from batch.storage.object_store import check_store


def open_archive(place: Place) -> ArchiveStorage:
    """Open an archive. place: an absolute folder, or a prefix of an object store."""
    return ObjectArchive(place) if isinstance(place, ObjectUrl) else LocalArchive(place)


FOLDERS = 512
"""Enough folders to keep a hundred workers busy; the driver lists no further level."""


def top_levels(archive: ArchiveStorage, folders: int = FOLDERS) -> list[ImageLocation | str]:
    """List the upper levels of an archive, until there are enough folders or none is left.

    Returns:
        in the order of the full listing: files as locations, and folders that are not listed yet as
        prefixes ending in `/`.
    """
    listing: list[ImageLocation | str] = [""]
    while 0 < sum(isinstance(entry, str) for entry in listing) < folders:
        listing = [
            below
            for entry in listing
            for below in (archive.entries(entry) if isinstance(entry, str) else [entry])
        ]
    return listing


def check_archive(archive: Place) -> None:
    """Make sure that the archive exists and can be listed.

    Raises:
        UsageError: it does not exist, or cannot be listed.
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
