"""An archive's top levels, so that many may list what lies below them at once."""

from __future__ import annotations

from batch.archive.storage import ArchiveStorage
from batch.core.records import ImageLocation

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
