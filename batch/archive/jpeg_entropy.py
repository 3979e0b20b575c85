"""Whether the coded data of a JPEG is whole: read code by code, without making pixels.

simplejpeg is strict, and reads the usual samplings only; Pillow reads all, and fills with grey
what is missing. So a JPEG of unusual sampling is read here first. What libjpeg warns of in the data
is a failure: a code that is in no table, a marker before the last block, bytes left over after it,
a restart marker out of turn. Huffman coding, sequential and progressive (ITU-T T.81 annexes F, G).

A stream may change its tables between scans, and a refining scan needs to know which coefficients
the scans before it have set; nothing else is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from batch.archive.jpeg import PROGRESSIVE, SOS, JpegHeader, end_of_scan, read_header, walk

_DHT, _DRI = 0xC4, 0xDD
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_BLOCK = 64
_PEEK = 16
"""Bits of the longest Huffman code."""

Table = list[int]
"""What the next 16 bits begin with: (length of the code << 8) | symbol; 0 where no code does."""


class DamagedError(Exception):
    """The coded data does not hold what the headers promise."""


@dataclass(frozen=True)
class _Part:
    """One component's share in a scan. blocks: (a row, rows) of it that a scan of its own codes.

    is_set: a byte a coefficient, 1 where an earlier scan made it other than 0; whole rows of MCUs.
    """

    width: int
    height: int
    blocks: tuple[int, int]
    row_length: int
    is_set: bytearray


@dataclass
class _Bits:
    """Coded data without its stuffed zeros, and how far it was read, in bits."""

    octets: bytes
    position: int = 0

    def code(self, table: Table) -> int:
        at = self.position
        word = int.from_bytes(self.octets[at >> 3 : (at >> 3) + 3].ljust(3, b"\x00"), "big")
        entry = table[(word >> (8 - (at & 7))) & 0xFFFF]
        if not entry:
            raise DamagedError
        self.position = at + (entry >> 8)
        return entry & 255

    def take(self, count: int) -> int:
        at, self.position = self.position, self.position + count
        word = int.from_bytes(self.octets[at >> 3 : (at >> 3) + 4].ljust(4, b"\x00"), "big")
        return (word >> (32 - (at & 7) - count)) & ((1 << count) - 1)

    def skip(self, count: int) -> None:
        self.position += count

    def end(self) -> None:
        if -(-self.position // 8) != len(self.octets):
            raise DamagedError


@dataclass
class _Stream:
    """What the segments so far have said. tables: by (class, id) as DHT numbers them."""

    header: JpegHeader
    parts: list[_Part]
    tables: dict[int, Table] = field(default_factory=dict)
    restart_interval: int = 0


def check_whole(data: bytes) -> None:
    """Read the coded data of a JPEG with Huffman coding to its end.

    Raises:
        DamagedError: something is missing, left over or in no table.
    """
    header = read_header(data)
    stream = _Stream(header, _parts(header))
    position: int | None = 2
    scans = 0
    while position is not None:
        segments, position, marker = walk(data, position), None, 0
        for marker, start, end in segments:
            payload = data[start + 4 : end]
            if marker == _DHT:
                stream.tables.update(_tables(payload))
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
    across = -(-header.columns // (8 * widest))
    down = -(-header.rows // (8 * highest))
    parts = []
    for h, v in header.sampling:
        blocks = (
            -(-(-(-header.columns * h // widest)) // 8),
            -(-(-(-header.rows * v // highest)) // 8),
        )
        parts.append(_Part(h, v, blocks, across * h, bytearray(across * h * down * v * _BLOCK)))
    return parts


def _tables(payload: bytes) -> dict[int, Table]:
    """The Huffman tables of one segment (T.81 B.2.4.2, annex C)."""
    tables = {}
    position = 0
    while position < len(payload):
        counts = payload[position + 1 : position + 17]
        symbols = payload[position + 17 : position + 17 + sum(counts)]
        table, code, used = [0] * (1 << _PEEK), 0, 0
        for length, count in enumerate(counts, 1):
            for symbol in symbols[used : used + count]:
                first, span = code << (_PEEK - length), 1 << (_PEEK - length)
                if first + span > len(table):
                    raise DamagedError
                table[first : first + span] = [(length << 8) | symbol] * span
                code += 1
            used += count
            code <<= 1
        if used != len(symbols) or len(counts) != _PEEK:
            raise DamagedError
        tables[payload[position]] = table
        position += 17 + used
    return tables


def _check_scan(stream: _Stream, payload: bytes, coded: bytes) -> None:
    count = payload[0] if payload else 0
    if not count or len(payload) != 4 + 2 * count:
        raise DamagedError
    chosen = []
    for at in range(1, 1 + 2 * count, 2):
        if payload[at] not in stream.header.component_ids:
            raise DamagedError
        part = stream.parts[stream.header.component_ids.index(payload[at])]
        chosen.append((part, _block_reader(stream, payload[at + 1], *payload[-3:])))
    intervals = _RESTART.split(coded)
    sequence = [marker[0] & 7 for marker in intervals[1::2]]
    if sequence != [number % 8 for number in range(len(sequence))]:
        raise DamagedError
    alone = count == 1
    across, down = chosen[0][0].blocks if alone else _mcus(chosen[0][0])
    total = across * down
    interval = stream.restart_interval or total
    if len(sequence) + 1 != -(-total // interval):
        raise DamagedError
    for number, octets in enumerate(intervals[::2]):
        bits = _Bits(octets.replace(b"\xff\x00", b"\xff"))
        readers = [(part, new(bits)) for part, new in chosen]
        for mcu in range(number * interval, min(total, (number + 1) * interval)):
            row, column = divmod(mcu, across)
            for part, read in readers:
                width, height = (1, 1) if alone else (part.width, part.height)
                for block_row in range(row * height, (row + 1) * height):
                    first = block_row * part.row_length + column * width
                    for block in range(first, first + width):
                        read(part.is_set, block * _BLOCK)
            if bits.position > 8 * len(bits.octets):
                raise DamagedError
        bits.end()


def _mcus(part: _Part) -> tuple[int, int]:
    across = part.row_length // part.width
    return across, len(part.is_set) // _BLOCK // part.row_length // part.height


Reader = Callable[[bytearray, int], None]
"""Reads one block; told the component's coefficients and where those of the block begin."""


