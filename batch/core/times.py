"""Times as people read them: of this machine's time zone, each with its offset. Tables keep UTC.

The zone is the one that the machine has while it works (`TZ`). A text that is no time, or one of a
source that states no zone, stays as it is.
"""

from __future__ import annotations

from datetime import datetime


def local(text: str | None) -> str | None:
    """ISO 8601 as such in the local zone, e.g. `2026-11-21T03:00:00+01:00`."""
    at = _instant(text)
    return text if at is None else at.isoformat()


def minute(text: str) -> str:
    """ISO 8601 as `2026-11-21 03:00 +01:00`."""
    at = _instant(text)
    return text if at is None else f"{at:%Y-%m-%d %H:%M} {offset(at)}"


def day(text: str) -> str:
    """The day of ISO 8601, as `2026-11-21`."""
    at = _instant(text)
    return text[:10] if at is None else f"{at:%Y-%m-%d}"


def zone(text: str) -> str:
    """The zone at a time, as `CET, +01:00`; empty for a text that is no time."""
    at = _instant(text)
    if at is None:
        return ""
    name = at.tzname() or ""
    return f"{name}, {offset(at)}" if name.isalpha() and name != "UTC" else offset(at)


def offset(at: datetime) -> str:
    """The offset of a time with a zone, as `+01:00`; of a machine that lives by it, `UTC`."""
    return "UTC" if at.tzname() == "UTC" else at.isoformat()[-6:]


def offset_minutes(text: str) -> int:
    """The local zone's distance from UTC at a time; 0 for a text that is no time."""
    found = at.utcoffset() if (at := _instant(text)) else None
    return round(found.total_seconds() / 60) if found else 0


def zero_offset(text: str) -> str:
    """How `offset` writes none in the local zone: `UTC`, or `+00:00` as in a winter in London."""
    at = _instant(text)
    return "UTC" if at is not None and at.tzname() == "UTC" else "+00:00"


def _instant(text: str | None) -> datetime | None:
    """A time with a zone, in the local one; None for everything else."""
    try:
        at = datetime.fromisoformat(text or "")
        return at.astimezone() if at.tzinfo else None
    except (ValueError, OverflowError, OSError):
        return None
