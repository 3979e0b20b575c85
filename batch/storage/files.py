"""Files of this machine: replace a folder in one step, private modes, digests, JSON, fsync."""

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


_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
"""What a system or a file system answers that cannot exchange two names."""


def replace_folder(fresh: Path, target: Path) -> None:
    """Move the folder `fresh` to `target`; a folder that was at `target` is then at `fresh`.

    On Linux this is one step, and readers see the old or the new folder at any time. Some network
    file systems cannot exchange two names; there it takes two steps, and for an instant `target`
    does not exist.

    Raises:
        OSError: the file system refuses; both folders are where they were.
    """
    if not os.path.lexists(target):
        os.rename(fresh, target)
        return
    try:
        _exchange(fresh, target)
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
        old = fresh.with_name(fresh.name + ".old")
        os.rename(target, old)
        try:
            os.rename(fresh, target)
        except OSError:
            os.rename(old, target)
            raise
        os.rename(old, fresh)


def _exchange(first: Path, second: Path) -> None:
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError) as error:  # another system, another C library
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from error
    if function(_AT_CWD, os.fsencode(first), _AT_CWD, os.fsencode(second), _EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


FILE_MODE, FOLDER_MODE = 0o600, 0o700


@contextmanager
def private_files(is_wanted: bool = True) -> Iterator[None]:
    """Let only the owner read files and folders that this process and its children make inside
    the block.

    Args:
        is_wanted: False changes nothing.
    """
    if not is_wanted:
        yield
        return
    before = os.umask(0o777 & ~FOLDER_MODE)
    try:
        yield
    finally:
        os.umask(before)


def make_private(folder: Path) -> None:
    """Let only the owner read a folder and all below it; workers elsewhere may not have done so.

    Files of another user stay as they are; nobody can reach them, since the folder is closed.
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
    """Read a JSON object; None if the file is missing, unreadable or no object."""
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
    """Make the folder of an artifact, or take an empty one.

    Raises:
        UsageError: it is not empty, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"--output: {folder} is not empty; choose a new folder.")
    except OSError as error:
        raise UsageError(
            f"--output: cannot create {folder} ({error.strerror}). Check the permissions there, or "
            "choose another folder."
        ) from error
    return folder
