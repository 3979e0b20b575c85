"""Decodes a PNG to colours and alpha; only chunks that make the picture reach the decoder.

Sources: PNG third edition (W3C) sections 5, 11 and 13. A damaged or huge ancillary chunk, such as a
text or a profile, does not make the pixels wrong, which have checksums of their own; so these
chunks are kept from the decoder. libpng (`raster_codecs`) refuses data that end early.
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
"""The bit for a lower-case first letter of a chunk's name: readers may ignore such a chunk."""
_COLOUR_CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM")
_MOST_PROFILE_BYTES = 16 << 20
_SAMPLES = {2: 3, 3: 1, 6: 4}
"""Colour type to samples of a pixel; RGB, palette, RGB with alpha."""
_ONE_PASS = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
"""For each pass its first column and row, and its steps."""
_INFLATED_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class PngImage:
    """A decoded PNG.

    colours: (h, w, 3) uint8, RGB.
    alpha: (h, w) uint8, or None.
    flags: see README.
    exif: of the eXIf chunk; empty without one.
    icc_profile: None without one; empty if it cannot be inflated.
    colour_chunks: name to content of other chunks about colours.
    """

    colours: np.ndarray
    alpha: np.ndarray | None
    flags: frozenset[str]
    exif: bytes
    icc_profile: bytes | None
    colour_chunks: Mapping[bytes, bytes]


def decode(data: bytes, limits: Limits) -> PngImage:
    """Decode a PNG; for an animation, the picture that every reader shows.

    Raises:
        ImageFailure: NOT_COLOUR; UNSUPPORTED_FORMAT for unknown critical chunks; DECODE_FAILED for
            damage that affects the picture; HEADER_CONTRADICTS_PIXELS for data of a larger picture;
            or as in `Limits.check_size`.
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
    """Bytes of all rows before compression, each with the byte of its filter.

    Args:
        header: payload of IHDR, with a colour type that is not grey.
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
    """The zlib stream of all IDAT chunks, without bytes after its end.

    Raises:
        ImageFailure: HEADER_CONTRADICTS_PIXELS if it gives more bytes than needed, which libpng
            would ignore. libpng itself reports missing bytes.
    """
    inflater = zlib.decompressobj()
    total, rest = 0, stream
    try:
        while not inflater.eof and total <= needed:
            part = inflater.decompress(rest, _INFLATED_AT_ONCE)
            total, rest = total + len(part), inflater.unconsumed_tail
            if not part:
                break
    except zlib.error:
        return stream
    if total > needed:
        raise contradiction("PNG: holds more than its rows and columns")
    return stream[: len(stream) - len(inflater.unused_data)]


def _samples(header: bytes, drawn: bytes, stream: bytes) -> np.ndarray:
    data = _chunk(b"IDAT", _checked_stream(stream, filtered_bytes(header)))
    whole = _SIGNATURE + _chunk(b"IHDR", header) + drawn + data + _chunk(b"IEND", b"")
    try:
        return raster_codecs.decode_png(whole)
    except Exception as error:  # any error of libpng, without its message
        raise damaged("PNG: the data end early, or are damaged") from error


def _sorted_chunks(data: bytes) -> tuple[bytes, bytes, bytes, dict[bytes, bytes]]:
    """The payload of IHDR, PLTE and tRNS as they are, the data of IDAT, and others by name."""
    header = None
    drawn: dict[bytes, list[bytes]] = {name: [] for name in (b"PLTE", b"tRNS", b"IDAT")}
    others: dict[bytes, bytes] = {}
    for name, start, end in _chunks(data):
        checksum = int.from_bytes(data[end - 4 : end], "big")
        is_intact = zlib.crc32(data[start + 4 : end - 4]) == checksum
        if name[0] & _ANCILLARY:
            if not is_intact and name == b"iCCP":
                others.setdefault(name, b"")  # there is a profile, but it cannot be read
            if not is_intact:
                continue  # as libpng does
        elif not is_intact:
            raise damaged("PNG: wrong checksum")
        if name == b"IHDR":
            if header is not None:
                raise damaged("PNG: two headers")
            header = data[start + 8 : end - 4]
        elif name in drawn and not (name == b"tRNS" and drawn[name]):
            drawn[name].append(data[start:end])
        elif name in (b"iCCP", b"eXIf", b"acTL") or (
            name in _COLOUR_CHUNKS and not drawn[b"IDAT"]  # without effect after the pixels
        ):
            others.setdefault(name, data[start + 8 : end - 4])
        elif not name[0] & _ANCILLARY:
            raise unsupported("PNG: a dialect of its own")
    if header is None or len(header) != 13 or not drawn[b"IDAT"]:
        raise damaged("PNG without header or data")
    stream = b"".join(part[8:-4] for part in drawn.pop(b"IDAT"))
    return header, b"".join(part for parts in drawn.values() for part in parts), stream, others


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end) of every complete chunk up to the end marker or the end of the file."""
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
    """The profile of an iCCP chunk, which has a name, a zero, the method, and a zlib stream."""
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(payload[payload.index(b"\x00") + 2 :], _MOST_PROFILE_BYTES)
    except (ValueError, zlib.error):
        return b""
    return profile if inflater.eof else b""
