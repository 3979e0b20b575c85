"""Finds the strips or tiles of a TIFF page, and checks that all of them are in the file.

Libraries fill missing ones with black, or with other bytes of the file, without an error. So the
whole table is checked before decoding. Source: TIFF 6.0 sections 3 and 15.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batch.images import tiff_directory as tags
from batch.images.refusals import contradiction, damaged
from batch.images.tiff_directory import Directory

RAW, SEPARATE = 1, 2
"""A value of Compression, and one of PlanarConfiguration."""
_HEADER_BYTES = 8
_LOOSE_BYTES = 8
_LARGEST_BLOCK = 512
"""Bytes that a writer may leave after the rows of a part, and size of a block that it may fill."""


@dataclass(frozen=True)
class Layout:
    """The layout of a page's samples in strips or tiles, which are called parts.

    rows, columns: of the page.
    samples: of a pixel.
    bits: of a sample.
    separate: whether each sample has a plane of its own.
    tiled: whether parts are tiles.
    part_rows, part_columns: of a part; the last strip may be shorter, a tile may not.
    compression, predictor, fill_order: of the parts.
    subsampling: pixels that share chroma, horizontally and vertically, in uncompressed YCbCr.
    rgb_stream: whether the page says that the three components of a JPEG are RGB.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    separate: bool
    tiled: bool
    part_rows: int
    part_columns: int
    compression: int
    predictor: int
    fill_order: int
    subsampling: tuple[int, int] = (1, 1)
    rgb_stream: bool = False

    @property
    def part_samples(self) -> int:
        """Samples of a pixel in a part."""
        return 1 if self.separate else self.samples

    @property
    def parts_a_plane(self) -> tuple[int, int]:
        """Parts of a plane: down, across."""
        return -(-self.rows // self.part_rows), -(-self.columns // self.part_columns)

    def part_bytes(self, rows: int) -> int:
        """Bytes of so many rows of a part, uncompressed."""
        if self.subsampling != (1, 1):
            wide, high = self.subsampling
            return -(-rows // high) * -(-self.part_columns // wide) * (wide * high + 2)
        return rows * -(-self.part_columns * self.part_samples * self.bits // 8)

    def check_surplus(self, size: int, loose: int = _LOOSE_BYTES) -> None:
        """Refuse a part whose size means another width or height.

        The last strip may be as long as the others. Bytes that fill a block of 2 to 512 bytes may
        follow the rows, unless they are whole pixels for every row; then the width is too small,
        which would shift the rows.

        Args:
            size: bytes of the part, uncompressed.
            loose: additional bytes that are allowed if they are no whole pixels for every row.

        Raises:
            ImageFailure: HEADER_CONTRADICTS_PIXELS.
        """
        surplus = size - self.part_bytes(self.part_rows)
        if surplus <= _LOOSE_BYTES:
            return
        pixels_of_a_column = self.part_rows * max(1, self.part_samples * self.bits // 8)
        block = min(size & -size, _LARGEST_BLOCK)
        too_much = surplus > loose and surplus >= min(block, self.part_bytes(1))
        if too_much or surplus % pixels_of_a_column == 0:
            raise contradiction("TIFF: a strip or tile holds more than its rows and columns")


def checked_table(page: Directory, layout: Layout, needed: int) -> tuple[list[int], list[int]]:
    """Offsets and byte counts of all parts, each of them in the file.

    Raises:
        ImageFailure: DECODE_FAILED if a part is impossible, HEADER_CONTRADICTS_PIXELS if there are
            too many parts, or they hold more than the picture.
    """
    offsets, counts = _listed(page, layout)
    if len(offsets) < needed:
        raise damaged("TIFF: strips or tiles are missing")
    if (offsets[needed:] > 0).any() and (counts[needed:] > 0).any():
        raise contradiction("TIFF: more strips or tiles than the picture has")
    if layout.compression == RAW:
        held = np.minimum(counts[:needed], len(page.data) - offsets[: len(counts[:needed])])
        layout.check_surplus(int(held.max(initial=0)))
        sizes = _raw_sizes(layout, needed)
        counts = np.minimum(counts[:needed], sizes[: len(counts)]) if len(counts) else sizes
    offsets, counts = offsets[:needed], counts[:needed]
    if len(counts) < needed or (offsets < _HEADER_BYTES).any() or (counts < 1).any():
        raise damaged("TIFF: strips or tiles are missing")
    ends = offsets + counts
    if (ends > len(page.data)).any() or (ends < offsets).any():
        raise damaged("TIFF: a strip or tile lies beyond the file")
    if ((offsets < page.end) & (ends > page.start)).any():
        raise damaged("TIFF: a strip or tile lies over the directory")
    by_place = np.lexsort((ends, offsets))
    starts, stops = offsets[by_place], ends[by_place]
    overlaps = starts[1:] < stops[:-1]
    if layout.tiled and layout.compression != RAW:  # blank tiles of large pictures may share data
        overlaps &= (starts[1:] != starts[:-1]) | (stops[1:] != stops[:-1])
    if overlaps.any():
        raise damaged("TIFF: strips or tiles lie over each other")
    return offsets.tolist(), counts.tolist()


def _listed(page: Directory, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and byte counts as in the file; some writers store those of tiles as of strips.

    They may be missing; libtiff computes byte counts of uncompressed pages, too.
    """
    if layout.tiled and tags.TILE_OFFSETS in page:
        return page.numbers(tags.TILE_OFFSETS), page.numbers(tags.TILE_BYTES)
    return page.numbers(tags.STRIP_OFFSETS), page.numbers(tags.STRIP_BYTES)


def _raw_sizes(layout: Layout, needed: int) -> np.ndarray:
    """Bytes of every uncompressed part, (needed,), int64."""
    down, across = layout.parts_a_plane
    plane = np.full(down * across, layout.part_bytes(layout.part_rows))
    if not layout.tiled:
        plane[-1] = layout.part_bytes(layout.rows - (down - 1) * layout.part_rows)
    return np.tile(plane, needed // len(plane))


def implied_strip_rows(page: Directory, a_row: int, rows: int, planes: int) -> int:
    """Rows of an uncompressed strip, by its bytes, if the page does not state them.

    Args:
        page: of the strips.
        a_row: bytes of a row in a strip.
        rows: of the page.
        planes: 1, or one for each sample.

    Returns:
        rows of all strips except the last of a plane. If the byte counts do not fit, the rows of
        the page, because TIFF 6.0 then has one strip.
    """
    counts = page.numbers(tags.STRIP_BYTES)
    strips, rest = divmod(len(counts), planes)
    if rest or strips < 2 or counts[0] < a_row or counts[0] % a_row:
        return rows
    strip_rows = int(counts[0]) // a_row
    last = rows - (strips - 1) * strip_rows
    expected = ([strip_rows * a_row] * (strips - 1) + [last * a_row]) * planes
    return strip_rows if 0 < last <= strip_rows and counts.tolist() == expected else rows
