"""Reads the time of a mark as the page, a person or a spreadsheet writes it.

A time without an offset is in this machine's time zone. A date alone means the end of that day. A
date such as 03/04/2026 has two readings. It is accepted only if the other dates of its file rule
one of them out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone

NO_TIME = "reviewed_at is no ISO 8601 time such as 2026-11-21T08:30+01:00, nor 31.10.2025 08:30"
AMBIGUOUS_DATE = (
    "reviewed_at is a date that can be read two ways, day or month first, and no other date of the "
    "file tells which; write it as 2026-11-21"
)

DateOrders = Mapping[str, frozenset[str]]
"""For each separator the orders ("dmy", "mdy", "ymd") that fit every date of a file."""

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
"""Months by their first three letters, English and German."""
_LONGEST_DATE = len("2026-11-21")


def date_orders(texts: Iterable[str]) -> DateOrders:
    """Find the orders of day, month and year that fit all dates of a file."""
    by_separator: dict[str, list[frozenset[str]]] = defaultdict(list)
    for text in texts:
        if (parts := _DATE.fullmatch(_single_spaces(text))) and (days := _days(parts)):
            by_separator[parts["sep"]].append(frozenset(days))
    return {separator: frozenset.intersection(*sets) for separator, sets in by_separator.items()}


def instant(text: str, orders: DateOrders) -> datetime:
    """Read the time of a mark, in UTC.

    Args:
        text: as written.
        orders: `date_orders` of its file.

    Raises:
        ValueError: it is no time, or has two readings; the message quotes nothing.
    """
    try:
        written = _iso(text) or _written(_single_spaces(text), orders)
        return written.astimezone(UTC)  # a time without a zone counts as local
    except _AmbiguousDate as error:
        raise ValueError(AMBIGUOUS_DATE) from error
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(NO_TIME) from error


class _AmbiguousDate(Exception):
    pass


def _iso(text: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _end_of_day(parsed.date()) if len(text) <= _LONGEST_DATE else parsed


def _written(text: str, orders: DateOrders) -> datetime:
    """A date in the form of some country, with or without a time."""
    if parts := _DATE.fullmatch(text):
        days = _days(parts)
        fitting = {d for order, d in days.items() if order in orders.get(parts["sep"], days)}
        if len(fitting or set(days.values())) > 1:
            raise _AmbiguousDate
        (day,) = fitting or set(days.values())
    elif parts := _NAMED.fullmatch(text):
        day = date(_year(parts["c"]), _month(parts["b"]), int(parts["a"]))
    else:
        raise ValueError
    return _at(day, parts["time"]) if parts["time"] else _end_of_day(day)


def _days(parts: re.Match[str]) -> dict[str, date]:
    """Map each possible order to the date that it gives; orders that give no date are left out."""
    days = {}
    for order in _possible(parts["a"], parts["sep"], parts["c"]):
        named = dict(zip(order, (parts["a"], parts["b"], parts["c"]), strict=True))
        try:
            days[order] = date(_year(named["y"]), int(named["m"]), int(named["d"]))
        except ValueError:
            continue
    return days


def _possible(first: str, separator: str, last: str) -> Iterator[str]:
    """Orders that a date may have; with points, the month is never first."""
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
    at = datetime.combine(day, time(hour, int(parts["minute"]), int(parts["second"] or 0)))
    return at.replace(tzinfo=_zone(parts["zone"])) if parts["zone"] else at


def _zone(text: str) -> timezone:
    if text[0] not in "+-":
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _end_of_day(day: date) -> datetime:
    return datetime.combine(day, time.max)


def _single_spaces(text: str) -> str:
    """A text with single plain spaces; spreadsheets write narrow spaces before AM and PM."""
    return " ".join(text.split())
