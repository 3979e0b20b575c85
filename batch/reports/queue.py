"""The files of a segment as they travel to the workers: chunks in the shared folder.

A pipeline that carried a million names inside its own description would be refused by an engine;
this way its description holds a name for every few hundred files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice

from batch.core.records import ImageLocation, QueuedFile
from batch.storage.shared_folder import SharedFolder

FILES_PER_CHUNK = 500
_FOLDER = "queue"


def write_queue(shared: SharedFolder, files: Iterable[QueuedFile]) -> tuple[list[str], int]:
    """Write the files of a segment; the names of the chunks, and how many files there are.

    Raises:
        OSError: the shared folder cannot be written.
    """
    names: list[str] = []
    total, remaining = 0, iter(files)
    while chunk := list(islice(remaining, FILES_PER_CHUNK)):
        names.append(f"{_FOLDER}/{len(names):06d}.json")
        shared.write(names[-1], json.dumps([_packed(file) for file in chunk]).encode("ascii"))
        total += len(chunk)
    return names, total


def read_chunk(shared: SharedFolder, name: str) -> Iterator[QueuedFile]:
    """The files of one chunk, in order.

    Raises:
        OSError: the chunk cannot be read here.
    """
    for path, size, mtime_ns, attempts, known in json.loads(shared.read(name)):
        yield QueuedFile(ImageLocation(path, size, mtime_ns, attempts), tuple(known))


def _packed(file: QueuedFile) -> tuple[str, int, int, int, tuple[str, ...]]:
    """As JSON keeps it: surrogate escapes in a path survive, as escapes in ASCII."""
    where = file.location
    return where.path, where.size, where.mtime_ns, where.attempts, file.known
