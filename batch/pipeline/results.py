"""The parts of a segment's tables: workers write them, and the driver keeps those that count.

An engine may do work twice, after a failure or beside a slow worker. Every attempt writes under
names of its own, and the engine passes on the names of one attempt only. A list of these names
defines the segment; all other files are removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from batch.core.errors import ReportsLost
from batch.core.records import FileReading, Prediction, RunFacts, Unscored, alert_for
from batch.model.silent import SilentScore
from batch.reports import parquet, rows
from batch.reports.ledger import conclude_files
from batch.reports.rows import Row
from batch.reports.schema import SILENT
from batch.storage.shared_folder import SharedFolder, fresh_name


class Part(NamedTuple):
    """A file of a table.

    name: below the shared folder.
    rows: number of rows.
    sha256: hex digest of its bytes.
    """

    name: str
    rows: int
    sha256: str


Result = FileReading | Prediction | Unscored | SilentScore
"""A result of the pipeline for a file or a frame."""


def path_of(result: Result) -> str:
    """The path of a result's file."""
    if isinstance(result, SilentScore):
        return path_of(result.result)
    if isinstance(result, Unscored):
        return result.path
    return (result.location if isinstance(result, FileReading) else result.record).path


def shard_rows(
    results: Iterable[Result], facts: RunFacts, silent: RunFacts | None = None
) -> dict[str, list[Row]]:
    """Make the rows of every table for the files of a shard.

    Args:
        results: all results of these files, in any order.
        facts: repeated in every row.
        silent: repeated in every row of the silent model, if there is one.

    Raises:
        LedgerImbalance: a file was not read exactly once, or a frame has no result.
    """
    readings: list[FileReading] = []
    scored: list[Prediction] = []
    failed: list[Unscored] = []
    said: list[SilentScore] = []
    for result in results:
        if isinstance(result, Prediction):
            scored.append(result)
        elif isinstance(result, FileReading):
            readings.append(result)
        elif isinstance(result, SilentScore):
            said.append(result)
        else:
            failed.append(result)
    alerts = [alert_for(prediction, facts.operating_point) for prediction in scored]
    tables = {
        "predictions": [rows.prediction_row(prediction, facts) for prediction in scored],
        "alerts": [rows.alert_row(alert, facts) for alert in alerts if alert is not None],
        "unscored": [rows.unscored_row(item, facts) for item in failed],
        "files": [
            rows.file_row(outcome, facts) for outcome in conclude_files(readings, scored, failed)
        ],
    }
    if silent is not None:
        tables[SILENT] = [rows.silent_row(score.result, silent) for score in said]
    return tables


def write_parts(
    shared: SharedFolder, shard: int, rows_by_table: dict[str, list[Row]]
) -> list[Part]:
    """Write the rows of a shard, a file for each table that has rows, and return the parts.

    Rows are sorted by path and frame, so that two attempts differ in the names of the files only.

    Raises:
        SchemaMismatch: a row has the wrong columns. OSError: the shared folder cannot be written.
    """
    attempt, parts = fresh_name(), []
    for table, table_rows in rows_by_table.items():
        if table_rows:
            data = parquet.as_bytes(table, parquet.in_order(table_rows))
            name = f"{table}/part-{shard:05d}-{attempt}.parquet"
            shared.write(name, data)
            parts.append(Part(name, len(table_rows), hashlib.sha256(data).hexdigest()))
    return parts


def write_list(shared: SharedFolder, name: str, parts: Iterable[Part]) -> None:
    """Write the list of the parts that count. Written twice, it lists equally good parts.


    Raises:
        OSError: the shared folder cannot be written.
    """
    shared.write(name, json.dumps(sorted(parts)).encode("ascii"))


def keep_listed_parts(shared: SharedFolder, folder: Path, name: str, files: int | None) -> None:
    """Keep the parts that count in a segment's folder, and remove all others.

    Args:
        shared: where workers wrote them; it is the folder itself, or storage from which parts are
            fetched.
        folder: of the segment.
        name: of the list.
        files: number of files of the segment; None where its parts have no table of files.

    Raises:
        ReportsLost: the list or a part is missing, or is not as it was written.
    """
    try:
        parts = [Part(*entry) for entry in json.loads(shared.read(name))]
        intact = all(_fetch_intact(shared, part, folder) for part in parts)
    except FileNotFoundError as error:
        raise ReportsLost(_lost("a worker's file is missing")) from error
    if not intact:
        raise ReportsLost(_lost("a worker's file is not as it was written"))
    settled = sum(part.rows for part in parts if part.name.startswith("files/"))
    if files is not None and settled != files:
        raise ReportsLost(_lost(f"workers settled {settled} of {files} files"))
    shared.sweep({part.name for part in parts})


def _fetch_intact(shared: SharedFolder, part: Part, folder: Path) -> bool:
    """Fetch a part into the folder; False if it is not as it was written."""
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
