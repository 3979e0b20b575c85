"""Decodes the strips or tiles of a TIFF page to samples; an incomplete one fails the page.

Sources: TIFF 6.0 sections 9 to 15 and 21, technical note 2 (JPEG) and supplement 2 (deflate).
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable

import numpy as np

from batch.core.errors import ImageFailure
from batch.images import jpeg_decoder, jpeg_headers, raster_codecs
from batch.images import tiff_directory as tiff
from batch.images.refusals import contradiction, damaged, unsupported
from batch.images.tiff_directory import Directory
from batch.images.tiff_layout import RAW, Layout, checked_table

LZW, OLD_JPEG, JPEG, DEFLATE, PACKBITS = 5, 6, 7, 8, 32773
_ADOBE_DEFLATE, _LZMA, _ZSTD = 32946, 34925, 50000
_HORIZONTAL = 2
_LOWEST_BIT_FIRST = 2
_LARGEST_BLOCK_ROWS = 16
"""Rows of a JPEG's block; some writers fill the last block."""
_RUN = 128
"""Bytes by which a run of PackBits may reach beyond the last row."""
_REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


def read_samples(page: Directory, layout: Layout) -> np.ndarray:
    """All samples of a page, (rows, columns, samples), uint8, or uint16 above 8 bits.

    Raises:
        ImageFailure: DECODE_FAILED if a strip or tile is missing, cut or damaged;
            HEADER_CONTRADICTS_PIXELS if it holds more than its rows and columns;
            UNSUPPORTED_FORMAT for an encoding without a decoder here.
    """
    down, across = layout.parts_a_plane
    planes = layout.samples if layout.separate else 1
    offsets, counts = checked_table(page, layout, planes * down * across)
    tables = page.octets(tiff.JPEG_TABLES) or b""
    decode = _decoder(layout, page.order, tables)
    pixels = np.empty(
        (layout.rows, layout.columns, layout.samples), np.uint8 if layout.bits <= 8 else np.uint16
    )
    for number, (offset, count) in enumerate(zip(offsets, counts, strict=True)):
        plane, place = divmod(number, down * across)
        top = place // across * layout.part_rows
        left = place % across * layout.part_columns
        rows = min(layout.part_rows, layout.rows - top)
        columns = min(layout.part_columns, layout.columns - left)
        encoded_rows = layout.part_rows if layout.tiled else rows
        decoded = decode(page.data[offset : offset + count], encoded_rows)
        target = pixels[top : top + rows, left : left + columns]
        if layout.separate:
            target[..., plane] = decoded[:rows, :columns, 0]
        else:
            target[...] = decoded[:rows, :columns]
    return pixels


def _decoder(layout: Layout, order: str, tables: bytes) -> Callable[[bytes, int], np.ndarray]:
    """A function that turns bytes and rows of a part into samples, (rows, columns, samples)."""
    if layout.compression == JPEG:
        return lambda data, rows: decode_jpeg(_with_tables(data, tables), layout, rows)
    if layout.compression not in _EXPANDED:
        raise unsupported("TIFF: compression without a decoder")
    expand = _EXPANDED[layout.compression]
    if layout.predictor not in (1, _HORIZONTAL):
        raise unsupported("TIFF: predictor without a decoder")
    predicted = layout.predictor == _HORIZONTAL and layout.compression not in (RAW, PACKBITS)
    if predicted and (layout.bits not in (8, 16) or layout.subsampling != (1, 1)):
        raise unsupported("TIFF: predictor without a decoder")

    def decode(data: bytes, rows: int) -> np.ndarray:
        if layout.fill_order == _LOWEST_BIT_FIRST:
            data = data.translate(_REVERSED)
        octets = _whole(expand, data, layout, rows)
        if layout.subsampling != (1, 1):
            return _spread_chroma(octets, layout, rows)
        samples = _numbers(octets, layout, order)
        samples = samples.reshape(rows, layout.part_columns, layout.part_samples)
        if predicted:
            samples = np.cumsum(samples, axis=1, dtype=samples.dtype)
        return samples

    return decode


def _numbers(octets: bytes, layout: Layout, order: str) -> np.ndarray:
    """All samples of a part, (n,), uint8 or uint16."""
    if layout.bits == 8:
        return np.frombuffer(octets, np.uint8)
    if layout.bits == 16:
        return np.frombuffer(octets, f"{order}u2").astype(np.uint16, copy=False)
    a_row = layout.part_columns * layout.part_samples
    return raster_codecs.unpack_integers(octets, layout.bits, a_row)


