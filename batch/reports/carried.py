"""What a night takes over from its memory: files that were not read tonight, and their rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.core.errors import PendingReason
from batch.core.records import FileState, RunFacts
from batch.reports import parquet
from batch.reports.memory import keys_of
from batch.reports.plan import Action, Plan
from batch.reports.rows import fingerprint_columns

_SCORED = (FileState.SCORED.value, FileState.UNCHANGED.value, FileState.REUSED.value)


class _Fate(IntEnum):
    """What becomes of a remembered row."""

    DROP = 0
    KEEP = 1
    WAIT = 2
    """Codes from here on: pending, for the reason of that number."""


@dataclass(frozen=True, eq=False)
class Carried:
    """The remembered part of a night.

    fate: (rows of `memory.files`,) code. fresh: (listed files,) code of files that wait and of
    which nothing is remembered; 0 for all others. reasons: of the codes from WAIT on.
    """

    plan: Plan
    fate: np.ndarray
    fresh: np.ndarray
    reasons: tuple[str, ...]

    def files(self, facts: RunFacts) -> Iterator[pa.Table]:
        """Rows of `files`."""
        start = 0
        for rows in self.stream("files"):
            fate = self.fate[start : start + len(rows)]
            start += len(rows)
            taken = fate != _Fate.DROP
            yield self._with_fate(rows.filter(pa.array(taken)), fate[taken])
        waiting = np.flatnonzero(self.fresh)
        for first in range(0, len(waiting), parquet.ROW_GROUP_ROWS):
            yield self._waiting_rows(waiting[first : first + parquet.ROW_GROUP_ROWS], facts)

    def rows(self, table: str) -> Iterator[pa.Table]:
        """Rows of another snapshot, of the files that are carried."""
        return map(self.filter, self.stream(table))

    def filter(self, rows: pa.Table) -> pa.Table:
        """Of a snapshot's rows those of files that are carried."""
        dropped = self.plan.memory.files["key"].filter(pa.array(self.fate == _Fate.DROP))
        if not len(dropped):
            return rows
        return rows.filter(pc.invert(pc.is_in(keys_of(rows), value_set=dropped)))

    def stream(self, table: str) -> Iterator[pa.Table]:
        """All remembered rows of a snapshot, in their order on disk."""
        folder = self.plan.memory.folder
        return parquet.stream(table, folder / table if folder else None)

    def _with_fate(self, rows: pa.Table, fate: np.ndarray) -> pa.Table:
        waits = pa.array(fate >= _Fate.WAIT)
        waited = pc.equal(rows["state"], FileState.PENDING.value)
        was_scored = pc.is_in(rows["state"], value_set=pa.array(_SCORED))
        state = pc.if_else(pc.or_(was_scored, waited), FileState.UNCHANGED.value, rows["state"])
        state = pc.if_else(waits, FileState.PENDING.value, state)
        why = pa.array(self.reasons).take(
            pa.array(np.maximum(fate.astype(np.int64) - _Fate.WAIT, 0))
        )
        known = pc.if_else(waited, pa.scalar(None, pa.string()), rows["reason"])
        reason = pc.if_else(waits, why, known)
        rows = parquet.with_column(rows, "state", state)
        return parquet.with_column(rows, "reason", reason)

    def _waiting_rows(self, listed: np.ndarray, facts: RunFacts) -> pa.Table:
        rows = self.plan.listing.take(pa.array(listed))
        codes = self.fresh[listed].astype(np.int64) - _Fate.WAIT
        return parquet.from_columns(
            "files",
            rows["key"],
            {
                "size": rows["size"],
                "mtime_ns": rows["mtime_ns"],
                "reason": pa.array(self.reasons).take(pa.array(codes)),
            },
            {
                "content_sha256": None,
                "file_format": None,
                "state": FileState.PENDING.value,
                "detail": "",
                "frames": 0,
                "frames_scored": 0,
                "frames_unscored": 0,
                "attempts": 0,
                **fingerprint_columns(facts.fingerprints),
                "run_id": facts.run_id,
            },
        )


def carry(
    plan: Plan, done: int, waiting: PendingReason, undecoded: pa.ChunkedArray | None = None
) -> Carried:
    """Decide what becomes of everything that was not read tonight.

    Args:
        done: how many files of the queue were read. waiting: why the others were not. undecoded:
            keys of remembered files that were read in vain, since no decoder could be started.
    """
    reasons = (
        waiting,
        PendingReason.NOT_SETTLED,
        PendingReason.FOLDER_NOT_LISTED,
        PendingReason.DECODER_NOT_STARTED,
    )
    settled = plan.action == Action.TAKE_UP
    settled[plan.queue[:done]] = True
    in_vain = np.zeros(len(plan), bool)
    if undecoded is not None and len(undecoded):
        in_vain = pc.is_in(plan.listing["key"], value_set=undecoded).to_numpy()
        settled &= ~in_vain
    code = np.select(
        [plan.action == Action.KEEP, plan.action == Action.LEAVE_YOUNG,
         plan.action == Action.LEAVE_UNLISTED, in_vain],
        [_Fate.KEEP, _Fate.WAIT + 1, _Fate.WAIT + 2, _Fate.WAIT + 3],
        _Fate.WAIT,
    ).astype(np.uint8)  # fmt: skip
    code[settled] = _Fate.DROP
    fate = np.zeros(len(plan.memory.files), np.uint8)
    fate[plan.known[plan.same]] = code[plan.same]
    fresh = np.where(plan.same, np.uint8(0), code)
    return Carried(plan, fate, fresh, tuple(reason.value for reason in reasons))
