"""The folder that a new artifact goes to."""

from __future__ import annotations

from pathlib import Path

from batch.core.errors import UsageError


def new_folder(folder: Path) -> Path:
    """Create an artifact folder, refusing one that holds something.

    Raises:
        UsageError: not empty, or not creatable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"--output: {folder} is not empty; choose a new folder.")
    except OSError as error:
        raise UsageError(f"--output: cannot create {folder} ({error.strerror}).") from error
    return folder
