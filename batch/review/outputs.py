"""The review worklist as files: Parquet for machines, CSV for a spreadsheet, HTML for a person."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd

from batch.core.text import spreadsheet_safe
from batch.core.times import local
from batch.reports import parquet
from batch.reports.schema import TABLES
from batch.review.inputs import WORKLIST
from batch.review.worklist.contract import LESION_COLUMNS, ReviewWorklist
from batch.review.worklist.frames import records

PAGE_ROWS = 5000
"""Most lesions, and most unreadable images, on the page; the tables hold all."""

_TIMES = [column.name for column in TABLES[WORKLIST] if column.type.startswith("timestamp")]
_BYTE_ORDER_MARK = "\ufeff"
"""Without this mark a spreadsheet reads UTF-8 as another encoding."""


def table_files(worklist: ReviewWorklist) -> dict[str, bytes]:
    """The content of `review_worklist.parquet` and `review_worklist.csv`, by name."""
    rows = [worklist_row(row, worklist.facts.run_id) for row in records(worklist.lesions)]
    return {
        f"{WORKLIST}.parquet": parquet.as_bytes(WORKLIST, rows),
        f"{WORKLIST}.csv": as_csv(worklist.lesions).encode(),
    }


def as_csv(lesions: pd.DataFrame) -> str:
    """The lesions as CSV, without formulas and line breaks in cells, with local times."""
    text = io.StringIO()
    text.write(_BYTE_ORDER_MARK)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(LESION_COLUMNS)
    for row in records(lesions):
        values = {**row, **{column: local(row[column]) for column in _TIMES}}
        writer.writerow([_cell(values[column]) for column in LESION_COLUMNS])
    return text.getvalue()


def for_page(worklist: ReviewWorklist, most: int = PAGE_ROWS) -> ReviewWorklist:
    """Cut the worklist to what the page can hold; notes name what is left out.

    Args:
        most: lesions, and unreadable images.
    """
    notes, lesions, images = list(worklist.facts.notes), worklist.lesions, worklist.images
    off_page = lesions.iloc[most:]
    if len(off_page):
        lesions = lesions.head(most)
        images = images[images["lesion_key"].isin(list(lesions["lesion_key"]))]
        notes.append(
            f"{len(off_page)} more lesions, of lower rank, are not on this page; "
            f"they stand in {WORKLIST}.csv."
        )
    unreadable = worklist.unreadable
    if len(unreadable) > most:
        unreadable = unreadable.head(most)
        notes.append(
            f"{len(worklist.unreadable) - most} more images that could not be read are not on this "
            "page; they stand in the table unscored."
        )
    return replace(
        worklist,
        lesions=lesions,
        images=images,
        unreadable=unreadable,
        off_page=off_page,
        facts=replace(worklist.facts, notes=tuple(notes)),
    )


def worklist_row(row: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """Make a row of the table `review_worklist` from a row of `LESION_COLUMNS`."""
    values = {column.name: row.get(column.name) for column in TABLES[WORKLIST]}
    for column in TABLES[WORKLIST]:
        value = values[column.name]
        if isinstance(value, float) and math.isnan(value):
            values[column.name] = None
        elif column.type.startswith("timestamp") and value is not None:
            values[column.name] = datetime.fromisoformat(value)
        elif column.type.startswith("map"):
            values[column.name] = list(dict(value or {}).items())
        elif column.type == "string" and value is not None:
            values[column.name] = str(value)
    return {**values, "run_id": run_id}


def _cell(value: Any) -> str:
    """A value as the text of a cell; empty if it is missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (bool, int, float)):
        return str(value)
    if isinstance(value, Mapping):
        value = [f"{key}={number}" for key, number in value.items()]
    if isinstance(value, (list, tuple)):
        value = "; ".join(map(str, value))
    return spreadsheet_safe(str(value))
