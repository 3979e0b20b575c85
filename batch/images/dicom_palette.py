"""Looks up the colours of DICOM palettes.

Sources: PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6 (descriptors, tables), C.7.9.2 (segmented tables). A
descriptor has three numbers: entries (0 means 65536), the first stored value that is mapped, and
bits of an entry. In real files, tables of 8 bits have an entry in each byte or in each 16-bit word,
and some tables of 16 bits hold values of 8 bits.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images.dicom_attributes import number

_COLOURS = ("Red", "Green", "Blue")
_MOST_ENTRIES = 65536
_EIGHT_BITS = 255
_MOST_BITS = 16
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


def colours(values: np.ndarray, bits: int, dataset: Dataset) -> np.ndarray:
    """Look up colours; 16-bit entries keep their upper eight bits.

    A value below the first mapped value gets the first entry, one above the last gets the last.

    Args:
        values: (h, w), unsigned, as stored.
        bits: of a value.
        dataset: with the tables.

    Returns:
        (h, w, 3) uint8.

    Raises:
        ImageFailure: DECODE_FAILED without tables, HEADER_CONTRADICTS_PIXELS if a table does not
            have the number of entries of its descriptor.
    """
    if bits > _MOST_BITS:
        raise ImageFailure(
            Stage.DECODE, FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION, f"{bits} bits"
        )
    is_signed = number(dataset, "PixelRepresentation", default=0) == 1
    descriptors = [_descriptor(dataset, name, is_signed) for name in _COLOURS]
    tables = [
        _entries(dataset, name, count, width)
        for name, (count, _, width) in zip(_COLOURS, descriptors, strict=True)
    ]
    shift = _shift(tables, max(width for _, _, width in descriptors))
    value_of_word = np.arange(1 << bits)
    if is_signed:
        value_of_word[len(value_of_word) // 2 :] -= len(value_of_word)
    pixels = np.empty((*values.shape, len(_COLOURS)), np.uint8)
    for channel, (table, (count, first, _)) in enumerate(zip(tables, descriptors, strict=True)):
        eight = (table >> shift).astype(np.uint8)
        pixels[..., channel] = eight[np.clip(value_of_word - first, 0, count - 1)][values]
    return pixels


def _shift(tables: list[np.ndarray], bits: int) -> int:
    """How many low bits to drop, the same number for all three tables.

    Entries that all fit into 8 bits are 8-bit entries, whatever the descriptor says; as 16-bit
    entries they would all be black.
    """
    largest = max(int(table.max()) for table in tables)
    if largest <= _EIGHT_BITS:
        return 0
    return bits - 8 if bits > 8 and largest < 1 << bits else 8


def _descriptor(dataset: Dataset, name: str, is_signed: bool) -> tuple[int, int, int]:
    """Number of entries, first mapped value, bits of an entry. is_signed: as the pixels are."""
    value = dataset.get(f"{name}PaletteColorLookupTableDescriptor")
    try:
        count, first, bits = (int(part) for part in value)
    except (TypeError, ValueError) as error:
        raise _without_tables() from error
    # the first number is unsigned, the second has the sign of the pixels (PS3.3 C.7.6.3.1.5)
    first %= _MOST_ENTRIES
    if is_signed and first >= _MOST_ENTRIES // 2:
        first -= _MOST_ENTRIES
    return count % _MOST_ENTRIES or _MOST_ENTRIES, first, bits


def _entries(dataset: Dataset, name: str, count: int, bits: int) -> np.ndarray:
    """The entries of a table, (count,), uint16."""
    words = _raw(dataset, f"{name}PaletteColorLookupTableData")
    if words is not None:
        if len(words.bytes) == 2 * count:
            return words.as_words()
        if len(words.bytes) in (count, count + 1):
            return words.as_bytes()[:count]
        raise _other_length(count, len(words.bytes))
    words = _raw(dataset, f"Segmented{name}PaletteColorLookupTableData")
    if words is None:
        raise _without_tables()
    readings = [words.as_words()] if bits > 8 else [words.as_bytes(), words.as_words()]
    for units, width in zip(readings, (2,) if bits > 8 else (1, 2), strict=True):
        table = _expanded(units.tolist(), width, count)
        if table is not None:
            return np.array(table, np.uint16)
    raise _other_length(count, len(words.bytes))


def _expanded(units: list[int], width: int, count: int) -> list[int] | None:
    """The entries of a segmented table; None if it does not give exactly `count` of them.

    Args:
        units: of the table.
        width: bytes of a unit.
        count: number of entries.
    """
    table: list[int] = []
    position = 0
    while len(table) < count:
        read = _segment(units, position, width, table)
        if read is None or len(table) > count:
            return None
        position = read
    return table if len(units) - position <= 1 else None  # a byte of padding


def _segment(units: list[int], position: int, width: int, table: list[int]) -> int | None:
    """Append the entries of a segment, and return the start of the next; None if it is invalid."""
    opcode, length = units[position : position + 2] or (None, 0)
    position += 2
    if opcode == _DISCRETE:
        entries = units[position : position + length]
        table.extend(entries)
        return position + length if len(entries) == length > 0 else None
    if opcode == _LINEAR and table and position < len(units) and length:
        start, end = table[-1], units[position]
        steps = np.linspace(start, end, length + 1)[1:]
        table.extend(np.rint(steps).astype(int).tolist())
        return position + 1
    if opcode == _INDIRECT and table and length:
        parts = units[position : position + 4 // width]
        offset = sum(part << 8 * width * place for place, part in enumerate(parts))
        at: int | None = offset // width
        for _ in range(length):
            if at is None or units[at : at + 1] == [_INDIRECT]:
                return None
            at = _segment(units, at, width, table)
        return position + 4 // width if at is not None else None
    return None


class _Raw:
    """The bytes of a table, in the byte order of its dataset."""

    def __init__(self, data: bytes, is_little_endian: bool) -> None:
        self.bytes, self._order = data, "<u2" if is_little_endian else ">u2"

    def as_words(self) -> np.ndarray:
        """(n,) uint16."""
        return np.frombuffer(self.bytes, self._order, len(self.bytes) // 2).astype(np.uint16)

    def as_bytes(self) -> np.ndarray:
        """(n,) uint16, an entry for each byte; the first is the low byte of its word."""
        words = self.as_words().astype("<u2")
        last = np.frombuffer(self.bytes[2 * len(words) :], np.uint8)
        return np.concatenate([words.view(np.uint8), last]).astype(np.uint16)


def _raw(dataset: Dataset, keyword: str) -> _Raw | None:
    element = dataset.get_item(Tag(keyword))
    if element is None:
        return None
    is_little_endian = dataset.original_encoding[1] is not False
    if isinstance(element, RawDataElement):
        is_little_endian = element.is_little_endian
    if not isinstance(element.value, bytes):
        raise _without_tables()
    return _Raw(element.value, is_little_endian)


def _without_tables() -> ImageFailure:
    return ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, "palette without tables")


def _other_length(count: int, found: int) -> ImageFailure:
    return ImageFailure(
        Stage.DECODE,
        FailureReason.HEADER_CONTRADICTS_PIXELS,
        f"{found} bytes of a palette's table; its descriptor says {count} entries",
    )
