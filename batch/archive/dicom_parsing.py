"""DICOM Part 10 files and bare datasets: bytes to a dataset, within bounds.

Everything pydicom says (warnings, exceptions) may quote patient data: its warnings and log lines
are dropped here, and its exceptions become reasons of ours.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from dataclasses import dataclass
from itertools import pairwise

import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag

from batch.archive import dicom_objects as objects
from batch.archive.dicom_attributes import text
from batch.archive.dicom_fragments import DELIMITER, walk_items
from batch.archive.dicom_values import PlainValues
from batch.archive.limits import Limits
from batch.errors import FailureReason, ImageFailure, Stage

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

_PREAMBLE_BYTES = 132
_FILE_META_GROUP = 2
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_PART_10 = b"DICM\x02\x00"
_BYTES_OF_A_LEVEL = 16
"""An item's header and that of the sequence in it, at the least (PS3.5 7.5)."""
_OF_AN_OBJECT = frozenset({0x00080016, 0x00080018, 0x00280010, 0x00280011, _PIXEL_DATA})
"""SOP class and instance, Rows, Columns, Pixel Data: an object has each once."""


@dataclass(frozen=True, eq=False)
class ParsedObject:
    """dataset: with `file_meta`. is_followed: another object stands behind it in the file, and is
    not read. is_cut_off: the file ends within an element.
    """

    dataset: Dataset
    is_followed: bool
    is_cut_off: bool


def parse(data: bytes, limits: Limits, has_preamble: bool = True) -> ParsedObject:
    """Parse the first object of a file, within the limits of inflation and nesting.

    Raises:
        ImageFailure: stage IDENTIFY.
    """
    try:
        source = _source(data, limits, has_preamble)
        dataset, is_followed = source.read(), source.is_followed
        if not _is_in_order(dataset):
            dataset, goes_on = _read_in_order(source)
            is_followed |= goes_on
        depth = _depth(dataset, limits.nesting)
    except ImageFailure:
        raise
    except RecursionError as error:
        raise _failure(FailureReason.NESTED_TOO_DEEP, "") from error
    except Exception as error:  # pydicom's parsers raise whatever struct and codecs raise
        raise _failure(FailureReason.DICOM_INVALID, type(error).__name__) from error
    if depth > limits.nesting:
        raise _failure(FailureReason.NESTED_TOO_DEEP, f"allowed: {limits.nesting} levels")
    return ParsedObject(dataset, is_followed, _is_cut_off(dataset))


class _Order:
    """Stops pydicom before encapsulated pixel data, and before a tag that is not above the last:
    there another object begins, or padding.
    """

    def __init__(self, last: int = -1) -> None:
        self.last, self.stopped, self._calls = last, False, 0

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        # pydicom may ask for the first tag twice, to tell explicit from implicit VR
        is_asked_again = self._calls == 1 and tag == self.last
        self._calls += 1
        self.stopped = (tag <= self.last and not is_asked_again) or (
            tag == _PIXEL_DATA and length == _UNDEFINED
        )
        if not self.stopped:
            self.last = tag
        return self.stopped


@dataclass(frozen=True)
class _Source:
    """Where a dataset is read from.

    meta: of a dataset in explicit little endian, whose file meta was parsed; None leaves all to
    pydicom. is_followed: there is more in the file than the stream holds.
    """

    stream: io.BytesIO
    meta: FileMetaDataset | None
    has_preamble: bool
    is_followed: bool = False

    def read(self, stop_when: _Order | None = None) -> Dataset:
        """The dataset, with its file meta; the stream is left where reading stopped."""
        self.stream.seek(0)
        if self.meta is not None:
            dataset = read_dataset(self.stream, False, True, stop_when=stop_when)
            dataset.file_meta = self.meta
            return dataset
        dataset = read_partial(self.stream, stop_when, force=not self.has_preamble)
        if not hasattr(dataset, "file_meta"):
            dataset.file_meta = FileMetaDataset()
        return dataset


