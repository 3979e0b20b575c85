"""Identifies DICOM objects, and decides which are scored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pydicom.dataset import Dataset
from pydicom.uid import UID_dictionary

from batch.core.errors import FailureReason, ImageFailure, NonImageReason, NotAnImage, Stage
from batch.core.rules import ReadingRules
from batch.images import dicom_kinds as objects
from batch.images.dicom_attributes import (
    PlainValues,
    number,
    record_attributes,
    selection_values,
    text,
)
from batch.images.dicom_fragments import Frames, split_frames
from batch.images.dicom_parse import ParsedObject, parse


@dataclass(frozen=True, eq=False)
class DicomImage:
    """A DICOM object that is an image.

    dataset: as parsed.
    values: of the dataset.
    transfer_syntax_uid: of the pixel data.
    frames, rows, columns: by the header.
    attributes: as the privacy policy allows them.
    flags: of the object, sorted.
    """

    dataset: Dataset
    values: PlainValues
    transfer_syntax_uid: str
    frames: int
    rows: int
    columns: int
    attributes: dict[str, str | None]
    flags: tuple[str, ...]

    @cached_property
    def encapsulated(self) -> Frames:
        """The frames of compressed pixel data.

        Raises:
            ImageFailure: stage DECODE; the frames cannot be separated.
        """
        table = self.dataset.get("ExtendedOffsetTable")
        offsets = table if isinstance(table, bytes) else b""
        return split_frames(self.dataset.PixelData, self.frames, offsets)


def identify(data: bytes, rules: ReadingRules, has_preamble: bool = True) -> DicomImage:
    """Parse an object and decide whether its frames are scored, without decoding.

    Raises:
        NotAnImage: the object is not scored. ImageFailure: a person must look at it; the failure
            has the attributes of lesion and patient.
    """
    parsed = parse(data, rules.limits, has_preamble)
    values = PlainValues(parsed.dataset)
    sop_class = _sop_class(values, parsed.dataset)
    try:
        _check_kind(parsed, values, sop_class)
        rules.selection.check(selection_values(values, sop_class))
        return describe(parsed, rules)
    except NotAnImage as non_image:
        if not parsed.is_followed:
            raise
        failure = _failure(FailureReason.DICOM_INVALID, "a second object behind a non-image")
        failure.attributes = _attributes(values, sop_class, rules)
        raise failure from non_image
    except ImageFailure as failure:
        failure.attributes = _attributes(values, sop_class, rules)
        raise


def describe(parsed: ParsedObject, rules: ReadingRules) -> DicomImage:
    """Read what decoding and the record need, for an object of any kind.

    Raises:
        ImageFailure: a size or number is missing, impossible or too large.
    """
    dataset = parsed.dataset
    values = PlainValues(dataset)
    rows, columns = number(values, "Rows"), number(values, "Columns")
    frames = number(values, "NumberOfFrames", default=1)
    if frames < 1:
        raise _failure(FailureReason.DICOM_INVALID, "NumberOfFrames below 1")
    if frames > rules.limits.frames:
        raise _failure(
            FailureReason.TOO_MANY_FRAMES,
            f"{frames} frames declared; allowed: {rules.limits.frames}",
        )
    rules.limits.check_size(rows, columns, _bytes_per_pixel(values))
    sop_class = _sop_class(values, dataset)
    attributes = _attributes(values, sop_class, rules)
    syntax = text(PlainValues(dataset.file_meta), "TransferSyntaxUID") or _bare_syntax(dataset)
    flags = objects.kind_flags(sop_class) | _flags(values, syntax)
    if parsed.is_followed:
        flags.add("objects_beyond_first")
    flags_in_order = tuple(sorted(flags))
    return DicomImage(dataset, values, syntax, frames, rows, columns, attributes, flags_in_order)


def _bare_syntax(dataset: Dataset) -> str:
    """The transfer syntax with which a dataset without file meta was parsed."""
    implicit, little = dataset.original_encoding
    if little is False:
        return objects.EXPLICIT_VR_BIG_ENDIAN
    return objects.IMPLICIT_VR_LITTLE_ENDIAN if implicit else objects.EXPLICIT_VR_LITTLE_ENDIAN


def _sop_class(values: PlainValues, dataset: Dataset) -> str | None:
    return text(values, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")


def _attributes(
    values: PlainValues, sop_class: str | None, rules: ReadingRules
) -> dict[str, str | None]:
    return rules.identifiers.apply(record_attributes(values, sop_class))


def _check_kind(parsed: ParsedObject, values: PlainValues, sop_class: str | None) -> None:
    dataset = parsed.dataset
    name = objects.class_name(sop_class) or UID_dictionary.get(sop_class or "", (None,))[0]
    has_pixels = "Rows" in dataset or "PixelData" in dataset
    is_plausible = objects.is_plausible_class(sop_class, name is not None)
    # a private object that is cut off may have had pixels
    is_whole = is_plausible and (name is not None or not parsed.is_cut_off)
    is_whole = is_whole and (
        "DirectoryRecordSequence" in dataset
        or all(text(values, keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID"))
    )
    kind = objects.object_kind(sop_class, name is not None, has_pixels, is_whole)
    if kind == objects.ObjectKind.NON_IMAGE:
        raise NotAnImage(
            NonImageReason.DICOM_OTHER_KIND if has_pixels else NonImageReason.DICOM_WITHOUT_PIXELS,
            name or "unknown SOP class",
        )
    if kind == objects.ObjectKind.TO_A_PERSON:
        if has_pixels:
            raise _failure(
                FailureReason.UNSUPPORTED_SOP_CLASS,
                "missing, private or unknown SOP class with pixels",
            )
        if parsed.is_cut_off or not len(dataset):
            raise _failure(FailureReason.DICOM_INVALID, "cut off before its pixels")
        raise _failure(FailureReason.DICOM_INVALID, _what_is_missing(sop_class, is_plausible))


def _what_is_missing(sop_class: str | None, is_plausible: bool) -> str:
    if sop_class is None:
        return "no pixels and no SOP class"
    if not is_plausible:
        return "no pixels, and a SOP class that the standard does not have"
    return "no pixels and no study or series"


def _bytes_per_pixel(values: PlainValues) -> int:
    samples = number(values, "SamplesPerPixel", default=1)
    return max(3, samples * max(8, number(values, "BitsAllocated", default=8)) // 8)


def _flags(values: PlainValues, syntax: str) -> set[str]:
    flags = set()
    if syntax in objects.LOSSY_TRANSFER_SYNTAXES or text(values, "LossyImageCompression") == "01":
        flags.add("lossy")
    if (text(values, "BurnedInAnnotation") or "").upper() == "YES":
        flags.add("burned_in_annotation")
    return flags


def _failure(reason: FailureReason, detail: str) -> ImageFailure:
    return ImageFailure(Stage.IDENTIFY, reason, detail)
