"""Makes a night's tables from its segments and from the memory, and counts them.

`files`, `current` and `unscored` describe the whole archive: tonight's rows, and the remembered
rows of files that were not read tonight. `predictions` and `alerts` describe tonight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.archive.manifest_match import Matched
from batch.core.errors import PendingReason
from batch.core.privacy import IdentifierPolicy
from batch.core.records import Alert, FileState, RunFacts
from batch.reports import parquet
from batch.reports.ledger import Counts
from batch.reports.local import Staging
from batch.reports.rows import fingerprint_columns
from batch.run.listed_facts import ListedFacts
from batch.run.memory import keys_of
from batch.run.plan import Action, Plan
from batch.run.reuse import Reuse

_SCORED = (FileState.SCORED.value, FileState.UNCHANGED.value, FileState.REUSED.value)


class _RowFate(IntEnum):
    """What happens to a remembered row."""

    DROP = 0
    KEEP = 1
    WAIT = 2
    """Codes from here on mean pending; code minus WAIT is the index of the reason."""


@dataclass(frozen=True, eq=False)
class Carryover:
    """The rows of a night that come from the memory.

    plan: of the night.
    fate: (rows of `memory.files`,), codes of `_RowFate`.
    fresh: (listed files,), codes of files that wait and are not remembered; 0 for all others.
    reasons: of the codes from WAIT on.
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
            taken = fate != _RowFate.DROP
            yield self._with_fate(rows.filter(pa.array(taken)), fate[taken])
        waiting = np.flatnonzero(self.fresh)
        for first in range(0, len(waiting), parquet.ROW_GROUP_ROWS):
            yield self._waiting_rows(waiting[first : first + parquet.ROW_GROUP_ROWS], facts)

    def rows(self, table: str) -> Iterator[pa.Table]:
        """Remembered rows of another snapshot, without those of dropped files."""
        return map(self.filter, self.stream(table))

    def filter(self, rows: pa.Table) -> pa.Table:
        """Leave out the rows of dropped files."""
        dropped = self.plan.memory.files["key"].filter(pa.array(self.fate == _RowFate.DROP))
        if not len(dropped):
            return rows
        return rows.filter(pc.invert(pc.is_in(keys_of(rows), value_set=dropped)))

    def stream(self, table: str) -> Iterator[pa.Table]:
        """All remembered rows of a snapshot in their order on disk."""
        folder = self.plan.memory.folder
        return parquet.stream(table, folder / table if folder else None)

    def _with_fate(self, rows: pa.Table, fate: np.ndarray) -> pa.Table:
        waits = pa.array(fate >= _RowFate.WAIT)
        waited = pc.equal(rows["state"], FileState.PENDING.value)
        was_scored = pc.is_in(rows["state"], value_set=pa.array(_SCORED))
        state = pc.if_else(pc.or_(was_scored, waited), FileState.UNCHANGED.value, rows["state"])
        state = pc.if_else(waits, FileState.PENDING.value, state)
        why = pa.array(self.reasons).take(
            pa.array(np.maximum(fate.astype(np.int64) - _RowFate.WAIT, 0))
        )
        earlier_reason = pc.if_else(waited, pa.scalar(None, pa.string()), rows["reason"])
        reason = pc.if_else(waits, why, earlier_reason)
        rows = parquet.with_column(rows, "state", state)
        return parquet.with_column(rows, "reason", reason)

    def _waiting_rows(self, listed: np.ndarray, facts: RunFacts) -> pa.Table:
        rows = self.plan.listing.take(pa.array(listed))
        codes = self.fresh[listed].astype(np.int64) - _RowFate.WAIT
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


