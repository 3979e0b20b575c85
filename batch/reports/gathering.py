"""A night's tables from its segments and from what is remembered, and the counts read back.

`files`, `current` and `unscored` tell of the whole archive: tonight's rows, and the remembered rows
of what was not read tonight. `predictions` and `alerts` tell of tonight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch.core.errors import PendingReason
from batch.core.records import RunFacts
from batch.reports import parquet
from batch.reports.carried import Carried, carry
from batch.reports.local import Staging
from batch.reports.memory import keys_of
from batch.reports.plan import Action, Plan
from batch.reports.points import alert_rows, apply_operating_point
from batch.reports.reuse import Reuse


@dataclass(frozen=True)
class Done:
    """How far the queue was worked off. waiting: why the rest waits."""

    files: int
    waiting: PendingReason = PendingReason.STOPPED


@dataclass(frozen=True)
class Gathered:
    """What only the gathering knows.

    alerts: rows of the table. turned: of these, remembered predictions that became alerts.
    unscored_again: frames that had no score before either, in the very same file.
    """

    alerts: int
    turned: int
    unscored_again: int


def gather_night(staging: Staging, plan: Plan, done: Done, facts: RunFacts) -> Gathered:
    """Write every table of the night below `staging.night`."""
    staging.night.mkdir()
    undecoded = _undecoded(staging, plan)
    carried = carry(plan, done.files, done.waiting, undecoded)
    reuse = Reuse(plan)

    def tonight(table: str) -> Iterator[pa.Table]:
        return _tonight(table, staging, plan, facts.run_id)

    again = 0
    failed_before = plan.failed_before()

    def files() -> Iterator[pa.Table]:
        nonlocal again
        yield from carried.files(facts)
        for rows in map(reuse.complete, tonight("files")):
            if len(undecoded):  # what is remembered of them stands in their place
                rows = rows.filter(pc.invert(pc.is_in(keys_of(rows), value_set=undecoded)))
            known = rows.filter(pc.is_in(keys_of(rows), value_set=failed_before))
            again += pc.sum(known["frames_unscored"]).as_py() or 0
            yield rows

    turned: list[pa.Table] = []
    parquet.write_dataset("files", files(), staging.night / "files")
    parquet.write_dataset("predictions", tonight("predictions"), staging.night / "predictions")
    parquet.write_dataset(
        "unscored",
        _chain(carried.rows("unscored"), tonight("unscored")),
        staging.night / "unscored",
    )
    current = _chain(_current(carried, reuse, facts, turned), tonight("predictions"))
    parquet.write_dataset("current", current, staging.night / "current")
    alerts = [*tonight("alerts"), *turned]
    count = parquet.write_alerts(alerts, staging.night / "alerts.parquet")
    return Gathered(count, sum(len(rows) for rows in turned), again)


def _undecoded(staging: Staging, plan: Plan) -> pa.ChunkedArray:
    """Keys of files that are as they were remembered, and for which no decoder could be started."""
    found = [pa.array([], pa.binary())]
    wanted = PendingReason.DECODER_NOT_STARTED.value
    for segment in staging.segments():
        reasons = parquet.read_columns("files", segment / "files", ["reason"])
        if not pc.any(pc.equal(reasons["reason"], wanted)).as_py():  # as in almost every night
            continue
        for rows in parquet.stream("files", segment / "files", ["path", "path_bytes", "reason"]):
            found += keys_of(rows.filter(pc.equal(rows["reason"], wanted))).chunks
    keys = pa.chunked_array(found)
    if not len(keys):
        return keys
    same = plan.listing["key"].filter(pa.array(plan.same))
    return keys.filter(pc.is_in(keys, value_set=same))


def _tonight(table: str, staging: Staging, plan: Plan, run_id: str) -> Iterator[pa.Table]:
    """Tonight's segments, and what is taken up of the segments of runs that died."""
    for folder in staging.segments():
        for part in sorted((folder / table).glob("*.parquet")):
            yield parquet.read_part(table, part)
    for number, segment in enumerate(plan.memory.segments):
        keys = _taken_up(plan, number)
        for part in sorted((segment.folder / table).glob("*.parquet")) if len(keys) else ():
            rows = parquet.read_part(table, part)
            rows = rows.filter(pc.is_in(keys_of(rows), value_set=keys))
            yield parquet.with_constant(rows, "run_id", run_id)


def _taken_up(plan: Plan, segment: int) -> pa.ChunkedArray:
    """Keys of the files whose rows in this segment count."""
    numbers = plan.memory.segment_files["segment"].to_numpy()
    rows = plan.segment_row[plan.action == Action.TAKE_UP]
    return plan.memory.segment_files["key"].take(pa.array(rows[numbers[rows] == segment]))


def _current(
    carried: Carried, reuse: Reuse, facts: RunFacts, turned: list[pa.Table]
) -> Iterator[pa.Table]:
    """Remembered predictions under tonight's operating point, at their own and at new places."""
    foreign = carried.plan.foreign(facts.fingerprints)
    for rows in carried.stream("current"):
        for kept in (carried.filter(rows), reuse.moved(rows)):
            if len(kept):
                judged, now_alert = apply_operating_point(kept, facts, foreign)
                if now_alert.any():
                    turned.append(alert_rows(judged.filter(pa.array(now_alert)), facts))
                yield judged


def _chain(*parts: Any) -> Iterator[pa.Table]:
    for part in parts:
        yield from part
