"""Plans a night: compares the listing with the memory, without opening a file.

Every listed file gets an `Action`, and every file to be read a `Cause`. The plan consists of
columns, so that a million files take seconds, and a few hundred bytes each.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.core.config import Order
from batch.core.errors import ArchiveShrunk
from batch.core.records import FileState, Fingerprints, ImageLocation, QueuedFile
from batch.core.rules import modified_after
from batch.run.memory import ALWAYS_AGAIN, Memory, earlier_attempts, reusable, staying_rows


class KnownDigests:
    """Digests of contents whose scores may be reused, by file size.

    Args:
        files: snapshot `files`.
        usable: (rows,) bool, which of its files may be reused.
    """

    def __init__(self, files: pa.Table, usable: np.ndarray) -> None:
        rows = np.flatnonzero(usable)
        sizes = files["size"].to_numpy()[rows]
        by_size = np.argsort(sizes, kind="stable")
        self._sizes, self._rows, self._files = sizes[by_size], rows[by_size], files

    def rows(self) -> np.ndarray:
        """(n,) int64, the rows of `files` that may be reused, in order."""
        return np.sort(self._rows)

    def count_sizes(self, sizes: np.ndarray) -> int:
        """How many of these sizes, in bytes, a known content has."""
        return int(np.isin(sizes, self._sizes).sum())

    def by_size(self, sizes: set[int]) -> dict[int, tuple[str, ...]]:
        """Size to the sorted digests (hex SHA-256) of known contents of that size."""
        sizes_wanted = np.array(sorted(sizes), np.int64)
        first = np.searchsorted(self._sizes, sizes_wanted, "left")
        last = np.searchsorted(self._sizes, sizes_wanted, "right")
        candidates = zip(sizes_wanted.tolist(), first, last, strict=True)
        ranges = [(size, start, stop) for size, start, stop in candidates if stop > start]
        if not ranges:
            return {}
        rows = np.concatenate([self._rows[a:b] for _, a, b in ranges])
        digests = iter(self._files["content_sha256"].take(pa.array(rows)).to_pylist())
        return {size: tuple(sorted(set(islice(digests, b - a)))) for size, a, b in ranges}


_LISTED = pa.schema([("key", pa.binary()), ("size", pa.int64()), ("mtime_ns", pa.int64())])


_CHUNK = 20_000


class Action(IntEnum):
    """What happens to a listed file tonight.

    KEEP: its remembered rows stay. READ: it is in the queue. TAKE_UP: a run that died has read it.
    LEAVE_YOUNG: it may still be written (`--settle`). LEAVE_UNLISTED: it is remembered, and its
    folder could not be listed.
    """

    KEEP = 0
    READ = 1
    TAKE_UP = 2
    LEAVE_YOUNG = 3
    LEAVE_UNLISTED = 4


class Cause(IntEnum):
    """Why a file is read.

    NONE: it is not. NEW: unknown. CHANGED: another size or time. PENDING: it waited. MODEL, RULES:
    the model, or the rules of reading, are others than then. AGAIN: an image in it has no score.
    """

    NONE = 0
    NEW = 1
    CHANGED = 2
    PENDING = 3
    MODEL = 4
    RULES = 5
    AGAIN = 6


@dataclass(frozen=True, eq=False)
class Plan:
    """The work of a night. Arrays have an element for each listed file.

    memory: with which the listing was compared.
    listing: key (the bytes of the name), size, mtime_ns, unlisted.
    action: codes of `Action`.
    cause: codes of `Cause`.
    known: row of the file in `memory.files`, or -1.
    same: bool, whether it is known with the same size and mtime_ns.
    attempts: earlier attempts that count tonight.
    queue: (files to be read,), rows of the listing in the order of reading.
    segment_row: row of the file in `memory.segment_files`, or -1.
    left_archive: number of remembered files that are not in the listing.
    """

    memory: Memory
    listing: pa.Table
    action: np.ndarray
    cause: np.ndarray
    known: np.ndarray
    same: np.ndarray
    attempts: np.ndarray
    queue: np.ndarray
    segment_row: np.ndarray
    left_archive: int
    _digests: KnownDigests

    def __len__(self) -> int:
        return len(self.action)

    def count(self, action: Action) -> int:
        """Number of files with this action."""
        return int((self.action == action).sum())

    def causes(self) -> dict[str, int]:
        """Number of files to be read by cause, for causes that occur."""
        causes_of_queue = self.cause[self.queue]
        counts = {cause.name.lower(): int((causes_of_queue == cause).sum()) for cause in Cause}
        return {name: count for name, count in counts.items() if count}

    def locations(self, start: int, stop: int) -> list[ImageLocation]:
        """A slice of the queue."""
        rows = self.queue[start:stop]
        listed = self.listing.take(pa.array(rows))
        columns = (listed[name].to_pylist() for name in ("key", "size", "mtime_ns"))
        return [
            ImageLocation(os.fsdecode(key), size, mtime_ns, attempts)
            for key, size, mtime_ns, attempts in zip(
                *columns, self.attempts[rows].tolist(), strict=True
            )
        ]

    def foreign(self, now: Fingerprints) -> pa.ChunkedArray:
        """Keys of remembered files that were scored with another model or output contract."""
        files = self.memory.files
        return files["key"].filter(pc.not_equal(files["scoring_fingerprint"], now.scoring))

    def failed_before(self) -> pa.ChunkedArray:
        """Keys of unchanged files in which an image had no score before."""
        failed = _take(self.memory.files["frames_unscored"].to_numpy() > 0, self.known)
        return self.listing["key"].filter(pa.array(self.same & failed))

    def known_sizes(self) -> int:
        """Number of files to be read that have the size of a known content."""
        return self._digests.count_sizes(self.listing["size"].to_numpy()[self.queue])

    def reusable_rows(self) -> np.ndarray:
        """Rows of `memory.files` whose scores may be reused, in order."""
        return self._digests.rows()

    def known_digests(self, locations: Iterable[ImageLocation]) -> dict[int, tuple[str, ...]]:
        """Size to the sorted digests of known contents that these files could have."""
        return self._digests.by_size({location.size for location in locations})

    def queued(self, start: int, stop: int) -> Iterator[QueuedFile]:
        """A slice of the queue; each file has the digests of known contents of its size."""
        for first in range(start, stop, _CHUNK):
            locations = self.locations(first, min(first + _CHUNK, stop))
            known = self.known_digests(locations)
            for location in locations:
                yield QueuedFile(location, known.get(location.size, ()))


def make_plan(
    found: Iterable[ImageLocation],
    memory: Memory,
    now: Fingerprints,
    order: Order,
    settled_before_ns: int | None = None,
) -> Plan:
    """Compare the listing with the memory.

    Args:
        found: the files of the archive.
        memory: of earlier runs.
        now: fingerprints of this run.
        order: of reading.
        settled_before_ns: files modified after this instant (nanoseconds since 1970) wait for the
            next run; None: no file waits for that.
    """
    listing = _with_unlisted(listing_table(found), memory)
    n_listed = len(listing)
    known = _find_rows(listing["key"], memory.files["key"])
    same = _is_same(listing, memory.files, known)
    staying = staying_rows(memory.files, now)
    action = np.full(n_listed, Action.READ, np.uint8)
    action[same & _take(staying, known)] = Action.KEEP
    if settled_before_ns is not None:
        young = [modified_after(m, settled_before_ns) for m in listing["mtime_ns"].to_pylist()]
        action[(action == Action.READ) & np.array(young, bool)] = Action.LEAVE_YOUNG
    segment_row = _find_rows(listing["key"], memory.segment_files["key"])
    done = _is_same(listing, memory.segment_files, segment_row)
    done &= _take(_may_be_taken_up(memory.segment_files), segment_row)
    action[done & (action != Action.KEEP)] = Action.TAKE_UP
    action[listing["unlisted"].to_numpy(zero_copy_only=False)] = Action.LEAVE_UNLISTED
    attempts = np.where(same, _take(earlier_attempts(memory.files, now), known), 0)
    seen = np.zeros(len(memory.files), bool)
    seen[known[known >= 0]] = True
    return Plan(
        memory=memory,
        listing=listing,
        action=action,
        cause=_causes(memory.files, now, known, same, action),
        known=known,
        same=same,
        attempts=attempts,
        queue=_queue(listing, action, order),
        segment_row=segment_row,
        left_archive=int((~seen).sum()),
        _digests=KnownDigests(memory.files, reusable(memory.files, staying)),
    )


def check_not_shrunk(plan: Plan, archive: object) -> None:
    """Refuse a night in which most of the archive seems to be gone.

    Raises:
        ArchiveShrunk: more than half of the files of the last night are gone.
    """
    before = len(plan.memory.files)
    if 2 * plan.left_archive > before:
        raise ArchiveShrunk(
            f"ARCHIVE: of the {before} files that the last night found below {archive}, "
            f"{plan.left_archive} are gone; allowed: half of them. Is it mounted in full? If they "
            "were really removed, give --accept-shrunken-archive once."
        )


def listing_table(locations: Iterable[ImageLocation]) -> pa.Table:
    """Make a table of a listing: key, size, mtime_ns."""
    iterator, batches = iter(locations), []
    while chunk := list(islice(iterator, _CHUNK)):
        columns = (
            [os.fsencode(location.path) for location in chunk],
            [location.size for location in chunk],
            [location.mtime_ns for location in chunk],
        )
        arrays = [pa.array(c, f.type) for c, f in zip(columns, _LISTED, strict=True)]
        batches.append(pa.record_batch(arrays, schema=_LISTED))
    return pa.Table.from_batches(batches, schema=_LISTED).combine_chunks()


def _with_unlisted(listing: pa.Table, memory: Memory) -> pa.Table:
    """Add the remembered files below folders that could not be listed; they may still exist."""
    listing = listing.append_column("unlisted", pa.array(np.zeros(len(listing), bool)))
    unlisted_folders = list(_folders(listing["key"]))
    if not unlisted_folders:
        return listing
    below: Any = pc.is_in(memory.files["key"], value_set=pa.array([], pa.binary()))
    for prefix in unlisted_folders:
        below = pc.or_(below, pc.starts_with(memory.files["key"], prefix))
    below = pc.and_(below, pc.invert(pc.is_in(memory.files["key"], value_set=listing["key"])))
    missing = memory.files.filter(below).select(["key", "size", "mtime_ns"])
    missing = missing.append_column("unlisted", pa.array(np.ones(len(missing), bool)))
    return pa.concat_tables([listing, missing.cast(listing.schema)]).combine_chunks()


def _folders(keys: pa.ChunkedArray) -> Iterator[bytes]:
    """Names of folders that could not be listed; the name of the root is empty."""
    yield from keys.filter(pc.or_(pc.ends_with(keys, b"/"), pc.equal(keys, b""))).to_pylist()


def _find_rows(keys: pa.ChunkedArray, among: pa.ChunkedArray) -> np.ndarray:
    """(keys,) int64, the index of each key in `among`, or -1."""
    if not len(keys):
        return np.empty(0, np.int64)
    return pc.fill_null(pc.index_in(keys, value_set=among), -1).to_numpy().astype(np.int64)


def _take(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """values[rows], with False or 0 where the row is -1."""
    if not len(values):
        return np.zeros(len(rows), values.dtype)
    return np.where(rows >= 0, values[rows], np.zeros((), values.dtype))


def _is_same(listing: pa.Table, files: pa.Table, rows: np.ndarray) -> np.ndarray:
    same = rows >= 0
    for column in ("size", "mtime_ns"):
        same &= listing[column].to_numpy() == _take(files[column].to_numpy(), rows)
    return same


def _may_be_taken_up(segment_files: pa.Table) -> np.ndarray:
    """Which rows of segments may be used; files that are cheap to try again are read again."""
    states = [FileState.SCORED.value, FileState.UNSCORED.value, FileState.NON_IMAGE.value]
    has_state = pc.is_in(segment_files["state"], value_set=pa.array(states))
    is_cheap = pc.is_in(segment_files["reason"], value_set=pa.array([str(r) for r in ALWAYS_AGAIN]))
    mask = pc.and_(has_state, pc.invert(is_cheap))
    return np.asarray(mask.to_numpy(zero_copy_only=False), bool)


def _causes(
    files: pa.Table, now: Fingerprints, known: np.ndarray, same: np.ndarray, action: np.ndarray
) -> np.ndarray:
    def of(values: Any) -> np.ndarray:
        return _take(np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False)), known)

    pending = of(pc.equal(files["state"], FileState.PENDING.value))
    scored = _take(files["frames_scored"].to_numpy() > 0, known)
    other_model = scored & ~of(pc.equal(files["scoring_fingerprint"], now.scoring))
    same_rules = of(pc.equal(files["identity_fingerprint"], now.identity))
    same_rules &= of(pc.equal(files["failure_fingerprint"], now.failure))
    same_rules &= of(pc.equal(files["program_version"], now.program_version))
    causes = np.select(
        [known < 0, pending, ~same, other_model, ~same_rules],
        [Cause.NEW, Cause.PENDING, Cause.CHANGED, Cause.MODEL, Cause.RULES],
        Cause.AGAIN,
    )
    return np.where(action == Action.READ, causes, Cause.NONE).astype(np.uint8)


def _queue(listing: pa.Table, action: np.ndarray, order: Order) -> np.ndarray:
    """Rows to be read in this order; files of the same age stay in the order of the listing."""
    rows = np.flatnonzero(action == Action.READ)
    if order == Order.PATH:
        return rows
    mtime_ns = listing["mtime_ns"].to_numpy()[rows]
    # `~` reverses the order without overflow
    return rows[np.argsort(mtime_ns if order == Order.OLDEST else ~mtime_ns, kind="stable")]
