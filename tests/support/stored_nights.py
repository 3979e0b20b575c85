"""Nights and dead runs made by hand from records: no Beam, no model, milliseconds each.

What a pipeline would write is written here with the same rows, tables and folders; what became of a
file is said by the very function that says it in the job (`conclude_file`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from batch.core.config import Order
from batch.core.errors import FailureReason, NonImageReason, PendingReason, Stage
from batch.core.records import (
    FileOutcome,
    FileReading,
    FileState,
    Fingerprints,
    ImageLocation,
    Prediction,
    RunFacts,
    Unscored,
    alert_for,
)
from batch.reports import parquet, rows
from batch.reports.ledger import Counts, check_balance, conclude_file
from batch.reports.local import LocalReports, Staging
from batch.reports.rows import segment_facts
from batch.reports.schema import SCHEMA_VERSION
from batch.run.memory import Memory, keys_of, remember
from batch.run.merge import GatheringCounts, QueueProgress, count_night, gather_night
from batch.run.plan import Plan, make_plan
from tests.support.archives import POINT, prediction

TO_ROW = {
    "predictions": rows.prediction_row,
    "alerts": rows.alert_row,
    "unscored": rows.unscored_row,
    "files": rows.file_row,
}
FIRST_NIGHT = datetime(2026, 11, 1, 2, tzinfo=UTC)
NOW = Fingerprints("program", "failure", "identity", "scoring-m1")


def facts(number: int = 1, model: str = "m1", threshold: float = 0.5, **changes: str) -> RunFacts:
    """A run's facts. number: of the night, from 1. changes: of the fingerprints."""
    started_at = FIRST_NIGHT + timedelta(days=number - 1)
    sha256 = sha(model)
    return RunFacts(
        run_id=f"{started_at:%Y%m%dT%H%M%SZ}-{number:04x}",
        started_at=started_at,
        model_id="fake",
        model_version="1",
        model_sha256=sha256,
        preprocessing_version="4",
        operating_point=replace(
            POINT, name=f"at-{threshold}", threshold=threshold, model_sha256=sha256
        ),
        fingerprints=replace(NOW, **{"scoring": f"scoring-{model}", **changes}),
    )


def sha(content: object) -> str:
    """A digest for made-up content: 64 hex digits."""
    return hashlib.sha256(repr(content).encode()).hexdigest()


def at(path: str, size: int = 10, mtime_ns: int = 0, attempts: int = 0) -> ImageLocation:
    return ImageLocation(path, size, mtime_ns, attempts)


@dataclass(frozen=True)
class Result:
    """What reading and scoring one file gave: the rows of a segment."""

    outcome: FileOutcome
    predictions: tuple[Prediction, ...] = ()
    unscored: tuple[Unscored, ...] = ()


def image(
    location: ImageLocation,
    *frames: float | FailureReason,
    content: object = None,
    file_format: str = "jpeg",
) -> Result:
    """A file whose frames have a score each, or the reason why not. content: the path's own."""
    digest = sha(location.path if content is None else content)
    predictions, unscored = [], []
    for number, found in enumerate(frames, 1):
        identity = {"frame_number": number if len(frames) > 1 else None}
        identity["image_id"] = f"id-{digest[:8]}" + (f"#{number}" if len(frames) > 1 else "")
        if isinstance(found, FailureReason):
            unscored.append(
                Unscored(
                    location.path, Stage.DECODE, found, "why", content_sha256=digest, **identity
                )
            )
        else:
            predictions.append(
                prediction(
                    found,
                    location.path,
                    content_sha256=digest,
                    file_format=file_format,
                    **identity,
                )
            )
    reading = FileReading(location, len(frames), digest, file_format)
    return Result(
        conclude_file([reading], [1] * len(predictions), unscored),
        tuple(predictions),
        tuple(unscored),
    )


