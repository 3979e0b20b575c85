"""Reads the rows of files with marks as browsers and spreadsheets write them.

A browser names its second download `reviewed (1).csv`. A spreadsheet may separate cells by
semicolons or tabs, begin the file with a line `sep=;`, and use the country's encoding instead of
UTF-8.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator

from batch.reports.layout import SPREADSHEET_ENDINGS, file_ending

_ENCODINGS = "UTF-8, UTF-16 or Windows-1252"


_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
                     (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


_SEPARATORS = ",;\t"


_SEPARATOR_LINE = re.compile(r"""["']?sep=(?P<separator>[^\w"'\s]|\t)["']?[;,\t]*\s*""", re.I)


_LINE_END = re.compile(r"\r\n|\r|\n")


Line = tuple[int, list[str]]
"""The number of a row's first line in the file, from 1, and its cells."""


class MarkFileUnreadable(ValueError):
    """A file with marks cannot be read; the message is a phrase of ours and quotes nothing."""


def check_kind(name: str) -> None:
    """Refuse a spreadsheet's own file by its name.

    Raises:
        MarkFileUnreadable: the name ends like a spreadsheet's.
    """
    if file_ending(name) in SPREADSHEET_ENDINGS:
        raise MarkFileUnreadable("a spreadsheet's own file is not read; save it as CSV (UTF-8)")


def lines(data: bytes) -> Iterator[Line]:
    """The rows of a CSV file that are not empty, the head first.

    Raises:
        MarkFileUnreadable: the encoding is unknown. csv.Error: the file is broken from here on.
    """
    text = _text(data)
    skipped_lines, separator = _find_head(text)
    rest = _LINE_END.split(text, skipped_lines)[-1] if skipped_lines else text
    rows = csv.reader(io.StringIO(rest, newline=""), delimiter=separator, strict=True)
    while True:
        number = skipped_lines + rows.line_num + 1
        cells = next(rows, None)
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield number, cells


def rows_in(data: bytes) -> int:
    """How many rows below its head an unreadable file may have; at least 1."""
    return max(1, sum(1 for line in data.splitlines() if line.strip(b"\x00 ;,\t")) - 1)


def _text(data: bytes) -> str:
    if data.startswith(_WORKBOOKS):
        raise MarkFileUnreadable("a spreadsheet's own file is not read; save it as CSV (UTF-8)")
    for encoding in _likely(data):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise MarkFileUnreadable(f"not {_ENCODINGS}; save it as CSV (UTF-8)")


def _likely(data: bytes) -> tuple[str, ...]:
    """Encodings to try, in this order."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return (encoding,)
    if len(data) >= 4 and not len(data) % 2:  # in UTF-16 every second byte of plain text is zero
        if data[0] and not data[1] and not data[3]:
            return ("utf-16-le",)
        if data[1] and not data[0] and not data[2]:
            return ("utf-16-be",)
    return ("utf-8", "cp1252")


def _find_head(text: str) -> tuple[int, str]:
    """How many lines precede the head, and the separator of its cells."""
    for skipped_lines, line in enumerate(_LINE_END.split(text, 100)):
        if match := _SEPARATOR_LINE.fullmatch(line):
            return skipped_lines + 1, match["separator"]
        if line.strip(_SEPARATORS + " "):
            return skipped_lines, max(_SEPARATORS, key=line.count)
    return 0, ","
