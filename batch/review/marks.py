"""Marks: what a person decided on, read from `reviewed.csv` or a Parquet file of its columns.

A mark that cannot be understood closes nothing; it is told by file, line and column, and the others
count. Problems quote no value: they go into a log.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path

import pandas as pd

from batch.review.cells import from_spreadsheet, one_line
from batch.review.contract import MARK_COLUMNS

REOPEN = "reopen"
"""The decision that takes an earlier mark back."""
MOST_BYTES = 100_000_000
_WORD_MOST = 200
_NEEDED = ("decision", "reviewed_at")
_EXACT = ("lesion_key", "image_id")
"""Names of files and folders, which may begin or end with a space."""


@dataclass(frozen=True)
class Mark:
    """One line of reviewed.csv.

    lesion_key, image_id: one of both. reviewed_at: with time zone. score, image_count: what the
    page showed of the lesion then; None where the line does not tell.
    """

    lesion_key: str | None
    image_id: str | None
    decision: str
    reviewer: str | None
    reviewed_at: datetime
    score: float | None = None
    image_count: int | None = None

    @property
    def reopens(self) -> bool:
        """Whether it takes an earlier mark back."""
        return self.decision.casefold() == REOPEN


@dataclass(frozen=True)
class Marks:
    """What was read. problems: sentences without any value of the file."""

    found: tuple[Mark, ...] = ()
    problems: tuple[str, ...] = ()

    def __add__(self, other: Marks) -> Marks:
        return Marks(self.found + other.found, self.problems + other.problems)


def read_marks(path: Path) -> Marks:
    """Read one file, CSV or (by its name) Parquet. Raises nothing for what is in it."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return _nothing(path, f"larger than {MOST_BYTES // 10**6} MB")
        if path.suffix == ".parquet":
            return parse_rows(_parquet(path), path.name)
        return parse_csv(path.read_bytes(), path.name)
    except OSError as error:
        return _nothing(path, f"cannot be read ({error.strerror or type(error).__name__})")
    except Exception as error:  # a Parquet file that Arrow refuses, in one of many ways
        return _nothing(path, f"cannot be read ({type(error).__name__})")


def parse_csv(data: bytes, name: str) -> Marks:
    """CSV as a spreadsheet writes it: commas, semicolons or tabs; UTF-8, with or without a mark."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Marks(problems=(f"{name}: not UTF-8; no mark of it counts.",))
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found = []
    try:
        columns = [column.strip().lower() for column in rows.fieldnames or ()]
        rows.fieldnames = columns
        for row in rows:
            found.append({column: row.get(column) for column in columns if column})
    except csv.Error:
        where = f"{name}: broken CSV from line {rows.line_num} on; marks before it count."
        return parse_rows(found, name) + Marks(problems=(where,))
    if not columns:
        return Marks()
    missing = [column for column in _NEEDED if column not in columns]
    if missing or not {"lesion_key", "image_id"} & set(columns):
        return Marks(
            problems=(
                f"{name}: no column {', '.join(missing) or 'lesion_key or image_id'}; needed: "
                f"{', '.join(_NEEDED)} and lesion_key or image_id. No mark of it counts.",
            )
        )
    return parse_rows(found, name)


def parse_rows(rows: Iterable[Mapping[str, object]], name: str) -> Marks:
    """Rows with `MARK_COLUMNS` to marks; a bad row is a problem and no mark."""
    found, problems = [], []
    for line, row in enumerate(rows, 2):  # as a spreadsheet counts, below the heads
        cells = {column: _text(row.get(column)) for column in MARK_COLUMNS}
        cells |= {name: text.strip() for name, text in cells.items() if name not in _EXACT}
        if not any(text.strip() for text in cells.values()):
            continue
        try:
            found.append(_mark(cells))
        except ValueError as error:
            problems.append(f"{name}: row {line} does not count: {error}.")
    return Marks(tuple(found), tuple(problems))


def newest(marks: Sequence[Mark]) -> Mark | None:
    """The last of several by time; of equal ones the later in the file."""
    return (
        max(enumerate(marks), key=lambda pair: (pair[1].reviewed_at, pair[0]))[1] if marks else None
    )


def _mark(cells: Mapping[str, str]) -> Mark:
    if not (cells["lesion_key"].strip() or cells["image_id"].strip()):
        raise ValueError("neither lesion_key nor image_id")
    if not cells["decision"]:
        raise ValueError("no decision")
    return Mark(
        lesion_key=from_spreadsheet(cells["lesion_key"]) or None,
        image_id=from_spreadsheet(cells["image_id"]) or None,
        decision=one_line(from_spreadsheet(cells["decision"]), _WORD_MOST),
        reviewer=one_line(from_spreadsheet(cells["reviewer"]), _WORD_MOST) or None,
        reviewed_at=_instant(cells["reviewed_at"]),
        score=_score(cells["score"]),
        image_count=_count(cells["image_count"]),
    )


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        if len(text) <= len("2026-11-21"):  # a date alone is that whole day
            found = datetime.combine(found.date(), time.max)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("reviewed_at is no ISO 8601 time such as 2026-11-21T08:30Z") from error


def _score(text: str) -> float | None:
    if not text:
        return None
    try:
        score = float(text.replace(",", "."))
    except ValueError as error:
        raise ValueError("score is no number") from error
    if math.isnan(score):
        return None
    if not 0 <= score <= 1:
        raise ValueError("score is not between 0 and 1")
    return score


def _count(text: str) -> int | None:
    if not text:
        return None
    try:
        count = float(text)
    except ValueError as error:
        raise ValueError("image_count is no number") from error
    if math.isnan(count):
        return None
    if not (count.is_integer() and 1 <= count < 1e9):
        raise ValueError("image_count is no whole number of 1 or more")
    return int(count)


def _text(value: object) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _parquet(path: Path) -> list[dict[str, object]]:
    frame = pd.read_parquet(path)
    wanted = [column for column in MARK_COLUMNS if column in frame]
    return [
        {str(key): value for key, value in row.items()} for row in frame[wanted].to_dict("records")
    ]


def _nothing(path: Path, why: str) -> Marks:
    return Marks(problems=(f"{path.name}: {why}; no mark of it counts.",))
