"""Decodes the first full page of a TIFF.

This is our own code, because Pillow mixes up 16-bit planes, and Pillow and tifffile fill missing or
cut strips with black without an error. Pages that libtiff and Pillow cannot read either are
reported as unsupported, not as damaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batch.core.rules import Limits
from batch.images import tiff_directory as tags
from batch.images.refusals import damaged, greyscale, unsupported
from batch.images.tiff_colours import CMYK, COLOURS, PALETTE, RGB, YCBCR, alpha_of, to_colours
from batch.images.tiff_directory import Directory, main_directory
from batch.images.tiff_layout import RAW, SEPARATE, Layout, implied_strip_rows
from batch.images.tiff_segments import DECODED, JPEG, OLD_JPEG, decode_jpeg, read_samples

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _MASK = 0, 1, 4
_GREY = frozenset({_WHITE_IS_ZERO, _BLACK_IS_ZERO, _MASK})
_UNSIGNED, _SIGNED, _UNDEFINED = 1, 2, 4
_MOST_BITS = 16
_INKS_ARE_CMYK = 1


@dataclass(frozen=True, eq=False)
class TiffImage:
    """A decoded page.

    colours: (h, w, 3) uint8, RGB, or (h, w, 4), CMYK, as stored.
    alpha: (h, w) uint8, or None.
    premultiplied: whether the colours were multiplied by alpha.
    flags: see README.
    orientation: as the page says, 1..8 or another number.
    icc_profile: None without one.
    """

    colours: np.ndarray
    alpha: np.ndarray | None
    premultiplied: bool
    flags: frozenset[str]
    orientation: int
    icc_profile: bytes | None


def decode(data: bytes, limits: Limits) -> TiffImage:
    """Decode the first page that is neither a smaller copy nor a mask.

    Raises:
        ImageFailure: UNSUPPORTED_FORMAT, NOT_COLOUR, DECODE_FAILED, or as in `Limits.check_size`.
    """
    page = main_directory(data)
    layout, photometric = _layout(page, limits)
    flags = set()
    if page.next_offset:
        flags.add("first_of_many")
    if layout.bits > 8:
        flags.add("was_16bit")
    if layout.compression in (JPEG, OLD_JPEG):
        flags.add("lossy")
    if layout.compression == OLD_JPEG:
        samples = _old_jpeg(page, layout)
    else:
        samples = read_samples(page, layout)
    count = COLOURS[photometric]
    alpha, premultiplied = alpha_of(page, layout, samples, count)
    return TiffImage(
        np.ascontiguousarray(to_colours(page, layout, photometric, samples[..., :count])),
        alpha,
        premultiplied,
        frozenset(flags),
        page.number(tags.ORIENTATION, 1),
        page.octets(tags.ICC_PROFILE),
    )


def _layout(page: Directory, limits: Limits) -> tuple[Layout, int]:
    """The layout of the samples and the photometric interpretation; refuses unsupported pages."""
    rows, columns = page.number(tags.ROWS, 0), page.number(tags.COLUMNS, 0)
    photometric = page.number(tags.PHOTOMETRIC, -1)
    compression = page.number(tags.COMPRESSION, 1)
    old_ycbcr = compression == OLD_JPEG and photometric == YCBCR
    samples = page.number(tags.SAMPLES, 3 if old_ycbcr else 1)  # writers of this kind omit it
    depths = page.numbers(tags.BITS)[: max(samples, 1)]
    bits = int(depths[0]) if len(depths) else 1
    limits.check_size(rows, columns, max(1, samples) * max(1, -(-bits // 8)))
    planar = page.number(tags.PLANAR, 1)
    _check_colours(page, photometric, samples)
    _check_bits(depths, samples)
    if compression not in DECODED:
        raise unsupported("TIFF: compression without a decoder")
    if planar not in (1, SEPARATE):
        raise damaged("TIFF: unknown planar configuration")
    tiled = tags.TILE_COLUMNS in page
    part_rows = page.number(tags.TILE_ROWS if tiled else tags.ROWS_PER_STRIP, 0)
    part_columns = page.number(tags.TILE_COLUMNS, 0) if tiled else columns
    if tiled:
        limits.check_size(part_rows, part_columns, samples * -(-bits // 8))
    elif tags.ROWS_PER_STRIP not in page and compression == RAW:
        planes = samples if planar == SEPARATE else 1
        a_row = -(-columns * (samples // planes) * bits // 8)
        part_rows = implied_strip_rows(page, a_row, rows, planes)
    elif not 0 < part_rows < rows:
        part_rows = rows
    layout = Layout(
        rows=rows,
        columns=columns,
        samples=samples,
        bits=bits,
        separate=planar == SEPARATE and samples > 1,
        tiled=tiled,
        part_rows=part_rows,
        part_columns=part_columns,
        compression=compression,
        predictor=page.number(tags.PREDICTOR, 1),
        fill_order=page.number(tags.FILL_ORDER, 1),
        subsampling=_subsampling(page, photometric, compression),
        rgb_stream=photometric == RGB,
    )
    if layout.subsampling != (1, 1) and (bits != 8 or samples != 3 or layout.separate):
        raise unsupported("TIFF: YCbCr in a rare layout")
    if compression in (JPEG, OLD_JPEG) and (bits != 8 or photometric == PALETTE):
        raise unsupported("TIFF: JPEG of another kind than 8-bit colour")
    return layout, photometric


def _check_bits(depths: np.ndarray, samples: int) -> None:
    if samples < 1 or (len(depths) and depths.min() < 1):
        raise damaged("TIFF: no bits or samples")
    if len(set(depths.tolist())) > 1 or (len(depths) and depths[0] > _MOST_BITS):
        raise unsupported("TIFF: bits a sample without a rule")


def _check_colours(page: Directory, photometric: int, samples: int) -> None:
    formats = page.numbers(tags.SAMPLE_FORMAT)
    if len(formats) and not np.isin(formats, (_UNSIGNED, _SIGNED, _UNDEFINED)).all():
        raise unsupported("TIFF: samples are no whole numbers")
    extra = len(page.numbers(tags.EXTRA_SAMPLES))
    if photometric in _GREY and samples - extra <= 1:
        raise greyscale()
    if (formats == _SIGNED).any():
        raise unsupported("TIFF: samples have a sign")
    if photometric < 0:
        raise damaged("TIFF without a photometric interpretation")
    if photometric not in COLOURS:
        raise unsupported("TIFF: photometric interpretation without a rule")
    if samples < COLOURS[photometric]:
        raise damaged("TIFF: fewer samples than colours")
    if photometric == CMYK and page.number(tags.INK_SET, _INKS_ARE_CMYK) != _INKS_ARE_CMYK:
        raise unsupported("TIFF: inks other than CMYK")


def _subsampling(page: Directory, photometric: int, compression: int) -> tuple[int, int]:
    if photometric != YCBCR or compression in (JPEG, OLD_JPEG):  # a JPEG states its own sampling
        return 1, 1
    factors = tuple(page.numbers(tags.YCBCR_SUBSAMPLING).tolist()) or (2, 2)
    if len(factors) != 2 or not set(factors) <= {1, 2, 4}:
        raise damaged("TIFF: impossible chroma subsampling")
    return factors[0], factors[1]


def _old_jpeg(page: Directory, layout: Layout) -> np.ndarray:
    """Decode the old kind of JPEG in TIFF 6.0, if the file holds one whole stream."""
    start, size = page.number(tags.JPEG_STREAM, 0), page.number(tags.JPEG_STREAM_BYTES, 0)
    if not start:
        offsets, counts = page.numbers(tags.STRIP_OFFSETS), page.numbers(tags.STRIP_BYTES)
        if len(offsets) == len(counts) == 1:
            start, size = int(offsets[0]), int(counts[0])
    stream = page.data[start : start + size] if start > 0 and size > 0 else b""
    if not stream.startswith(b"\xff\xd8") or b"\xff\xda" not in stream or layout.tiled:
        raise unsupported("TIFF: JPEG of the old kind, in parts")
    if start + size > len(page.data):
        raise damaged("TIFF: a strip or tile lies beyond the file")
    return decode_jpeg(stream, layout, layout.rows)
