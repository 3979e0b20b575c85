"""Reads the directories of a TIFF, and chooses the page that is the picture.

Sources: TIFF 6.0 section 2; BigTIFF's design by Aware Systems; TIFF/EP and DNG for camera raw.
Nothing is decoded, and fields are read only when they are needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from batch.core.errors import ImageFailure
from batch.images.refusals import damaged, unsupported

SUBFILE_TYPE, OLD_SUBFILE_TYPE, COLUMNS, ROWS, BITS, COMPRESSION = 254, 255, 256, 257, 258, 259
PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES = 262, 266, 273, 274, 277
ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR, COLOUR_MAP = 278, 279, 284, 317, 320
TILE_COLUMNS, TILE_ROWS, TILE_OFFSETS, TILE_BYTES, SUB_DIRECTORIES = 322, 323, 324, 325, 330
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES = 332, 338, 339, 347
JPEG_STREAM, JPEG_STREAM_BYTES = 513, 514
YCBCR_COEFFICIENTS, YCBCR_SUBSAMPLING, REFERENCE_BLACK_WHITE, ICC_PROFILE = 529, 530, 532, 34675
_CFA_REPEAT, _CFA_PATTERN, _DNG_VERSION = 33421, 33422, 50706

_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4"} | {
    13: "u4", 16: "u8", 17: "i8", 18: "u8"
}  # fmt: skip
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4} | {
    10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8
}  # fmt: skip
"""For each type of field: how whole numbers are read, and the bytes of a value."""
_RATIONAL = 5
_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2
_RAW_PHOTOMETRICS = frozenset({32803, 34892})  # colour filter array; linear raw
_RAW_COMPRESSIONS = frozenset({32767, 32769, 32770, 34713, 65000, 65535})
"""Sony ARW, Epson ERF, Samsung SRW, Nikon NEF, Kodak KDC, Pentax PEF."""
_MOST_DIRECTORIES = 256
_MAKE = 271
_MOST_PREVIEW_PIXELS = 1000
"""Longest side of a preview; a camera's picture is larger."""


@dataclass(frozen=True, eq=False)
class Directory:
    """An image file directory.

    data: the file.
    order: byte order, `<` or `>`.
    fields: tag to (type, count, offset of the values).
    start, end: of its own bytes in the file.
    next_offset: of the next directory; 0 after the last.
    """

    data: bytes
    order: str
    fields: Mapping[int, tuple[int, int, int]]
    start: int
    end: int
    next_offset: int

    def __contains__(self, tag: int) -> bool:
        return tag in self.fields

    def numbers(self, tag: int) -> np.ndarray:
        """The values of a field, (n,), int64; empty without the field or without whole numbers.

        Raises:
            ImageFailure: DECODE_FAILED if the values are beyond the end of the file.
        """
        kind, count, start = self.fields.get(tag, (0, 0, 0))
        if kind not in _INTEGERS:
            return np.empty(0, np.int64)
        self._check(start, count * _SIZES[kind])
        values = np.frombuffer(self.data, self.order + _INTEGERS[kind], count, start)
        return values.astype(np.int64)

    def number(self, tag: int, default: int) -> int:
        """The first value of a field."""
        values = self.numbers(tag)
        return int(values[0]) if len(values) else default

    def ratios(self, tag: int) -> tuple[float, ...]:
        """Values of a RATIONAL field; empty without one, or with a zero as denominator."""
        kind, count, start = self.fields.get(tag, (0, 0, 0))
        if kind != _RATIONAL:
            return tuple(float(value) for value in self.numbers(tag))
        self._check(start, count * _SIZES[kind])
        parts = np.frombuffer(self.data, f"{self.order}u4", 2 * count, start).astype(float)
        above, below = parts[::2], parts[1::2]
        return tuple((above / below).tolist()) if below.all() else ()

    def octets(self, tag: int) -> bytes | None:
        """A field's values as bytes; None without it."""
        if tag not in self.fields:
            return None
        kind, count, start = self.fields[tag]
        size = count * _SIZES.get(kind, 1)
        self._check(start, size)
        return self.data[start : start + size]

    def _check(self, start: int, size: int) -> None:
        if start + size > len(self.data):
            raise damaged("TIFF: a field lies beyond the file")

    @property
    def is_part(self) -> bool:
        """Whether it says that it is a smaller copy or a mask of another page."""
        if self.number(SUBFILE_TYPE, 0) & (_REDUCED | _MASK):
            return True
        return self.number(OLD_SUBFILE_TYPE, 1) == _OLD_REDUCED

    @property
    def is_camera_raw(self) -> bool:
        """Whether its pixels, or those of the file, are camera raw."""
        return (
            self.number(PHOTOMETRIC, 0) in _RAW_PHOTOMETRICS
            or self.number(COMPRESSION, 1) in _RAW_COMPRESSIONS
            or any(tag in self for tag in (_CFA_REPEAT, _CFA_PATTERN, _DNG_VERSION))
        )

    @property
    def pixels(self) -> int:
        """Its number of pixels, as it says."""
        return self.number(ROWS, 0) * self.number(COLUMNS, 0)