def carry_over(
    plan: Plan, done: int, waiting: PendingReason, undecoded: pa.ChunkedArray | None = None
) -> Carryover:
    """Decide what happens to everything that was not read tonight.

    Args:
        plan: of the night.
        done: number of files of the queue that were read.
        waiting: why the others were not.
        undecoded: keys of remembered files for which no decoder could be started.
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
        [_RowFate.KEEP, _RowFate.WAIT + 1, _RowFate.WAIT + 2, _RowFate.WAIT + 3],
        _RowFate.WAIT,
    ).astype(np.uint8)  # fmt: skip
    code[settled] = _RowFate.DROP
    fate = np.zeros(len(plan.memory.files), np.uint8)
    fate[plan.known[plan.same]] = code[plan.same]
    fresh = np.where(plan.same, np.uint8(0), code)
    return Carryover(plan, fate, fresh, tuple(reason.value for reason in reasons))


def apply_operating_point(
    rows: pa.Table, facts: RunFacts, foreign: pa.ChunkedArray
) -> tuple[pa.Table, np.ndarray]:
    """Apply tonight's operating point to remembered predictions.

    Args:
        rows: of `current`.
        facts: of tonight.
        foreign: keys of files that were scored with another model or output contract. They wait to
            be scored again and keep the operating point that belongs to their score.

    Returns:
        the rows, and (rows,) bool, whether a row is an alert now and was none before.
    """
    point = facts.operating_point
    ours = pc.invert(pc.is_in(keys_of(rows), value_set=foreign))
    is_alert = pc.if_else(
        ours, pc.greater_equal(rows["melanoma_score"], point.threshold), rows["is_alert"]
    )
    turned = pc.and_(is_alert, pc.invert(rows["is_alert"]))
    rows = parquet.with_column(rows, "is_alert", is_alert)
    name = pc.if_else(ours, point.name, rows["operating_point"])
    rows = parquet.with_column(rows, "operating_point", name)
    threshold = pc.if_else(ours, point.threshold, rows["threshold"])
    rows = parquet.with_column(rows, "threshold", threshold)
    return rows, np.asarray(turned.to_numpy(zero_copy_only=False), bool)


def alert_rows(predictions: pa.Table, facts: RunFacts) -> pa.Table:
    """Rows of `alerts` for predictions at or above the operating point."""
    point = facts.operating_point
    for column, value in (
        ("sensitivity", point.sensitivity),
        ("specificity", point.specificity),
        ("validation_set", point.validation_set),
        ("review_status", Alert.review_status),
    ):
        predictions = predictions.append_column(column, pa.array([value] * len(predictions)))
    return predictions.cast(parquet.schema("alerts"))


@dataclass(frozen=True)
class QueueProgress:
    """How far the queue was processed. files: number of files read. waiting: why the rest waits."""

    files: int
    waiting: PendingReason = PendingReason.STOPPED


@dataclass(frozen=True)
class GatheringCounts:
    """Counts that cannot be read back from the tables.

    alerts: rows of `alerts`.
    turned: those of remembered predictions that became alerts tonight.
    unscored_again: frames without a score in unchanged files that also failed before.
    """

    alerts: int
    turned: int
    unscored_again: int


ByState = Callable[[Path], ListedFacts]
"""Gives what the hospital's tables say, once the night's table `files` is written in a folder."""


def no_listed_facts(files: Path) -> ListedFacts:
    """What no table says."""
    return ListedFacts(Matched(), IdentifierPolicy())


def gather_night(
    staging: Staging,
    plan: Plan,
    done: QueueProgress,
    facts: RunFacts,
    listed_facts: ByState = no_listed_facts,
) -> GatheringCounts:
    """Write every table of the night below `staging.night`.

    Segments hold what the files say; only here is it filled with what the hospital's tables of
    tonight say, so that a run that goes on with another one's segments never mixes two tables.
    """
    staging.night.mkdir()
    undecoded = _undecoded(staging, plan)
    carryover = carry_over(plan, done.files, done.waiting, undecoded)
    reuse = Reuse(plan)

    def tonight(table: str) -> Iterator[pa.Table]:
        return _tables_of_tonight(table, staging, plan, facts.run_id)

    unscored_again = 0
    failed_before = plan.failed_before()

    def files() -> Iterator[pa.Table]:
        nonlocal unscored_again
        yield from carryover.files(facts)
        for rows in map(reuse.complete, tonight("files")):
            if len(undecoded):  # their remembered rows are kept instead
                rows = rows.filter(pc.invert(pc.is_in(keys_of(rows), value_set=undecoded)))
            known = rows.filter(pc.is_in(keys_of(rows), value_set=failed_before))
            unscored_again += pc.sum(known["frames_unscored"]).as_py() or 0
            yield rows

    turned: list[pa.Table] = []
    parquet.write_dataset("files", files(), staging.night / "files")
    listed = listed_facts(staging.night / "files")
    counted = partial(listed.fill, is_counted=True)  # `current` and `unscored` have each image once
    predictions = map(listed.fill, tonight("predictions"))
    parquet.write_dataset("predictions", predictions, staging.night / "predictions")
    unscored = map(counted, _chain(carryover.rows("unscored"), tonight("unscored")))
    parquet.write_dataset("unscored", unscored, staging.night / "unscored")
    current = _chain(_current(carryover, reuse, facts, turned), tonight("predictions"))
    parquet.write_dataset("current", map(counted, current), staging.night / "current")
    alerts = list(map(listed.fill, [*tonight("alerts"), *turned]))
    count = parquet.write_alerts(alerts, staging.night / "alerts.parquet")
    return GatheringCounts(count, sum(len(rows) for rows in turned), unscored_again)


def _undecoded(staging: Staging, plan: Plan) -> pa.ChunkedArray:
    """Keys of unchanged remembered files for which no decoder could be started tonight."""
    keys_of_parts = [pa.array([], pa.binary())]
    reason = PendingReason.DECODER_NOT_STARTED.value
    for segment in staging.segments():
        reasons = parquet.read_columns("files", segment / "files", ["reason"])
        if not pc.any(pc.equal(reasons["reason"], reason)).as_py():  # as in almost every night
            continue
        for rows in parquet.stream("files", segment / "files", ["path", "path_bytes", "reason"]):
            keys_of_parts += keys_of(rows.filter(pc.equal(rows["reason"], reason))).chunks
    keys = pa.chunked_array(keys_of_parts)
    if not len(keys):
        return keys
    same = plan.listing["key"].filter(pa.array(plan.same))
    return keys.filter(pc.is_in(keys, value_set=same))


def _tables_of_tonight(table: str, staging: Staging, plan: Plan, run_id: str) -> Iterator[pa.Table]:
    """Rows of tonight's segments, and rows taken up from segments of runs that died."""
    for folder in staging.segments():
        for part in sorted((folder / table).glob("*.parquet")):
            yield parquet.read_part(table, part)
    for number, segment in enumerate(plan.memory.segments):
        keys = _keys_taken_up(plan, number)
        for part in sorted((segment.folder / table).glob("*.parquet")) if len(keys) else ():
            rows = parquet.read_part(table, part)
            rows = rows.filter(pc.is_in(keys_of(rows), value_set=keys))
            yield parquet.with_constant(rows, "run_id", run_id)


