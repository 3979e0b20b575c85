"""The folder that the driver shares with its workers: queues to read, and table parts to write.

A worker writes nowhere else. Readers of the reports never see this folder. A file in it is never
changed: work that an engine runs twice is written twice, under two names.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from batch.storage.object_store import ObjectStore


class SharedFolder(Protocol):
    """The folder as driver and workers use it: a frozen value that travels."""

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            OSError: it is not there, or cannot be read.
        """

    def write(self, name: str, data: bytes) -> None:
        """Write a file, complete or not at all, and durable when this returns.

        Raises:
            OSError: it cannot be written.
        """

    def sweep(self, kept: Collection[str]) -> None:
        """Remove all files except these, and the folders that are then empty."""


@dataclass(frozen=True)
class LocalSharedFolder:
    """A folder that every worker sees under the same path. root: absolute."""

    root: Path

    def read(self, name: str) -> bytes:
        """See `SharedFolder`."""
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """See `SharedFolder`. A root that was removed is not made again, so that a worker that
        writes after the driver has moved on fails.
        """
        path = self.root / name
        if path.parent != self.root:
            path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{path.name}.{fresh_name()}.tmp")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def sweep(self, kept: Collection[str]) -> None:
        """See `SharedFolder`."""
        kept_paths = {self.root / name for name in kept}
        for path in sorted(self.root.rglob("*"), reverse=True):
            if path.is_dir():
                with suppress(OSError):  # it has files that are kept
                    path.rmdir()
            elif path not in kept_paths:
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class ObjectFolder:
    """A prefix of an object store, where a PUT writes a whole object or nothing."""

    store: ObjectStore

    def read(self, name: str) -> bytes:
        """See `SharedFolder`."""
        return self.store.get(name).data

    def write(self, name: str, data: bytes) -> None:
        """See `SharedFolder`. A file written after the driver has moved on is never read; the next
        run removes it.
        """
        self.store.put(name, data)

    def sweep(self, kept: Collection[str]) -> None:
        """See `SharedFolder`."""
        names = [listed.name for listed in self.store.objects()]
        self.store.delete([name for name in names if name not in kept])


def fresh_name() -> str:
    """A name of 32 characters that no other process on any machine will choose."""
    return uuid.uuid4().hex