def main_directory(data: bytes) -> Directory:
    """The first page that is a full picture: neither a smaller copy nor a mask.

    A page with a larger page below it is a preview, as in most camera raw. Smaller pages below
    (pyramids) and further pages (documents) change nothing.

    Raises:
        ImageFailure: UNSUPPORTED_FORMAT for camera raw, or if there are only previews;
            DECODE_FAILED without a first directory.
    """
    chain = list(_chain(data))
    pages = [page for page in chain if not page.is_part]
    below = [child for page in chain for child in _children(page)]
    if any(directory.is_camera_raw for directory in (*chain, *below)):
        raise unsupported("camera raw")
    if not pages:
        raise unsupported("TIFF: holds previews only")
    if any(child.pixels > pages[0].pixels for child in _children(pages[0]) if not child.is_part):
        raise unsupported("TIFF: the first page is a preview")
    return pages[0]


def refuse_preview(data: bytes) -> None:
    """Refuse a small page in a TIFF of a camera with a name of camera raw, since it is a preview.

    Some makers hide the sensor's data such that no field shows them.

    Raises:
        ImageFailure: UNSUPPORTED_FORMAT, or as in `main_directory`.
    """
    page = main_directory(data)
    if _MAKE in page and max(page.number(ROWS, 0), page.number(COLUMNS, 0)) < _MOST_PREVIEW_PIXELS:
        raise unsupported("camera raw holds previews only")


def _chain(data: bytes) -> Iterator[Directory]:
    """The pages, up to a damaged directory, which earlier pages do not need."""
    order = "<" if data[:2] == b"II" else ">"
    big = _unsigned(data, order, 2, 2) == 43
    offset = _unsigned(data, order, 8, 8) if big else _unsigned(data, order, 4, 4)
    directory = _parse(data, order, big, offset)
    if directory is None:
        raise damaged("TIFF without a directory")
    seen: set[int] = set()
    while directory is not None and directory.start not in seen and len(seen) < _MOST_DIRECTORIES:
        seen.add(directory.start)
        yield directory
        directory = _parse(data, order, big, directory.next_offset)


def _children(page: Directory) -> Iterator[Directory]:
    """The pages below a page that can be parsed."""
    big = page.data[2:4] in (b"+\x00", b"\x00+")
    try:
        offsets = page.numbers(SUB_DIRECTORIES)[:_MOST_DIRECTORIES].tolist()
    except ImageFailure:
        return
    for offset in offsets:
        directory = _parse(page.data, page.order, big, offset)
        if directory is not None:
            yield directory


def _parse(data: bytes, order: str, big: bool, start: int) -> Directory | None:
    """The directory at an offset, or None if there is none. The first field of a tag counts."""
    count_size, entry_size, value_size = (8, 20, 8) if big else (2, 12, 4)
    count = _unsigned(data, order, start, count_size)
    end = start + count_size + count * entry_size
    if start < 8 or count < 1 or end + value_size > len(data):
        return None
    fields: dict[int, tuple[int, int, int]] = {}
    for at in range(start + count_size, end, entry_size):
        tag, kind = _unsigned(data, order, at, 2), _unsigned(data, order, at + 2, 2)
        values = _unsigned(data, order, at + 4, value_size)
        where = at + 4 + value_size
        if values * _SIZES.get(kind, 1) > value_size:
            where = _unsigned(data, order, where, value_size)
        fields.setdefault(tag, (kind, values, where))
    next_offset = _unsigned(data, order, end, value_size)
    try:
        return _settled(Directory(data, order, fields, start, end + value_size, next_offset))
    except ImageFailure:
        return None


def _settled(directory: Directory) -> Directory:
    """Read the fields that decide on pages, so that the properties cannot fail later."""
    for tag in (SUBFILE_TYPE, OLD_SUBFILE_TYPE, ROWS, COLUMNS, PHOTOMETRIC, COMPRESSION):
        directory.numbers(tag)
    return directory


def _unsigned(data: bytes, order: str, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little" if order == "<" else "big")
