"""Reads DICOM attributes as text and numbers. A malformed value is None; the image is not lost.

A dataset here is anything with pydicom's `get(keyword)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from batch.core.errors import FailureReason, ImageFailure, Stage

_LEAP_SECOND = 60


# what an attribute may hold by its value representation (PS3.5 6.2); other values are free text,
# in which people write names, and are not read
_UID = re.compile(r"[0-9.]{1,64}")


_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")


_SIDE = re.compile(r"[RLUB]")


# the forms of ACR-NEMA, which DICOM still asks readers to accept (PS3.5 6.2, DA and TM)
_DOTTED_DATE = re.compile(r"\d{4}\.\d\d\.\d\d")


_COLON_TIME = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?")


_DATETIME = re.compile(r"^(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:\.(\d{1,6}))?([+-]\d{4})?$")


def text(dataset: Any, keyword: str) -> str | None:
    """A value as text; None if it is absent, empty or unreadable."""
    try:
        value = dataset.get(keyword)
        words = "" if value is None else str(value).strip().strip("\x00")
    except Exception:  # parsers of values raise errors of many types
        return None
    return words or None


def texts(dataset: Any, keyword: str) -> tuple[str, ...]:
    """All values of a multi-valued attribute as text."""
    try:
        value = dataset.get(keyword)
        values = [] if value is None else [value] if isinstance(value, str) else list(value)
        return tuple(word for item in values if (word := str(item).strip()))
    except Exception:
        return ()


def number(dataset: Any, keyword: str, default: int | None = None) -> int:
    """A value as a whole number.

    Raises:
        ImageFailure: DICOM_INVALID if it is no number, or absent without a default.
    """
    try:
        value = dataset.get(keyword)
        if value is not None and str(value) != "":
            return int(value)
    except Exception as error:
        raise _invalid(f"{keyword} is not a number") from error
    if default is None:
        raise _invalid(f"no {keyword}")
    return default


def record_attributes(dataset: Any, sop_class_uid: str | None) -> dict[str, str | None]:
    """Attributes for a record, before the privacy policy is applied."""
    return {
        "study_instance_uid": _matching(_UID, text(dataset, "StudyInstanceUID")),
        "series_instance_uid": _matching(_UID, text(dataset, "SeriesInstanceUID")),
        "sop_instance_uid": _matching(_UID, text(dataset, "SOPInstanceUID")),
        "sop_class_uid": _matching(_UID, sop_class_uid),
        "modality": _matching(_CODE_STRING, text(dataset, "Modality")),
        "acquisition_datetime": acquisition_datetime(dataset),
        "anatomic_region": _anatomic_region(dataset),
        "laterality": _matching(_SIDE, text(dataset, "ImageLaterality"))
        or _matching(_SIDE, text(dataset, "Laterality")),
        "manufacturer": text(dataset, "Manufacturer"),
        "manufacturer_model_name": text(dataset, "ManufacturerModelName"),
        "tracking_uid": _matching(_UID, text(dataset, "TrackingUID")),
        "tracking_id": text(dataset, "TrackingID"),
        "patient_id": text(dataset, "PatientID"),
        "issuer_of_patient_id": text(dataset, "IssuerOfPatientID"),
        "accession_number": text(dataset, "AccessionNumber"),
    }


def selection_values(dataset: Any, sop_class_uid: str | None) -> dict[str, tuple[str, ...]]:
    """Values that include and exclude rules compare."""
    return {
        "sop_class_uid": (sop_class_uid,) if sop_class_uid else (),
        "modality": texts(dataset, "Modality"),
        "image_type": texts(dataset, "ImageType"),
        "body_part_examined": texts(dataset, "BodyPartExamined"),
    }


def acquisition_datetime(dataset: Any) -> str | None:
    """The first valid of acquisition, content and study time, as ISO 8601."""
    for value in _datetime_candidates(dataset):
        if value and (iso := iso_datetime(value)):
            return iso
    return None


def iso_datetime(value: str) -> str | None:
    """`YYYYMMDDHHMMSS.FFFFFF&ZZXX` (PS3.5, DT) as ISO 8601, to the precision given; else None."""
    match = _DATETIME.match(value.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if fraction and second is None:
        return None
    seconds = min(int(second or 0), 59)  # 60 is a leap second
    try:
        datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), seconds
        )
    except ValueError:
        return None
    if int(second or 0) > _LEAP_SECOND:
        return None
    date = "-".join(part for part in (year, month, day) if part)
    time = ":".join(part for part in (hour, minute, second) if part)
    return date + (f"T{time}" if time else "") + (f".{fraction}" if fraction else "") + (zone or "")


def _datetime_candidates(dataset: Any) -> Iterator[str | None]:
    yield text(dataset, "AcquisitionDateTime")
    for kind in ("Acquisition", "Content", "Study"):
        date = _without(".", _DOTTED_DATE, text(dataset, f"{kind}Date"))
        time = _without(":", _COLON_TIME, text(dataset, f"{kind}Time"))
        yield f"{date}{time}" if date and time else date
        yield date


def _without(sign: str, pattern: re.Pattern[str], value: str | None) -> str | None:
    return value.replace(sign, "") if value and pattern.fullmatch(value) else value


def _anatomic_region(dataset: Any) -> str | None:
    try:
        sequence = dataset.get("AnatomicRegionSequence") or []
        item = sequence[0] if len(sequence) else {}
        is_coded = text(item, "CodeValue") and text(item, "CodingSchemeDesignator")
        meaning = text(item, "CodeMeaning") if is_coded else None
    except Exception:
        meaning = None
    return meaning or _matching(_CODE_STRING, text(dataset, "BodyPartExamined"))


def _matching(pattern: re.Pattern[str], value: str | None) -> str | None:
    return value if value is not None and pattern.fullmatch(value) else None


def _invalid(detail: str) -> ImageFailure:
    return ImageFailure(Stage.IDENTIFY, FailureReason.DICOM_INVALID, detail)


# PS3.5 6.2: in the default character repertoire or a character set, all of which contain ASCII
_STRINGS = frozenset({"CS", "DA", "DT", "TM", "UI", "LO", "SH"})


_ESCAPE = b"\x1b"


_PADDING = " \0"


class PlainValues:
    """Values of a dataset by keyword, read without pydicom's conversion where possible."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def get(self, keyword: str) -> Any:
        """The value: str, int, a list of PlainValues for a sequence, or as pydicom converts it.

        It is None if the attribute is absent.

        Raises:
            Exception: of many types, if pydicom cannot convert the value.
        """
        tag = _tag(keyword)
        element = self._dataset.get_item(tag)
        if element is None:
            return None
        if isinstance(element, RawDataElement) and element.value:
            value = element.value
            if element.VR in _STRINGS and _is_plain(value):
                return value.decode("ascii").rstrip(_PADDING)
            if element.VR == "US" and len(value) == 2:
                return int.from_bytes(value, "little" if element.is_little_endian else "big")
        element = self._dataset[tag]
        if element.VR == "SQ":
            return [PlainValues(item) for item in element.value or ()]
        return element.value


def _is_plain(value: bytes) -> bool:
    """Whether bytes are one value in ASCII, without a change of character set (ISO 2022)."""
    return value.isascii() and b"\\" not in value and _ESCAPE not in value


@cache
def _tag(keyword: str) -> BaseTag:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)  # a mistake of ours, not the file's
    return Tag(tag)
