"""Marks: what a person decided on, read from `reviewed*.csv` or a Parquet file of its columns.

A mark that cannot be understood closes nothing; it is told by file, row and column, and the others
count. Problems quote no value: they go into a log.
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
from batch.review.worklist.mark_files import Line, NotRead, check_kind, lines, rows_in
from batch.review.worklist.mark_times import Orders, instant, orders

REOPEN = "reopen"
"""The decision that takes an earlier mark back."""
MOST_BYTES = 100_000_000
_WORD_MOST = 200
_NEEDED = ("decision", "reviewed_at")
_SAYS = ("decision", "reviewer", "reviewed_at")
_EXACT = ("lesion_key", "image_id")
"""Names of files and folders, which may begin or end with a space."""


@dataclass(frozen=True)
class Mark:
    """One line of reviewed.csv.

    lesion_key, image_id: one of both. reviewed_at: with time zone. score, image_count: what the
    page showed of the lesion then; None where the line does not tell. place: file and row, for a
    person.
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
    """What was read.

    problems: sentences without any value of a file, each of a row or of a whole file. rows_lost:
    rows in the files that were not read, or not to their end.
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
        """Rows that hold a mark, or may hold one, and do not count."""
        return max(len(self.problems), self.rows_lost)


def read_marks(path: Path) -> Marks:
    """Read one file, CSV or (by its name) Parquet. Raises nothing for what is in it."""
    name = one_line(path.name, _WORD_MOST)  # it is printed
    try:
        check_kind(name)
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would never end
            return _nothing(name, "cannot be read (no regular file)")
        if found.st_size > MOST_BYTES:
            return _nothing(name, f"larger than {MOST_BYTES // 10**6} MB")
        if path.suffix.lower() == ".parquet":
            return parse_rows(_parquet(path), name)
        return parse_csv(path.read_bytes(), name)
    except NotRead as error:
        return _nothing(name, str(error))
    except OSError as error:
        return _nothing(name, f"cannot be read ({error.strerror or type(error).__name__})")
    except Exception as error:  # a Parquet file that Arrow refuses, in one of many ways
        return _nothing(name, f"cannot be read ({type(error).__name__})")


def parse_csv(data: bytes, name: str) -> Marks:
    """CSV as a browser or a spreadsheet of any country writes it; see `mark_files`."""
    found: list[Line] = []
    broken = Marks()
    try:
        for row in lines(data):
            found.append(row)
    except NotRead as error:
        return _nothing(name, str(error), rows_in(data))
    except csv.Error:
        line = found[-1][0] + 1 if found else 1
        broken = Marks((), (f"{name}: broken CSV from row {line} on; marks before it count.",),
                       max(1, rows_in(data) + 1 - len(found)))  # fmt: skip
    if not found:
        return broken
    columns = [column.strip().lower() for column in found[0][1]]
    missing = [column for column in _NEEDED if column not in columns]
    if missing or not {"lesion_key", "image_id"} & set(columns):
        needed = f"{', '.join(_NEEDED)} and lesion_key or image_id"
        lacking = ", ".join(missing) or "lesion_key or image_id"
        return _nothing(name, f"no column {lacking}; needed: {needed}", len(found) - 1) + broken
    rows = [
        (line, dict(zip(reversed(columns), reversed(_as_long_as(columns, cells)), strict=True)))
        for line, cells in found[1:]
    ]
    return _rows(rows, name) + broken


def parse_rows(rows: Iterable[Mapping[str, object]], name: str) -> Marks:
    """Rows with `MARK_COLUMNS` to marks; a bad row is a problem and no mark."""
    return _rows(enumerate(rows, 2), name)  # as a spreadsheet counts, below the heads


def newest(marks: Sequence[Mark]) -> Mark | None:
    """The last of several by time; of equal ones the later in the file."""
    return (
        max(enumerate(marks), key=lambda pair: (pair[1].reviewed_at, pair[0]))[1] if marks else None
    )


def _rows(rows: Iterable[tuple[int, Mapping[str, object]]], name: str) -> Marks:
    """Numbered rows of one file to marks."""
    told = []
    for number, row in rows:
        cells = {column: _text(row.get(column)) for column in MARK_COLUMNS}
        cells |= {name: text.strip() for name, text in cells.items() if name not in _EXACT}
        if any(cells[column] for column in _SAYS):  # a lesion that nobody has marked yet is no mark
            told.append((number, cells))
    known = orders(cells["reviewed_at"] for _, cells in told)
    found, problems = [], []
    for number, cells in told:
        try:
            found.append(_mark(cells, known, f"{name}: row {number}"))
        except ValueError as error:
            problems.append(f"{name}: row {number} does not count: {error}.")
    return Marks(tuple(found), tuple(problems), len(problems))


def _mark(cells: Mapping[str, str], known: Orders, place: str) -> Mark:
    if not (cells["lesion_key"].strip() or cells["image_id"].strip()):
        raise ValueError("neither lesion_key nor image_id")
    if not cells["decision"]:
        raise ValueError("no decision")
    return Mark(
        lesion_key=from_spreadsheet(cells["lesion_key"]) or None,
        image_id=from_spreadsheet(cells["image_id"]) or None,
        decision=one_line(from_spreadsheet(cells["decision"]), _WORD_MOST),
        reviewer=one_line(from_spreadsheet(cells["reviewer"]), _WORD_MOST) or None,
        reviewed_at=instant(from_spreadsheet(cells["reviewed_at"]), known),
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
    wanted = [column for column in MARK_COLUMNS if column in frame]
    return [
        {str(key): value for key, value in row.items()} for row in frame[wanted].to_dict("records")
    ]


def _as_long_as(columns: Sequence[str], cells: Sequence[str]) -> list[str]:
    """The cells of a row that have a column; a short row ends in empty ones."""
    return [*cells, *[""] * len(columns)][: len(columns)]


def _nothing(name: str, why: str, rows: int = 1) -> Marks:
    return Marks((), (f"{name}: {why}; no mark of it counts.",), rows)
