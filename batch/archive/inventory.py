"""Which files are there. Lists names and sizes; opens nothing, follows no link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from batch.records import ImageLocation


def list_archive(root: Path) -> Iterator[ImageLocation]:
    """Yield everything below root that is not a folder, in a stable order (by name, depth first).

    Links, pipes, devices and sockets are listed and end as unscored, so that nothing is skipped
    without a row. A folder that cannot be listed is yielded itself, with a trailing `/`: what it
    holds is unknown, and a person must know that.
    """
    yield from _list_folder(root, "")


def _list_folder(folder: Path, prefix: str) -> Iterator[ImageLocation]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        yield ImageLocation(prefix, 0, 0)
        return
    for entry in listed:
        path = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _list_folder(folder / entry.name, path + "/")
        else:
            yield _locate(entry, path)


def _locate(entry: os.DirEntry[str], path: str) -> ImageLocation:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # vanished since it was listed; reading it will say so
        return ImageLocation(path, 0, 0)
    return ImageLocation(path, status.st_size, status.st_mtime_ns)
