"""When a mark was made, as a page, a person or a spreadsheet writes it. Knows no file.

A time without an offset is of this machine's time zone, and a date alone is that whole day. A date
such as 03/04/2026 can be read two ways. It is taken only when the other dates of its file rule one
out: nobody guesses when a person decided.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone

NO_TIME = "reviewed_at is no ISO 8601 time such as 2026-11-21T08:30+01:00, nor 31.10.2025 08:30"
TWO_WAYS = (
    "reviewed_at is a date that can be read two ways, day or month first, and no other date of the "
    "file tells which; write it as 2026-11-21"
)

Orders = Mapping[str, frozenset[str]]
"""Separator to the orders of day, month and year that fit every date of a file: dmy, mdy, ymd."""

_DATE = re.compile(
    r"(?P<a>\d{1,4})(?P<sep>[./-]) ?(?P<b>\d{1,2})(?P=sep) ?(?P<c>\d{1,4})\.?"
    r"(?:,? (?:um |at )?(?P<time>\d.*))?"
)
_NAMED = re.compile(
    r"(?P<a>\d{1,2})(?:\. ?|[ -])(?P<b>[^\W\d]{3,9})\.?[ -](?P<c>\d{4}|\d{2})"
    r"(?:,? (?:um |at )?(?P<time>\d.*))?"
)
_TIME = re.compile(
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d\d)(?:[:.](?P<second>\d\d)(?:[.,]\d+)?)?"
    r"(?: ?(?P<half>[ap])\.? ?m\.?)?(?: uhr)?(?: ?(?P<zone>z|utc|gmt|[+-]\d\d:?\d\d))?",
    re.IGNORECASE,
)
_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "mär": 3, "mrz": 3, "apr": 4, "may": 5, "mai": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "okt": 10, "nov": 11, "dec": 12, "dez": 12,
}  # fmt: skip
"""By their first letters, English and German."""
_LONGEST_DATE = len("2026-11-21")


def orders(texts: Iterable[str]) -> Orders:
    """What the dates of one file tell together of the order of day, month and year."""
    found: dict[str, list[frozenset[str]]] = defaultdict(list)
    for text in texts:
        if (parts := _DATE.fullmatch(_plain(text))) and (days := _days(parts)):
            found[parts["sep"]].append(frozenset(days))
    return {separator: frozenset.intersection(*each) for separator, each in found.items()}


def instant(text: str, known: Orders) -> datetime:
    """The time of a mark, in UTC.

    Args:
        known: `orders` of its file.

    Raises:
        ValueError: it is none, or can be read two ways; a phrase of ours.
    """
    try:
        found = _iso(text) or _written(_plain(text), known)
        return found.astimezone(UTC)  # a time without a zone counts as local
    except _TwoWays as error:
        raise ValueError(TWO_WAYS) from error
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(NO_TIME) from error


class _TwoWays(Exception):
    pass


def _iso(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _whole(found.date()) if len(text) <= _LONGEST_DATE else found


def _written(text: str, known: Orders) -> datetime:
    """A day as a country writes it, with a time or without."""
    if parts := _DATE.fullmatch(text):
        days = _days(parts)
        fitting = {d for order, d in days.items() if order in known.get(parts["sep"], days)}
        if len(fitting or set(days.values())) > 1:
            raise _TwoWays
        (day,) = fitting or set(days.values())
    elif parts := _NAMED.fullmatch(text):
        day = date(_year(parts["c"]), _month(parts["b"]), int(parts["a"]))
    else:
        raise ValueError
    return _at(day, parts["time"]) if parts["time"] else _whole(day)


def _days(parts: re.Match[str]) -> dict[str, date]:
    """Order to the day that it makes of three numbers; an order that makes none is left out."""
    found = {}
    for order in _possible(parts["a"], parts["sep"], parts["c"]):
        named = dict(zip(order, (parts["a"], parts["b"], parts["c"]), strict=True))
        try:
            found[order] = date(_year(named["y"]), int(named["m"]), int(named["d"]))
        except ValueError:
            continue
    return found


def _possible(first: str, separator: str, last: str) -> Iterator[str]:
    """Points are written between day, month and year, or between year, month and day."""
    if len(first) > 2:
        yield "ymd"
        return
    yield "dmy"
    if separator != ".":
        yield "mdy"
        if len(last) <= 2:
            yield "ymd"


def _year(text: str) -> int:
    if len(text) not in (2, 4):
        raise ValueError
    return int(text) + (2000 if len(text) == 2 else 0)


def _month(name: str) -> int:
    if (number := _MONTHS.get(name[:3].lower())) is None:
        raise ValueError
    return number


def _at(day: date, text: str) -> datetime:
    parts = _TIME.fullmatch(text)
    if parts is None:
        raise ValueError
    hour = int(parts["hour"])
    if half := parts["half"]:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if half in "pP" else 0)
    found = datetime.combine(day, time(hour, int(parts["minute"]), int(parts["second"] or 0)))
    return found.replace(tzinfo=_zone(parts["zone"])) if parts["zone"] else found


def _zone(text: str) -> timezone:
    if text[0] not in "+-":
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _whole(day: date) -> datetime:
    return datetime.combine(day, time.max)


def _plain(text: str) -> str:
    """Single plain spaces: spreadsheets put narrow ones that do not break before AM and PM."""
    return " ".join(text.split())