def failed(
    location: ImageLocation,
    reason: FailureReason = FailureReason.DECODE_FAILED,
    file_format: str | None = "jpeg",
) -> Result:
    """A file that failed as a whole."""
    digest = sha(location.path)
    unscored = Unscored(location.path, Stage.READ, reason, "why", content_sha256=digest)
    reading = FileReading(location, 1, digest, file_format)
    return Result(conclude_file([reading], [], [unscored]), (), (unscored,))


def settled(
    location: ImageLocation,
    state: FileState,
    reason: NonImageReason | PendingReason | None,
    digest: str | None = None,
) -> Result:
    """A file that reading alone settled."""
    why = reason.value if reason else None
    reading = FileReading(location, 0, digest, None, state, why)
    return Result(conclude_file([reading], [], []))


def non_image(
    location: ImageLocation, reason: NonImageReason = NonImageReason.OTHER_FILE_TYPE
) -> Result:
    return settled(location, FileState.NON_IMAGE, reason, sha(location.path))


def pending(
    location: ImageLocation, reason: PendingReason = PendingReason.CHANGED_WHILE_READ
) -> Result:
    return settled(location, FileState.PENDING, reason)


def reused(location: ImageLocation, content: object) -> Result:
    return settled(location, FileState.REUSED, None, sha(content))


def write_tables(folder: Path, results: Iterable[Result], made_with: RunFacts) -> None:
    """The parts of a segment, as its pipeline writes them: no file for a table without rows."""
    results = list(results)
    predictions = [item for result in results for item in result.predictions]
    alerts = [alert_for(item, made_with.operating_point) for item in predictions]
    records: dict[str, list[Any]] = {
        "predictions": predictions,
        "alerts": [alert for alert in alerts if alert],
        "unscored": [item for result in results for item in result.unscored],
        "files": [result.outcome for result in results],
    }
    for table, found in records.items():
        if found:
            part = folder / table / "part-00000.parquet"
            parquet.write_part(table, [TO_ROW[table](item, made_with) for item in found], part)


def write_segment(
    staging: Staging, number: int, results: Iterable[Result], made_with: RunFacts
) -> Path:
    """A committed segment; its folder."""
    write_tables(staging.segment_at_work(number), results, made_with)
    staging.commit(number, segment_facts(made_with))
    return staging.folder / "segments" / f"{number:06d}"


def dead_run(reports: Path, segments: Sequence[Sequence[Result]], made_with: RunFacts) -> Staging:
    """A run that was killed after these segments."""
    staging = LocalReports(reports).start(made_with.run_id)
    for number, results in enumerate(segments):
        write_segment(staging, number, results, made_with)
    return staging


def published(
    reports: Path, results: Sequence[Result], made_with: RunFacts, **run_json: object
) -> Path:
    """A night with just these files, all read in it; its folder."""
    there = LocalReports(reports)
    staging = there.start(made_with.run_id)
    staging.night.mkdir()
    write_tables(staging.night, results, made_with)
    alerts = list(parquet.stream("alerts", staging.night / "alerts"))
    shutil.rmtree(staging.night / "alerts", ignore_errors=True)
    parquet.write_alerts(alerts, staging.night / "alerts.parquet")
    for table in ("predictions", "unscored", "files"):
        if not (staging.night / table).exists():
            parquet.write_dataset(table, [], staging.night / table)
    parquet.write_dataset(
        "current", parquet.stream("predictions", staging.night / "predictions"),
        staging.night / "current",
    )  # fmt: skip
    folder = there.publish(staging, {"schema_version": SCHEMA_VERSION, **run_json})
    there.discard_work()
    return folder


def run_of(made_with: RunFacts, files: int) -> dict[str, Any]:
    """run.json as far as the review needs it."""
    model = {
        "model_id": made_with.model_id, "model_version": made_with.model_version,
        "model_sha256": made_with.model_sha256, "caution": "be careful",
        "operating_point": vars(made_with.operating_point),
        "fingerprints": vars(made_with.fingerprints),
    }  # fmt: skip
    return {
        "run_id": made_with.run_id,
        "started_at": made_with.started_at.isoformat(),
        "equation": {"files_found": files},
        "model": model,
        "options": {},
    }


