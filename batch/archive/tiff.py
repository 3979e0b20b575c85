"""A TIFF's first full page to RGB, or a reason why not. Pure functions on bytes.

Own code, where Pillow was at work before: it shuffles 16-bit planes, and it fills strips that are
missing or cut with black and says nothing. tifffile fills, too; the tests compare with it. What
libtiff and Pillow could not read either is said to be unsupported, not damaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batch.archive import tiff_directory as tags
from batch.archive.limits import Limits
from batch.archive.tiff_directory import Directory, main_directory
from batch.archive.tiff_segments import (
    DECODED,
    JPEG,
    OLD_JPEG,
    SEPARATE,
    Layout,
    decode_jpeg,
    read_samples,
)
from batch.archive.transparency import is_opaque, over_white
from batch.errors import FailureReason, ImageFailure, Stage

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR = 0, 1, 2, 3, 4, 5, 6
_GREY = frozenset({_WHITE_IS_ZERO, _BLACK_IS_ZERO, _MASK})
_COLOURS = {_RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_UNSIGNED, _UNDEFINED = 1, 4
_MOST_BITS = 16
_ASSOCIATED, _UNASSOCIATED = 1, 2
_PREMULTIPLIED = {_ASSOCIATED: True, _UNASSOCIATED: False}
_INKS_ARE_CMYK = 1
_REC_601 = (0.299, 0.587, 0.114)
_FULL_RANGE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
_EIGHT = 255


@dataclass(frozen=True, eq=False)
class TiffImage:
    """pixels: (h, w, 3) uint8, RGB, unturned. orientation: as the page says, 1..8 or nonsense.

    icc_profile: None without one. flags: words of README.
    """

    pixels: np.ndarray
    flags: frozenset[str]
    orientation: int
    icc_profile: bytes | None


def decode(data: bytes, limits: Limits) -> TiffImage:
    """Decode the first page that is neither a smaller copy nor a mask.

    Raises:
        ImageFailure: UNSUPPORTED_FORMAT, NOT_COLOUR, WHOLLY_TRANSPARENT, DECODE_FAILED, or what
            `Limits.check_size` says.
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
    if photometric == _CMYK:
        flags.add("cmyk_converted")
    if layout.compression == OLD_JPEG:
        samples = _old_jpeg(page, layout)
    else:
        samples = read_samples(page, layout)
    count = _COLOURS[photometric]
    colours = _rgb(page, layout, photometric, samples[..., :count])
    alpha, premultiplied = _alpha(page, layout, samples, count)
    if alpha is not None and not is_opaque(alpha):
        flags.add("alpha_composited")
        colours = over_white(colours, alpha, premultiplied)
    return TiffImage(
        np.ascontiguousarray(colours),
        frozenset(flags),
        page.number(tags.ORIENTATION, 1),
        page.octets(tags.ICC_PROFILE),
    )


