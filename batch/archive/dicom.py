"""DICOM Part 10 files and bare datasets: parsing with bounds, identity, what is to be scored.

Everything pydicom says (warnings, exceptions) may quote patient data: its warnings and log lines
are dropped here, and its exceptions become reasons of ours.
"""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from dataclasses import dataclass

import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID_dictionary

from batch.archive import dicom_objects as objects
from batch.archive.dicom_attributes import number, record_attributes, selection_values, text
from batch.archive.dicom_values import PlainValues
from batch.archive.limits import Limits
from batch.archive.rules import ReadingRules
from batch.errors import FailureReason, ImageFailure, NonImageReason, NotAnImage, Stage

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

_PREAMBLE_BYTES = 132
_FILE_META_GROUP = 2
_BYTES_OF_A_LEVEL = 16
"""An item's header and that of the sequence in it, at the least (PS3.5 7.5)."""


@dataclass(frozen=True, eq=False)
class DicomImage:
    """A DICOM object that is an image. values: of the dataset. attributes: what the privacy policy
    lets through.
    """

    dataset: Dataset
    values: PlainValues
    transfer_syntax_uid: str
    frames: int
    rows: int
    columns: int
    attributes: dict[str, str | None]
    flags: tuple[str, ...]


def identify(data: bytes, rules: ReadingRules, has_preamble: bool = True) -> DicomImage:
    """Parse an object and decide whether its frames are to be scored; decodes nothing.

    Raises:
        NotAnImage: a non-image for us. ImageFailure: goes to a person.
    """
    dataset = parse(data, rules.limits, has_preamble)
    values = PlainValues(dataset)
    sop_class = _sop_class(values, dataset)
    has_pixels = "Rows" in dataset or "PixelData" in dataset
    is_whole = objects.is_plausible_class(sop_class, sop_class in UID_dictionary) and (
        "DirectoryRecordSequence" in dataset
        or all(text(values, keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID"))
    )
    _check_kind(sop_class, has_pixels, is_whole)
    rules.selection.check(selection_values(values, sop_class))
    return describe(dataset, rules)


def describe(dataset: Dataset, rules: ReadingRules) -> DicomImage:
    """What decoding and the record need of an object, whatever its kind.

    Raises:
        ImageFailure: a size or number that is missing, absurd or too large.
    """
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
    attributes = rules.identifiers.apply(record_attributes(values, sop_class))
    syntax = text(PlainValues(dataset.file_meta), "TransferSyntaxUID") or _bare_syntax(dataset)
    flags = objects.kind_flags(sop_class) | _flags(values, syntax)
    flags_in_order = tuple(sorted(flags))
    return DicomImage(dataset, values, syntax, frames, rows, columns, attributes, flags_in_order)


def parse(data: bytes, limits: Limits, has_preamble: bool = True) -> Dataset:
    """Bytes to a dataset with `file_meta`, within the limits of inflation and nesting.

    Raises:
        ImageFailure: stage IDENTIFY.
    """
    try:
        dataset = _with_known_syntax(data, limits) if has_preamble else None
        if dataset is None:
            dataset = pydicom.dcmread(io.BytesIO(data), force=not has_preamble)
        if not hasattr(dataset, "file_meta"):
            dataset.file_meta = FileMetaDataset()
        depth = _depth(dataset, limits.nesting)
    except ImageFailure:
        raise
    except RecursionError as error:
        raise _failure(FailureReason.NESTED_TOO_DEEP, "") from error
    except Exception as error:  # pydicom's parsers raise whatever struct and codecs raise
        raise _failure(FailureReason.DICOM_INVALID, type(error).__name__) from error
    if depth > limits.nesting:
        raise _failure(FailureReason.NESTED_TOO_DEEP, f"allowed: {limits.nesting} levels")
    return dataset


def _with_known_syntax(data: bytes, limits: Limits) -> Dataset | None:
    """A dataset in explicit little endian, as nearly all are, without what pydicom tries for the
    others; a deflated one is inflated under our bound. None for any other transfer syntax.
    """
    stream = io.BytesIO(data[_PREAMBLE_BYTES:])
    meta = read_dataset(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, *_: tag.group != _FILE_META_GROUP,
    )
    syntax = text(PlainValues(meta), "TransferSyntaxUID")
    if syntax == objects.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        stream = io.BytesIO(_inflated(stream.read(), limits))
    elif syntax not in objects.EXPLICIT_LITTLE_ENDIAN:
        return None
    dataset = read_dataset(stream, is_implicit_VR=False, is_little_endian=True)
    dataset.file_meta = FileMetaDataset(meta)
    return dataset


def _inflated(deflated: bytes, limits: Limits) -> bytes:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflate.decompress(deflated, limits.inflated_bytes)
    if inflate.unconsumed_tail:
        raise _failure(FailureReason.INFLATES_TOO_MUCH, f"allowed: {limits.inflated_bytes} bytes")
    return inflated


def _depth(dataset: Dataset, limit: int) -> int:
    """Levels of sequences, counted no further than one beyond the limit; without recursion. What is
    too short to hold as many levels as are left is not parsed for it.
    """
    depth, level = 0, [dataset]
    while level and depth <= limit:
        below: list[Dataset] = []
        for item in level:
            for element in item.values():
                if element.VR == "SQ" and _may_hold(element, limit - depth):
                    below.extend(item[element.tag].value or [])
        level = below
        depth += bool(below)
    return depth


def _may_hold(element: DataElement | RawDataElement, levels: int) -> bool:
    """Whether a sequence, parsed or not, may hold more than so many levels, itself included."""
    if not isinstance(element, RawDataElement) or element.value is None:
        return True
    return len(element.value) >= levels * _BYTES_OF_A_LEVEL


def _bare_syntax(dataset: Dataset) -> str:
    """The transfer syntax of a dataset without file meta, as it was parsed."""
    implicit, little = dataset.original_encoding
    if little is False:
        return objects.EXPLICIT_VR_BIG_ENDIAN
    return objects.IMPLICIT_VR_LITTLE_ENDIAN if implicit else objects.EXPLICIT_VR_LITTLE_ENDIAN


def _sop_class(values: PlainValues, dataset: Dataset) -> str | None:
    return text(values, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")


def _check_kind(sop_class: str | None, has_pixels: bool, is_whole: bool) -> None:
    name = UID_dictionary.get(sop_class or "", ("unknown SOP class",))[0]
    kind = objects.object_kind(sop_class, sop_class in UID_dictionary, has_pixels, is_whole)
    if kind == objects.ObjectKind.NON_IMAGE:
        raise NotAnImage(
            NonImageReason.DICOM_OTHER_KIND if has_pixels else NonImageReason.DICOM_WITHOUT_PIXELS,
            name,
        )
    if kind == objects.ObjectKind.TO_A_PERSON:
        if not has_pixels:
            raise _failure(FailureReason.DICOM_INVALID, "a fragment of an object")
        raise _failure(
            FailureReason.UNSUPPORTED_SOP_CLASS, "missing, private or unknown SOP class with pixels"
        )


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
