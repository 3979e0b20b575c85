"""Reads outcomes from `REPORTS/outcomes/` and from marks with a diagnosis.

Files are CSV as spreadsheets of any country write it, Excel workbooks (first sheet), or Parquet.
What cannot be read is a sentence that names file and row and quotes no value, since a log may hold
it; the other rows count.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from batch.core.errors import UsageError
from batch.core.text import from_spreadsheet, one_line
from batch.evaluation.label_columns import label_column, our_names
from batch.evaluation.outcome_rules import NO_DAY
from batch.evaluation.shown import UNDATED
from batch.reports.layout import file_ending, is_mark_file
from batch.review.worklist.mark_files import MarkFileUnreadable, lines, rows_in
from batch.review.worklist.mark_times import date_orders, instant

OUTCOMES = "outcomes"
MOST_BYTES = 100_000_000
KEYS: dict[str, tuple[str, ...]] = {
    "image_id": ("image_id",),
    "sop_instance_uid": ("sop_instance_uid", "sop_uid", "sopinstanceuid"),
    "content_sha256": ("content_sha256", "sha256"),
    "path": ("path", "file"),
    "image": ("image", "isic_id", "image_name"),
    "lesion": ("lesion_key", "lesion_id", "lesion"),
    "accession_number": ("accession_number", "accession", "accessionnumber"),
    "study_instance_uid": ("study_instance_uid", "study", "studyinstanceuid"),
    "patient": ("patient_key", "patient_id", "patient"),
}
"""What an outcome may be about, the most exact first, and the heads of its columns."""
DATES = ("diagnosed_at", "histology_date", "outcome_date", "date", "datum", "reviewed_at")
GROUPS: dict[str, tuple[str, ...]] = {
    "sex": ("sex",),
    "age": ("age", "age_approx"),
    "site": ("site", "anatom_site_general"),
}
COLUMNS = ("place", "label", "date", "day", "at", "is_mark", *KEYS, *GROUPS)
_LONGEST_NAME = 200


@dataclass(frozen=True)
class OutcomeRows:
    """What files hold.

    rows: `COLUMNS`, a row for each outcome with a diagnosis; text, "" if missing. is_mark: bool,
        whether a person wrote it with a mark.
    files: names of those read.
    without_label: rows without a diagnosis.
    lost: rows that were not understood, or that an unreadable file may hold.
    problems: sentences.
    """

    rows: pd.DataFrame
    files: tuple[str, ...] = ()
    without_label: int = 0
    lost: int = 0
    problems: tuple[str, ...] = field(default=())


def read_outcomes(reports: Path, maps: Iterable[str] = ()) -> OutcomeRows:
    """Read every file of outcomes, and the marks with a diagnosis, by name.

    Bad content is a problem and raises nothing.

    Args:
        reports: their folder, or its copy brought up to date.
        maps: `THEIRS=OURS`, names of columns, each for the files that have THEIRS.

    Raises:
        UsageError: a mapping has another form, or names no column that is known.
    """
    pairs = [_pair(text) for text in maps]
    parts = [_read(path, is_marks, pairs) for path, is_marks in _files(reports)]
    rows = [part.rows for part in parts if len(part.rows)]
    return OutcomeRows(
        rows=pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(COLUMNS)),
        files=tuple(name for part in parts for name in part.files),
        without_label=sum(part.without_label for part in parts),
        lost=sum(part.lost for part in parts),
        problems=tuple(problem for part in parts for problem in part.problems),
    )


def _files(reports: Path) -> Iterator[tuple[Path, bool]]:
    """Files to read, and whether they are files with marks. Hidden ones are editors' own."""
    for folder, is_marks in ((reports / OUTCOMES, False), (reports, True)):
        try:
            names = sorted(path.name for path in folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            hidden = name.startswith((".", "~$"))
            if not hidden and (is_mark_file(name) or not is_marks):
                yield folder / name, is_marks


def _read(path: Path, is_marks: bool, maps: Sequence[tuple[str, str]]) -> OutcomeRows:
    name = one_line(path.name, _LONGEST_NAME)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would never end
            return _unread(name, "cannot be read (no regular file)")
        if status.st_size > MOST_BYTES:
            return _unread(name, f"larger than {MOST_BYTES // 10**6} MB")
        heads, rows = _cells(path)
    except MarkFileUnreadable as error:
        return _unread(name, str(error), rows_in(path.read_bytes()))
    except OSError as error:
        return _unread(name, f"cannot be read ({error.strerror or type(error).__name__})")
    except Exception as error:  # readers of workbooks and Parquet raise errors of many types
        return _unread(name, f"cannot be read ({type(error).__name__})")
    if is_marks and "diagnosis" not in heads:
        return OutcomeRows(pd.DataFrame(columns=list(COLUMNS)))
    heads = [dict(maps).get(head, head) for head in heads]
    return _parsed(name, heads, rows, is_marks)


def _pair(text: str) -> tuple[str, str]:
    theirs, sign, ours = (part.strip().casefold() for part in text.partition("="))
    allowed = ("label", "date", *KEYS, *GROUPS)
    if not sign or not theirs or ours not in allowed:
        raise UsageError(
            f"--map: found {text!r}; allowed: THEIRS=OURS, where OURS is one of "
            f"{', '.join(allowed)}."
        )
    return theirs.replace(" ", "_"), ours


def _cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Folded heads, and number and cells of each row."""
    ending = file_ending(path.name)
    if ending in (".xlsx", ".xlsm"):
        table: Iterable[tuple[int, Sequence[Any]]] = enumerate(_sheet(path), 1)
    elif ending == ".parquet":
        columns = pq.read_table(path)
        body = zip(*(columns[n].to_pylist() for n in columns.column_names), strict=True)
        table = enumerate([tuple(columns.column_names), *body], 1)
    elif ending in (".csv", ".tsv", ".txt"):
        table = lines(path.read_bytes())
    else:
        raise MarkFileUnreadable("not read; allowed: .csv, .tsv, .txt, .xlsx and .parquet")
    texts = [(number, [_text(cell) for cell in cells]) for number, cells in table]
    texts = [(number, cells) for number, cells in texts if any(cells)]
    if not texts:
        return [], []
    return [head.casefold().replace(" ", "_") for head in texts[0][1]], texts[1:]


def _sheet(path: Path) -> list[tuple[Any, ...]]:
    from openpyxl import load_workbook

    book = load_workbook(path, read_only=True, data_only=True)
    try:
        return list(book.worksheets[0].iter_rows(values_only=True))
    finally:
        book.close()


def _text(cell: Any) -> str:
    """A cell as text; midnight of a workbook's date is no time, and a whole number has no point."""
    if cell is None or (isinstance(cell, float) and cell != cell):
        return ""
    if isinstance(cell, datetime):
        plain = cell.tzinfo is None and cell.time() == time.min
        return cell.date().isoformat() if plain else cell.isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return from_spreadsheet(str(cell).strip())


def _parsed(
    name: str, heads: list[str], rows: list[tuple[int, list[str]]], is_marks: bool
) -> OutcomeRows:
    wanted = {"date": DATES, **KEYS, **GROUPS}
    known = our_names(heads, ())
    place = {
        column: heads.index(alias)
        for column, aliases in wanted.items()
        for alias in [next((alias for alias in aliases if alias in heads), None)]
        if alias is not None
    }
    place |= {n: known.index(n) for n in (*KEYS, *GROUPS) if n not in place and n in known}
    if twice := [heads[at] for at in place.values() if heads.count(heads[at]) > 1]:
        return _unread(name, f"has the column {twice[0]} twice", len(rows))
    if not rows and not heads:
        return OutcomeRows(pd.DataFrame(columns=list(COLUMNS)), (name,))
    try:
        labels = _labels(heads, rows, is_marks)
    except UsageError:
        return _unread(name, "has several columns of diagnoses, or other values in one", len(rows))
    if labels is None or not any(key in place for key in KEYS):
        needed = f"needed: diagnosis, and one of {', '.join(KEYS)}; --map names others"
        return _unread(name, f"has not the columns of outcomes ({needed})", len(rows))
    dates = {cells[place["date"]] for _, cells in rows if _has(cells, place, "date")}
    orders = date_orders(dates)
    times: dict[str, tuple[int, int] | str] = {"": (NO_DAY, UNDATED)}
    found, problems, without = [], [], 0
    for (number, cells), label in zip(rows, labels, strict=True):
        if any(cells[len(heads) :]):
            problems.append(f"{name}, row {number}: more values than columns")
            continue
        row = {column: cells[at] if at < len(cells) else "" for column, at in place.items()}
        row["label"] = label
        if not row["label"]:
            without += 1
            continue
        written = row.get("date", "")
        if written not in times:
            times[written] = _day_and_instant(written, orders)
        at = times[written]
        if isinstance(at, str):
            problems.append(f"{name}, row {number}: {at}")
            continue
        found.append(
            {
                **row,
                "place": f"{name}, row {number}",
                "day": at[0],
                "at": at[1],
                "is_mark": is_marks,
            }
        )
    frame = pd.DataFrame(found, columns=list(COLUMNS), dtype=object)
    frame = frame.fillna("").astype({"day": "int64", "at": "int64", "is_mark": bool})
    return OutcomeRows(frame, (name,), without, len(problems), tuple(problems))


def _labels(
    heads: list[str], rows: list[tuple[int, list[str]]], is_marks: bool
) -> list[str] | None:
    """The label of each row, as `evaluate` finds it; of marks their diagnosis. None without any.

    Raises:
        UsageError: several columns could be it, or one of ISIC's has another value than 0 and 1.
    """
    filled = [(cells + [""] * len(heads))[: len(heads)] for _, cells in rows]
    if is_marks:
        return [cells[heads.index("diagnosis")] for cells in filled]
    return label_column(["label" if head == "outcome" else head for head in heads], filled)


def _has(cells: list[str], place: dict[str, int], column: str) -> bool:
    return column in place and place[column] < len(cells)


def _day_and_instant(text: str, orders: Any) -> tuple[int, int] | str:
    """Local day, and microseconds since 1970; of a date alone its first moment. Else the problem.

    The nights before that moment had shown their scores when the day began.
    """
    try:
        local = instant(text, orders).astimezone()
        if local.time() == time.max:  # how `instant` reads a date alone
            begin = datetime.combine(local.date(), time.min).astimezone(UTC)
        else:
            begin = local.astimezone(UTC)
        return local.date().toordinal(), round(begin.timestamp() * 1_000_000)
    except (ValueError, OverflowError, OSError) as error:
        words = str(error) if isinstance(error, ValueError) else "the date cannot be read"
        return words.replace("reviewed_at", "the date")


def _unread(name: str, why: str, rows: int = 1) -> OutcomeRows:
    empty = pd.DataFrame(columns=list(COLUMNS))
    return OutcomeRows(empty, (), 0, max(1, rows), (f"{name}: {why}",))