def _layout(page: Directory, limits: Limits) -> tuple[Layout, int]:
    """How the samples lie, and what they are; refuses what is not read here."""
    rows, columns = page.number(tags.ROWS, 0), page.number(tags.COLUMNS, 0)
    samples = page.number(tags.SAMPLES, 1)
    depths = page.numbers(tags.BITS)[: max(samples, 1)]
    bits = int(depths[0]) if len(depths) else 1
    limits.check_size(rows, columns, max(1, samples) * max(1, -(-bits // 8)))
    photometric = page.number(tags.PHOTOMETRIC, -1)
    compression = page.number(tags.COMPRESSION, 1)
    planar = page.number(tags.PLANAR, 1)
    _check_colours(page, photometric, samples)
    _check_bits(depths, samples)
    if compression not in DECODED:
        raise _unsupported("TIFF: compression without a decoder")
    if planar not in (1, SEPARATE):
        raise _damaged("TIFF: unknown planar configuration")
    tiled = tags.TILE_COLUMNS in page
    part_rows = page.number(tags.TILE_ROWS if tiled else tags.ROWS_PER_STRIP, 0)
    part_columns = page.number(tags.TILE_COLUMNS, 0) if tiled else columns
    if tiled:
        limits.check_size(part_rows, part_columns, samples * -(-bits // 8))
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
        rgb_stream=photometric == _RGB,
    )
    if layout.subsampling != (1, 1) and (bits != 8 or samples != 3 or layout.separate):
        raise _unsupported("TIFF: YCbCr in a rare layout")
    if compression in (JPEG, OLD_JPEG) and (bits != 8 or photometric == _PALETTE):
        raise _unsupported("TIFF: JPEG of another kind than 8-bit colour")
    return layout, photometric


def _check_bits(depths: np.ndarray, samples: int) -> None:
    if samples < 1 or (len(depths) and depths.min() < 1):
        raise _damaged("TIFF: no bits or samples")
    if len(set(depths.tolist())) > 1 or (len(depths) and depths[0] > _MOST_BITS):
        raise _unsupported("TIFF: bits a sample without a rule")


def _check_colours(page: Directory, photometric: int, samples: int) -> None:
    formats = page.numbers(tags.SAMPLE_FORMAT)
    if len(formats) and not np.isin(formats, (_UNSIGNED, _UNDEFINED)).all():
        raise _unsupported("TIFF: samples are no whole numbers without a sign")
    extra = len(page.numbers(tags.EXTRA_SAMPLES))
    if photometric in _GREY and samples - extra <= 1:
        raise ImageFailure(
            Stage.DECODE, FailureReason.NOT_COLOUR, "greyscale; the model has seen colour only"
        )
    if photometric < 0:
        raise _damaged("TIFF without a photometric interpretation")
    if photometric not in _COLOURS:
        raise _unsupported("TIFF: photometric interpretation without a rule")
    if samples < _COLOURS[photometric]:
        raise _damaged("TIFF: fewer samples than colours")
    if photometric == _CMYK and page.number(tags.INK_SET, _INKS_ARE_CMYK) != _INKS_ARE_CMYK:
        raise _unsupported("TIFF: inks other than CMYK")


def _subsampling(page: Directory, photometric: int, compression: int) -> tuple[int, int]:
    if photometric != _YCBCR or compression in (JPEG, OLD_JPEG):  # a JPEG says it itself
        return 1, 1
    found = tuple(page.numbers(tags.YCBCR_SUBSAMPLING).tolist()) or (2, 2)
    if len(found) != 2 or not set(found) <= {1, 2, 4}:
        raise _damaged("TIFF: impossible chroma subsampling")
    return found[0], found[1]


def _old_jpeg(page: Directory, layout: Layout) -> np.ndarray:
    """JPEG as TIFF 6.0 had it, where the file holds one whole stream; libtiff guesses at others."""
    start, size = page.number(tags.JPEG_STREAM, 0), page.number(tags.JPEG_STREAM_BYTES, 0)
    if not start:
        offsets, counts = page.numbers(tags.STRIP_OFFSETS), page.numbers(tags.STRIP_BYTES)
        if len(offsets) == len(counts) == 1:
            start, size = int(offsets[0]), int(counts[0])
    stream = page.data[start : start + size] if start > 0 and size > 0 else b""
    if not stream.startswith(b"\xff\xd8") or b"\xff\xda" not in stream or layout.tiled:
        raise _unsupported("TIFF: JPEG of the old kind, in parts")
    if start + size > len(page.data):
        raise _damaged("TIFF: a strip or tile lies beyond the file")
    return decode_jpeg(stream, layout, layout.rows)


def _rgb(page: Directory, layout: Layout, photometric: int, samples: np.ndarray) -> np.ndarray:
    if photometric == _PALETTE:
        return _looked_up(page, layout.bits, samples[..., 0])
    colours = _eight_bits(samples, layout.bits)
    if photometric == _CMYK:
        return _without_inks(colours)
    jpeg_gave_rgb = layout.compression in (JPEG, OLD_JPEG) and layout.part_samples == 3
    if photometric == _YCBCR and not jpeg_gave_rgb:
        return _from_ycbcr(page, colours)
    return colours


def _eight_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    """Scaled by the bits of a sample; never by the picture's own range."""
    if bits == 8:
        return samples
    full = (1 << bits) - 1
    scale = (np.arange(full + 1, dtype=np.uint32) * _EIGHT + full // 2) // full
    return scale.astype(np.uint8)[samples]


def _looked_up(page: Directory, bits: int, indices: np.ndarray) -> np.ndarray:
    """Through the colour map: 16-bit entries keep their upper 8 bits, as other readers do it.

    Some writers put 0..255 there; then no entry has an upper half, and they are taken as they are.
    """
    entries = page.numbers(tags.COLOUR_MAP)
    if len(entries) < 3 << bits:
        raise _damaged("TIFF: colour map too short")
    table = entries[: 3 << bits].reshape(3, 1 << bits).T
    if table.max() > _EIGHT:
        table = table >> 8
    return np.ascontiguousarray(table.astype(np.uint8))[indices]


def _without_inks(inks: np.ndarray) -> np.ndarray:
    """CMYK to RGB without a profile: what the inks leave of white, and black of that."""
    left = _EIGHT - inks.astype(np.uint16)
    return ((left[..., :3] * left[..., 3:] + _EIGHT // 2) // _EIGHT).astype(np.uint8)


def _from_ycbcr(page: Directory, samples: np.ndarray) -> np.ndarray:
    """TIFF 6.0 section 21, with the page's coefficients and range."""
    red, green, blue = _three(page.ratios(tags.YCBCR_COEFFICIENTS), _REC_601)
    low_high = page.ratios(tags.REFERENCE_BLACK_WHITE)
    low_high = low_high if len(low_high) == 6 else _FULL_RANGE
    if green == 0 or any(a == b for a, b in zip(low_high[::2], low_high[1::2], strict=True)):
        raise _damaged("TIFF: impossible YCbCr coefficients")
    scales = (255.0, 127.0, 127.0)
    luminance, blueness, redness = (
        (samples[..., i].astype(np.float32) - low_high[2 * i])
        * (scales[i] / (low_high[2 * i + 1] - low_high[2 * i]))
        for i in range(3)
    )
    r = luminance + redness * (2 - 2 * red)
    b = luminance + blueness * (2 - 2 * blue)
    g = (luminance - blue * b - red * r) / green
    return np.rint(np.clip(np.stack([r, g, b], -1), 0, _EIGHT)).astype(np.uint8)


def _three(found: tuple[float, ...], default: tuple[float, ...]) -> tuple[float, ...]:
    return found if len(found) == 3 else default


def _alpha(
    page: Directory, layout: Layout, samples: np.ndarray, colours: int
) -> tuple[np.ndarray | None, bool]:
    """((h, w) uint8 or None, premultiplied): the first extra sample, where it is said to be alpha.

    A fourth sample of which nothing is said is taken as alpha, as Pillow does it, unless it is 0
    everywhere: then it is padding.
    """
    if samples.shape[2] == colours:
        return None, False
    kinds = page.numbers(tags.EXTRA_SAMPLES)
    if not len(kinds) and samples.shape[2] == colours + 1:
        alpha = _eight_bits(samples[..., colours], layout.bits)
        return (alpha if alpha.any() else None), False
    if not len(kinds) or int(kinds[0]) not in _PREMULTIPLIED:
        return None, False
    return _eight_bits(samples[..., colours], layout.bits), _PREMULTIPLIED[int(kinds[0])]


def _damaged(detail: str) -> ImageFailure:
    return ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, detail)


def _unsupported(detail: str) -> ImageFailure:
    return ImageFailure(Stage.IDENTIFY, FailureReason.UNSUPPORTED_FORMAT, detail)
