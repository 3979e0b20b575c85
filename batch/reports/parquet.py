"""Writes and reads Parquet with exactly the published columns.

An unknown or missing column, or a null where none is allowed, is an error. Arrow alone would drop
an unknown column and fill a missing one with nulls, without a word.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.core.errors import SchemaMismatch
from batch.reports.rows import ESCAPED_BYTE, path_columns
from batch.reports.schema import ADDED_COLUMNS, SCHEMA_VERSION, TABLES

ROW_GROUP_ROWS = 20_000
FILE_ROWS = 1_000_000
"""A million rows of predictions take about 100 MB, so most nights have one file."""

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
    """The Arrow schema of a table; its metadata hold the schema version."""
    fields = [
        pa.field(column.name, _TYPES[column.type], column.nullable) for column in TABLES[table]
    ]
    return pa.schema(fields, {"melanoma_batch_schema_version": str(SCHEMA_VERSION)})


def to_arrow(table: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Make an Arrow table of rows.

    Raises:
        SchemaMismatch: the columns are wrong; the message names table and column.
    """
    columns = TABLES[table]
    names = {column.name for column in columns}
    for row in rows:
        if row.keys() != names:
            unknown, missing = sorted(row.keys() - names), sorted(names - row.keys())
            raise SchemaMismatch(f"{table}: unknown columns {unknown}, missing columns {missing}.")
    arrays = [pa.array([row[c.name] for row in rows], _TYPES[c.type]) for c in columns]
    for column, array in zip(columns, arrays, strict=True):
        if array.null_count and not column.nullable:
            raise SchemaMismatch(f"{table}: null in column {column.name}, which allows none.")
    return pa.table(arrays, schema=schema(table))


def write_part(table: str, rows: Iterable[dict[str, Any]], path: Path) -> int:
    """Write a Parquet file, complete or not at all, and return the number of rows.

    Rows are sorted by path and frame, so writing again gives the same file. The parent of the
    table's folder must exist, so that a deleted reports folder is not made again.
    """
    ordered = in_order(rows)
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(to_arrow(table, ordered), temporary, compression="zstd")
    os.replace(temporary, path)
    return len(ordered)


def in_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows sorted by path and frame."""
    return sorted(rows, key=lambda row: (str(row["path"]), row.get("frame_number") or 0))


def write_dataset(table: str, batches: Iterable[pa.Table], folder: Path) -> int:
    """Write tables as files of about `FILE_ROWS` rows, and return the number of rows.

    Without rows, one empty file is written, so that a reader always finds the columns.
    """
    folder.mkdir(parents=True)
    writer, written, total = None, 0, 0
    for batch in _in_large_tables(batches):
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


def as_bytes(table: str, rows: Sequence[dict[str, Any]]) -> bytes:
    """The content of a Parquet file with these rows, in their order."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema(table), compression="zstd") as writer:
        for start in range(0, len(rows), ROW_GROUP_ROWS):
            writer.write_table(to_arrow(table, rows[start : start + ROW_GROUP_ROWS]))
    return sink.getvalue().to_pybytes()


def write_alerts(tables: Sequence[pa.Table], path: Path) -> int:
    """Write the alerts of a night to a file, highest score first, and return their number."""
    alerts = pa.concat_tables([schema("alerts").empty_table(), *tables])
    keys = [("melanoma_score", "descending"), ("path", "ascending"), ("frame_number", "ascending")]
    order = pc.sort_indices(alerts, sort_keys=keys)
    with _writer("alerts", path) as writer:
        for start in range(0, len(alerts), ROW_GROUP_ROWS):
            writer.write_table(alerts.take(order.slice(start, ROW_GROUP_ROWS)))
    return len(alerts)


def copy_dataset(table: str, folder: Path, file: Path) -> int:
    """Copy a dataset into one file, complete or not at all, and return the number of rows."""
    temporary, rows = file.with_name(f".{file.name}.{os.getpid()}.tmp"), 0
    try:
        with _writer(table, temporary) as writer:
            for batch in _in_large_tables(stream(table, folder)):
                writer.write_table(batch)
                rows += len(batch)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def read_part(table: str, path: Path) -> pa.Table:
    """Read a Parquet file with exactly the published columns.

    Raises:
        SchemaMismatch: it has other columns.
    """
    rows = pq.read_table(path)
    if rows.schema != schema(table):
        raise SchemaMismatch(f"{table}: a part has other columns than published.")
    return rows


def read_part_of_any_version(table: str, path: Path) -> pa.Table:
    """As `read_part`, but columns that the version of the file does not have yet are null."""
    return _with_columns(table, pq.read_table(path), schema(table), False)


