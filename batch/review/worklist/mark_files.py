"""Files with marks as browsers and spreadsheets leave them: names, encodings, separators. Pure.

A browser calls its second download `reviewed (1).csv`. A spreadsheet saves semicolons or tabs where
the decimal mark is a comma, a first line `sep=;`, and the country's encoding instead of UTF-8.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator

from batch.reports.layout import NOT_READ, file_ending

_ENCODINGS = "UTF-8, UTF-16 or Windows-1252"


_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
                     (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


_SEPARATORS = ",;\t"


_SEPARATOR_LINE = re.compile(r"""["']?sep=(?P<separator>[^\w"'\s]|\t)["']?[;,\t]*\s*""", re.I)


_LINE_END = re.compile(r"\r\n|\r|\n")


Line = tuple[int, list[str]]
"""The number of its first line in the file, from 1, and the cells of a row."""


class NotRead(ValueError):
    """A file that holds marks and cannot be read; the message is a phrase of ours."""


def check_kind(name: str) -> None:
    """Refuse a spreadsheet's own file by its name.

    Raises:
        NotRead: it is one.
    """
    if file_ending(name) in NOT_READ:
        raise NotRead("a spreadsheet's own file is not read; save it as CSV (UTF-8)")


def lines(data: bytes) -> Iterator[Line]:
    """Rows of a CSV file that hold anything, the head first.

    Raises:
        NotRead: no text that is known. csv.Error: from here on it is broken.
    """
    text = _text(data)
    passed, separator = _head(text)
    rest = _LINE_END.split(text, passed)[-1] if passed else text
    rows = csv.reader(io.StringIO(rest, newline=""), delimiter=separator, strict=True)
    while True:
        number = passed + rows.line_num + 1
        cells = next(rows, None)
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield number, cells


def rows_in(data: bytes) -> int:
    """How many rows a file that cannot be read may hold below its head; at least 1."""
    return max(1, sum(1 for line in data.splitlines() if line.strip(b"\x00 ;,\t")) - 1)


def _text(data: bytes) -> str:
    if data.startswith(_WORKBOOKS):
        raise NotRead("a spreadsheet's own file is not read; save it as CSV (UTF-8)")
    for encoding in _likely(data):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise NotRead(f"not {_ENCODINGS}; save it as CSV (UTF-8)")


def _likely(data: bytes) -> tuple[str, ...]:
    """Encodings to try, in this order."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return (encoding,)
    if len(data) >= 4 and not len(data) % 2:  # each second byte of plain text in UTF-16 is zero
        if data[0] and not data[1] and not data[3]:
            return ("utf-16-le",)
        if data[1] and not data[0] and not data[2]:
            return ("utf-16-be",)
    return ("utf-8", "cp1252")


def _head(text: str) -> tuple[int, str]:
    """How many lines stand before the head, and what separates its cells."""
    for passed, line in enumerate(_LINE_END.split(text, 100)):
        if found := _SEPARATOR_LINE.fullmatch(line):
            return passed + 1, found["separator"]
        if line.strip(_SEPARATORS + " "):
            return passed, max(_SEPARATORS, key=line.count)
    return 0, ","
