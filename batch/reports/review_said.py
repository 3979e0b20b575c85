"""What a closing summary says of the review: its marks, from run.json. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batch.reports.run_reader import at, count, counts

_ROWS_TOLD = 5


def marks_not_understood(run: Mapping[str, Any]) -> int:
    """Rows of the files with marks that do not count; 0 where nothing was read."""
    return count(run, "review", "worklist", "marks_not_understood") or 0


def marks_complaint(run: Mapping[str, Any]) -> str | None:
    """What is to be done about marks that do not count; None where every row was understood."""
    if not (lost := marks_not_understood(run)):
        return None
    rows = "1 row" if lost == 1 else f"{lost} rows"
    return (
        f"{rows} of the files with marks cannot be understood and close nothing; the summary and "
        "the page name file and row. Mend them and run `worklist`; the list is there"
    )


def marks_lines(review: Mapping[str, Any]) -> list[str]:
    """How many marks were taken, closed nothing, were not understood, and where these stand.

    Args:
        review: of run.json. Without marks nothing is said.
    """
    made = at(review, "worklist")
    told = counts(made, "marks")
    if not any(told.values()):
        return []
    lost = told.get("not_understood", 0)
    lines = [
        f"Marks      {told.get('taken', 0):>8} taken, {told.get('without_effect', 0)} without "
        f"effect, {f'{lost} NOT UNDERSTOOD' if lost else 'all understood'}"
    ]
    for kind in ("marks_problems", "marks_of_nobody"):
        rows = [str(each) for each in at(made, kind) or ()]
        lines += [f"           {row}" for row in rows[:_ROWS_TOLD]]
        if len(rows) > _ROWS_TOLD:
            lines.append("           and more; the page names them")
    return lines
