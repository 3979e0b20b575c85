"""The interface of an archive, and an archive in a folder.

The job reads an archive only through `ArchiveStorage`. It travels to the workers, so an
implementation is a frozen value.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from batch.core.errors import ArchiveLost, FailureReason, ImageFailure, Stage
from batch.core.records import ImageLocation

_INT64 = 1 << 63


def list_archive(root: Path, below: str = "") -> Iterator[ImageLocation]:
    """Yield everything below root that is not a folder, in a stable order (by name, depth first).

    Links, pipes, devices and sockets are listed, too, and end as unscored, so that everything has a
    row. A folder that cannot be listed is yielded itself, with a trailing `/`, so that a person
    learns that its content is unknown.

    Args:
        below: the folder to begin in, ending in `/`; empty for root.
    """
    stack = [iter(entries(root, below))]  # no recursion: folders may nest deeper than Python allows
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
        elif isinstance(entry, ImageLocation):
            yield entry
        else:
            stack.append(iter(entries(root, entry)))


def entries(root: Path, prefix: str) -> list[ImageLocation | str]:
    """The entries of a folder by name: files as locations, folders as prefixes ending in `/`."""
    try:
        with os.scandir(os.path.join(root, prefix)) as scanned:
            listed = sorted(scanned, key=lambda entry: entry.name)
    except OSError:
        return [ImageLocation(prefix, 0, 0)]
    return [
        f"{prefix}{entry.name}/"
        if entry.is_dir(follow_symlinks=False)
        else _locate(entry, prefix + entry.name)
        for entry in listed
    ]


def storable_mtime_ns(status: os.stat_result) -> int:
    """The modification time, nanoseconds since 1970, cut to 64 bits; file systems allow more."""
    return max(-_INT64, min(status.st_mtime_ns, _INT64 - 1))


def _locate(entry: os.DirEntry[str], path: str) -> ImageLocation:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # it has vanished; reading it will fail with VANISHED
        return ImageLocation(path, 0, 0)
    return ImageLocation(path, status.st_size, storable_mtime_ns(status))


class ArchiveStorage(Protocol):
    """An archive as the job uses it; the job never writes there."""

    def list_files(self, below: str = "") -> Iterator[ImageLocation]:
        """All files of the archive in a stable order; see `list_archive`."""

    def entries(self, prefix: str) -> list[ImageLocation | str]:
        """The entries of a folder in the order of `list_files`; folders as prefixes."""

    def read(self, location: ImageLocation, max_bytes: int) -> bytes | None:
        """Read a file; None if it is no longer the file that was listed.

        Args:
            location: as listed.
            max_bytes: a larger file is refused.


        Raises:
            ImageFailure: stage READ.
        """

    def locate(self, path: str) -> ImageLocation:
        """Look at a file as it is now.

        Raises:
            ImageFailure: it does not exist, or is not below the archive.
        """

    def root_id(self) -> object:
        """A value that names the archive's root, for `check_same`."""

    def check_same(self, root_id: object) -> None:
        """Make sure that the archive's root still exists and has this id.

        Raises:
            ArchiveLost: it was unmounted, moved away or replaced.
        """


@dataclass(frozen=True)
class LocalArchive:
    """An archive in a folder. root: absolute."""

    root: Path

    def list_files(self, below: str = "") -> Iterator[ImageLocation]:
        """See `ArchiveStorage`."""
        return list_archive(self.root, below)

    def entries(self, prefix: str) -> list[ImageLocation | str]:
        """See `ArchiveStorage`."""
        return entries(self.root, prefix)

    def read(self, location: ImageLocation, max_bytes: int) -> bytes | None:
        """See `ArchiveStorage`. It follows no link and does not wait for the writer of a pipe."""
        path = os.path.join(self.root, location.path)
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise _failure(_irregular(location))
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                before = os.fstat(file.fileno())
                if not stat.S_ISREG(before.st_mode):  # replaced between the two calls
                    raise _failure(FailureReason.NOT_A_REGULAR_FILE)
                if before.st_size > max_bytes:
                    raise _failure(
                        FailureReason.FILE_TOO_LARGE,
                        f"{before.st_size} bytes; allowed: {max_bytes}",
                    )
                data = file.read(max_bytes + 1)
                after = os.fstat(file.fileno())
        except BlockingIOError:  # another host has a lease on it and writes it
            return None
        except OSError as error:
            raise _failure(*_os_reason(error)) from error
        versions = {(s.st_size, storable_mtime_ns(s)) for s in (before, after)}
        if versions != {(location.size, location.mtime_ns)} or len(data) != location.size:
            return None
        return data

    def locate(self, path: str) -> ImageLocation:
        """See `ArchiveStorage`."""
        full = Path(os.path.join(self.root, path))
        try:
            if not full.parent.resolve().is_relative_to(self.root.resolve()):
                raise _failure(FailureReason.NOT_A_REGULAR_FILE, "outside the archive")
            status = full.lstat()
        except (OSError, ValueError) as error:
            raise _failure(FailureReason.VANISHED) from error
        return ImageLocation(path, status.st_size, storable_mtime_ns(status))

    def root_id(self) -> object:
        """See `ArchiveStorage`: device and inode of the root.

        Raises:
            ArchiveLost: the root cannot be listed.
        """
        try:
            status = self.root.stat()
            os.scandir(self.root).close()
        except OSError as error:
            raise ArchiveLost(
                f"ARCHIVE: {self.root} went away during the run ({error.strerror}); nothing was "
                "published. The next run goes on from the last complete segment."
            ) from error
        return status.st_dev, status.st_ino

    def check_same(self, root_id: object) -> None:
        """See `ArchiveStorage`."""
        if self.root_id() != root_id:
            raise ArchiveLost(
                f"ARCHIVE: {self.root} is another folder than at the start; nothing was published. "
                "Was it mounted or moved meanwhile? Start again."
            )


def _irregular(location: ImageLocation) -> FailureReason:
    """The reason for a location that is no regular file. A folder is one that cannot be listed."""
    is_folder = location.path == "" or location.path.endswith("/")
    return FailureReason.NOT_READABLE if is_folder else FailureReason.NOT_A_REGULAR_FILE


def _os_reason(error: OSError) -> tuple[FailureReason, str]:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        return FailureReason.VANISHED, ""
    if error.errno == errno.ELOOP:
        return FailureReason.NOT_A_REGULAR_FILE, ""
    return FailureReason.NOT_READABLE, errno.errorcode.get(error.errno or 0, "")


def _failure(reason: FailureReason, detail: str = "") -> ImageFailure:
    return ImageFailure(Stage.READ, reason, detail)
