"""The parts of a segment's tables: written by workers, and judged by the driver.

An engine may run a piece of work twice: after a failure, or beside a slow worker. Every attempt
writes under a name of its own, and the engine hands on the names of one attempt only. From these
one list is made; what stands in it is the segment, and what else lies there is swept away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from batch.core.errors import ReportsLost
from batch.core.records import FileReading, Prediction, RunFacts, Unscored, alert_for
from batch.reports import parquet, rows
from batch.reports.ledger import conclude_files
from batch.reports.rows import Row
from batch.storage.shared_folder import SharedFolder, fresh_name


class Part(NamedTuple):
    """A file of a table. name: below the shared folder. rows: in it. sha256: hex, of its bytes."""

    name: str
    rows: int
    sha256: str


Result = FileReading | Prediction | Unscored
"""What a file, a frame or an image comes to in the pipeline."""


def path_of(result: Result) -> str:
    """The file that something came of."""
    if isinstance(result, Unscored):
        return result.path
    return (result.location if isinstance(result, FileReading) else result.record).path


def shard_rows(results: Iterable[Result], facts: RunFacts) -> dict[str, list[Row]]:
    """The rows of every table for some files.

    Args:
        results: all that became of each of them, and nothing else, in any order.

    Raises:
        LedgerImbalance: a file was not read exactly once, or a frame has no result.
    """
    readings: list[FileReading] = []
    scored: list[Prediction] = []
    failed: list[Unscored] = []
    for result in results:
        if isinstance(result, Prediction):
            scored.append(result)
        elif isinstance(result, FileReading):
            readings.append(result)
        else:
            failed.append(result)
    alerts = [alert_for(prediction, facts.operating_point) for prediction in scored]
    return {
        "predictions": [rows.prediction_row(prediction, facts) for prediction in scored],
        "alerts": [rows.alert_row(alert, facts) for alert in alerts if alert is not None],
        "unscored": [rows.unscored_row(item, facts) for item in failed],
        "files": [
            rows.file_row(outcome, facts) for outcome in conclude_files(readings, scored, failed)
        ],
    }


def write_parts(shared: SharedFolder, shard: int, found: dict[str, list[Row]]) -> list[Part]:
    """Write the rows of a shard, a file for every table that has some; what was written.

    Rows are sorted by path and frame, so that two attempts give the same files but for the names.

    Raises:
        SchemaMismatch: names table and column. OSError: the shared folder cannot be written.
    """
    attempt, parts = fresh_name(), []
    for table, table_rows in found.items():
        if table_rows:
            data = parquet.as_bytes(table, parquet.in_order(table_rows))
            name = f"{table}/part-{shard:05d}-{attempt}.parquet"
            shared.write(name, data)
            parts.append(Part(name, len(table_rows), hashlib.sha256(data).hexdigest()))
    return parts


def write_list(shared: SharedFolder, name: str, parts: Iterable[Part]) -> None:
    """Say which parts count. Whoever writes it again lists parts that are just as good.

    Raises:
        OSError: the shared folder cannot be written.
    """
    shared.write(name, json.dumps(sorted(parts)).encode("ascii"))


def keep_listed_parts(shared: SharedFolder, folder: Path, name: str, files: int) -> None:
    """Keep the parts that count in a segment's folder and remove all others; the driver does it.

    Args:
        shared: where workers wrote them: the folder itself, or storage from which they are brought
            into it. name: of the list. files: that the segment was to settle.

    Raises:
        ReportsLost: the list or a part is not there, or not as it was written.
    """
    try:
        parts = [Part(*entry) for entry in json.loads(shared.read(name))]
        intact = all(_brought(shared, part, folder) for part in parts)
    except FileNotFoundError as error:
        raise ReportsLost(_lost("a worker's file is missing")) from error
    if not intact:
        raise ReportsLost(_lost("a worker's file is not as it was written"))
    settled = sum(part.rows for part in parts if part.name.startswith("files/"))
    if settled != files:
        raise ReportsLost(_lost(f"workers settled {settled} of {files} files"))
    shared.sweep({part.name for part in parts})


def _brought(shared: SharedFolder, part: Part, folder: Path) -> bool:
    """Whether a part is as it was written; it is in the folder then."""
    data, place = shared.read(part.name), folder / part.name
    if hashlib.sha256(data).hexdigest() != part.sha256:
        return False
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data)
    return True


def _lost(what: str) -> str:
    return (
        f"REPORTS: {what} in the shared folder; nothing was published. Is the reports folder the "
        "same one, under the same path, on every worker? Start again."
    )
