"""What a hospital's table says of an image: the names of its columns and the forms of its values.

Spreadsheets of many countries are read: `31.12.2025`, `62,5`, `weiblich`, `Typ II`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from typing import NamedTuple

Value = str | float


class Facts(NamedTuple):
    """What a table says of an image; None for what it does not say.

    patient, issuer, lesion, site, device: as written. laterality: R, L, B or U. acquired: ISO 8601,
    a day or a time of day too. sex: female, male or other. age: years. birth_year: as a number.
    skin_type: Fitzpatrick's, I to VI.
    """

    patient: str | None = None
    issuer: str | None = None
    lesion: str | None = None
    site: str | None = None
    laterality: str | None = None
    acquired: str | None = None
    device: str | None = None
    sex: str | None = None
    age: float | None = None
    birth_year: float | None = None
    skin_type: str | None = None


PATH, NAME = "path", "image"
"""Words for the column that says which file a row is about: its path, or its name only."""

COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    PATH: ("path", "file_path", "filepath", "pfad", "dateipfad"),
    NAME: (
        "image", "isic_id", "image_id", "image_name", "file", "filename", "file_name", "bild",
        "datei", "dateiname",
    ),
    "patient": ("patient", "patient_id", "patientid", "patienten_id"),
    "issuer": ("issuer", "issuer_of_patient_id"),
    "lesion": ("lesion", "lesion_id", "läsion", "läsion_id"),
    "site": (
        "site", "anatom_site_general", "anatom_site_general_challenge", "anatom_site", "body_site",
        "anatomic_site", "anatomic_region", "localization", "lokalisation", "körperstelle",
    ),
    "laterality": ("laterality", "side", "seite", "lateralität"),
    "acquired": (
        "acquisition_date", "acquired", "acquisition_datetime", "acquisition_time", "date", "datum",
        "aufnahmedatum",
    ),
    "device": ("device", "manufacturer_model_name", "camera", "dermoscope", "gerät", "kamera"),
    "sex": ("sex", "gender", "geschlecht"),
    "age": ("age", "age_approx", "alter"),
    "birth_year": ("birth_year", "year_of_birth", "geburtsjahr"),
    "skin_type": (
        "fitzpatrick_skin_type", "skin_type", "fitzpatrick", "hauttyp",
    ),
}  # fmt: skip
"""Word for a column to the names it may have; of several in one table, the first counts.

ISIC's `acquisition_day` is not read: it counts days from a start that the table does not name.
"""

_MISSING = frozenset(
    ("", "nan", "na", "n/a", "null", "none", "unknown", "unbekannt", "nat", "-", "?")
)
_MOST_CHARACTERS = 200
_OLDEST = 130
_FIRST_YEAR, _LAST_YEAR = 1850, 2200
_SEXES = {
    "female": ("f", "female", "w", "weiblich", "frau", "woman"),
    "male": ("m", "male", "männlich", "maennlich", "mann", "man"),
    "other": ("o", "other", "d", "divers", "x"),
}
_SIDES = {
    "R": ("r", "right", "rechts", "re"),
    "L": ("l", "left", "links", "li"),
    "B": ("b", "both", "bilateral", "beidseitig", "beide"),
    "U": ("u", "unpaired", "midline", "median", "mittig"),
}
_SKIN_TYPES = ("I", "II", "III", "IV", "V", "VI")
_SKIN_TYPE = re.compile(r"(?:fitzpatrick |hauttyp |skin type |typ |type |fst )?([ivIV]{1,3}|[1-6])")
_TIME = r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d+)?)?)?"
_DATES = tuple(
    re.compile(form + _TIME)
    for form in (
        r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d))?)?",
        r"(?P<year>\d{4}):(?P<month>\d\d):(?P<day>\d\d)",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
        r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})",
    )
)


def head_of(text: str) -> str:
    """A column's head for comparison: in small letters, with `_` for spaces and hyphens."""
    return re.sub(r"[\s-]+", "_", unicodedata.normalize("NFC", text).strip().casefold())


def value_of(field: str, text: str) -> Value | None:
    """Read the text of a cell; None if the cell says nothing.

    Args:
        field: of `Facts`.

    Raises:
        ValueError: the text cannot be read as such a value. It has no message, since the text may
            name a patient.
    """
    words = unicodedata.normalize("NFC", text).strip()
    if words.casefold() in _MISSING:
        return None
    return _READERS.get(field, _words)(words)


def _words(text: str) -> str:
    if len(text) > _MOST_CHARACTERS or not text.isprintable():
        raise ValueError
    return text


def iso_date(text: str) -> str:
    """A date, perhaps with a time of day, as ISO 8601 to the precision given.

    `2025`, `2025-12`, `2025-12-31`, `20251231`, `31.12.2025`, and EXIF's `2025:12:31 08:30:00` are
    read. A date with slashes is not, since the day and the month cannot be told apart.

    Raises:
        ValueError: the text has another form, or is no day of the calendar.
    """
    for form in _DATES:
        if (match := form.fullmatch(text)) is not None:
            return _iso(**match.groupdict())
    raise ValueError


def _iso(
    year: str,
    month: str | None,
    day: str | None,
    hour: str | None,
    minute: str | None,
    second: str | None,
) -> str:
    if (hour and not day) or not _FIRST_YEAR <= int(year) <= _LAST_YEAR:
        raise ValueError
    when = datetime(
        int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
        int(second or 0),
    )  # fmt: skip
    if hour:
        return when.isoformat(timespec="seconds" if second else "minutes")
    return "-".join(
        f"{part:02d}" for part in (when.year, when.month, when.day)[: _parts(month, day)]
    )


def _parts(month: str | None, day: str | None) -> int:
    return 3 if day else 2 if month else 1


def _number(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        if not re.fullmatch(r"\d{1,4}(?:[.,]\d{1,6})?", text):
            raise ValueError
        number = float(text.replace(",", "."))
        if not low <= number <= high:
            raise ValueError
        return number

    return read


def _year(text: str) -> float:
    """A year, or the year of a date of birth, of which nothing else is kept."""
    return float(iso_date(text.removesuffix(".0"))[:4])


def _one_of(words: dict[str, tuple[str, ...]]) -> Callable[[str], str]:
    by_word = {word: value for value, several in words.items() for word in several}

    def read(text: str) -> str:
        found = by_word.get(text.casefold().rstrip("."))
        if found is None:
            raise ValueError
        return found

    return read


def _skin_type(text: str) -> str:
    match = _SKIN_TYPE.fullmatch(text.casefold().removesuffix(".0"))
    if match is None:
        raise ValueError
    word = match[1].upper()
    if word.isdigit():
        return _SKIN_TYPES[int(word) - 1]
    if word not in _SKIN_TYPES:
        raise ValueError
    return word


_READERS: dict[str, Callable[[str], Value]] = {
    "laterality": _one_of(_SIDES),
    "acquired": iso_date,
    "sex": _one_of(_SEXES),
    "age": _number(0, _OLDEST),
    "birth_year": _year,
    "skin_type": _skin_type,
}


def cell_text(value: object) -> str:
    """The text of a typed cell of Excel or Parquet, as a CSV would have it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        if (value.hour, value.minute, value.second) == (0, 0, 0):
            return value.date().isoformat()
        return value.replace(tzinfo=None).isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
