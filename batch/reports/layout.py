"""Files with marks as browsers and spreadsheets leave them: names, encodings, separators. Pure.

A browser calls its second download `reviewed (1).csv`. A spreadsheet saves semicolons or tabs where
the decimal mark is a comma, a first line `sep=;`, and the country's encoding instead of UTF-8.
"""

from __future__ import annotations

from pathlib import PurePath

READ = (".csv", ".tsv", ".txt", ".parquet")


NOT_READ = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
"""A spreadsheet's own files: found by their name, so that nobody believes they were read."""


def is_mark_file(name: str) -> bool:
    """Whether a file of REPORTS is named as one with marks: `reviewed.csv`, `reviewed (1).csv`."""
    return name.lower().startswith("reviewed") and file_ending(name) in (*READ, *NOT_READ)


def file_ending(name: str) -> str:
    return PurePath(name).suffix.lower()
