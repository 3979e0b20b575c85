"""When a photograph was taken, by its camera's clock: EXIF DateTimeOriginal (EXIF 2.32, 4.6.5)."""

from __future__ import annotations

import re
from datetime import datetime

from PIL import Image

_EXIF_DIRECTORY, _DATE_TIME_ORIGINAL = 0x8769, 0x9003
_FORM = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_FIRST_YEAR = 1980
"""A clock that was never set says an earlier year, or zeros."""


def exif_date(exif: Image.Exif) -> str | None:
    """DateTimeOriginal as ISO 8601 without zone; None if it is absent or no time of the calendar.

    DateTime and DateTimeDigitized do not count: programs write the day on which they saved there.
    """
    try:
        value = exif.get_ifd(_EXIF_DIRECTORY).get(_DATE_TIME_ORIGINAL)
        match = _FORM.fullmatch(str(value).strip().rstrip("\0"))
        taken_at = None if match is None else datetime(*map(int, match.groups()))  # type: ignore[arg-type]
    except Exception:  # damaged metadata do not affect the picture
        return None
    return None if taken_at is None or taken_at.year < _FIRST_YEAR else taken_at.isoformat()
