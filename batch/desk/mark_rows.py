"""Rows of `reviewed-desk.csv`: what the desk writes, and how it reads its own rows back. Pure.

The columns begin with those that every file with marks has, so that a night reads the file like any
other. The last column has a fixed form: a row that a crash cut off is told from a whole one by it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from batch.core.text import from_spreadsheet, one_line, spreadsheet_safe
from batch.review.worklist.contract import MARK_COLUMNS

COLUMNS = (*MARK_COLUMNS, "diagnosis", "comment", "mark_id")
REVIEWER_MOST, DIAGNOSIS_MOST, COMMENT_MOST = 80, 200, 2000
"""Characters of a cell."""
_MARK_ID = re.compile(r"[0-9a-f]{32}")
_LINE_END = b"\r\n"


class NotOurRows(ValueError):
    """A file that the desk did not write; the message is a phrase of ours and quotes nothing."""


@dataclass(frozen=True)
class Decision:
    """A mark as a person asks for it, with what the page showed.

    score: None where nothing was readable. mark_id: of this click, 32 hexadecimal digits; the same
    click sent twice is one mark.
    """

    lesion_key: str
    decision: str
    reviewer: str
    score: float | None
    image_count: int
    mark_id: str
    diagnosis: str = ""
    comment: str = ""


@dataclass(frozen=True)
class DeskMark:
    """A mark that is in the file. number: of its row, 1 for the first below the heads."""

    number: int
    reviewed_at: datetime
    told: Decision


def heads() -> bytes:
    """The first row of a new file."""
    return _line(COLUMNS)


def row(told: Decision, reviewed_at: datetime) -> bytes:
    """A mark as one row, with its end."""
    return _line(
        [
            _exact(told.lesion_key),
            "",
            spreadsheet_safe(told.decision),
            spreadsheet_safe(one_line(told.reviewer, REVIEWER_MOST)),
            reviewed_at.isoformat(timespec="microseconds"),
            "" if told.score is None else repr(told.score),
            str(told.image_count),
            spreadsheet_safe(one_line(told.diagnosis, DIAGNOSIS_MOST)),
            spreadsheet_safe(one_line(told.comment, COMMENT_MOST)),
            told.mark_id,
        ]
    )


def whole_rows(data: bytes) -> tuple[int, bytes]:
    """What a crash left of a file: how many bytes of it are whole rows, and what to write then.

    A last row that lacks nothing but its end is whole, and gets its end.
    """
    end = _end_of_rows(data)
    tail = data[end:]
    if not tail:
        return end, b""
    try:
        cells = next(csv.reader(io.StringIO(tail.decode(), newline=""), strict=True), [])
    except (csv.Error, UnicodeDecodeError):
        return end, b""
    is_whole = len(cells) == len(COLUMNS) and bool(_MARK_ID.fullmatch(cells[-1].strip()))
    if is_whole:
        stripped = tail.rstrip(b"\r\n")
        return end + len(stripped), _LINE_END
    return end, b""


def read_rows(data: bytes) -> list[DeskMark]:
    """The marks of a file of whole rows, in their order.

    Raises:
        NotOurRows: it was written, or saved again, by something else.
    """
    try:
        rows = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise NotOurRows("it is no CSV in UTF-8") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise NotOurRows("its columns are not the desk's")
    return [_mark(number, cells) for number, cells in enumerate(rows[1:], 1)]


def _mark(number: int, cells: Sequence[str]) -> DeskMark:
    try:
        key, _, decision, reviewer, at, score, count, diagnosis, comment, mark_id = cells
        reviewed_at = datetime.fromisoformat(at)
        told = Decision(
            from_spreadsheet(key),
            from_spreadsheet(decision),
            from_spreadsheet(reviewer),
            float(score) if score else None,
            int(count),
            mark_id,
            from_spreadsheet(diagnosis),
            from_spreadsheet(comment),
        )
    except ValueError as error:
        raise NotOurRows(f"row {number + 1} is not as the desk writes it") from error
    if not _MARK_ID.fullmatch(mark_id) or reviewed_at.tzinfo is None:
        raise NotOurRows(f"row {number + 1} is not as the desk writes it")
    return DeskMark(number, reviewed_at, told)


def _end_of_rows(data: bytes) -> int:
    """Where the last whole row ends: a line end within quotes belongs to a cell."""
    end = 0
    for at in _row_ends(data):
        end = at
    return end


def _row_ends(data: bytes) -> Iterator[int]:
    start, quotes = 0, 0
    while (found := data.find(_LINE_END, start)) >= 0:
        quotes += data.count(b'"', start, found)
        start = found + len(_LINE_END)
        if quotes % 2 == 0:
            yield start


def _exact(key: str) -> str:
    """A lesion's key as a cell that gives back each of its characters and starts no formula."""
    return f"'{key}" if from_spreadsheet(f"'{key}") == key else key


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()
