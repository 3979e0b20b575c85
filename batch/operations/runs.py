"""The nights that a reports folder holds, read from their run.json; one line each.

What is damaged costs its own line only: every value is taken as absent unless it is of its kind.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from batch.errors import UsageError
from batch.reports.storage import LATEST, RUN_FILE, SUCCESS_FILE
from batch.review.times import offset

RUNS = "runs"
PRUNABLE = ("files", "current")
"""The snapshots that prune removes, `files` first; `unscored` is small and stays with its night."""

_WRITTEN = "that `score` wrote"
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_INT64 = 1 << 63


@dataclass(frozen=True)
class StoredRun:
    """A night's folder. ledger: run.json, None when damaged. snapshots: those still there.

    started_at: UTC, None when run.json does not tell.
    """

    folder: Path
    complete: bool
    ledger: Mapping[str, Any] | None
    started_at: datetime | None
    snapshots: tuple[str, ...]


@dataclass(frozen=True)
class RunLine:
    """What `melanoma-batch runs` says of a night; None where its run.json does not tell.

    counts: files (`alerts`: images) by the names of `COUNTS`. model: id and start of the digest.
    """

    run_id: str
    is_latest: bool
    started_at: datetime | None = None
    duration: timedelta | None = None
    counts: Mapping[str, float | None] = field(default_factory=dict)
    images_per_second: float | None = None
    model: str | None = None
    stopped: str | None = None
    note: str = ""


_EQUATION = ("files_found", "scored", "unchanged", "reused", "unscored", "non_image", "pending")
COUNTS = (*_EQUATION, "alerts")
_COUNT_HEADS = ("found", *(name.replace("_", "-") for name in COUNTS[1:]))
_HEADS = ("", "run", "started ({})", "took", *_COUNT_HEADS, "images/s", "model", "stopped", "note")


def last_runs(reports: Path, last: int) -> list[RunLine]:
    """The last nights, newest first.

    Raises:
        UsageError: REPORTS is no folder or holds no run, or `last` is below 1.
    """
    if last < 1:
        raise UsageError(f"--last: found {last}; allowed: 1 or more.")
    latest = latest_run(reports)
    return [_line(run, run.folder.name == latest) for run in stored_runs(reports)[:last]]


def runs_table(lines: Iterable[RunLine]) -> str:
    """The nights as a table for a terminal; `*` marks the one that `latest` points to.

    All times are of one zone: the machine's, with the offset that it had in the first of the lines.
    """
    shown = list(lines)
    first = next((line.started_at.astimezone() for line in shown if line.started_at), _BEFORE_ALL)
    heads = tuple(head.format(offset(first)) for head in _HEADS)
    rows = [heads, *(_cells(line, first.tzinfo) for line in shown)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    numbers = range(3, 5 + len(COUNTS))  # duration, counts and rate end in one column
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at in numbers else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def stored_runs(reports: Path) -> list[StoredRun]:
    """Every night below REPORTS, newest first; links are no nights.

    Raises:
        UsageError: REPORTS is no folder, cannot be listed, or holds no run.
    """
    try:
        if not stat.S_ISDIR(reports.stat().st_mode):
            raise UsageError(f"REPORTS: a file at {reports}; needed: a folder {_WRITTEN}.")
        with os.scandir(reports / RUNS) as entries:
            folders = [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError as error:
        if not os.path.lexists(reports):
            message = f"REPORTS: nothing at {reports}; needed: a folder {_WRITTEN}."
            raise UsageError(message) from error
        folders = []
    except OSError as error:
        raise UsageError(
            f"REPORTS: cannot look into {reports} ({error.strerror}). Check its permissions."
        ) from error
    if not folders:
        raise UsageError(
            f"REPORTS: no run in {reports / RUNS}. Is it the folder given as --output to `score`?"
        )
    return sorted(map(stored_run, folders), key=_age_rank, reverse=True)


def latest_run(reports: Path) -> str | None:
    """The run that `latest` points to; None when it points to no folder in `runs/`."""
    try:
        folder = (reports / LATEST).resolve(strict=True)
        is_run = folder.is_dir() and folder.parent == (reports / RUNS).resolve(strict=True)
    except (OSError, RuntimeError):  # missing, dangling, or a loop of links
        return None
    return folder.name if is_run else None


def read_ledger(folder: Path) -> Mapping[str, Any] | None:
    """A night's run.json; None when it is missing or damaged."""
    path = folder / RUN_FILE
    try:
        # a pipe of that name would never end
        ledger = json.loads(path.read_bytes()) if os.path.isfile(path) else None
    except (OSError, ValueError, RecursionError):
        return None
    return ledger if isinstance(ledger, dict) else None


