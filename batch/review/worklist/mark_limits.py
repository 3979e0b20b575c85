"""Marks that are dated after they were read: nobody can have looked at a lesion tomorrow. Pure.

Such a mark would hide every later alert of its lesion, and no proper mark would be newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta

from batch.review.worklist.marks import Marks
from batch.review.worklist.previous_list import Row

GRACE = timedelta(minutes=1)
"""The clocks of two machines may differ by so much."""
_BEFORE = timedelta(microseconds=1)


def without_future(marks: Marks, until: datetime, now: datetime) -> Marks:
    """The marks that can have been made by now; the others are problems.

    Args:
        until: what stands on a list from then on, no mark can have seen: the start of a night that
            is being made, or now for a list made anew. A later mark counts as made just before.
        now: the clock as the marks are read; not before `until`.
    """
    found, problems = [], []
    for mark in marks.found:
        at = mark.reviewed_at
        if at > now + GRACE and not _is_whole_day(at, now):
            problems.append(
                f"{mark.place} does not count: reviewed_at is in the future; correct the date."
            )
        else:
            found.append(replace(mark, reviewed_at=min(at, until - _BEFORE)))
    lost = marks.rows_lost + len(problems)
    return Marks(tuple(found), (*marks.problems, *problems), lost)


def remembered_until(rows: Sequence[Row], night: str) -> tuple[Row, ...]:
    """The rows of a list, whose marks were all made before it, whatever their dates say.

    Args:
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
    """Whether it is today's date without a time, which stands for the end of the day."""
    local, today = at.astimezone(), now.astimezone()
    return local.date() == today.date() and local.time() == time.max
