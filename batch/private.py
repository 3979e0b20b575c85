"""Files that nobody but their owner may read: where reports hold patient IDs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700


@contextmanager
def private_files(wanted: bool = True) -> Iterator[None]:
    """While this is open, what this process and those it starts make is its owner's alone.

    Args:
        wanted: False: nothing changes.
    """
    if not wanted:
        yield
        return
    before = os.umask(0o777 & ~FOLDER_MODE)
    try:
        yield
    finally:
        os.umask(before)


def close_to_others(folder: Path) -> None:
    """Close a folder and all below it: workers elsewhere have an umask of their own. What is
    another user's stays as it is; the folder is closed around it.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(PermissionError):
                os.chmod(os.path.join(parent, name), FILE_MODE)
        with suppress(PermissionError):
            os.chmod(parent, FOLDER_MODE)