def number(ledger: Mapping[str, Any], *keys: str) -> float | None:
    """A number at a place in run.json; None when there is none that fits 64 bits."""
    value = _at(ledger, keys)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and -_INT64 < value < _INT64 else None


def words(ledger: Mapping[str, Any], *keys: str) -> str | None:
    """A text at a place in run.json, safe to print."""
    value = _at(ledger, keys)
    return printable(value) if isinstance(value, str) else None


def instant(ledger: Mapping[str, Any], key: str) -> datetime | None:
    """A time in run.json, in UTC; None when it is none or has no time zone."""
    try:
        time = datetime.fromisoformat(ledger[key])
        return time.astimezone(UTC) if time.tzinfo else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def printable(text: str) -> str:
    """Text that can steer no terminal and break no line."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _at(ledger: Mapping[str, Any], keys: Iterable[str]) -> Any:
    value: Any = ledger
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def stored_run(folder: Path) -> StoredRun:
    """What a night's folder holds."""
    ledger = read_ledger(folder)
    return StoredRun(
        folder=folder,
        complete=os.path.isfile(folder / SUCCESS_FILE),
        ledger=ledger,
        started_at=None if ledger is None else instant(ledger, "started_at"),
        snapshots=tuple(name for name in PRUNABLE if is_real_folder(folder / name)),
    )


def is_real_folder(path: Path) -> bool:
    """A folder, and no link to one."""
    return os.path.isdir(path) and not os.path.islink(path)


def _age_rank(run: StoredRun) -> tuple[datetime, str]:
    """By start; a damaged night by the start that its name tells, so that it keeps its place."""
    name = run.folder.name
    if run.started_at is not None:
        return run.started_at, name
    try:
        return datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC), name
    except ValueError:
        return _BEFORE_ALL, name


def _line(run: StoredRun, is_latest: bool) -> RunLine:
    run_id, ledger = printable(run.folder.name), run.ledger or {}
    digest = words(ledger, "model", "model_sha256")
    model = (words(ledger, "model", "model_id"), digest and digest[:8])
    finished = instant(ledger, "finished_at")
    started = run.started_at
    return RunLine(
        run_id=run_id,
        is_latest=is_latest,
        started_at=started,
        duration=finished - started if finished and started else None,
        counts={name: number(ledger, "equation", name) for name in _EQUATION}
        | {"alerts": number(ledger, "alerts")},
        images_per_second=number(ledger, "images_per_second"),
        model=" ".join(word for word in model if word) or None,
        stopped=words(ledger, "stopped"),
        note=notes(run),
    )


def notes(run: StoredRun) -> str:
    """What is not as it should be with a night's folder; empty for most."""
    return ", ".join(_notes(run))


def _notes(run: StoredRun) -> Iterable[str]:
    if not run.complete:
        yield "incomplete"
    if run.started_at is None:
        yield f"{RUN_FILE} damaged"
    if run.complete and PRUNABLE[0] not in run.snapshots:
        yield "pruned"


def _cells(line: RunLine, zone: tzinfo | None) -> tuple[str, ...]:
    rate = line.images_per_second
    return (
        "*" if line.is_latest else "",
        line.run_id,
        f"{line.started_at.astimezone(zone):%Y-%m-%d %H:%M}" if line.started_at else "-",
        str(timedelta(seconds=round(line.duration.total_seconds()))) if line.duration else "-",
        *("-" if (n := line.counts.get(name)) is None else f"{n:.0f}" for name in COUNTS),
        "-" if rate is None else f"{rate:.1f}",
        line.model or "-",
        line.stopped or "",
        line.note,
    )