def memory_of(reports: Path, made_with: RunFacts) -> Memory:
    return remember(LocalReports(reports), segment_facts(made_with))


def memory_from(results: Sequence[Result], made_with: RunFacts) -> Memory:
    """The memory of a night with these files, without a disk."""
    files = parquet.to_arrow("files", [rows.file_row(r.outcome, made_with) for r in results])
    key = keys_of(files)
    files = files.drop_columns(["path", "path_bytes", "detail", "run_id"])
    nothing = remember(LocalReports(Path("/nowhere")), {})
    return replace(nothing, run_id=made_with.run_id, files=files.append_column("key", key))


def plan_of(
    reports: Path,
    found: Iterable[ImageLocation],
    tonight: RunFacts,
    order: Order = Order.PATH,
    settled_before_ns: int | None = None,
) -> Plan:
    memory = memory_of(reports, tonight)
    return make_plan(found, memory, tonight.fingerprints, order, settled_before_ns)


@dataclass(frozen=True)
class Night:
    """A night that was run by the job's own parts, but for the pipeline. read: files opened."""

    plan: Plan
    counts: Counts
    gathered: GatheringCounts
    folder: Path
    read: tuple[str, ...]

    def rows(self, table: str) -> list[dict[str, Any]]:
        return rows_of(self.folder / (table if table != "alerts" else "alerts.parquet"))


Read = Callable[[ImageLocation, frozenset[str]], Result]


def run_segments(
    staging: Staging, plan: Plan, tonight: RunFacts, read: Read, size: int, stop: int | None = None
) -> tuple[int, tuple[str, ...]]:
    """Work off the queue with a fake reader: how many files of it, and their names.

    Args:
        size: files of a segment. stop: segments after which it ends.
    """
    done, names = 0, []
    for number, start in enumerate(range(0, len(plan.queue), size)):
        if number == stop:
            break
        locations = plan.locations(start, start + size)
        known = frozenset(chain.from_iterable(plan.known_digests(locations).values()))
        write_segment(staging, number, [read(where, known) for where in locations], tonight)
        names += [where.path for where in locations]
        done += len(locations)
    return done, tuple(names)


def run_night(
    reports: Path,
    found: Iterable[ImageLocation],
    tonight: RunFacts,
    read: Read,
    *,
    size: int = 100,
    stop: int | None = None,
    waiting: PendingReason = PendingReason.STOPPED,
    order: Order = Order.PATH,
    settled_before_ns: int | None = None,
) -> Night:
    """One whole night; the counts balance, or this raises."""
    there = LocalReports(reports)
    there.recover()
    plan = plan_of(reports, found, tonight, order, settled_before_ns)
    staging = there.start(tonight.run_id)
    done, names = run_segments(staging, plan, tonight, read, size, stop)
    gathered = gather_night(staging, plan, QueueProgress(done, waiting), tonight)
    counts = count_night(staging.night, len(plan), tonight.run_id, gathered)
    check_balance(counts)
    folder = there.publish(staging, {"schema_version": SCHEMA_VERSION})
    there.discard_work()
    return Night(plan, counts, gathered, folder, names)


def unexpected(location: ImageLocation, known: frozenset[str]) -> Result:
    """A reader for nights in which nothing may be read."""
    raise AssertionError(f"{location.path} was opened")


def rows_of(dataset: Path) -> list[dict[str, Any]]:
    return pq.read_table(dataset).to_pylist()


def by_path(found: Iterable[dict[str, Any]], *columns: str) -> dict[str, tuple[Any, ...]]:
    """Path to these columns; several rows of one path are an error."""
    answer: dict[str, tuple[Any, ...]] = {}
    for row in found:
        assert row["path"] not in answer, f"{row['path']} twice"
        answer[row["path"]] = tuple(row[column] for column in columns)
    return answer
