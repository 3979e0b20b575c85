"""Checks the layout of a bitmap (BMP) before Pillow opens it.

Pillow reads pixels from wherever the header says, and stops when the rows are full. Sources:
Microsoft's BITMAPFILEHEADER, BITMAPCOREHEADER, BITMAPINFOHEADER and BITMAPV5HEADER.
"""

from __future__ import annotations

from batch.images.refusals import contradiction, damaged

_FILE_HEADER = 14
_CORE_HEADER, _INFO_HEADER, _V5_HEADER = 12, 40, 124
_UNCOMPRESSED, _BIT_FIELDS, _BIT_FIELDS_WITH_ALPHA = 0, 3, 6
_MASK_BYTES = {_BIT_FIELDS: 12, _BIT_FIELDS_WITH_ALPHA: 16}
"""Compression to the bytes of the masks after a BITMAPINFOHEADER."""
_MOST_INDEXED_BITS = 8
_LOOSE_BYTES = 8
"""Bytes that a writer may leave after the rows."""


def check_layout(data: bytes) -> None:
    """Refuse a bitmap whose pixels are not where its header says, or are too many.

    Raises:
        ImageFailure: DECODE_FAILED if they begin within header, masks or colour table;
            HEADER_CONTRADICTS_PIXELS if the file holds more than rows and columns need.
    """
    start, header_size = _unsigned(data, 10, 4), _unsigned(data, 14, 4)
    if header_size == _CORE_HEADER:
        columns, rows, bits = (_unsigned(data, at, 2) for at in (18, 20, 24))
        compression, colours, entry = _UNCOMPRESSED, 0, 3
    else:
        columns, bits, compression = (_unsigned(data, *at) for at in ((18, 4), (28, 2), (30, 4)))
        rows = abs(int.from_bytes(data[22:26], "little", signed=True))
        colours, entry = _unsigned(data, 46, 4), 4
    header_end = _FILE_HEADER + header_size
    masks_end = header_end
    if header_size == _INFO_HEADER:
        masks_end += _MASK_BYTES.get(compression, 0)
    begin = masks_end
    if bits <= _MOST_INDEXED_BITS:
        begin += entry * min(colours or 1 << bits, 1 << bits)
    # Some writers leave the colour table out of the sum; Pillow adds it.
    forgotten = start == header_end == masks_end
    if start and not forgotten and start < begin:
        raise damaged("bmp: pixels within the header")
    if compression in (_UNCOMPRESSED, *_MASK_BYTES):
        stride = (columns * bits + 31) // 32 * 4
        held = _pixels_end(data, header_size) - (begin if forgotten else start or begin)
        _check_surplus(held - rows * stride, rows, stride)


def _check_surplus(surplus: int, rows: int, stride: int) -> None:
    """Refuse an additional row, or additional words in every row."""
    if surplus <= _LOOSE_BYTES or not rows or not stride:
        return
    if surplus >= stride or surplus % (4 * rows) == 0:
        raise contradiction("bmp: holds more than its rows and columns")


def _pixels_end(data: bytes, header_size: int) -> int:
    """Where the pixels may end: at a colour profile after them, or at the end of the file."""
    if header_size == _V5_HEADER and _unsigned(data, 126, 4):
        profile = _FILE_HEADER + _unsigned(data, 126, 4)
        if _FILE_HEADER + header_size < profile < len(data):
            return profile
    return len(data)


def _unsigned(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")
