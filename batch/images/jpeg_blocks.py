"""Reads the blocks of a JPEG's coded data, without keeping coefficients.

Sequential and progressive Huffman coding (ITU-T T.81 annexes F and G). Only the position is kept
and, for refining scans, which coefficients an earlier scan has set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from batch.images.jpeg_headers import PROGRESSIVE

BLOCK = 64
"""Coefficients of a block."""
_PEEK = 16
"""Bits of the longest Huffman code."""

Table = list[int]
"""For each value of the next 16 bits: (length of the code << 8) | symbol; 0 if no code fits."""


class DamagedError(Exception):
    """The coded data does not match the headers."""


@dataclass
class Bits:
    """Coded data without stuffed zeros. position: bits read so far."""

    octets: bytes
    position: int = 0

    def code(self, table: Table) -> int:
        """Read a code and return its symbol."""
        at = self.position
        word = int.from_bytes(self.octets[at >> 3 : (at >> 3) + 3].ljust(3, b"\x00"), "big")
        entry = table[(word >> (8 - (at & 7))) & 0xFFFF]
        if not entry:
            raise DamagedError
        self.position = at + (entry >> 8)
        return entry & 255

    def take(self, count: int) -> int:
        """Read a number of up to 16 bits."""
        at, self.position = self.position, self.position + count
        word = int.from_bytes(self.octets[at >> 3 : (at >> 3) + 4].ljust(4, b"\x00"), "big")
        return (word >> (32 - (at & 7) - count)) & ((1 << count) - 1)

    def skip(self, count: int) -> None:
        """Skip bits whose value decides only a pixel."""
        self.position += count

    def end(self) -> None:
        """Make sure that all bytes were read.

        Raises:
            DamagedError: bytes are left, or more were read than there are.
        """
        if ceil(self.position / 8) != len(self.octets):
            raise DamagedError


def tables_of(payload: bytes) -> dict[int, Table]:
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


Reader = Callable[[bytearray, int], None]
"""Reads a block; gets the component's coefficients, and the index of the block's first one."""


def block_reader(
    process: int, dc: Table | None, ac: Table | None, parameters: bytes
) -> Callable[[Bits], Reader]:
    """Make the reader of a component's blocks in a scan; a new one is used after each restart.

    Args:
        process: marker of the frame header.
        dc, ac: the component's tables.
        parameters: the last three bytes of the scan's header.

    Raises:
        DamagedError: a table is missing, or the parameters are invalid.
    """
    first, last, approximation = parameters
    refining = approximation >> 4 > 0
    if process != PROGRESSIVE:
        return lambda bits: _sequential(bits, _needed(dc), _needed(ac))
    if first == 0:
        return _dc_refinement if refining else lambda bits: _first_dc(bits, _needed(dc))
    if not first <= last < BLOCK:
        raise DamagedError
    read = _ac_refinement if refining else _first_ac
    return lambda bits: read(bits, _needed(ac), first, last)


def _needed(table: Table | None) -> Table:
    if table is None:
        raise DamagedError
    return table


def _sequential(bits: Bits, dc: Table, ac: Table) -> Reader:
    def read(_: bytearray, __: int) -> None:
        bits.skip(bits.code(dc))
        at = 1
        while at < BLOCK:
            zeros, size = divmod(bits.code(ac), 16)
            if not size and zeros != 15:
                return
            at += zeros + 1
            bits.skip(size)
        if at > BLOCK:
            raise DamagedError

    return read


def _first_dc(bits: Bits, dc: Table) -> Reader:
    def read(_: bytearray, __: int) -> None:
        bits.skip(bits.code(dc))

    return read


def _dc_refinement(bits: Bits) -> Reader:
    def read(_: bytearray, __: int) -> None:
        bits.skip(1)

    return read


def _first_ac(bits: Bits, ac: Table, first: int, last: int) -> Reader:
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


def _ac_refinement(bits: Bits, ac: Table, first: int, last: int) -> Reader:
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
