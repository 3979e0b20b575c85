"""Refuses marks with a date in the future.

Such a mark would hide every later alert of its lesion, and every correct mark would be older.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta

from batch.review.worklist.marks import Marks
from batch.review.worklist.previous_list import Row

GRACE = timedelta(minutes=1)
"""Allowed difference between the clocks of two machines."""
_BEFORE = timedelta(microseconds=1)


def without_future(marks: Marks, until: datetime, now: datetime) -> Marks:
    """Accept the marks that can have been made by now; the others become problems.

    Args:
        marks: as read.
        until: start of the night that is being made, or now for a list that is made anew. Nobody
            can have seen what is listed from then on, so a later mark counts as made just before.
        now: time at which the marks were read; not before `until`.
    """
    accepted, problems = [], []
    for mark in marks.found:
        at = mark.reviewed_at
        if at > now + GRACE and not _is_whole_day(at, now):
            problems.append(
                f"{mark.place} does not count: reviewed_at is in the future; correct the date."
            )
        else:
            accepted.append(replace(mark, reviewed_at=min(at, until - _BEFORE)))
    lost = marks.rows_lost + len(problems)
    return Marks(tuple(accepted), (*marks.problems, *problems), lost)


def with_marks_before(rows: Sequence[Row], night: str) -> tuple[Row, ...]:
    """The rows of a list, with no mark dated after the list's night.

    All marks on a list were made before its night; a later date is replaced by the night.

    Args:
        rows: of the list.
        night: start of the list's night, ISO 8601 in UTC.
    """
    start = datetime.fromisoformat(night)
    return tuple(
        {**row, "reviewed_at": night}
        if row["reviewed_at"] is not None and datetime.fromisoformat(row["reviewed_at"]) > start
        else row
        for row in rows
    )


def _is_whole_day(at: datetime, now: datetime) -> bool:
    """Whether a time is the end of today, which is how a date without a time is read."""
    local, today = at.astimezone(), now.astimezone()
    return local.date() == today.date() and local.time() == time.max
