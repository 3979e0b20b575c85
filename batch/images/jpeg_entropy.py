"""Checks that the coded data of a JPEG is complete, code by code, without making pixels.

simplejpeg is strict but reads only the usual samplings; Pillow reads all but fills missing data
with grey. So a JPEG of unusual sampling is checked here first. Everything in the data of which
libjpeg would warn is a failure: a code in no table, a marker before the last block, bytes left
after it, a restart marker out of order. Coding: Huffman, sequential and progressive (ITU-T T.81
annexes F, G). Only the tables are kept, and for refining scans which coefficients are set.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import ceil

from batch.images.jpeg_blocks import BLOCK, Bits, DamagedError, Table, block_reader, tables_of
from batch.images.jpeg_headers import PROGRESSIVE, SOS, JpegHeader, read_header, walk
from batch.images.jpeg_scans import end_of_scan

_DHT, _DRI = 0xC4, 0xDD
_RESTART = re.compile(rb"(?<!\xff)\xff+([\xd0-\xd7])")


@dataclass(frozen=True)
class _Part:
    """A component of the picture.

    width, height: its sampling factors.
    blocks: (in a row, rows), coded by a scan of this component alone.
    row_length: blocks in a row of is_set, as the MCUs of an interleaved scan fill them.
    is_set: for a progressive picture a byte for each coefficient, 1 if a scan has set it.
    """

    width: int
    height: int
    blocks: tuple[int, int]
    row_length: int
    is_set: bytearray


@dataclass
class _Stream:
    """The state of a stream after some segments. tables: by the number in DHT, class and id."""

    header: JpegHeader
    parts: list[_Part]
    tables: dict[int, Table] = field(default_factory=dict)
    restart_interval: int = 0


def check_whole(data: bytes) -> None:
    """Read the coded data of a JPEG with Huffman coding to its end.

    Raises:
        DamagedError: data is missing or left over, or a code is in no table.
    """
    header = read_header(data)
    if not all(1 <= factor <= 4 for factors in header.sampling for factor in factors):
        raise DamagedError
    stream = _Stream(header, _parts(header))
    position: int | None = 2
    scans = 0
    while position is not None:
        segments, position, marker = walk(data, position), None, 0
        for marker, start, end in segments:
            payload = data[start + 4 : end]
            if marker == _DHT:
                stream.tables.update(tables_of(payload))
            elif marker == _DRI:
                stream.restart_interval = int.from_bytes(payload[:2], "big")
            elif marker == SOS:
                position = end_of_scan(data, end)
                _check_scan(stream, payload, data[end:position])
                scans += 1
        if position is None and (marker != 0xD9 or not scans):
            raise DamagedError


def _parts(header: JpegHeader) -> list[_Part]:
    widest = max(h for h, _ in header.sampling)
    highest = max(v for _, v in header.sampling)
    across, down = _mcus(header)
    kept = BLOCK if header.process == PROGRESSIVE else 0
    parts = []
    for h, v in header.sampling:
        columns, rows = ceil(header.columns * h / widest), ceil(header.rows * v / highest)
        blocks = ceil(columns / 8), ceil(rows / 8)
        parts.append(_Part(h, v, blocks, across * h, bytearray(across * h * down * v * kept)))
    return parts


def _check_scan(stream: _Stream, payload: bytes, coded: bytes) -> None:
    count = payload[0] if payload else 0
    if not count or len(payload) != 4 + 2 * count:
        raise DamagedError
    chosen = []
    for at in range(1, 1 + 2 * count, 2):
        if payload[at] not in stream.header.component_ids:
            raise DamagedError
        part = stream.parts[stream.header.component_ids.index(payload[at])]
        dc, ac = payload[at + 1] >> 4, 0x10 | (payload[at + 1] & 15)
        tables = stream.tables.get(dc), stream.tables.get(ac)
        chosen.append((part, block_reader(stream.header.process, *tables, payload[-3:])))
    intervals = _RESTART.split(coded)
    sequence = [marker[0] & 7 for marker in intervals[1::2]]
    if sequence != [number % 8 for number in range(len(sequence))]:
        raise DamagedError
    alone = count == 1
    across, down = chosen[0][0].blocks if alone else _mcus(stream.header)
    total = across * down
    interval = stream.restart_interval or total
    if len(sequence) + 1 != -(-total // interval):
        raise DamagedError
    for number, octets in enumerate(intervals[::2]):
        bits = Bits(octets.replace(b"\xff\x00", b"\xff"))
        readers = [(part, new(bits)) for part, new in chosen]
        for mcu in range(number * interval, min(total, (number + 1) * interval)):
            row, column = divmod(mcu, across)
            for part, read in readers:
                width, height = (1, 1) if alone else (part.width, part.height)
                for block_row in range(row * height, (row + 1) * height):
                    first = block_row * part.row_length + column * width
                    for block in range(first, first + width):
                        read(part.is_set, block * BLOCK)
            if bits.position > 8 * len(bits.octets):
                raise DamagedError
        bits.end()


def _mcus(header: JpegHeader) -> tuple[int, int]:
    """MCUs of an interleaved scan: (in a row, rows)."""
    widest = max(h for h, _ in header.sampling)
    highest = max(v for _, v in header.sampling)
    return ceil(header.columns / (8 * widest)), ceil(header.rows / (8 * highest))