def _spread_chroma(octets: bytes, layout: Layout, rows: int) -> np.ndarray:
    """Spread YCbCr from units of several luminance samples and one of each chroma (section 21)."""
    wide, high = layout.subsampling
    down, across = -(-rows // high), -(-layout.part_columns // wide)
    units = np.frombuffer(octets, np.uint8).reshape(down, across, wide * high + 2)
    spread = np.empty((down, high, across, wide, 3), np.uint8)
    luminance = units[..., :-2].reshape(down, across, high, wide)
    spread[..., 0] = luminance.transpose(0, 2, 1, 3)
    spread[..., 1:] = units[:, None, :, None, -2:]
    return spread.reshape(down * high, across * wide, 3)[:rows, : layout.part_columns]


def _whole(expand: Callable[[bytes, int], bytes], data: bytes, layout: Layout, rows: int) -> bytes:
    """Expand so many rows of a part, and a little more, to notice additional data."""
    size = layout.part_bytes(rows)
    most = layout.part_bytes(layout.part_rows) + layout.part_bytes(1) + 2 * _RUN
    try:
        octets = expand(data, most)
    except ImageFailure:
        raise
    except Exception as error:  # any error of a codec, without its message
        raise damaged("TIFF: a strip or tile is damaged") from error
    if len(octets) < size:
        raise damaged("TIFF: a strip or tile is too short")
    if layout.compression == PACKBITS:
        layout.check_surplus(len(octets), loose=_RUN)
    else:
        layout.check_surplus(len(octets))
    return octets[:size] if len(octets) > size else octets


def decode_jpeg(stream: bytes, layout: Layout, rows: int) -> np.ndarray:
    """Decode a JPEG of a page or part: (rows, columns, samples), uint8; YCbCr becomes RGB.

    Raises:
        ImageFailure: DECODE_FAILED if it is damaged or has another size; HEADER_CONTRADICTS_PIXELS
            for additional rows; UNSUPPORTED_FORMAT for 12 bits.
    """
    header = jpeg_headers.read_header(stream)
    if header.precision != 8:
        raise unsupported("TIFF: JPEG of more than 8 bits")
    if len(header.component_ids) != layout.part_samples or layout.part_samples not in (1, 3, 4):
        raise damaged("TIFF: a JPEG with other components")
    if header.columns != layout.part_columns or header.rows < rows:
        raise damaged("TIFF: a JPEG of another size")
    if header.rows >= max(rows, layout.part_rows) + _LARGEST_BLOCK_ROWS:
        raise contradiction("TIFF: a JPEG with more rows than the page")
    if layout.part_samples == 3:
        colour, _ = jpeg_headers.stream_colour(header, "RGB" if layout.rgb_stream else None)
        stream = jpeg_headers.state_colour(stream, header, colour)
        return jpeg_decoder.decode_rgb(stream, jpeg_headers.read_header(stream), None)
    return jpeg_decoder.decode_components(stream, len(header.component_ids))


def _with_tables(data: bytes, tables: bytes) -> bytes:
    """A complete stream, made of an abbreviated one and its tables."""
    return data[:2] + tables[2:].removesuffix(b"\xff\xd9") + data[2:]


def _inflate(data: bytes, size: int) -> bytes:
    """Inflate a zlib stream: at most `size` bytes; with fewer it must reach its end."""
    inflater = zlib.decompressobj()
    octets = inflater.decompress(data, size)
    if len(octets) < size and not inflater.eof:
        raise damaged("TIFF: a strip or tile is too short")
    return octets


def _decompress_xz(data: bytes, size: int) -> bytes:
    """Decompress an xz stream, with the rules of `_inflate`."""
    decompressor = lzma.LZMADecompressor(memlimit=1 << 28)
    octets = decompressor.decompress(data, size)
    if len(octets) < size and not decompressor.eof:
        raise damaged("TIFF: a strip or tile is too short")
    return octets


def _decode_lzw(data: bytes, size: int) -> bytes:
    if data[:1] == b"\x00" and data[1:2] and data[1] & 1:
        raise unsupported("TIFF: LZW of before 1992")
    return raster_codecs.decode_lzw(data, size)


_EXPANDED: dict[int, Callable[[bytes, int], bytes]] = {
    RAW: lambda data, size: data[:size],
    LZW: _decode_lzw,
    DEFLATE: _inflate,
    _ADOBE_DEFLATE: _inflate,
    PACKBITS: raster_codecs.decode_packbits,
    _LZMA: _decompress_xz,
    _ZSTD: raster_codecs.decode_zstd,
}
DECODED = frozenset({*_EXPANDED, OLD_JPEG, JPEG})
"""Compressions that can be decoded."""
