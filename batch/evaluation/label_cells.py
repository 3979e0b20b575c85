"""Reads the cells of a table as text: CSV of a program or spreadsheet, Excel, Parquet."""

from __future__ import annotations

import codecs
import csv
import io
import math
import zipfile
from datetime import date, datetime
from pathlib import Path

from batch.core.errors import UsageError

_SAVE_AGAIN = "Save it as CSV in UTF-8."
_EXCEL = (".xlsx", ".xlsm")

Cells = tuple[list[str], list[list[str]]]
"""Heads, and rows that are as long as the heads; "" where there is nothing."""


def read_cells(path: Path) -> Cells:
    """Heads and rows of a table; rows without any value are left out.

    Args:
        path: `.xlsx` or `.xlsm` with one sheet that is not empty, `.parquet`, and everything else
            as CSV: commas, semicolons or tabs; UTF-8, Windows-1252 (Latin-1), or UTF-16 with a byte
            order mark.

    Raises:
        UsageError: the file is absent, damaged, or of another kind.
    """
    if not path.is_file():
        raise UsageError(
            f"--labels: no file {path}; needed: a CSV, Excel or Parquet file. Correct the path."
        )
    ending = path.suffix.casefold()
    if ending in _EXCEL:
        return _of_excel(path)
    if ending in (".parquet", ".pq"):
        return _of_parquet(path)
    if ending in (".xls", ".ods", ".json", ".xml"):
        raise UsageError(
            f"--labels: found {path.name}; allowed: CSV, Excel (.xlsx) and Parquet. Save it as one "
            "of them."
        )
    return _of_csv(path)


def _of_excel(path: Path) -> Cells:
    from openpyxl import load_workbook  # late: only Excel files need it

    try:
        book = load_workbook(path, read_only=True, data_only=True)
        sheets = {
            sheet.title: [row for row in sheet.iter_rows(values_only=True) if any(map(_text, row))]
            for sheet in book.worksheets
        }
        book.close()
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, SyntaxError) as error:
        raise UsageError(
            f"--labels: {path} is no Excel file that can be read ({type(error).__name__}). "
            + _SAVE_AGAIN
        ) from error
    filled = {title: rows for title, rows in sheets.items() if rows}
    if len(filled) != 1:
        raise UsageError(
            f"--labels: {path} has {len(filled)} sheets with values: {', '.join(filled) or 'none'}"
            "; allowed: one. Save the sheet with the labels as a file of its own."
        )
    (table,) = filled.values()
    heads = [_text(value) for value in table[0]]
    while heads and not heads[-1]:
        heads.pop()
    rows = []
    for number, values in enumerate(table[1:], 2):
        cells = [_text(value) for value in values]
        if any(cell.strip() for cell in cells[len(heads) :]):
            raise UsageError(
                f"--labels: row {number} of {path} has a value in a column without a head; allowed:"
                " a head for every column. Add it, or delete the value."
            )
        rows.append((cells + [""] * len(heads))[: len(heads)])
    return heads, rows


def _of_parquet(path: Path) -> Cells:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    except (OSError, pa.ArrowException, ValueError) as error:
        raise UsageError(
            f"--labels: {path} is no Parquet file that can be read ({type(error).__name__}). "
            + _SAVE_AGAIN
        ) from error
    rows = [list(row) for row in zip(*columns, strict=True)]
    return list(table.column_names), [row for row in rows if any(cell.strip() for cell in row)]


def _text(value: object) -> str:
    """A cell as text: whole numbers without a fraction, dates as ISO 8601, nothing as ""."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def _of_csv(path: Path) -> Cells:
    text = _decoded(path)
    first, _, rest = text.partition("\n")
    delimiter = None
    if first.strip().casefold().startswith("sep=") and len(first.strip()) == len("sep=;"):
        text, delimiter = rest, first.strip()[-1]
    head = text.partition("\n")[0]
    delimiter = delimiter or max(",;\t", key=head.count)
    lines = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    rows = []
    try:
        heads = next(lines, [])
        for row in lines:
            if any(cell.strip() for cell in row[len(heads) :]):
                raise UsageError(
                    f"--labels: line {lines.line_num} of {path} has {len(row)} values; allowed: "
                    f"{len(heads)}, as many as there are columns. Put a value that holds "
                    f"{delimiter!r} in quotes."
                )
            if any(cell.strip() for cell in row):
                rows.append((row + [""] * len(heads))[: len(heads)])
    except csv.Error as error:
        raise UsageError(
            f"--labels: {path} is no CSV (from line {lines.line_num} on). {_SAVE_AGAIN}"
        ) from error
    return heads, rows


def _decoded(path: Path) -> str:
    """The file's text: UTF-16 with a byte order mark, else UTF-8, else Windows-1252."""
    try:
        data = path.read_bytes()
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return data.decode("utf-16")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if data.startswith(codecs.BOM_UTF8) or b"\0" in data:  # broken UTF-8, or no text
                raise
            return data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--labels: {path} is no CSV in UTF-8, Windows-1252 or marked UTF-16. {_SAVE_AGAIN}"
        ) from error
    except OSError as error:
        raise UsageError(
            f"--labels: {path} cannot be read ({error.strerror}). Check its permissions."
        ) from error