def _block_reader(
    stream: _Stream, tables: int, first: int, last: int, approximation: int
) -> Callable[[_Bits], Reader]:
    """What reads the blocks of one component in this scan, anew after every restart marker."""
    dc, ac = stream.tables.get(tables >> 4), stream.tables.get(0x10 | (tables & 15))
    refining = approximation >> 4 > 0
    if stream.header.process != PROGRESSIVE:
        return lambda bits: _sequential(bits, _needed(dc), _needed(ac))
    if first == 0:
        return _dc_refinement if refining else lambda bits: _first_dc(bits, _needed(dc))
    if not first <= last < _BLOCK:
        raise DamagedError
    read = _ac_refinement if refining else _first_ac
    return lambda bits: read(bits, _needed(ac), first, last)


def _needed(table: Table | None) -> Table:
    if table is None:
        raise DamagedError
    return table


def _sequential(bits: _Bits, dc: Table, ac: Table) -> Reader:
    def read(_: bytearray, __: int) -> None:
        bits.skip(bits.code(dc))
        at = 1
        while at < _BLOCK:
            zeros, size = divmod(bits.code(ac), 16)
            if not size and zeros != 15:
                return
            at += zeros + 1
            bits.skip(size)
        if at > _BLOCK:
            raise DamagedError

    return read


def _first_dc(bits: _Bits, dc: Table) -> Reader:
    def read(_: bytearray, __: int) -> None:
        bits.skip(bits.code(dc))

    return read


def _dc_refinement(bits: _Bits) -> Reader:
    def read(_: bytearray, __: int) -> None:
        bits.skip(1)

    return read


def _first_ac(bits: _Bits, ac: Table, first: int, last: int) -> Reader:
    empty_blocks = 0

    def read(is_set: bytearray, block: int) -> None:
        nonlocal empty_blocks
        if empty_blocks:
            empty_blocks -= 1
            return
        at = first
        while at <= last:
            zeros, size = divmod(bits.code(ac), 16)
            if not size and zeros != 15:
                empty_blocks = (1 << zeros) + bits.take(zeros) - 1
                return
            at += zeros
            if at > last:
                raise DamagedError
            is_set[block + at] = size > 0
            bits.skip(size)
            at += 1

    return read


def _ac_refinement(bits: _Bits, ac: Table, first: int, last: int) -> Reader:
    empty_blocks = 0

    def read(is_set: bytearray, block: int) -> None:
        nonlocal empty_blocks
        at, stop = block + first, block + last + 1
        while at < stop and not empty_blocks:
            zeros, size = divmod(bits.code(ac), 16)
            if size > 1:
                raise DamagedError
            if not size and zeros != 15:
                empty_blocks = (1 << zeros) + bits.take(zeros)
                break
            bits.skip(size)
            while at < stop and (is_set[at] or zeros):  # a bit for each that is set already
                bits.skip(is_set[at])
                zeros -= not is_set[at]
                at += 1
            if at < stop:
                is_set[at] = size
                at += 1
            elif size:
                raise DamagedError
        if empty_blocks:
            bits.skip(is_set.count(1, at, stop))
            empty_blocks -= 1

    return read
