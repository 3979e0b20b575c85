"""Names in a reports folder: lists made anew, and which files hold marks of reviewers."""

from __future__ import annotations

from pathlib import PurePath

WORKLIST_FOLDER = "worklist"
"""Where a list that is made anew lies."""

READ = (".csv", ".tsv", ".txt", ".parquet")
NOT_READ = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
"""A spreadsheet's own files: found by their name, so that nobody believes they were read."""


def is_mark_file(name: str) -> bool:
    """Whether a file of REPORTS is named as one with marks: `reviewed.csv`, `reviewed (1).csv`."""
    return name.lower().startswith("reviewed") and file_ending(name) in (*READ, *NOT_READ)


def file_ending(name: str) -> str:
    """The last extension of a name, in lower case and with its dot."""
    return PurePath(name).suffix.lower()
