"""Reads the elements of a DICOM object in their order, up to the end of the object.

pydicom reads to the end of the file, and elements found there replace earlier ones. It also gives
up an object whose encapsulated pixel data has no delimiter. So files that are out of order are read
here, step by step.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import data_element_generator, read_dataset, read_partial, read_sequence
from pydicom.tag import BaseTag

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images.dicom_fragments import DELIMITER, walk_items

_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_LONGEST_HEADER = 12
"""Bytes of an element before its value (PS3.5 7.1.2)."""
_PART_10 = b"DICM\x02\x00"
_OF_AN_OBJECT = frozenset({0x00080016, 0x00080018, 0x00280010, 0x00280011, _PIXEL_DATA})
"""SOP class and instance, Rows, Columns, Pixel Data: an object has each once."""

_OF_THE_PIXELS = frozenset(
    {
        0x00280002,  # Samples per Pixel
        0x00280004,  # Photometric Interpretation
        0x00280006,  # Planar Configuration
        0x00280008,  # Number of Frames
        0x00280010,  # Rows
        0x00280011,  # Columns
        0x00280100,  # Bits Allocated
        0x00280101,  # Bits Stored
        0x00280102,  # High Bit
        0x00280103,  # Pixel Representation
        _PIXEL_DATA,
    }
)
"""If one of these has two values, it is unknown which is right."""


@dataclass(frozen=True, eq=False)
class ParsedObject:
    """A parsed object.

    dataset: with `file_meta`.
    is_followed: whether another object follows it in the file, which is not read.
    is_cut_off: whether the file ends within an element.
    """

    dataset: Dataset
    is_followed: bool
    is_cut_off: bool


class _Order:
    """Stops pydicom before encapsulated pixel data, and before a tag that is not above the last.

    Such a tag begins another object, or padding.
    """

    def __init__(self, last: int = -1) -> None:
        self.last, self.stopped, self._calls = last, False, 0

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        # pydicom may ask for the first tag twice, to decide between explicit and implicit VR
        is_asked_again = self._calls == 1 and tag == self.last
        self._calls += 1
        self.stopped = (tag <= self.last and not is_asked_again) or (
            tag == _PIXEL_DATA and length == _UNDEFINED
        )
        if not self.stopped:
            self.last = tag
        return self.stopped


@dataclass(frozen=True)
class DicomSource:
    """The source of a dataset.

    stream: holds it.
    has_preamble: whether the file has a preamble.
    start: offset of the dataset; None if unknown.
    meta: parsed file meta; None if pydicom should read it.
    implicit, little: the encoding, if there is file meta.
    is_followed: whether the file holds an object after the stream.
    """

    stream: io.BytesIO
    has_preamble: bool
    start: int | None = None
    meta: FileMetaDataset | None = None
    implicit: bool = False
    little: bool = True
    is_followed: bool = False

    def read(self, stop_when: _Order | None = None) -> Dataset:
        """Read the dataset with its file meta; the stream stays where reading stopped.

        The dataset is empty if the file ends within an element of undefined length.
        """
        self.stream.seek(self.start or 0)
        if self.meta is not None:
            try:
                dataset = read_dataset(self.stream, self.implicit, self.little, stop_when=stop_when)
            except OSError:  # raised for the end in a sequence
                dataset = Dataset()
            dataset.file_meta = self.meta
            return dataset
        dataset = read_partial(self.stream, stop_when, force=not self.has_preamble)
        if not hasattr(dataset, "file_meta"):
            dataset.file_meta = FileMetaDataset()
        return dataset

    def read_until_cut(self, stop_when: _Order) -> Dataset:
        """Read the elements before such an end."""
        self.stream.seek(self.start or 0)
        dataset = Dataset()
        dataset.set_original_encoding(self.implicit, self.little)
        dataset.file_meta = self.meta or FileMetaDataset()
        elements = data_element_generator(
            self.stream, self.implicit, self.little, stop_when=stop_when
        )
        try:
            for element in elements:
                dataset[element.tag] = element
        except RecursionError:
            raise
        except Exception:  # any error of a parser at the end of the file
            return dataset
        return dataset


def is_in_order(dataset: Dataset, start: int | None) -> bool:
    """Whether there are elements, and all are in ascending order.

    Elements out of order do not belong to this object, but replace earlier ones in pydicom.

    Args:
        dataset: as parsed.
        start: offset of the first element; None if unknown.
    """
    places = [
        (tag, element.value_tell if isinstance(element, RawDataElement) else element.file_tell or 0)
        for tag, element in zip(dataset.keys(), dataset.values(), strict=True)
    ]
    is_first = bool(places) and (start is None or places[0][1] <= start + _LONGEST_HEADER)
    return is_first and all(
        before[0] < after[0] and before[1] < after[1] for before, after in pairwise(places)
    )


def check_repeated(elements: Iterable[DataElement | RawDataElement], data: io.BytesIO) -> None:
    """Refuse an element on the pixels that occurs twice in a row with different values.

    pydicom keeps the last one. The other leaves a gap between elements, and only gaps are examined.

    Args:
        elements: in their order.
        data: from which they were read.

    Raises:
        ImageFailure: DICOM_INVALID.
    """
    for before, after in pairwise(elements):
        if after.tag not in _OF_THE_PIXELS or not isinstance(after, RawDataElement):
            continue
        if isinstance(before, RawDataElement):
            if before.length == _UNDEFINED:
                continue
            end = before.value_tell + before.length
        else:
            end = _end_of_sequence(before, after, data)
        if after.value_tell - end > _LONGEST_HEADER:
            _compare(data.getvalue()[end:], after)


def _end_of_sequence(before: DataElement, after: RawDataElement, stream: io.BytesIO) -> int:
    """Where a sequence of undefined length ends.

    It is read again only if its delimiter is not just before the next element.
    """
    for header in (8, _LONGEST_HEADER):
        stream.seek(max(0, after.value_tell - header - 8))
        if stream.read(8) == DELIMITER + bytes(4):
            return after.value_tell - header
    stream.seek(before.file_tell or 0)
    read_sequence(stream, after.is_implicit_VR, after.is_little_endian, _UNDEFINED, "latin1")
    return stream.tell()


def _compare(data: bytes, last: RawDataElement) -> None:
    """Refuse repeated elements with different values.

    Args:
        data: from the first of the repeated elements on.
        last: the one that was kept.
    """
    stream = io.BytesIO(data)
    for element in data_element_generator(stream, last.is_implicit_VR, last.is_little_endian):
        if element.tag != last.tag:
            return
        if element.value != last.value:
            raise _repeated()


def _repeated() -> ImageFailure:
    return ImageFailure(
        Stage.IDENTIFY, FailureReason.DICOM_INVALID, "an element of the pixels has two values"
    )


def read_in_order(source: DicomSource) -> ParsedObject:
    """Read the dataset again, step by step.

    Encapsulated pixel data is read by its items, with or without a delimiter. Elements out of order
    are added only if the dataset lacks them. Of a file that is cut off everything before the cut is
    read.
    """
    order = _Order()
    dataset = source.read(order)
    is_cut = source.meta is not None and not len(dataset) and not order.stopped
    if is_cut:
        order = _Order()
        dataset = source.read_until_cut(order)
    data, position = source.stream.getvalue(), source.stream.tell()
    implicit, little = (bool(part) for part in dataset.original_encoding)
    while order.stopped:
        header = 8 if implicit else _LONGEST_HEADER
        is_pixel_data = order.last < _PIXEL_DATA and _tag_at(data, position, little) == _PIXEL_DATA
        if not is_pixel_data:
            follows = _take_the_rest(dataset, data[position:], implicit, little)
            return ParsedObject(dataset, follows or source.is_followed, is_cut)
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
    return ParsedObject(dataset, source.is_followed, is_cut)


def _take_the_rest(dataset: Dataset, rest: bytes, implicit: bool, little: bool) -> bool:
    """Add elements out of order that the dataset lacks, since some writers do not sort.

    Returns:
        True if they belong to another object; then nothing is added.
    """
    if not rest.strip(b"\0"):
        return False
    if holds_an_object(rest):
        return True
    stream = io.BytesIO(rest)
    elements = _more(stream, implicit, little, None)
    if any(element.tag in dataset and element.tag in _OF_AN_OBJECT for element in elements):
        return True
    check_repeated(elements, stream)
    for element in elements:
        if element.tag not in dataset:
            dataset[element.tag] = element
            continue
        kept = dataset.get_item(element.tag)
        if element.tag in _OF_THE_PIXELS and kept is not None and element.value != kept.value:
            raise _repeated()
    return False


def _more(
    stream: io.BytesIO, implicit: bool, little: bool, order: _Order | None
) -> list[DataElement | RawDataElement]:
    """Elements after those that were read; none if they cannot be parsed."""
    try:
        return list(read_dataset(stream, implicit, little, stop_when=order).values())
    except RecursionError:
        raise
    except Exception:  # bytes after an object must not make it unreadable
        return []


def holds_an_object(data: bytes) -> bool:
    """Whether bytes contain a Part 10 file."""
    return _PART_10 in data


def _tag_at(data: bytes, position: int, is_little_endian: bool) -> int:
    group, element = struct.unpack_from("<HH" if is_little_endian else ">HH", data, position)
    return int(group << 16 | element)
