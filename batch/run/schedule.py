"""How long a run may take: `--deadline HH:MM` and `--max-duration 3h30m`. Reads no clock."""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import datetime, timedelta

from batch.core.errors import UsageError

_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_DURATION = re.compile(r"(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,7})s)?")


def seconds_until(deadline: str, now: datetime) -> float:
    """Seconds from `now` until a local clock next shows `deadline`.

    Args:
        deadline: HH:MM.
        now: local time, without a zone or with one that has summer time.

    Raises:
        UsageError: the deadline is not HH:MM.
    """
    match = _TIME.fullmatch(deadline)
    if not match:
        raise UsageError(f"--deadline: found {deadline!r}; allowed: HH:MM, 00:00 to 23:59.")
    today = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
    moments = (m for day in (0, 1) for m in _moments_of_wall_time(today + timedelta(days=day)))
    return min(moment - now.timestamp() for moment in moments if moment > now.timestamp())


def _moments_of_wall_time(wall: datetime) -> set[float]:
    """When a local clock shows this time, in seconds since 1970.

    In the hour that comes twice at the end of summer time there are two moments. For a time in the
    hour that is skipped at its beginning, it is the moment of the change.
    """
    first, second = (wall.replace(fold=fold).timestamp() for fold in (0, 1))
    if second >= first:
        return {first, second}
    seconds = range(int(second), int(first) + 1)

    def is_past(moment: int) -> bool:
        shown = datetime.fromtimestamp(moment, wall.tzinfo)
        return shown.replace(tzinfo=None) >= wall.replace(tzinfo=None)

    return {float(seconds[bisect_left(seconds, True, key=is_past)])}


def duration_seconds(words: str) -> float:
    """Read a duration like 90s, 45m, 3h or 3h30m, in seconds.

    Raises:
        UsageError: it has another form.
    """
    match = _DURATION.fullmatch(words)
    if not words or not match:
        raise UsageError(
            f"--max-duration: found {words!r}; allowed: a duration like 3h, 45m, 90s or 3h30m."
        )
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 3600.0 * hours + 60.0 * minutes + seconds


class TimeAllowance:
    """Decides whether another segment fits into the time of a run. seconds: None without limit."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._per_file = 0.0

    def fits(self, elapsed: float, files: int) -> bool:
        """Whether a segment of so many files would end in time at the slowest pace so far.

        The first segment is begun whenever any time is left, so that every night makes progress.
        """
        if self._seconds is None:
            return True
        return elapsed < self._seconds and elapsed + files * self._per_file <= self._seconds

    def learn(self, files: int, seconds: float) -> None:
        """Take note of the pace of a segment."""
        self._per_file = max(self._per_file, seconds / max(files, 1))
