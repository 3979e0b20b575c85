"""Reads an image of the archive again, for what the SR document takes over from it.

Names and birth dates go from the image to the document and nowhere else: no message and no table
holds them. Values that DICOM does not allow are left empty, as the night does with them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from batch.archive.local import ArchiveStorage
from batch.core.errors import ImageFailure, NotAnImage
from batch.core.rules import Limits
from batch.export.selection import ExportImage
from batch.images import formats
from batch.images.dicom_attributes import number, text
from batch.images.dicom_parse import parse
from batch.images.formats import FileFormat

CHANGED = "changed since it was scored"
NO_UID = "no valid study, series or instance UID"
OTHER_UID = "UIDs differ from those in the reports"

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
_TEXTS = {
    "PatientName": 324, "PatientID": 64, "IssuerOfPatientID": 64, "AccessionNumber": 16,
    "StudyID": 16, "ReferringPhysicianName": 324, "StudyDescription": 64,
}  # fmt: skip
"""Texts that the document takes over, with the longest that DICOM allows."""
_SEXES = ("M", "F", "O")


class CannotExport(Exception):
    """An image cannot be exported. The message says why and quotes nothing from the file."""


@dataclass(frozen=True, eq=False)
class SourceImage:
    """What an SR document takes over from an image.

    header: patient, study and instance only, every value valid and in Unicode. frames: in the file.
    tracking_uid, tracking_id: of the lesion; None where the image has none. site: code, scheme and
    meaning of the anatomic region. laterality: R, L, B or U.
    """

    header: Dataset
    frames: int
    tracking_uid: str | None
    tracking_id: str | None
    site: tuple[str, str, str] | None
    laterality: str | None

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return str(self.header.StudyInstanceUID)

    @property
    def instance_uid(self) -> str:
        """SOP Instance UID."""
        return str(self.header.SOPInstanceUID)


def read_source(archive: ArchiveStorage, image: ExportImage, limits: Limits) -> SourceImage:
    """Read the file of an image again.

    Raises:
        CannotExport: it cannot be read, is another file than the one that was scored, or has no
            valid UIDs.
    """
    try:
        data = archive.read(archive.locate(image.path), limits.file_bytes)
        if data is None or hashlib.sha256(data).hexdigest() != image.content_sha256:
            raise CannotExport(CHANGED)
        has_preamble = formats.sniff(data[: formats.HEAD_BYTES]) == FileFormat.DICOM
        dataset = parse(data, limits, has_preamble).dataset
    except (ImageFailure, NotAnImage) as failure:
        raise CannotExport(str(failure.reason).replace("_", " ")) from None
    found = source_image(dataset)
    expected = (image.study_instance_uid, image.sop_instance_uid)
    for told, is_now in zip(expected, (found.study_uid, found.instance_uid), strict=True):
        if told is not None and told != is_now:
            raise CannotExport(OTHER_UID)
    return found


def source_image(dataset: Any) -> SourceImage:
    """Take what a document needs from a parsed object.

    Raises:
        CannotExport: it has no valid UIDs.
    """
    header = Dataset()
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        uid = _uid(text(dataset, name))
        if uid is None:
            raise CannotExport(NO_UID)
        setattr(header, name, uid)
    for name, longest in _TEXTS.items():
        words = text(dataset, name) or ""
        fits = len(words) <= longest and words.isprintable()
        setattr(header, name, words if fits else "")
    sex = text(dataset, "PatientSex")
    header.PatientSex = sex if sex in _SEXES else ""
    header.PatientBirthDate = _valid(DA, text(dataset, "PatientBirthDate"))
    header.StudyDate = _valid(DA, text(dataset, "StudyDate"))
    header.StudyTime = _valid(TM, text(dataset, "StudyTime"))
    side = text(dataset, "ImageLaterality") or text(dataset, "Laterality")
    return SourceImage(
        header,
        _frames(dataset),
        _uid(text(dataset, "TrackingUID")),
        text(dataset, "TrackingID"),
        _site(dataset),
        side if side in ("R", "L", "B", "U") else None,
    )


def _frames(dataset: Any) -> int:
    try:
        return max(1, number(dataset, "NumberOfFrames", 1))
    except ImageFailure as failure:
        raise CannotExport(failure.detail) from None


def _uid(word: str | None) -> str | None:
    is_valid = word is not None and len(word) <= 64 and _UID.fullmatch(word)
    return word if is_valid else None


def _valid(kind: Callable[[str], Any], word: str | None) -> str:
    """A date or time in DICOM's own form; empty if it is none."""
    if word is None or not re.fullmatch(r"\d{4,8}(\.\d{1,6})?", word):
        return ""
    try:
        return word if kind(word) else ""
    except (ValueError, TypeError):
        return ""


def _site(dataset: Any) -> tuple[str, str, str] | None:
    """The code of the anatomic region; None without a complete one."""
    try:
        items = dataset.get("AnatomicRegionSequence") or []
        words = [text(items[0], name) for name in _CODE] if len(items) else []
    except Exception:  # parsers of values raise errors of many types
        return None
    value, scheme, meaning = words if len(words) == 3 else (None, None, None)
    if not (value and scheme and meaning):
        return None
    return (value, scheme, meaning) if len(value) <= 16 and len(meaning) <= 64 else None


def unreadable(failure: Exception) -> str:
    """The reason of a failure in words that quote nothing."""
    if isinstance(failure, CannotExport):
        return str(failure)
    return f"unexpected: {type(failure).__name__}"
