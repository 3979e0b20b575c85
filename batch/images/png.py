"""A PNG to colours and alpha. Only what makes the picture reaches the decoder.

Sources: PNG third edition (W3C) sections 5, 11 and 13. A damaged or huge text, profile or other
ancillary chunk says nothing against the pixels, which have checksums of their own; and a decoder
that reads none of them cannot stumble over one. libpng (`raster_codecs`) refuses data that end
early.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from batch.core.rules import Limits
from batch.images import raster_codecs
from batch.images.refusals import contradiction, damaged, greyscale, unsupported
from batch.images.samples import to_eight_bits

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _GREY_WITH_ALPHA = 0, 4
_ANCILLARY = 0x20
"""The bit that makes a chunk name's first letter small: a reader need not know it."""
_COLOUR_CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM")
_MOST_PROFILE_BYTES = 16 << 20
_SAMPLES = {2: 3, 3: 1, 6: 4}
"""Colour type to samples of a pixel; RGB, palette, RGB with alpha."""
_ONE_PASS = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
"""Of each pass: its first column and row, and its steps."""
_INFLATED_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class PngImage:
    """colours: (h, w, 3) uint8, RGB. alpha: (h, w) uint8, or None.

    exif: of the eXIf chunk, empty without one. icc_profile: None without one, empty where it
    cannot be inflated. colour_chunks: name to content of the chunks that say by other means what
    the colours are. flags: words of README.
    """

    colours: np.ndarray
    alpha: np.ndarray | None
    flags: frozenset[str]
    exif: bytes
    icc_profile: bytes | None
    colour_chunks: Mapping[bytes, bytes]


def decode(data: bytes, limits: Limits) -> PngImage:
    """Decode a PNG; of an animation the picture that every reader shows.

    Raises:
        ImageFailure: NOT_COLOUR, UNSUPPORTED_FORMAT for a dialect, DECODE_FAILED for damage to what
            makes the picture, HEADER_CONTRADICTS_PIXELS when the data are of a larger picture,
            or what `Limits.check_size` says.
    """
    header, drawn, stream, others = _sorted_chunks(data)
    columns, rows = (int.from_bytes(header[at : at + 4], "big") for at in (0, 4))
    bits, colour_type = header[8], header[9]
    limits.check_size(rows, columns, 4 * max(1, bits // 8))
    if colour_type in (_GREY, _GREY_WITH_ALPHA):
        raise greyscale()
    flags = set()
    if int.from_bytes(others.get(b"acTL", b"")[:4], "big") > 1:
        flags.add("first_of_many")
    samples = _samples(header, drawn, stream)
    if samples.dtype == np.uint16:
        flags.add("was_16bit")
        samples = to_eight_bits(samples, 16)
    colours = np.ascontiguousarray(samples[..., :3])
    alpha = samples[..., 3] if samples.shape[2] == 4 else None
    profile = _profile(others[b"iCCP"]) if b"iCCP" in others else None
    exif = others.get(b"eXIf", b"")
    stated = {name: others[name] for name in _COLOUR_CHUNKS if name in others}
    return PngImage(colours, alpha, frozenset(flags), exif, profile, stated)


def filtered_bytes(header: bytes) -> int:
    """Bytes of all rows, each with its filter's byte, before they are deflated.

    Args:
        header: payload of IHDR; of a colour type that is not grey.
    """
    columns, rows = (int.from_bytes(header[at : at + 4], "big") for at in (0, 4))
    bits = header[8] * _SAMPLES.get(header[9], 4)
    total = 0
    for left, top, step_across, step_down in _ADAM7 if header[12] else _ONE_PASS:
        across, down = -(-(columns - left) // step_across), -(-(rows - top) // step_down)
        if across > 0 and down > 0:
            total += down * (1 + -(-across * bits // 8))
    return total


def _checked_stream(stream: bytes, needed: int) -> bytes:
    """The zlib stream of all IDAT chunks, without what lies behind its end.

    Raises:
        ImageFailure: HEADER_CONTRADICTS_PIXELS when it gives more bytes than are needed; libpng
            draws what fits. It tells itself when there are fewer.
    """
    inflater = zlib.decompressobj()
    found, rest = 0, stream
    try:
        while not inflater.eof and found <= needed:
            part = inflater.decompress(rest, _INFLATED_AT_ONCE)
            found, rest = found + len(part), inflater.unconsumed_tail
            if not part:
                break
    except zlib.error:
        return stream
    if found > needed:
        raise contradiction("PNG: holds more than its rows and columns")
    return stream[: len(stream) - len(inflater.unused_data)]


def _samples(header: bytes, drawn: bytes, stream: bytes) -> np.ndarray:
    data = _chunk(b"IDAT", _checked_stream(stream, filtered_bytes(header)))
    whole = _SIGNATURE + _chunk(b"IHDR", header) + drawn + data + _chunk(b"IEND", b"")
    try:
        return raster_codecs.decode_png(whole)
    except Exception as error:  # whatever libpng says, without its words
        raise damaged("PNG: the data end early, or are damaged") from error


def _sorted_chunks(data: bytes) -> tuple[bytes, bytes, bytes, dict[bytes, bytes]]:
    """IHDR's payload, the chunks drawn as they stand, the data of IDAT, and others by name."""
    header = None
    drawn: dict[bytes, list[bytes]] = {name: [] for name in (b"PLTE", b"tRNS", b"IDAT")}
    others: dict[bytes, bytes] = {}
    for name, start, end in _chunks(data):
        whole = zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
        if name[0] & _ANCILLARY:
            if not whole and name == b"iCCP":
                others.setdefault(name, b"")  # there was a profile, and nobody can read it
            if not whole:
                continue  # as libpng does it
        elif not whole:
            raise damaged("PNG: wrong checksum")
        if name == b"IHDR":
            if header is not None:
                raise damaged("PNG: two headers")
            header = data[start + 8 : end - 4]
        elif name in drawn and not (name == b"tRNS" and drawn[name]):
            drawn[name].append(data[start:end])
        elif name in (b"iCCP", b"eXIf", b"acTL") or (
            name in _COLOUR_CHUNKS and not drawn[b"IDAT"]  # of no effect behind the pixels
        ):
            others.setdefault(name, data[start + 8 : end - 4])
        elif not name[0] & _ANCILLARY:
            raise unsupported("PNG: a dialect of its own")
    if header is None or len(header) != 13 or not drawn[b"IDAT"]:
        raise damaged("PNG without header or data")
    stream = b"".join(part[8:-4] for part in drawn.pop(b"IDAT"))
    return header, b"".join(part for parts in drawn.values() for part in parts), stream, others


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end) of every chunk up to the end marker, or to where the file is cut.

    A chunk that is not there in full is not given: where it held data, they end early.
    """
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        name = data[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if name == b"IEND" or end > len(data):
            return
        yield name, at, end
        at = end


def _chunk(name: bytes, payload: bytes) -> bytes:
    body = name + payload
    return len(payload).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def _profile(payload: bytes) -> bytes:
    """The profile of an iCCP chunk: a name, a zero, the method's zero, and a zlib stream."""
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(payload[payload.index(b"\x00") + 2 :], _MOST_PROFILE_BYTES)
    except (ValueError, zlib.error):
        return b""
    return profile if inflater.eof else b""
