"""Which files are there. Lists names and sizes; opens nothing, follows no link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from batch.core.records import ImageLocation

_INT64 = 1 << 63


def list_archive(root: Path, below: str = "") -> Iterator[ImageLocation]:
    """Yield everything below root that is not a folder, in a stable order (by name, depth first).

    Args:
        below: the folder to begin in, ending in `/`; empty for root.

    Links, pipes, devices and sockets are listed and end as unscored, so that nothing is skipped
    without a row. A folder that cannot be listed is yielded itself, with a trailing `/`: what it
    holds is unknown, and a person must know that.
    """
    waiting = [iter(entries(root, below))]  # a stack of our own: folders nest deeper than Python's
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
        elif isinstance(found, ImageLocation):
            yield found
        else:
            waiting.append(iter(entries(root, found)))


def entries(root: Path, prefix: str) -> list[ImageLocation | str]:
    """A folder's files as locations and its folders as prefixes ending in `/`, by name."""
    try:
        with os.scandir(os.path.join(root, prefix)) as found:
            listed = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return [ImageLocation(prefix, 0, 0)]
    return [
        f"{prefix}{entry.name}/"
        if entry.is_dir(follow_symlinks=False)
        else _locate(entry, prefix + entry.name)
        for entry in listed
    ]


def storable_mtime_ns(status: os.stat_result) -> int:
    """The modification time, nanoseconds since 1970, within 64 bits: file systems allow more."""
    return max(-_INT64, min(status.st_mtime_ns, _INT64 - 1))


def _locate(entry: os.DirEntry[str], path: str) -> ImageLocation:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # vanished since it was listed; reading it will say so
        return ImageLocation(path, 0, 0)
    return ImageLocation(path, status.st_size, storable_mtime_ns(status))
