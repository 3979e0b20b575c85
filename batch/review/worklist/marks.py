"""Marks: decisions of people, read from `reviewed*.csv` or a Parquet file with the same columns.

A mark that cannot be understood closes nothing. A sentence names its file and row; the other marks
count. These sentences quote no value, since a log holds them.
"""

from __future__ import annotations

import csv
import math
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

from batch.core.text import from_spreadsheet, one_line
from batch.review.worklist.contract import MARK_COLUMNS
from batch.review.worklist.mark_files import Line, MarkFileUnreadable, check_kind, lines, rows_in
from batch.review.worklist.mark_times import DateOrders, date_orders, instant

REOPEN = "reopen"
"""The decision that takes an earlier mark back."""
MOST_BYTES = 100_000_000
_LONGEST_WORD = 200
_REQUIRED = ("decision", "reviewed_at")
_FILLED_BY_A_PERSON = ("decision", "reviewer", "reviewed_at")
_UNSTRIPPED = ("lesion_key", "image_id")
"""These may hold names of files or folders, which may begin or end with a space."""


@dataclass(frozen=True)
class Mark:
    """A row of a file with marks.

    lesion_key, image_id: at least one of them.
    decision: free words; `REOPEN` takes an earlier mark back.
    reviewer: who decided, if given.
    reviewed_at: with time zone.
    score, image_count: of the lesion on the page when it was marked, if given.
    place: file and row, for a person.
    """

    lesion_key: str | None
    image_id: str | None
    decision: str
    reviewer: str | None
    reviewed_at: datetime
    score: float | None = None
    image_count: int | None = None
    place: str = field(default="", compare=False)

    @property
    def reopens(self) -> bool:
        """Whether it takes an earlier mark back."""
        return self.decision.casefold() == REOPEN


@dataclass(frozen=True)
class Marks:
    """What was read from files with marks.

    found: the marks that were understood.
    problems: sentences, one for a row or a whole file, which quote no value.
    rows_lost: rows that were not understood, or that an unreadable file may hold.
    """

    found: tuple[Mark, ...] = ()
    problems: tuple[str, ...] = ()
    rows_lost: int = 0

    def __add__(self, other: Marks) -> Marks:
        return Marks(
            self.found + other.found,
            self.problems + other.problems,
            self.rows_lost + other.rows_lost,
        )

    @property
    def not_understood(self) -> int:
        """Number of rows that hold or may hold a mark and do not count."""
        return max(len(self.problems), self.rows_lost)


def read_marks(path: Path) -> Marks:
    """Read a file, CSV or, by its name, Parquet. Bad content is a problem and raises nothing."""
    name = one_line(path.name, _LONGEST_WORD)  # messages show it
    try:
        check_kind(name)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would never end
            return _file_problem(name, "cannot be read (no regular file)")
        if status.st_size > MOST_BYTES:
            return _file_problem(name, f"larger than {MOST_BYTES // 10**6} MB")
        if path.suffix.lower() == ".parquet":
            return parse_rows(_parquet(path), name)
        return parse_csv(path.read_bytes(), name)
    except MarkFileUnreadable as error:
        return _file_problem(name, str(error))
    except OSError as error:
        return _file_problem(name, f"cannot be read ({error.strerror or type(error).__name__})")
    except Exception as error:  # Arrow refuses a Parquet file with errors of many types
        return _file_problem(name, f"cannot be read ({type(error).__name__})")


def parse_csv(data: bytes, name: str) -> Marks:
    """Read marks from CSV as a browser or a spreadsheet of any country writes it."""
    parsed_lines: list[Line] = []
    broken = Marks()
    try:
        for row in lines(data):
            parsed_lines.append(row)
    except MarkFileUnreadable as error:
        return _file_problem(name, str(error), rows_in(data))
    except csv.Error:
        line = parsed_lines[-1][0] + 1 if parsed_lines else 1
        broken = Marks((), (f"{name}: broken CSV from row {line} on; marks before it count.",),
                       max(1, rows_in(data) + 1 - len(parsed_lines)))  # fmt: skip
    if not parsed_lines:
        return broken
    columns = [column.strip().lower() for column in parsed_lines[0][1]]
    missing = [column for column in _REQUIRED if column not in columns]
    if missing or not {"lesion_key", "image_id"} & set(columns):
        needed = f"{', '.join(_REQUIRED)} and lesion_key or image_id"
        lacking = ", ".join(missing) or "lesion_key or image_id"
        problem = f"no column {lacking}; needed: {needed}"
        return _file_problem(name, problem, len(parsed_lines) - 1) + broken
    rows = [
        (line, dict(zip(reversed(columns), reversed(_as_long_as(columns, cells)), strict=True)))
        for line, cells in parsed_lines[1:]
    ]
    return _rows(rows, name) + broken


def parse_rows(rows: Iterable[Mapping[str, object]], name: str) -> Marks:
    """Read marks from rows with `MARK_COLUMNS`; a bad row is a problem and no mark."""
    return _rows(enumerate(rows, 2), name)  # numbers as in a spreadsheet, where row 1 is the head


def newest(marks: Sequence[Mark]) -> Mark | None:
    """The latest mark; of marks with the same time the last in the file."""
    return (
        max(enumerate(marks), key=lambda pair: (pair[1].reviewed_at, pair[0]))[1] if marks else None
    )


def _rows(rows: Iterable[tuple[int, Mapping[str, object]]], name: str) -> Marks:
    """Read marks from the numbered rows of a file."""
    filled_rows = []
    for number, row in rows:
        cells = {column: _text(row.get(column)) for column in MARK_COLUMNS}
        cells |= {name: text.strip() for name, text in cells.items() if name not in _UNSTRIPPED}
        if any(cells[column] for column in _FILLED_BY_A_PERSON):  # else nobody has marked it yet
            filled_rows.append((number, cells))
    orders = date_orders(cells["reviewed_at"] for _, cells in filled_rows)
    marks, problems = [], []
    for number, cells in filled_rows:
        try:
            marks.append(_mark(cells, orders, f"{name}: row {number}"))
        except ValueError as error:
            problems.append(f"{name}: row {number} does not count: {error}.")
    return Marks(tuple(marks), tuple(problems), len(problems))


def _mark(cells: Mapping[str, str], orders: DateOrders, place: str) -> Mark:
    if not (cells["lesion_key"].strip() or cells["image_id"].strip()):
        raise ValueError("neither lesion_key nor image_id")
    if not cells["decision"]:
        raise ValueError("no decision")
    return Mark(
        lesion_key=from_spreadsheet(cells["lesion_key"]) or None,
        image_id=from_spreadsheet(cells["image_id"]) or None,
        decision=one_line(from_spreadsheet(cells["decision"]), _LONGEST_WORD),
        reviewer=one_line(from_spreadsheet(cells["reviewer"]), _LONGEST_WORD) or None,
        reviewed_at=instant(from_spreadsheet(cells["reviewed_at"]), orders),
        score=_score(cells["score"]),
        image_count=_count(cells["image_count"]),
        place=place,
    )


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
        count = float(text.replace(",", "."))
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
    columns = [column for column in MARK_COLUMNS if column in frame]
    return [
        {str(key): value for key, value in row.items()} for row in frame[columns].to_dict("records")
    ]


def _as_long_as(columns: Sequence[str], cells: Sequence[str]) -> list[str]:
    """The cells of a row, cut or filled with empty ones to the number of columns."""
    return [*cells, *[""] * len(columns)][: len(columns)]


def _file_problem(name: str, why: str, rows: int = 1) -> Marks:
    return Marks((), (f"{name}: {why}; no mark of it counts.",), rows)