def _keys_taken_up(plan: Plan, segment: int) -> pa.ChunkedArray:
    """Keys of the files whose rows are taken up from this segment."""
    numbers = plan.memory.segment_files["segment"].to_numpy()
    rows = plan.segment_row[plan.action == Action.TAKE_UP]
    return plan.memory.segment_files["key"].take(pa.array(rows[numbers[rows] == segment]))


def _current(
    carryover: Carryover, reuse: Reuse, facts: RunFacts, turned: list[pa.Table]
) -> Iterator[pa.Table]:
    """Remembered predictions, also at new paths, with tonight's operating point."""
    foreign = carryover.plan.foreign(facts.fingerprints)
    for rows in carryover.stream("current"):
        for remembered in (carryover.filter(rows), reuse.moved(rows)):
            if len(remembered):
                judged, now_alert = apply_operating_point(remembered, facts, foreign)
                if now_alert.any():
                    turned.append(alert_rows(judged.filter(pa.array(now_alert)), facts))
                yield judged


def _chain(*parts: Any) -> Iterator[pa.Table]:
    for part in parts:
        yield from part


def count_night(folder: Path, files_found: int, run_id: str, gathered: GatheringCounts) -> Counts:
    """Count a night's tables; `gathered` has the counts that they do not hold."""
    by_state = parquet.count_by(
        folder / "files", ["state"], ["frames", "frames_scored", "frames_unscored"]
    )
    reasons = parquet.count_by(folder / "files", ["state", "reason"])
    unscored = parquet.count_by(folder / "unscored", ["reason", "run_id"])
    scored = [row for row in by_state if row["state"] == FileState.SCORED.value]

    def reasons_of(state: FileState) -> dict[str, int]:
        return {row["reason"]: row["rows"] for row in reasons if row["state"] == state.value}

    unscored_reasons: dict[str, int] = {}
    for row in unscored:
        unscored_reasons[row["reason"]] = unscored_reasons.get(row["reason"], 0) + row["rows"]
    return Counts(
        files_found=files_found,
        file_rows=parquet.count_rows(folder / "files"),
        distinct_paths=parquet.count_distinct(folder / "files", ["path", "path_bytes"]),
        states={row["state"]: row["rows"] for row in by_state},
        frames=sum(row["frames"] for row in by_state),
        frames_scored=sum(row["frames_scored"] for row in by_state),
        frames_unscored=sum(row["frames_unscored"] for row in by_state),
        frames_scored_tonight=sum(row["frames_scored"] for row in scored),
        predictions=parquet.count_rows(folder / "predictions"),
        current=parquet.count_rows(folder / "current"),
        distinct_current=parquet.count_distinct(
            folder / "current", ["path", "path_bytes", "frame_number"]
        ),
        unscored_rows=parquet.count_rows(folder / "unscored"),
        unscored_tonight=sum(row["rows"] for row in unscored if row["run_id"] == run_id),
        unscored_again=gathered.unscored_again,
        alerts=gathered.alerts,
        turned=gathered.turned,
        predictions_with_alert=sum(
            row["rows"]
            for row in parquet.count_by(folder / "predictions", ["is_alert"])
            if row["is_alert"]
        ),
        unscored_reasons=unscored_reasons,
        non_image_reasons=reasons_of(FileState.NON_IMAGE),
        pending_reasons=reasons_of(FileState.PENDING),
    )
