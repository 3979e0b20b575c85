"""The folder that the driver shares with its workers: the queue goes there, table parts come back.

It is all that a worker writes to. Nothing in it is published, and nothing in it is changed once it
is there: a piece of work that an engine runs twice writes twice, under two names.
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
    """What driver and workers ask of the folder. It travels, so it is a frozen value."""

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
        """Remove all files but these, and the folders that are empty then."""


@dataclass(frozen=True)
class LocalSharedFolder:
    """A folder of a file system that every worker has under the same path. root: absolute."""

    root: Path

    def read(self, name: str) -> bytes:
        """See `SharedFolder`."""
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """See `SharedFolder`. A folder that was removed meanwhile is not made again: whoever writes
        after the driver has moved on, writes to nowhere.
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
        wanted = {self.root / name for name in kept}
        for path in sorted(self.root.rglob("*"), reverse=True):
            if path.is_dir():
                with suppress(OSError):  # it has files that are kept
                    path.rmdir()
            elif path not in wanted:
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class ObjectFolder:
    """A prefix of an object store; a PUT is whole or not at all by itself."""

    store: ObjectStore

    def read(self, name: str) -> bytes:
        """See `SharedFolder`."""
        return self.store.get(name).data

    def write(self, name: str, data: bytes) -> None:
        """See `SharedFolder`. What is written after the driver has moved on is never looked at, and
        the next run removes it.
        """
        self.store.put(name, data)

    def sweep(self, kept: Collection[str]) -> None:
        """See `SharedFolder`."""
        names = [found.name for found in self.store.objects()]
        self.store.delete([name for name in names if name not in kept])


def fresh_name() -> str:
    """A name that no other process, on whichever machine, has or will have: 32 characters."""
    return uuid.uuid4().hex
