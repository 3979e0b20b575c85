"""What a camera says in EXIF (2.32, 4.6.5): when it took a photograph, and its make and model."""

from __future__ import annotations

import re
from datetime import datetime

from PIL import Image

_EXIF_DIRECTORY, _DATE_TIME_ORIGINAL = 0x8769, 0x9003
_FORM = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_MAKE, _MODEL = 0x010F, 0x0110
_LONGEST_NAME = 64
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


def exif_camera(exif: Image.Exif) -> tuple[str | None, str | None]:
    """Make and model of the camera, at most 64 printable letters each; None if absent.

    A model that begins with the make is given without it ("Canon", "EOS 90D").
    """
    make, model = (_name(exif, tag) for tag in (_MAKE, _MODEL))
    if make and model and model.lower().startswith(f"{make.lower()} "):
        model = model[len(make) :].strip()
    return make, model


def _name(exif: Image.Exif, tag: int) -> str | None:
    try:
        value = exif.get(tag)
    except Exception:  # damaged metadata do not affect the picture
        return None
    if not isinstance(value, str):
        return None
    letters = "".join(letter for letter in value.split("\0")[0] if letter.isprintable())
    return letters.strip()[:_LONGEST_NAME] or None
