"""Rows to Parquet and back, strictly by the published columns. The only importer of pyarrow.

An unknown or missing column, or a null where none is allowed, is an error: Arrow alone would drop
the one and null the other in silence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.errors import SchemaMismatch
from batch.reports.columns import SCHEMA_VERSION, TABLES

ROW_GROUP_ROWS = 100_000
FILE_ROWS = 1_000_000
"""A million rows of predictions are about 100 MB: one file for most nights, never a huge one."""

_TYPES = {
    "string": pa.string(),
    "binary": pa.binary(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "list<string>": pa.list_(pa.string()),
    "map<string, double>": pa.map_(pa.string(), pa.float64()),
    "timestamp[us, UTC]": pa.timestamp("us", "UTC"),
}


def schema(table: str) -> pa.Schema:
    """The Arrow schema of a table, with its version in the metadata."""
    fields = [
        pa.field(column.name, _TYPES[column.type], column.nullable) for column in TABLES[table]
    ]
    return pa.schema(fields, {"melanoma_batch_schema_version": str(SCHEMA_VERSION)})


def to_arrow(table: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows to an Arrow table.

    Raises:
        SchemaMismatch: names table and column.
    """
    columns = TABLES[table]
    wanted = {column.name for column in columns}
    for row in rows:
        if row.keys() != wanted:
            unknown, missing = sorted(row.keys() - wanted), sorted(wanted - row.keys())
            raise SchemaMismatch(f"{table}: unknown columns {unknown}, missing columns {missing}.")
    arrays = [pa.array([row[c.name] for row in rows], _TYPES[c.type]) for c in columns]
    for column, array in zip(columns, arrays, strict=True):
        if array.null_count and not column.nullable:
            raise SchemaMismatch(f"{table}: null in column {column.name}, which allows none.")
    return pa.table(arrays, schema=schema(table))


def write_part(table: str, rows: Iterable[dict[str, Any]], path: Path) -> int:
    """Write one Parquet file, complete or not at all; the number of rows.

    Rows are sorted by path and frame, so a retried or resumed write gives the same file.
    """
    ordered = sorted(rows, key=lambda row: (str(row["path"]), row.get("frame_number") or 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(to_arrow(table, ordered), temporary, compression="zstd")
    os.replace(temporary, path)
    return len(ordered)


def gather(table: str, parts: Sequence[Path], folder: Path) -> int:
    """Join a run's parts into files of at most `FILE_ROWS` rows; the number of rows.

    Without any part, one file without rows, so that a reader always finds the columns.
    """
    folder.mkdir(parents=True)
    writer, written, total = None, 0, 0
    for batch in _checked_batches(table, parts):
        if writer is None or written >= FILE_ROWS:
            if writer is not None:
                writer.close()
            writer = _writer(table, folder / f"part-{total // FILE_ROWS:05d}.parquet")
            written = 0
        writer.write_table(batch)
        written += len(batch)
        total += len(batch)
    if writer is None:
        writer = _writer(table, folder / "part-00000.parquet")
    writer.close()
    return total


def gather_alerts(parts: Sequence[Path], path: Path) -> int:
    """Join the alerts of a run into one file, highest melanoma score first; the number of rows."""
    found = [pq.read_table(part, schema=schema("alerts")) for part in parts]
    alerts = pa.concat_tables(found) if found else schema("alerts").empty_table()
    keys = [("melanoma_score", "descending"), ("path", "ascending"), ("frame_number", "ascending")]
    alerts = alerts.take(pc.sort_indices(alerts, sort_keys=keys))
    pq.write_table(alerts, path, compression="zstd")
    return len(alerts)


def count_by(
    folder: Path, columns: Sequence[str], sums: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Rows of a dataset counted by columns: dicts with these columns, `rows` and each sum."""
    table = pq.read_table(folder, columns=[*columns, *sums])
    aggregated = table.group_by(list(columns)).aggregate(
        [([], "count_all"), *((s, "sum") for s in sums)]
    )
    names = {"count_all": "rows", **{f"{s}_sum": s for s in sums}}
    return [
        {names.get(key, key): value for key, value in row.items()} for row in aggregated.to_pylist()
    ]


def count_rows(folder: Path) -> int:
    """Rows of a dataset, from its metadata."""
    return sum(pq.read_metadata(part).num_rows for part in sorted(folder.glob("*.parquet")))


def count_distinct_paths(folder: Path) -> int:
    """Different files in a dataset."""
    table = pq.read_table(folder, columns=["path", "path_bytes"])
    return len(table.group_by(["path", "path_bytes"]).aggregate([]))


def _checked_batches(table: str, parts: Sequence[Path]) -> Iterator[pa.Table]:
    """The parts' rows in large tables, each part with exactly the published columns."""
    waiting: list[pa.Table] = []
    for part in parts:
        found = pq.read_table(part)
        if found.schema != schema(table):
            raise SchemaMismatch(f"{table}: a part has other columns than published.")
        waiting.append(found)
        if sum(len(t) for t in waiting) >= ROW_GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _writer(table: str, path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema(table), compression="zstd")
