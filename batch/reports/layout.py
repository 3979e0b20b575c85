"""Names in a reports folder: lists made anew, and which files hold marks of reviewers."""

from __future__ import annotations

from pathlib import PurePath

WORKLIST_FOLDER = "worklist"
"""Where a list that is made anew lies."""

MARK_ENDINGS = (".csv", ".tsv", ".txt", ".parquet")
SPREADSHEET_ENDINGS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
"""Spreadsheets' own formats. They count as files with marks, so that a message says that they were
not read."""


def is_mark_file(name: str) -> bool:
    """Whether a file of REPORTS is named as one with marks: `reviewed.csv`, `reviewed (1).csv`."""
    endings = (*MARK_ENDINGS, *SPREADSHEET_ENDINGS)
    return name.lower().startswith("reviewed") and file_ending(name) in endings


def file_ending(name: str) -> str:
    """The last extension of a name, in lower case and with its dot."""
    return PurePath(name).suffix.lower()
