"""The queue of a segment, and listings, as chunks in the shared folder.

An engine would refuse a pipeline whose description holds a million names. So the names are in
chunks, and the description holds one name for every few hundred files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from batch.archive.local import ArchiveStorage
from batch.core.records import ImageLocation, QueuedFile
from batch.storage.shared_folder import SharedFolder, fresh_name

FILES_PER_CHUNK = 500


_FOLDER = "queue"


def write_queue(shared: SharedFolder, files: Iterable[QueuedFile]) -> tuple[list[str], int]:
    """Write the files of a segment, and return the names of the chunks and the number of files.


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
        OSError: the chunk cannot be read.
    """
    for path, size, mtime_ns, attempts, known in json.loads(shared.read(name)):
        yield QueuedFile(ImageLocation(path, size, mtime_ns, attempts), tuple(known))


def _packed(file: QueuedFile) -> tuple[str, int, int, int, tuple[str, ...]]:
    """A file as JSON holds it; surrogate escapes in a path become escapes in ASCII."""
    location = file.location
    return location.path, location.size, location.mtime_ns, location.attempts, file.known


MOST_CHUNKS = 512


_LISTING_FOLDER = "listing"


def write_folders(shared: SharedFolder, folders: Sequence[str]) -> list[str]:
    """Write folders to be listed, in chunks of neighbours, and return the chunks' names.


    Raises:
        OSError: the shared folder cannot be written.
    """
    size, waiting = math.ceil(len(folders) / MOST_CHUNKS), iter(folders)
    names: list[str] = []
    while chunk := list(islice(waiting, size)):
        names.append(f"{_LISTING_FOLDER}/{len(names):04d}-folders.json")
        shared.write(names[-1], json.dumps(chunk).encode("ascii"))
    return names


def list_chunk(archive: ArchiveStorage, shared: SharedFolder, chunk: str) -> tuple[str, str]:
    """List the folders of a chunk, and write the lists.

    Returns:
        names of the chunk and of the written file.

    Raises:
        OSError: the shared folder cannot be used. ArchiveLost: the archive cannot be listed.
    """
    listings = [
        [(file.path, file.size, file.mtime_ns) for file in archive.list_files(folder)]
        for folder in json.loads(shared.read(chunk))
    ]
    name = f"{_LISTING_FOLDER}/files-{fresh_name()}.json"
    shared.write(name, json.dumps(listings).encode("ascii"))
    return chunk, name


def write_index(shared: SharedFolder, name: str, written: Iterable[tuple[str, str]]) -> None:
    """Write which file holds the lists of each chunk."""
    shared.write(name, json.dumps(dict(written)).encode("ascii"))


def read_listing(
    shared: SharedFolder, top: Iterable[ImageLocation | str], chunks: Sequence[str], index: str
) -> Iterator[ImageLocation]:
    """The full listing in its order: the top levels, with the files below each folder in its place.

    Raises:
        OSError: a worker's file is missing. KeyError: a chunk was not listed.
    """
    written = json.loads(shared.read(index)) if chunks else {}
    folders = (below for chunk in chunks for below in json.loads(shared.read(written[chunk])))
    for entry in top:
        if isinstance(entry, str):
            yield from (ImageLocation(*fields) for fields in next(folders))
        else:
            yield entry
