"""An archive on object storage: every object below a prefix is a file of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from batch.core.errors import ArchiveLost, FailureReason, ImageFailure, Stage
from batch.core.location import ObjectUrl
from batch.core.records import ImageLocation
from batch.storage.object_clients import code_of
from batch.storage.object_store import ListedObject, ObjectStore, TooLarge, Version, store_failure

_SECOND = 10**9


@dataclass(frozen=True)
class ObjectArchive:
    """An `ArchiveStorage`. A key below the prefix is a file's path."""

    url: ObjectUrl

    def list_files(self, below: str = "") -> Iterator[ImageLocation]:
        """See `ArchiveStorage`. Empty objects named like folders, which consoles make, are none.

        Raises:
            ArchiveLost: the listing broke off.
        """
        try:
            yield from map(_located, filter(_is_file, self._store.objects(below)))
        except OSError as error:
            raise self._lost(error) from error

    def entries(self, prefix: str) -> list[ImageLocation | str]:
        """See `ArchiveStorage`."""
        try:
            found, folders = self._store.folders(prefix)
        except OSError as error:
            raise self._lost(error) from error
        named: list[tuple[str, ImageLocation | str]] = [(name, name) for name in folders]
        named += [(each.name, _located(each)) for each in found if _is_file(each)]
        return [entry for _, entry in sorted(named, key=lambda pair: pair[0].encode())]

    def read(self, location: ImageLocation, max_bytes: int) -> bytes | None:
        """See `ArchiveStorage`. The answer tells which version its bytes are of."""
        try:
            content = self._store.get(location.path, max_bytes)
        except FileNotFoundError as error:
            raise _failure(FailureReason.VANISHED) from error
        except TooLarge as error:
            detail = f"{error.size} bytes; allowed: {max_bytes}"
            raise _failure(FailureReason.FILE_TOO_LARGE, detail) from error
        except OSError as error:
            raise _failure(FailureReason.NOT_READABLE, code_of(error)[:40]) from error
        seen = _location(location.path, content.version)
        if (seen.size, seen.mtime_ns) != (location.size, location.mtime_ns):
            return None
        return content.data

    def locate(self, path: str) -> ImageLocation:
        """See `ArchiveStorage`."""
        try:
            return _location(path, self._store.look(path))
        except OSError as error:
            raise _failure(FailureReason.VANISHED) from error

    def mark(self) -> object:
        """See `ArchiveStorage`: that the bucket answers is all that can be asked."""
        try:
            for _ in self._store.objects(most=1):
                break
        except OSError as error:
            raise self._lost(error) from error
        return str(self.url)

    def check_same(self, mark: object) -> None:
        """See `ArchiveStorage`."""
        self.mark()

    @property
    def _store(self) -> ObjectStore:
        return ObjectStore(self.url)

    def _lost(self, error: OSError) -> ArchiveLost:
        why = store_failure("ARCHIVE", self.url, error)
        return ArchiveLost(f"{why} Nothing was published; the next run goes on from here.")


def version_time_ns(version: Version) -> int:
    """One number that tells two versions of an object apart, as a file's modification time does.

    The second is the store's own time. Stores tell no part of it (their answers to a GET are
    rounded), so the nanoseconds within it are 30 bits of the ETag: an object that was written again
    within the second, with the same size, is another one.
    """
    bits = int.from_bytes(hashlib.sha256(version.etag.encode()).digest()[:8], "big")
    return int(version.modified.timestamp()) * _SECOND + bits % _SECOND


def _is_file(found: ListedObject) -> bool:
    return found.version.size > 0 or not found.name.endswith("/")


def _located(found: ListedObject) -> ImageLocation:
    return _location(found.name, found.version)


def _location(path: str, version: Version) -> ImageLocation:
    return ImageLocation(path, version.size, version_time_ns(version))


def _failure(reason: FailureReason, detail: str = "") -> ImageFailure:
    return ImageFailure(Stage.READ, reason, detail)