def stream(
    table: str, folder: Path | None, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Read a dataset in its order on disk, a row group at a time; nothing without a folder.

    Args:
        columns: only these, in this order; None for all. A column that the version of a file does
            not have yet is null.
    """
    expected = schema(table)
    if columns is not None:
        expected = pa.schema([expected.field(name) for name in columns], expected.metadata)
    for part in _parts(folder):
        file = pq.ParquetFile(part)
        for number in range(file.num_row_groups):
            rows = file.read_row_group(number, columns=columns)
            yield _with_columns(table, rows, expected, columns is not None)


def _with_columns(table: str, rows: pa.Table, expected: pa.Schema, is_selection: bool) -> pa.Table:
    """Rows with the columns of the present version; columns that came later are null."""
    added = {name for names in ADDED_COLUMNS.get(table, {}).values() for name in names}
    missing = [name for name in expected.names if name in added and name not in rows.column_names]
    for name in missing:
        field = expected.field(name)
        rows = rows.append_column(field, pa.nulls(len(rows), field.type))
    return (rows.select(expected.names) if missing or is_selection else rows).cast(expected)


def read_columns(table: str, folder: Path | None, columns: Sequence[str]) -> pa.Table:
    """Read columns of a dataset in its order on disk; no rows without a folder.

    A column that the version of a file does not have yet is null.
    """
    no_rows = schema(table).empty_table().select(list(columns))
    tables = []
    for part in _parts(folder):
        names_in_part = set(pq.read_schema(part).names)
        rows = pq.read_table(part, columns=[name for name in columns if name in names_in_part])
        tables.append(_with_columns(table, rows, no_rows.schema, True))
    return pa.concat_tables([no_rows, *tables])


def read_file_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read columns of one file, of any version."""
    return pq.read_table(path, columns=list(columns))


def with_column(rows: pa.Table, name: str, values: Any) -> pa.Table:
    """The rows with other values in a column, which keeps its type."""
    index = rows.schema.get_field_index(name)
    field = rows.schema.field(index)
    return rows.set_column(index, field, pc.cast(values, field.type))


def with_constant(rows: pa.Table, name: str, value: str) -> pa.Table:
    """The rows with one text in a column."""
    return with_column(rows, name, pa.repeat(pa.scalar(value), len(rows)))


def from_columns(
    table: str, keys: pa.ChunkedArray, columns: Mapping[str, Any], constants: Mapping[str, Any]
) -> pa.Table:
    """Make rows of a table from columns.

    Args:
        keys: file names as bytes.
        columns: name to array.
        constants: name to one value for all rows.
    """
    count, types = len(keys), {column.name: _TYPES[column.type] for column in TABLES[table]}
    values: dict[str, Any] = {**_path_columns(keys), **columns}
    for name, value in constants.items():
        values[name] = pa.repeat(pa.scalar(value, types[name]), count)
    arrays = [pc.cast(values[column.name], types[column.name]) for column in TABLES[table]]
    return pa.table(arrays, schema=schema(table))


def _path_columns(keys: pa.ChunkedArray) -> dict[str, Any]:
    try:
        paths = pc.cast(keys, pa.string())
        is_unescaped = not pc.any(pc.match_substring_regex(paths, ESCAPED_BYTE.pattern)).as_py()
    except pa.ArrowInvalid:  # a name that is not UTF-8
        is_unescaped = False
    if is_unescaped:
        return {"path": paths, "path_bytes": pa.nulls(len(keys), pa.binary())}
    rows = [path_columns(os.fsdecode(key)) for key in keys.to_pylist()]
    return {name: pa.array([row[name] for row in rows]) for name in ("path", "path_bytes")}


def _parts(folder: Path | None) -> list[Path]:
    return sorted(folder.glob("*.parquet")) if folder else []


def count_by(
    folder: Path, columns: Sequence[str], sums: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Count the rows of a dataset by columns: dicts with these columns, `rows` and each sum."""
    table = pq.read_table(folder, columns=[*columns, *sums])
    aggregated = table.group_by(list(columns)).aggregate(
        [([], "count_all"), *((s, "sum") for s in sums)]
    )
    names = {"count_all": "rows", **{f"{s}_sum": s for s in sums}}
    return [
        {names.get(key, key): value for key, value in row.items()} for row in aggregated.to_pylist()
    ]


def count_rows(folder: Path) -> int:
    """Number of rows of a dataset, from its metadata."""
    return sum(pq.read_metadata(part).num_rows for part in sorted(folder.glob("*.parquet")))


def count_distinct(folder: Path, columns: Sequence[str]) -> int:
    """Number of different combinations of values in a dataset."""
    table = pq.read_table(folder, columns=list(columns))
    return len(table.group_by(list(columns)).aggregate([]))


def _in_large_tables(batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of at least a row group's size; only the last may be smaller."""
    waiting: list[pa.Table] = []
    for batch in batches:
        if len(batch):
            waiting.append(batch)
        if sum(len(table) for table in waiting) >= ROW_GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _writer(table: str, path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema(table), compression="zstd")
