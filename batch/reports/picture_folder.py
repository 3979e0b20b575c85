"""`REPORTS/pictures/`: the pictures that pages show, as files of this machine.

    REPORTS/pictures/<32 hex digits>.jpg     whole, or not there
                     .<name>.<pid>-<random>.tmp   at work

Folder and files are their owner's alone, whatever the umask and the level of identifiers: they show
patients. No link is followed at any of these names, and what has another name is left alone.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batch.storage.files import FILE_MODE, FOLDER_MODE

PICTURES = "pictures"
PICTURE_NAME = re.compile(r"[0-9a-f]{32}\.jpg")
RESERVE_BYTES = 64 * 1024**2
"""A picture is not written where less than so much of the disk would be free after it: tables and
page of the night need that room, and a picture is worth less than they are."""

_AT_WORK = re.compile(r"\.[0-9a-f]{32}\.jpg\.[0-9]+-[0-9a-f]+\.tmp")
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class NoRoom(OSError):
    """Another picture would take the room that the night needs; nothing was written."""


def picture_names(root: Path) -> set[str]:
    """Names of the pictures in a reports folder. An empty file, as a power cut leaves it, is none.

    Raises:
        OSError: something else than a folder lies at the place, or it cannot be read.
    """
    with suppress(FileNotFoundError), _opened(root) as folder:
        return {name for name, found in _files(folder) if found.st_size and is_picture(name)}
    return set()


def keep_picture(root: Path, name: str, data: bytes) -> None:
    """Put a picture in its place, in one step.

    Raises:
        NoRoom: the disk is full but for `RESERVE_BYTES`. OSError: the file system refuses.
        ValueError: no name of a picture.
    """
    _check_name(name)
    _make_folder(root / PICTURES)
    with _opened(root) as folder:
        _check_room(folder, len(data))
        at_work = f".{name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
        try:
            with open(os.open(at_work, _CREATE, FILE_MODE, dir_fd=folder), "wb") as file:
                os.fchmod(file.fileno(), FILE_MODE)
                file.write(data)
            os.rename(at_work, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(at_work, dir_fd=folder)
            raise


def drop_pictures(root: Path, names: Iterable[str]) -> int:
    """Remove pictures; how many of them were there.

    Raises:
        OSError: the file system refuses. ValueError: no name of a picture.
    """
    wanted, dropped = list(names), 0
    for name in wanted:
        _check_name(name)
    with suppress(FileNotFoundError), _opened(root) as folder:
        for name in wanted:
            with suppress(FileNotFoundError):
                if stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=folder)
                    dropped += 1
    return dropped


def pictures_before(root: Path, instant: float) -> dict[str, int]:
    """Pictures that were made before an instant: name to size in bytes.

    Args:
        instant: seconds since 1970.

    Raises:
        OSError: as `picture_names`.
    """
    with suppress(FileNotFoundError), _opened(root) as folder:
        return {
            name: found.st_size
            for name, found in _files(folder)
            if is_picture(name) and found.st_mtime < instant
        }
    return {}


def drop_unfinished(root: Path, instant: float) -> None:
    """Remove what killed runs left at work before an instant (seconds since 1970).

    Raises:
        OSError: the file system refuses.
    """
    with suppress(FileNotFoundError), _opened(root) as folder:
        for name, found in list(_files(folder)):
            if _AT_WORK.fullmatch(name) and found.st_mtime < instant:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)


def is_picture(name: str) -> bool:
    """Whether a file is named as this program names its pictures."""
    return PICTURE_NAME.fullmatch(name) is not None


def _check_name(name: str) -> None:
    if not is_picture(name):
        raise ValueError(f"found {name!r}; allowed: 32 hex digits and .jpg")


@contextmanager
def _opened(root: Path) -> Iterator[int]:
    """A descriptor of the folder, so that nobody puts another in its place meanwhile."""
    folder = os.open(root / PICTURES, _OPEN_FOLDER)
    try:
        yield folder
    finally:
        os.close(folder)


def _make_folder(folder: Path) -> None:
    """Make the folder, or close it to others where it is open to them."""
    with suppress(FileExistsError):
        os.mkdir(folder, FOLDER_MODE)
        os.chmod(folder, FOLDER_MODE)  # an umask may have taken more than was asked for
    descriptor = os.open(folder, _OPEN_FOLDER)
    try:
        found = os.fstat(descriptor)
        if stat.S_IMODE(found.st_mode) != FOLDER_MODE:
            with suppress(PermissionError):  # somebody else's; the files in it are closed anyway
                os.fchmod(descriptor, FOLDER_MODE)
    finally:
        os.close(descriptor)


def _check_room(folder: int, size: int) -> None:
    disk = os.fstatvfs(folder)
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < RESERVE_BYTES + size:
        raise NoRoom(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _files(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files in the folder, links left out."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    yield entry.name, entry.stat(follow_symlinks=False)
