"""Times for people: in this machine's time zone, each with its offset. Tables keep UTC.

The zone is that of the running process (`TZ`). A text stays as it is if it is no time, or a time
without a zone.
"""

from __future__ import annotations

from datetime import datetime


def local(text: str | None) -> str | None:
    """A time of ISO 8601 in the local zone, e.g. `2026-11-21T03:00:00+01:00`."""
    at = _instant(text)
    return text if at is None else at.isoformat()


def minute(text: str) -> str:
    """A time of ISO 8601 as `2026-11-21 03:00 +01:00`."""
    at = _instant(text)
    return text if at is None else f"{at:%Y-%m-%d %H:%M} {offset(at)}"


def day(text: str) -> str:
    """The day of a time of ISO 8601, as `2026-11-21`."""
    at = _instant(text)
    return text[:10] if at is None else f"{at:%Y-%m-%d}"


def zone(text: str) -> str:
    """The local zone at a time, as `CET, +01:00`; empty for a text that is no time."""
    at = _instant(text)
    if at is None:
        return ""
    name = at.tzname() or ""
    return f"{name}, {offset(at)}" if name.isalpha() and name != "UTC" else offset(at)


def offset(at: datetime) -> str:
    """The offset of a time, as `+01:00`; `UTC` if that is the name of its zone."""
    return "UTC" if at.tzname() == "UTC" else at.isoformat()[-6:]


def offset_minutes(text: str) -> int:
    """Minutes by which the local zone is ahead of UTC at a time; 0 for a text that is no time."""
    ahead = at.utcoffset() if (at := _instant(text)) else None
    return round(ahead.total_seconds() / 60) if ahead else 0


def zero_offset(text: str) -> str:
    """How `offset` writes zero in the local zone: `UTC`, or `+00:00` as in London in winter."""
    at = _instant(text)
    return "UTC" if at is not None and at.tzname() == "UTC" else "+00:00"


def _instant(text: str | None) -> datetime | None:
    """A time with a zone, converted to the local zone; None for any other text."""
    try:
        at = datetime.fromisoformat(text or "")
        return at.astimezone() if at.tzinfo else None
    except (ValueError, OverflowError, OSError):
        return None
