"""`melanoma-batch runs`: a line for each night, and for each attempt that published nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Any

from batch.core.errors import UsageError
from batch.core.times import offset
from batch.reports.attempts import Attempt, attempts
from batch.reports.run_reader import StoredRun, age_rank, latest_run, notes, rank_of, stored_runs
from batch.reports.run_record import RunRecord, printable


@dataclass(frozen=True)
class RunLine:
    """A line of `melanoma-batch runs`. A field is None if it is unknown.

    run_id: of the night or attempt.
    is_latest: whether `latest` points to it.
    started_at: UTC.
    duration: from start to end.
    counts: files, and images with an alert, by the names of `COUNTS`.
    images_per_second: pace of scoring.
    model: id and start of the digest.
    stopped: why it ended early.
    exit_code: of the attempt.
    note: what is wrong or unusual, or empty.
    """

    run_id: str
    is_latest: bool
    started_at: datetime | None = None
    duration: timedelta | None = None
    counts: Mapping[str, float | None] = field(default_factory=dict)
    images_per_second: float | None = None
    model: str | None = None
    stopped: str | None = None
    exit_code: int | None = None
    note: str = ""


_EQUATION = ("files_found", "scored", "unchanged", "reused", "unscored", "non_image", "pending")
COUNTS = (*_EQUATION, "alerts")
_COUNT_HEADS = ("found", *(name.replace("_", "-") for name in COUNTS[1:]))
_HEADS = ("", "run", "started ({})", "took", *_COUNT_HEADS, "images/s", "exit", "model",
          "stopped", "note")  # fmt: skip
NO_END = "no end was written: killed, or the machine went down"
AT_WORK = "at work"


def last_runs(reports: Path, last: int, holder: str = "") -> list[RunLine]:
    """The last nights and attempts, newest first.

    Args:
        reports: their folder.
        last: number of lines.
        holder: who holds the reports, as the lock says.


    Raises:
        UsageError: REPORTS is no folder or holds no run, or `last` is below 1.
    """
    if last < 1:
        raise UsageError(f"--last: found {last}; allowed: 1 or more.")
    latest = latest_run(reports)
    noted = {attempt.run_id: attempt for attempt in attempts(reports)}
    nights = stored_runs(reports, may_be_none=bool(noted))
    lines = {
        run.folder.name: (age_rank(run), partial(_line, run, run.folder.name == latest))
        for run in nights
    }
    for run_id, attempt in noted.items():
        if run_id not in lines:
            rank = rank_of(run_id, attempt.started_at)
            lines[run_id] = rank, partial(_failed_line, attempt, holder)
    newest = sorted(lines.items(), key=lambda item: item[1][0], reverse=True)[:last]
    return [
        replace(make(), exit_code=noted[name].exit_code if name in noted else None)
        for name, (_, make) in newest
    ]


def runs_table(lines: Iterable[RunLine]) -> str:
    """The lines as a table for a terminal; `*` marks the night that `latest` points to.

    All times are in the machine's zone, with the offset that it had in the first line.
    """
    shown = list(lines)
    first = next(
        (line.started_at.astimezone() for line in shown if line.started_at), datetime.now(UTC)
    )
    heads = tuple(head.format(offset(first)) for head in _HEADS)
    rows = [heads, *(_cells(line, first.tzinfo) for line in shown)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    numbers = range(3, 6 + len(COUNTS))  # duration, counts, rate and exit code end in one column
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at in numbers else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def runs_json(lines: Iterable[RunLine]) -> list[dict[str, Any]]:
    """The lines as JSON can hold them: times in UTC (ISO 8601), durations in seconds."""
    return [
        asdict(line)
        | {
            "counts": dict(line.counts),
            "started_at": line.started_at.astimezone(UTC).isoformat() if line.started_at else None,
            "duration": line.duration.total_seconds() if line.duration else None,
        }
        for line in lines
    ]


def _line(run: StoredRun, is_latest: bool) -> RunLine:
    record = run.record or RunRecord()
    model = (record.model.model_id, (record.model.model_sha256 or "")[:8])
    started, finished, unusual = run.started_at, record.finish, record.unusual_by
    return RunLine(
        run_id=printable(run.folder.name),
        is_latest=is_latest,
        started_at=started,
        duration=finished - started if finished and started else None,
        counts={name: getattr(record.equation, name) for name in _EQUATION}
        | {"alerts": record.alerts},
        images_per_second=record.images_per_second,
        model=" ".join(word for word in model if word) or None,
        stopped=record.stopped,
        note=", ".join(filter(None, (notes(run), unusual and f"unusual: {unusual}"))),
    )


def _failed_line(attempt: Attempt, holder: str) -> RunLine:
    """An attempt that published nothing."""
    finished, started = attempt.finished_at, attempt.started_at
    note = f"failed: {attempt.reason}"
    if attempt.exit_code is None:
        note = AT_WORK if f"run {attempt.run_id}" in holder else NO_END
    return RunLine(
        run_id=printable(attempt.run_id),
        is_latest=False,
        started_at=started,
        duration=finished - started if finished and started else None,
        note=printable(note),
    )


def _cells(line: RunLine, zone: tzinfo | None) -> tuple[str, ...]:
    rate = line.images_per_second
    return (
        "*" if line.is_latest else "",
        line.run_id,
        f"{line.started_at.astimezone(zone):%Y-%m-%d %H:%M}" if line.started_at else "-",
        str(timedelta(seconds=round(line.duration.total_seconds()))) if line.duration else "-",
        *("-" if (n := line.counts.get(name)) is None else f"{n:.0f}" for name in COUNTS),
        "-" if rate is None else f"{rate:.1f}",
        "-" if line.exit_code is None else str(line.exit_code),
        line.model or "-",
        line.stopped or "",
        line.note,
    )
