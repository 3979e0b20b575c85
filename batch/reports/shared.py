"""The folder that the driver shares with its workers: the queue goes there, table parts come back.

It is all that a worker writes to. Nothing in it is published, and nothing in it is changed once it
is there: a piece of work that an engine runs twice writes twice, under two names.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


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


def fresh_name() -> str:
    """A name that no other process, on whichever machine, has or will have: 32 characters."""
    return uuid.uuid4().hex