def _source(data: bytes, limits: Limits, has_preamble: bool) -> _Source:
    """A dataset in explicit little endian, as nearly all are, is read without what pydicom tries
    for the others; a deflated one is inflated under our bound.
    """
    start = _PREAMBLE_BYTES if has_preamble else 0
    if data[start : start + 2] != _FILE_META_GROUP.to_bytes(2, "little"):
        return _Source(io.BytesIO(data), None, has_preamble)
    stream = io.BytesIO(data[start:])
    meta = read_dataset(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, *_: tag.group != _FILE_META_GROUP,
    )
    syntax = text(PlainValues(meta), "TransferSyntaxUID")
    if syntax == objects.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        inflated, behind = _inflated(stream.read(), limits)
        is_followed = _holds_an_object(behind)
        return _Source(io.BytesIO(inflated), FileMetaDataset(meta), has_preamble, is_followed)
    if syntax in objects.EXPLICIT_LITTLE_ENDIAN:
        rest = io.BytesIO(stream.read())
        return _Source(rest, FileMetaDataset(meta), has_preamble)
    return _Source(io.BytesIO(data), None, has_preamble)


def _inflated(deflated: bytes, limits: Limits) -> tuple[bytes, bytes]:
    """The dataset, and what stands behind the deflated stream."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflate.decompress(deflated, limits.inflated_bytes)
    if inflate.unconsumed_tail:
        raise _failure(FailureReason.INFLATES_TOO_MUCH, f"allowed: {limits.inflated_bytes} bytes")
    return inflated, inflate.unused_data


def _is_in_order(dataset: Dataset) -> bool:
    """Whether there are elements, each in its place: what follows out of turn is not this object's,
    and pydicom lets it replace what stood before.
    """
    places = [
        (tag, element.value_tell if isinstance(element, RawDataElement) else element.file_tell or 0)
        for tag, element in zip(dataset.keys(), dataset.values(), strict=True)
    ]
    return bool(places) and all(
        before[0] < after[0] and before[1] < after[1] for before, after in pairwise(places)
    )


def _read_in_order(source: _Source) -> tuple[Dataset, bool]:
    """The dataset again: encapsulated pixel data by its items, whether or not a delimiter ends
    them, and nothing out of turn. True: another object follows.
    """
    order = _Order()
    dataset = source.read(order)
    data, position = source.stream.getvalue(), source.stream.tell()
    implicit, little = (bool(part) for part in dataset.original_encoding)
    while order.stopped:
        header = 8 if implicit else 12
        is_pixel_data = order.last < _PIXEL_DATA and _tag_at(data, position, little) == _PIXEL_DATA
        if not is_pixel_data:
            return dataset, _take_the_rest(dataset, data[position:], implicit, little)
        start = position + header
        end = walk_items(data, start).end
        dataset[BaseTag(_PIXEL_DATA)] = RawDataElement(
            BaseTag(_PIXEL_DATA), "OB", _UNDEFINED, data[start:end], start, implicit, little
        )
        source.stream.seek(end + 8 if data[end : end + 4] == DELIMITER else end)
        order = _Order(_PIXEL_DATA)
        for element in _more(source.stream, implicit, little, order):
            dataset[element.tag] = element
        position = source.stream.tell()
    return dataset, False


def _take_the_rest(dataset: Dataset, rest: bytes, implicit: bool, little: bool) -> bool:
    """Elements out of turn that the dataset lacks: some writers do not sort. True: there is another
    object instead.
    """
    if not rest.strip(b"\0"):
        return False
    if _holds_an_object(rest):
        return True
    found = _more(io.BytesIO(rest), implicit, little, None)
    if any(element.tag in dataset and element.tag in _OF_AN_OBJECT for element in found):
        return True
    for element in found:
        if element.tag not in dataset:
            dataset[element.tag] = element
    return False


def _more(
    stream: io.BytesIO, implicit: bool, little: bool, order: _Order | None
) -> list[DataElement | RawDataElement]:
    """Elements behind those that were read; nothing where they cannot be parsed."""
    try:
        return list(read_dataset(stream, implicit, little, stop_when=order).values())
    except RecursionError:
        raise
    except Exception:  # what follows an object must not cost it
        return []


def _holds_an_object(data: bytes) -> bool:
    """Whether a Part 10 file stands in there."""
    return _PART_10 in data


def _tag_at(data: bytes, position: int, is_little_endian: bool) -> int:
    group, element = struct.unpack_from("<HH" if is_little_endian else ">HH", data, position)
    return int(group << 16 | element)


def _is_cut_off(dataset: Dataset) -> bool:
    last = list(dataset.values())[-1] if len(dataset) else None
    if not isinstance(last, RawDataElement) or last.value is None or last.length == _UNDEFINED:
        return False
    return len(last.value) < last.length


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


def _failure(reason: FailureReason, detail: str) -> ImageFailure:
    return ImageFailure(Stage.IDENTIFY, reason, detail)
