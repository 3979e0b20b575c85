"""Where a TIFF page's strips or tiles lie, and that every one of them can be there.

Libraries fill what is missing with black, or with whatever lies at the offset, and say nothing; so
the table is checked in full before anything is decoded. Source: TIFF 6.0 sections 3 and 15.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batch.images import tiff_directory as tags
from batch.images.refusals import contradiction, damaged
from batch.images.tiff_directory import Directory

RAW, SEPARATE = 1, 2
"""A compression, and a planar configuration."""
_HEADER_BYTES = 8
_LOOSE_BYTES = 8
_LARGEST_BLOCK = 512
"""Bytes that a writer may leave behind a part's rows, and to which it may fill them up."""


@dataclass(frozen=True)
class Layout:
    """How a page's samples lie in its strips or tiles.

    samples: of a pixel. bits: of a sample. separate: one plane a sample. part_rows, part_columns:
    of a strip or tile; the last strip is shorter, the last tile is not. subsampling: pixels that
    share chroma, horizontally and vertically, of uncompressed YCbCr. rgb_stream: whether a JPEG's
    three components are RGB by the page's word.
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
        """Samples of a pixel in one strip or tile."""
        return 1 if self.separate else self.samples

    @property
    def parts_a_plane(self) -> tuple[int, int]:
        """Strips or tiles: down, across."""
        return -(-self.rows // self.part_rows), -(-self.columns // self.part_columns)

    def part_bytes(self, rows: int) -> int:
        """Bytes of so many rows of a strip or tile, uncompressed."""
        if self.subsampling != (1, 1):
            wide, high = self.subsampling
            return -(-rows // high) * -(-self.part_columns // wide) * (wide * high + 2)
        return rows * -(-self.part_columns * self.part_samples * self.bits // 8)

    def check_surplus(self, found: int, loose: int = _LOOSE_BYTES) -> None:
        """Refuse a strip or tile of so many bytes, uncompressed, when they are of another picture.

        The last strip may be as long as the others. What fills a block of 2 to 512 bytes may be
        left behind the rows, unless it makes every row longer by whole pixels: a width that is too
        small shears the picture.

        Args:
            loose: bytes that are no matter where they are no whole pixels of every row.

        Raises:
            ImageFailure: HEADER_CONTRADICTS_PIXELS.
        """
        surplus = found - self.part_bytes(self.part_rows)
        if surplus <= _LOOSE_BYTES:
            return
        pixels_of_a_column = self.part_rows * max(1, self.part_samples * self.bits // 8)
        block = min(found & -found, _LARGEST_BLOCK)
        too_much = surplus > loose and surplus >= min(block, self.part_bytes(1))
        if too_much or surplus % pixels_of_a_column == 0:
            raise contradiction("TIFF: a strip or tile holds more than its rows and columns")


def checked_table(page: Directory, layout: Layout, needed: int) -> tuple[list[int], list[int]]:
    """Offsets and byte counts of all strips or tiles, each of them in the file.

    Raises:
        ImageFailure: DECODE_FAILED when one of them cannot be, HEADER_CONTRADICTS_PIXELS when there
            are more, or they hold more than the picture.
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
    if layout.tiled and layout.compression != RAW:  # blank tiles of large pictures may be one
        overlaps &= (starts[1:] != starts[:-1]) | (stops[1:] != stops[:-1])
    if overlaps.any():
        raise damaged("TIFF: strips or tiles lie over each other")
    return offsets.tolist(), counts.tolist()


def _listed(page: Directory, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and byte counts as they stand; some writers keep those of tiles as those of strips.

    A page without byte counts has none here: libtiff computes those of uncompressed pages, too.
    """
    if layout.tiled and tags.TILE_OFFSETS in page:
        return page.numbers(tags.TILE_OFFSETS), page.numbers(tags.TILE_BYTES)
    return page.numbers(tags.STRIP_OFFSETS), page.numbers(tags.STRIP_BYTES)


def _raw_sizes(layout: Layout, needed: int) -> np.ndarray:
    """(needed,) int64: bytes of every strip or tile that is not compressed."""
    down, across = layout.parts_a_plane
    plane = np.full(down * across, layout.part_bytes(layout.part_rows))
    if not layout.tiled:
        plane[-1] = layout.part_bytes(layout.rows - (down - 1) * layout.part_rows)
    return np.tile(plane, needed // len(plane))


def implied_strip_rows(page: Directory, a_row: int, rows: int, planes: int) -> int:
    """Rows of a strip where the page does not say them, by the bytes of uncompressed strips.

    Args:
        a_row: bytes of a row in one strip. rows: of the page. planes: 1, or one a sample.

    Returns:
        rows of all strips but the last of a plane; those of the page where the byte counts do not
        settle it: one strip is what TIFF 6.0 says then.
    """
    counts = page.numbers(tags.STRIP_BYTES)
    strips, rest = divmod(len(counts), planes)
    if rest or strips < 2 or counts[0] < a_row or counts[0] % a_row:
        return rows
    found = int(counts[0]) // a_row
    last = rows - (strips - 1) * found
    wanted = ([found * a_row] * (strips - 1) + [last * a_row]) * planes
    return found if 0 < last <= found and counts.tolist() == wanted else rows
