"""TIFF files of every layout, written by hand, so that each of their parts can be damaged."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

NONE, LZW, JPEG, DEFLATE, PACKBITS = 1, 5, 7, 8, 32773
GREY, RGB, PALETTE, CMYK, YCBCR = 1, 2, 3, 5, 6
SHORT, LONG, LONG8 = 3, 4, 16
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 16: 8, 13: 4, 18: 8}
_CODES = {3: "u2", 4: "u4", 5: "u4", 13: "u4", 16: "u8", 18: "u8"}


@dataclass(frozen=True)
class Tiff:
    """How a page is written. tile: (rows, columns), None for strips. damage: changes the list of
    (offset, byte count) before it is written. fields: tag to (type, values), None to leave it out.
    """

    photometric: int = RGB
    bits: int = 8
    compression: int = NONE
    separate: bool = False
    predictor: int = 1
    order: str = "<"
    big: bool = False
    tile: tuple[int, int] | None = None
    strip_rows: int = 16
    reverse_bits: bool = False
    fields: dict[int, Any] = field(default_factory=dict)
    damage: Callable[[list[list[int]]], None] | None = None
    behind: bytes = b""


def write(samples: np.ndarray, how: Tiff) -> bytes:
    """A file whose directory stands before its pixels. samples: (h, w, n) uint8 or uint16."""
    rows, columns, count = samples.shape
    parts = [_encoded(part, how) for part in _parts(samples, how)]
    table = [[0, len(part)] for part in parts]
    size = len(_directory(samples.shape, how, table))
    at = size
    for entry in table:
        entry[0] = at
        at += entry[1]
    if how.damage:
        how.damage(table)
    head = _directory(samples.shape, how, table)
    head = head.ljust(size, b"\0")
    return head[:size] + b"".join(parts) + how.behind


def _parts(samples: np.ndarray, how: Tiff):
    rows, columns, count = samples.shape
    planes = [samples[..., i : i + 1] for i in range(count)] if how.separate else [samples]
    high, wide = how.tile or (how.strip_rows, columns)
    for plane in planes:
        for top in range(0, rows, high):
            for left in range(0, columns, wide):
                part = plane[top : top + high, left : left + wide]
                if how.tile:
                    missing = (high - part.shape[0], wide - part.shape[1])
                    part = np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)), "edge")
                yield np.ascontiguousarray(part)


def _encoded(part: np.ndarray, how: Tiff) -> bytes:
    if how.compression == JPEG:
        return _jpeg(part, how)
    if how.predictor == 2:
        part = part.copy()
        part[:, 1:] -= part[:, :-1].copy()
    if how.bits == 16:
        octets = part.astype(f"{how.order}u2").tobytes()
    elif how.bits == 8:
        octets = part.tobytes()
    else:
        octets = packed(part.reshape(len(part), -1), how.bits)
    data = {
        NONE: lambda: octets,
        LZW: lambda: imagecodecs.lzw_encode(octets),
        DEFLATE: lambda: zlib.compress(octets),
        PACKBITS: lambda: imagecodecs.packbits_encode(octets),
    }[how.compression]()
    return imagecodecs.bitorder_encode(data) if how.reverse_bits else data


def packed(rows: np.ndarray, bits: int) -> bytes:
    """Numbers of an odd width, highest bit first, each row from a byte of its own."""
    shifts = np.arange(bits - 1, -1, -1)
    return np.packbits((rows[..., None] >> shifts & 1).reshape(len(rows), -1), axis=1).tobytes()


def _jpeg(part: np.ndarray, how: Tiff) -> bytes:
    buffer = io.BytesIO()
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[part.shape[2]]
    image = Image.fromarray(part[..., 0] if mode == "L" else part, mode)
    options = {"keep_rgb": True} if how.photometric == RGB and mode == "RGB" else {}
    image.save(buffer, "JPEG", quality=95, **options)
    data = buffer.getvalue()
    if (
        mode == "CMYK"
    ):  # Pillow inverts it and says so in Adobe's marker; in TIFF it stands as it is
        inverted = Image.fromarray(255 - part, "CMYK")
        buffer = io.BytesIO()
        inverted.save(buffer, "JPEG", quality=95)
        data = buffer.getvalue()
        start = data.index(b"\xff\xee")
        data = data[:start] + data[start + 16 :]
    return data


def _directory(shape: tuple[int, ...], how: Tiff, table: list[list[int]]) -> bytes:
    rows, columns, count = shape
    offset_kind = LONG8 if how.big else LONG
    wanted: dict[int, Any] = {
        256: (LONG, [columns]),
        257: (LONG, [rows]),
        258: (SHORT, [how.bits] * count),
        259: (SHORT, [how.compression]),
        262: (SHORT, [how.photometric]),
        277: (SHORT, [count]),
        284: (SHORT, [2 if how.separate else 1]),
    }
    offsets, counts = [entry[0] for entry in table], [entry[1] for entry in table]
    if how.tile:
        wanted |= {322: (SHORT, [how.tile[1]]), 323: (SHORT, [how.tile[0]])}
        wanted |= {324: (offset_kind, offsets), 325: (LONG, counts)}
    else:
        wanted |= {273: (offset_kind, offsets), 278: (LONG, [how.strip_rows])}
        wanted |= {279: (LONG, counts)}
    if how.predictor != 1:
        wanted[317] = (SHORT, [how.predictor])
    if how.reverse_bits:
        wanted[266] = (SHORT, [2])
    wanted |= how.fields
    return directory({tag: value for tag, value in wanted.items() if value}, how.order, how.big)


def directory(fields: dict[int, Any], order: str = "<", big: bool = False) -> bytes:
    """A file's header and its one directory. fields: tag to (type, list of values or bytes)."""
    mark = b"II" if order == "<" else b"MM"
    if big:
        head = mark + struct.pack(f"{order}HHHQ", 43, 8, 0, 16)
    else:
        head = mark + struct.pack(f"{order}HI", 42, 8)
    return head + entries(fields, len(head), order, big)


def entries(
    fields: dict[int, Any], at: int, order: str = "<", big: bool = False, following: int = 0
) -> bytes:
    """A directory at an offset, with its values behind it. following: the next one's offset."""
    room, word, counter = (8, "Q", "Q") if big else (4, "I", "H")
    entry = 12 + (8 if big else 0)
    behind_at = at + struct.calcsize(counter) + entry * len(fields) + room
    ifd, behind = struct.pack(f"{order}{counter}", len(fields)), b""
    for tag, (kind, values) in sorted(fields.items()):
        if isinstance(values, bytes):
            raw = values
        else:
            raw = np.array(values).astype(f"{order}{_CODES[kind]}").tobytes()
        ifd += struct.pack(f"{order}HH{word}", tag, kind, len(raw) // _SIZES[kind])
        if len(raw) > room:
            ifd += struct.pack(f"{order}{word}", behind_at + len(behind))
            behind += raw + bytes(-len(raw) % 8)
        else:
            ifd += raw.ljust(room, b"\0")
    return ifd + struct.pack(f"{order}{word}", following) + behind
