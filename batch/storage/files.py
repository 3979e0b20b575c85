"""Files of this machine: folders that change places, private modes, digests, JSON, fsync.

A folder takes another's place in one step, so that no reader meets half of it or nothing.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from batch.core.errors import UsageError

_AT_CWD = -100


_EXCHANGE = 2


_NOT_HERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def put_in_place(fresh: Path, target: Path) -> None:
    """Move a folder to a place; what was there is at `fresh` afterwards.

    On Linux in one step. Where the file system cannot exchange two names (some network ones), in
    two: for an instant there is nothing at the place.

    Raises:
        OSError: the file system refuses; then both are where they were.
    """
    if not os.path.lexists(target):
        os.rename(fresh, target)
        return
    try:
        _exchange(fresh, target)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        old = fresh.with_name(fresh.name + ".old")
        os.rename(target, old)
        try:
            os.rename(fresh, target)
        except OSError:
            os.rename(old, target)
            raise
        os.rename(old, fresh)


def _exchange(one: Path, other: Path) -> None:
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError) as error:  # another system, another C library
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from error
    if function(_AT_CWD, os.fsencode(one), _AT_CWD, os.fsencode(other), _EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


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


def digests(folder: Path) -> dict[str, str]:
    """Relative name to SHA-256 of every Parquet file below a folder."""
    return {
        str(path.relative_to(folder)): _sha256(path) for path in sorted(folder.rglob("*.parquet"))
    }


def write_json(path: Path, value: dict[str, Any], indent: int | None = None) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(value, indent=indent) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None when there is none that can be read."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def sync_tree(folder: Path) -> None:
    """Force a folder and all below it to the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            sync(Path(parent) / name)
        sync(Path(parent))


def sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
