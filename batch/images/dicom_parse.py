"""Parses DICOM Part 10 files and bare datasets, within limits.

Messages of pydicom may quote patient data. So its warnings and log lines are dropped, and its
exceptions become reasons of ours.
"""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from dataclasses import replace

import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.core.rules import Limits
from batch.images import dicom_kinds as objects
from batch.images.dicom_attributes import PlainValues, text
from batch.images.dicom_order import (
    DicomSource,
    ParsedObject,
    check_repeated,
    holds_an_object,
    is_in_order,
    read_in_order,
)

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

_PREAMBLE_BYTES = 132
_FILE_META_GROUP = 2
_UNDEFINED = 0xFFFFFFFF
_BYTES_OF_A_LEVEL = 16
"""Least bytes of a level of nesting: the headers of an item and of a sequence in it (PS3.5 7.5)."""


def parse(data: bytes, limits: Limits, has_preamble: bool = True) -> ParsedObject:
    """Parse the first object of a file, within the limits of inflation and nesting.

    Raises:
        ImageFailure: stage IDENTIFY.
    """
    try:
        source = _source(data, limits, has_preamble)
        parsed = ParsedObject(source.read(), source.is_followed, False)
        if not is_in_order(parsed.dataset, source.start):
            parsed = read_in_order(source)
        else:
            check_repeated(parsed.dataset.values(), source.stream)
        dataset = parsed.dataset
        depth = _depth(dataset, limits.nesting)
    except ImageFailure:
        raise
    except RecursionError as error:
        raise _failure(FailureReason.NESTED_TOO_DEEP, "") from error
    except Exception as error:  # pydicom's parsers raise any error of struct and codecs
        raise _failure(FailureReason.DICOM_INVALID, type(error).__name__) from error
    if depth > limits.nesting:
        raise _failure(FailureReason.NESTED_TOO_DEEP, f"allowed: {limits.nesting} levels")
    return replace(parsed, is_cut_off=parsed.is_cut_off or _is_cut_off(dataset))


def _source(data: bytes, limits: Limits, has_preamble: bool) -> DicomSource:
    """The source of the dataset.

    A file with file meta, as nearly all are, is read without pydicom's attempts for other files. A
    deflated dataset is inflated within the limit.
    """
    start = _PREAMBLE_BYTES if has_preamble else 0
    stream = io.BytesIO(data)
    if data[start : start + 2] != _FILE_META_GROUP.to_bytes(2, "little"):
        return DicomSource(stream, has_preamble, None if has_preamble else 0)
    stream.seek(start)
    meta = read_dataset(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, *_: tag.group != _FILE_META_GROUP,
    )
    syntax = text(PlainValues(meta), "TransferSyntaxUID")
    if syntax is None:
        return DicomSource(stream, has_preamble)
    start, is_followed = stream.tell(), False
    if syntax == objects.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        inflated, behind = _inflated(data[start:], limits)
        stream, start, is_followed = io.BytesIO(inflated), 0, holds_an_object(behind)
    return DicomSource(
        stream,
        has_preamble,
        start,
        FileMetaDataset(meta),
        implicit=syntax == objects.IMPLICIT_VR_LITTLE_ENDIAN,
        little=syntax != objects.EXPLICIT_VR_BIG_ENDIAN,
        is_followed=is_followed,
    )


def _inflated(deflated: bytes, limits: Limits) -> tuple[bytes, bytes]:
    """The inflated dataset, and the bytes after the deflated stream."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflate.decompress(deflated, limits.inflated_bytes)
    if inflate.unconsumed_tail:
        raise _failure(FailureReason.INFLATES_TOO_MUCH, f"allowed: {limits.inflated_bytes} bytes")
    return inflated, inflate.unused_data


def _is_cut_off(dataset: Dataset) -> bool:
    last = list(dataset.values())[-1] if len(dataset) else None
    if not isinstance(last, RawDataElement) or last.value is None or last.length == _UNDEFINED:
        return False
    return len(last.value) < last.length


def _depth(dataset: Dataset, limit: int) -> int:
    """Levels of sequences, up to one above the limit, counted without recursion.

    A sequence that is too short for the remaining levels is not parsed.
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
    """Whether a sequence may hold more than so many levels, counting itself."""
    if not isinstance(element, RawDataElement) or element.value is None:
        return True
    return len(element.value) >= levels * _BYTES_OF_A_LEVEL


def _failure(reason: FailureReason, detail: str) -> ImageFailure:
    return ImageFailure(Stage.IDENTIFY, reason, detail)
