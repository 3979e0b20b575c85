"""An archive in object storage, in which every object below a prefix is a file."""

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
    """An archive below a prefix. A file's path is its key without the prefix."""

    url: ObjectUrl

    def list_files(self, below: str = "") -> Iterator[ImageLocation]:
        """See `ArchiveStorage`. Empty objects whose key ends in `/`, as consoles make them for
        folders, are left out.

        Raises:
            ArchiveLost: the store failed during the listing.
        """
        try:
            yield from map(_location_of, filter(_is_file, self._store.objects(below)))
        except OSError as error:
            raise self._lost(error) from error

    def entries(self, prefix: str) -> list[ImageLocation | str]:
        """See `ArchiveStorage`."""
        try:
            objects, folders = self._store.folders(prefix)
        except OSError as error:
            raise self._lost(error) from error
        named: list[tuple[str, ImageLocation | str]] = [(name, name) for name in folders]
        named += [(listed.name, _location_of(listed)) for listed in objects if _is_file(listed)]
        return [entry for _, entry in sorted(named, key=lambda pair: pair[0].encode())]

    def read(self, location: ImageLocation, max_bytes: int) -> bytes | None:
        """See `ArchiveStorage`. The answer also gives the version of its bytes."""
        try:
            content = self._store.get(location.path, max_bytes)
        except FileNotFoundError as error:
            raise _failure(FailureReason.VANISHED) from error
        except TooLarge as error:
            detail = f"{error.size} bytes; allowed: {max_bytes}"
            raise _failure(FailureReason.FILE_TOO_LARGE, detail) from error
        except OSError as error:
            raise _failure(FailureReason.NOT_READABLE, code_of(error)[:40]) from error
        current = _location(location.path, content.version)
        if (current.size, current.mtime_ns) != (location.size, location.mtime_ns):
            return None
        return content.data

    def locate(self, path: str) -> ImageLocation:
        """See `ArchiveStorage`."""
        try:
            return _location(path, self._store.look(path))
        except OSError as error:
            raise _failure(FailureReason.VANISHED) from error

    def root_id(self) -> object:
        """See `ArchiveStorage`: the URL, after a check that the bucket answers."""
        try:
            for _ in self._store.objects(most=1):
                break
        except OSError as error:
            raise self._lost(error) from error
        return str(self.url)

    def check_same(self, root_id: object) -> None:
        """See `ArchiveStorage`."""
        self.root_id()

    @property
    def _store(self) -> ObjectStore:
        return ObjectStore(self.url)

    def _lost(self, error: OSError) -> ArchiveLost:
        why = store_failure("ARCHIVE", self.url, error)
        return ArchiveLost(f"{why} Nothing was published; the next run goes on from here.")


def version_time_ns(version: Version) -> int:
    """A number that differs between versions of an object, like a file's modification time.

    Its seconds are the store's time of modification, which has no fraction. Its nanoseconds come
    from the ETag, so that an object that was written again within the same second, with the same
    size, counts as changed.
    """
    bits = int.from_bytes(hashlib.sha256(version.etag.encode()).digest()[:8], "big")
    return int(version.modified.timestamp()) * _SECOND + bits % _SECOND


def _is_file(listed: ListedObject) -> bool:
    return listed.version.size > 0 or not listed.name.endswith("/")


def _location_of(listed: ListedObject) -> ImageLocation:
    return _location(listed.name, listed.version)


def _location(path: str, version: Version) -> ImageLocation:
    return ImageLocation(path, version.size, version_time_ns(version))


def _failure(reason: FailureReason, detail: str = "") -> ImageFailure:
    return ImageFailure(Stage.READ, reason, detail)
