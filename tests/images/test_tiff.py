"""TIFF in every layout to the pixels that were written, and no pixel from a damaged one."""

from __future__ import annotations

import functools
import io
import itertools
import struct
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from batch.archive.reader import read_image
from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images.formats import CAMERA_RAW_EXTENSIONS, HEAD_BYTES, FileFormat, sniff
from batch.images.raster import decode
from tests.support.tiff_writer import (
    CMYK,
    DEFLATE,
    GREY,
    JPEG,
    LONG,
    LZW,
    NONE,
    PACKBITS,
    PALETTE,
    RGB,
    SHORT,
    YCBCR,
    Tiff,
    directory,
    entries,
    packed,
    write,
)

ROWS, COLUMNS = 50, 70
PIXELS = lesion_image(2, ROWS, COLUMNS)
ALPHA = np.tile(np.linspace(0, 255, COLUMNS).astype(np.uint8), (ROWS, 1))
KINDS = ("rgb", "palette", "ycbcr", "cmyk", "associated", "unassociated")
COMPRESSIONS = {NONE: "none", LZW: "lzw", DEFLATE: "deflate", PACKBITS: "packbits", JPEG: "jpeg"}
TILE = (16, 32)


def decoded(data: bytes):
    return decode(data, FileFormat.TIFF, Limits())


def refused(data: bytes) -> tuple[FailureReason, str]:
    with pytest.raises(ImageFailure) as caught:
        decoded(data)
    return caught.value.reason, caught.value.detail


def widened(samples: np.ndarray, bits: int) -> np.ndarray:
    return samples if bits == 8 else samples.astype(np.uint16) * 257


def colour_map(palette: np.ndarray, bits: int, factor: int = 257) -> dict[int, object]:
    table = np.zeros((3, 1 << bits), int)
    table[:, : len(palette)] = palette.T.astype(int) * factor
    return {320: (SHORT, table.ravel().tolist())}


def quantised(colours: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices (h, w, 1), palette (n, 3), and the pixels that they make."""
    image = Image.fromarray(PIXELS).quantize(colours)
    palette = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    return np.asarray(image)[..., None], palette, np.asarray(image.convert("RGB"))


@functools.cache
def picture(kind: str, bits: int) -> tuple[np.ndarray, Tiff, np.ndarray]:
    """Samples as they are written, how, and the pixels that they mean."""
    if kind == "palette":
        indices, palette, pixels = quantised()
        how = Tiff(PALETTE, bits, fields=colour_map(palette, bits))
        return indices.astype(np.uint16 if bits == 16 else np.uint8), how, pixels
    if kind == "ycbcr":
        samples = Image.fromarray(PIXELS).convert("YCbCr")
        how = Tiff(YCBCR, bits, fields={530: (SHORT, [1, 1])})
        return widened(np.asarray(samples), bits), how, np.asarray(samples.convert("RGB"))
    if kind == "cmyk":
        inks = Image.fromarray(255 - np.dstack([PIXELS, 255 - ALPHA // 2]), "CMYK")
        return widened(np.asarray(inks), bits), Tiff(CMYK, bits), np.asarray(inks.convert("RGB"))
    if kind == "rgb":
        return widened(PIXELS, bits), Tiff(RGB, bits), PIXELS
    part = ALPHA[..., None] / 255
    if kind == "associated":
        colours = np.rint(PIXELS * part).astype(np.uint8)
        pixels = np.minimum(colours + 255 * (1 - part), 255)
        how = Tiff(RGB, bits, fields={338: (SHORT, [1])})
    else:
        colours, pixels = PIXELS, PIXELS * part + 255 * (1 - part)
        how = Tiff(RGB, bits, fields={338: (SHORT, [2])})
    return widened(np.dstack([colours, ALPHA]), bits), how, np.rint(pixels)


def layouts(compression: int, kind: str):
    """Every layout in which this compression holds this kind."""
    predictors = (1, 2) if compression in (LZW, DEFLATE) else (1,)
    depths = (8,) if compression == JPEG else (8, 16)
    for tile, separate, bits, predictor, order, big in itertools.product(
        (None, TILE), (False, True), depths, predictors, "<>", (False, True)
    ):
        samples, how, pixels = picture(kind, bits)
        how = replace(
            how, compression=compression, separate=separate, predictor=predictor, order=order
        )
        if compression == JPEG and kind == "ycbcr" and not separate:  # the encoder makes it so
            samples, how = PIXELS, replace(how, fields={530: (SHORT, [2, 2])})
        yield samples, replace(how, big=big, tile=tile), pixels


def table(*without: tuple[int, str]):
    found = [pair for pair in itertools.product(COMPRESSIONS, KINDS) if pair not in without]
    names = [f"{COMPRESSIONS[compression]}-{kind}" for compression, kind in found]
    return pytest.mark.parametrize(("compression", "kind"), found, ids=names)


@table((JPEG, "palette"))
def test_what_was_written_is_read_in_every_layout(compression, kind):
    """Strips or tiles, chunky or planar, 8 or 16 bits, predictor, byte order, classic or BigTIFF.

    JPEG is compared with libtiff where that reads it, besides with the source.
    """
    for samples, how, pixels in layouts(compression, kind):
        data = write(samples, how)
        found = decoded(data)
        difference = np.abs(found.pixels.astype(int) - pixels)
        if compression != JPEG:
            assert difference.max() <= (kind not in ("rgb", "palette")), how
            assert ("was_16bit" in found.flags) == (how.bits == 16)
        else:
            assert difference.mean() < 4, how
            assert "lossy" in found.flags
        assert ("alpha_composited" in found.flags) == kind.endswith("associated")
        assert ("cmyk_converted" in found.flags) == (kind == "cmyk")
        if kind == "rgb" or (compression == JPEG and kind == "ycbcr" and not how.separate):
            np.testing.assert_array_equal(found.pixels, by_libtiff(data, how.bits))


def by_libtiff(data: bytes, bits: int) -> np.ndarray:
    """Through imagecodecs, in RGB, upper bytes of 16 bits."""
    found = imagecodecs.tiff_decode(data, asrgb=bits == 8)
    if found.shape[0] in (3, 4):
        found = np.moveaxis(found, 0, -1)
    return (found >> (bits - 8)).astype(np.uint8)[..., :3]


@pytest.mark.parametrize("compression", ["none", "lzw", "zlib", "zstd", "lzma", "packbits"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_what_tifffile_writes_is_read(compression, planar):
    for dtype, tile, order in itertools.product(("u1", "u2"), (None, (32, 32)), "<>"):
        samples = PIXELS.astype(dtype) * (257 if dtype == "u2" else 1)
        stored = samples if planar == "contig" else np.moveaxis(samples, -1, 0)
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer, byteorder=order) as writer:
            writer.write(
                np.ascontiguousarray(stored),
                photometric="rgb",
                planarconfig=planar,
                compression=None if compression == "none" else compression,
                predictor=compression not in ("none", "packbits"),
                tile=tile,
                rowsperstrip=None if tile else 17,
            )
        np.testing.assert_array_equal(decoded(buffer.getvalue()).pixels, PIXELS)


def test_a_changed_bit_of_an_lzma_strips_checksums_is_damage():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(PIXELS, photometric="rgb", compression="lzma")
    whole = buffer.getvalue()
    with tifffile.TiffFile(io.BytesIO(whole)) as file:
        end = file.pages[0].dataoffsets[-1] + file.pages[0].databytecounts[-1]
    np.testing.assert_array_equal(decoded(whole).pixels, PIXELS)
    for back in range(1, 21):
        damaged = bytearray(whole)
        damaged[end - back] ^= 1
        with pytest.raises(ImageFailure) as caught:
            decoded(bytes(damaged))
        assert caught.value.reason == FailureReason.DECODE_FAILED


@pytest.mark.parametrize("bits", [1, 2, 4, 5, 10, 12, 14])
@pytest.mark.parametrize("separate", [False, True])
def test_odd_depths_are_unpacked_and_scaled(bits, separate):
    full = (1 << bits) - 1
    samples = np.rint(PIXELS[:, :67].astype(float) / 255 * full).astype(np.uint16)
    data = write(samples, Tiff(bits=bits, separate=separate))
    expected = np.floor(samples * 255.0 / full + 0.5)
    np.testing.assert_array_equal(decoded(data).pixels, expected)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("factor", [1, 256, 257])
def test_colour_maps_of_every_depth_and_of_three_kinds_of_writers(bits, factor):
    """Entries 0..255 where 0..65535 belong used to come out black."""
    indices, palette, pixels = quantised(1 << bits)
    data = write(indices, Tiff(PALETTE, bits, fields=colour_map(palette, bits, factor)))
    np.testing.assert_array_equal(decoded(data).pixels, pixels)


def test_a_short_colour_map_is_damage():
    indices, palette, _ = quantised()
    fields = {320: (SHORT, colour_map(palette, 8)[320][1][:-1])}
    assert refused(write(indices, Tiff(PALETTE, fields=fields)))[0] == FailureReason.DECODE_FAILED


@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE, PACKBITS])
def test_bits_in_the_other_order_are_turned(compression):
    data = write(PIXELS, Tiff(compression=compression, reverse_bits=True))
    np.testing.assert_array_equal(decoded(data).pixels, PIXELS)


@pytest.mark.parametrize("subsampling", [(2, 2), (2, 1), (4, 1), (1, 2)])
@pytest.mark.parametrize("compression", [NONE, LZW])
def test_uncompressed_ycbcr_with_subsampled_chroma_is_libtiffs(subsampling, compression):
    wide, high = subsampling
    pixels = PIXELS[:, :69]
    ycbcr = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    padded = np.pad(ycbcr, ((0, -ROWS % high), (0, -69 % wide), (0, 0)), "edge")
    rows, columns = padded.shape[:2]
    blocks = padded.reshape(rows // high, high, columns // wide, wide, 3)
    luminance = blocks[..., 0].transpose(0, 2, 1, 3).reshape(rows // high, columns // wide, -1)
    chroma = blocks[:, 0, :, 0, 1:]
    octets = np.concatenate([luminance, chroma], -1).tobytes()
    data = octets if compression == NONE else imagecodecs.lzw_encode(octets)
    fields = {
        256: (LONG, [69]),
        257: (LONG, [ROWS]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [compression]),
        262: (SHORT, [YCBCR]),
        273: (LONG, [0]),
        277: (SHORT, [3]),
        278: (LONG, [ROWS]),
        279: (LONG, [len(data)]),
        530: (SHORT, list(subsampling)),
    }
    fields[273] = (LONG, [len(directory(fields))])
    file = directory(fields) + data
    found = decoded(file).pixels.astype(int)
    assert np.abs(found - by_libtiff(file, 8)).max() <= 1


def test_a_fourth_sample_of_which_nothing_is_said_is_alpha_unless_it_is_padding():
    opaque = np.full((ROWS, COLUMNS, 1), 255, np.uint8)
    for fourth, flags in ((0 * opaque, ()), (opaque, ()), (ALPHA[..., None], None)):
        found = decoded(write(np.dstack([PIXELS, fourth]), Tiff()))
        if flags is None:
            assert found.flags == ("alpha_composited",)
        else:
            assert found.flags == flags
            np.testing.assert_array_equal(found.pixels, PIXELS)


@pytest.mark.parametrize("kinds", [[0], [0, 2]])
def test_extra_samples_that_are_no_alpha_are_passed_over(kinds):
    samples = np.dstack([PIXELS, *([ALPHA] * len(kinds))])
    found = decoded(write(samples, Tiff(fields={338: (SHORT, kinds)})))
    assert found.flags == ()
    np.testing.assert_array_equal(found.pixels, PIXELS)


@pytest.mark.parametrize("kind", [1, 2])
def test_a_wholly_transparent_page_is_no_picture(kind):
    samples = np.dstack([PIXELS, 0 * ALPHA])
    reason, _ = refused(write(samples, Tiff(fields={338: (SHORT, [kind])})))
    assert reason == FailureReason.WHOLLY_TRANSPARENT


# ---- damage


def fewer(parts):
    del parts[1:]


def one_fewer(parts):
    del parts[-1]


def first_at_zero(parts):
    parts[0][0] = 0


def last_at_zero(parts):
    parts[-1][0] = 0


def in_the_header(parts):
    parts[0][0] = 4


def over_the_directory(parts):
    parts[0][0] = 8


def beyond_the_file(parts):
    parts[-1][0] += 1 << 24


def partly_beyond(parts):
    parts[-1][1] += 1


def empty(parts):
    parts[1][1] = 0


def half(parts):
    parts[1][1] //= 2


def a_little_short(parts):
    parts[-1][1] -= 5


def over_another(parts):
    parts[1][0] = parts[0][0] + 1


def huge(parts):
    parts[0][0] = parts[0][1] = (1 << 32) - 1


DAMAGES = (
    fewer, one_fewer, first_at_zero, last_at_zero, in_the_header, over_the_directory,
    beyond_the_file, partly_beyond, empty, half, a_little_short, over_another, huge,
)  # fmt: skip


@table((JPEG, "palette"))
@pytest.mark.parametrize("damage", DAMAGES)
def test_no_pixel_comes_from_strips_or_tiles_that_are_missing_or_cut(damage, compression, kind):
    for samples, how, _ in layouts(compression, kind):
        if how.order == ">" or how.predictor == 2 or how.bits == 16:
            continue  # decided before these count
        data = write(samples, replace(how, damage=damage))
        if damage is partly_beyond and compression == NONE:  # all its pixels are there
            np.testing.assert_array_equal(decoded(data).pixels, decoded(write(samples, how)).pixels)
            continue
        reason, _ = refused(data)
        assert reason == FailureReason.DECODE_FAILED


@table((JPEG, "palette"))
def test_a_file_that_was_cut_is_refused_wherever_it_was_cut(compression, kind):
    for samples, how, _ in layouts(compression, kind):
        if how.order == ">" or how.predictor == 2 or how.big or how.bits == 16:
            continue
        data = write(samples, how)
        for kept in (9, 40, len(data) // 3, len(data) // 2, len(data) - 40, len(data) - 1):
            assert refused(data[:kept])[0] == FailureReason.DECODE_FAILED


@pytest.mark.parametrize("tile", [None, TILE])
def test_a_jpeg_whose_second_half_is_gone_is_refused_though_its_byte_count_is_right(tile):
    """It used to be filled with grey. The stream even has its end marker."""

    whole = write(PIXELS, Tiff(YCBCR, compression=JPEG, tile=tile, strip_rows=ROWS))
    end = whole.index(b"\xff\xd9")
    middle = (whole.index(b"\xff\xda") + end) // 2
    cut = whole[:middle] + b"\xff\xd9" + bytes(end - middle) + whole[end + 2 :]
    assert len(cut) == len(whole)
    assert refused(cut)[0] == FailureReason.DECODE_FAILED


def test_blank_tiles_may_be_one_and_the_same():
    """So large pictures are written; two strips in one place are damage."""
    white = np.full((64, 96, 3), 255, np.uint8)

    def share(parts):
        for part in parts[1:]:
            part[:] = parts[0]

    shared = write(white, Tiff(compression=DEFLATE, tile=TILE, damage=share))
    np.testing.assert_array_equal(decoded(shared).pixels, white)
    for how in (Tiff(compression=DEFLATE, damage=share), Tiff(tile=TILE, damage=share)):
        assert refused(write(white, how))[0] == FailureReason.DECODE_FAILED


@pytest.mark.parametrize("tile", [None, TILE])
@pytest.mark.parametrize("separate", [False, True])
def test_byte_counts_may_be_absent_where_nothing_is_compressed(tile, separate):
    fields = {325: None, 279: None}
    how = Tiff(tile=tile, separate=separate, fields=fields)
    np.testing.assert_array_equal(decoded(write(PIXELS, how)).pixels, PIXELS)
    assert refused(write(PIXELS, how)[:-1])[0] == FailureReason.DECODE_FAILED
    how = replace(how, compression=LZW)
    assert refused(write(PIXELS, how))[0] == FailureReason.DECODE_FAILED


def test_a_byte_count_beyond_the_file_is_no_matter_where_the_pixels_are_all_there():
    def far(parts):
        parts[-1][1] = 35_711_440

    np.testing.assert_array_equal(decoded(write(PIXELS, Tiff(damage=far))).pixels, PIXELS)
    cut = write(PIXELS, Tiff(damage=far))[:-1]
    assert refused(cut)[0] == FailureReason.DECODE_FAILED


def test_tiles_may_be_listed_as_strips():
    """So libtiff's own sample has it (quad-tile.tif)."""
    how = Tiff(compression=LZW, tile=TILE)
    plain = write(PIXELS, how)
    for old, new in ((324, 273), (325, 279)):
        entry = struct.pack("<HH", old, LONG)
        assert plain.count(entry) == 1
        plain = plain.replace(entry, struct.pack("<HH", new, LONG))
    np.testing.assert_array_equal(decoded(plain).pixels, PIXELS)


def test_a_deflate_stream_with_a_wrong_checksum_is_damage():
    data = bytearray(write(PIXELS, Tiff(compression=DEFLATE, strip_rows=ROWS)))
    data[-1] ^= 1
    assert refused(bytes(data))[0] == FailureReason.DECODE_FAILED


# ---- what it is not


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({339: (SHORT, [3, 3, 3])}, FailureReason.UNSUPPORTED_FORMAT),  # float
        ({339: (SHORT, [2, 2, 2])}, FailureReason.UNSUPPORTED_FORMAT),  # signed
        ({259: (SHORT, [34712])}, FailureReason.UNSUPPORTED_FORMAT),  # JPEG 2000
        ({259: (SHORT, [33003])}, FailureReason.UNSUPPORTED_FORMAT),
        ({259: (SHORT, [50001])}, FailureReason.UNSUPPORTED_FORMAT),  # WebP
        ({259: (SHORT, [50002])}, FailureReason.UNSUPPORTED_FORMAT),  # JPEG XL
        ({259: (SHORT, [34887])}, FailureReason.UNSUPPORTED_FORMAT),  # LERC
        ({259: (SHORT, [3])}, FailureReason.UNSUPPORTED_FORMAT),  # fax
        ({259: (SHORT, [6])}, FailureReason.UNSUPPORTED_FORMAT),  # JPEG of TIFF 6.0, in parts
        ({262: (SHORT, [8])}, FailureReason.UNSUPPORTED_FORMAT),  # CIELab
        ({262: (SHORT, [32845])}, FailureReason.UNSUPPORTED_FORMAT),  # LogLuv
        ({262: (SHORT, [GREY])}, FailureReason.UNSUPPORTED_FORMAT),  # three greys are no grey
        ({258: (SHORT, [32, 32, 32])}, FailureReason.UNSUPPORTED_FORMAT),
        ({258: (SHORT, [5, 6, 5])}, FailureReason.UNSUPPORTED_FORMAT),
        ({262: None}, FailureReason.DECODE_FAILED),
        ({262: (SHORT, [CMYK])}, FailureReason.DECODE_FAILED),  # without the fourth
        ({257: None}, FailureReason.HEADER_CONTRADICTS_PIXELS),
        ({256: (LONG, [20_001])}, FailureReason.TOO_MANY_PIXELS),
    ],
)
def test_what_is_not_read_has_its_reason(how, reason):
    assert refused(write(PIXELS, Tiff(fields=how)))[0] == reason


@pytest.mark.parametrize(
    ("fields", "compression"),
    [({317: (SHORT, [3])}, LZW), ({317: (SHORT, [2])}, DEFLATE)],
)
def test_predictors_without_a_rule_are_unsupported(fields, compression):
    samples = (PIXELS >> 4).astype(np.uint8)
    how = Tiff(bits=4 if compression == DEFLATE else 8, compression=compression, fields=fields)
    assert refused(write(samples, how))[0] == FailureReason.UNSUPPORTED_FORMAT


def test_a_float_picture_as_it_is_written_is_unsupported():
    for array, photometric in ((PIXELS / np.float32(255), "rgb"), (PIXELS[..., 0] / 255, None)):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array.astype(np.float32), photometric=photometric)
        assert refused(buffer.getvalue())[0] == FailureReason.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("sample_format", [1, 2, 4])
def test_grey_of_either_sense_is_not_colour(bits, photometric, sample_format):
    samples = PIXELS[..., :1].astype(np.uint16) >> max(0, 8 - bits)
    data = write(samples, Tiff(photometric, bits, fields={339: (SHORT, [sample_format])}))
    assert refused(data)[0] == FailureReason.NOT_COLOUR


def test_grey_with_alpha_is_not_colour():
    samples = np.dstack([PIXELS[..., 0], ALPHA])
    data = write(samples, Tiff(GREY, fields={338: (SHORT, [2])}))
    assert refused(data)[0] == FailureReason.NOT_COLOUR


def old_jpeg(stream: bytes, length: int | None = None) -> bytes:
    fields = {
        256: (LONG, [COLUMNS]), 257: (LONG, [ROWS]), 258: (SHORT, [8] * 3), 259: (SHORT, [6]),
        262: (SHORT, [YCBCR]), 277: (SHORT, [3]),
        513: (LONG, [0]), 514: (LONG, [length or len(stream)]),
    }  # fmt: skip
    fields[513] = (LONG, [len(directory(fields))])
    return directory(fields) + stream


def test_jpeg_of_the_old_kind_is_read_where_it_is_one_stream():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", quality=95)
    stream = buffer.getvalue()
    found = decoded(old_jpeg(stream))
    assert np.abs(found.pixels.astype(int) - PIXELS).mean() < 4
    assert found.flags == ("lossy",)
    assert refused(old_jpeg(stream[:-300]))[0] == FailureReason.DECODE_FAILED
    assert refused(old_jpeg(stream, len(stream) + 1))[0] == FailureReason.DECODE_FAILED


# ---- pages


def pages(*written: tuple[np.ndarray, dict[int, object]], below: tuple = ()) -> bytes:
    """One file of several uncompressed pages; below: pages under the first."""
    parts, at = [], 8
    for samples, extra in (*written, *below):
        rows, columns, count = samples.shape
        fields = {
            256: (LONG, [columns]), 257: (LONG, [rows]), 258: (SHORT, [8] * count),
            259: (SHORT, [1]), 262: (SHORT, [RGB]), 273: (LONG, [at]), 277: (SHORT, [count]),
            278: (LONG, [rows]), 279: (LONG, [samples.size]), **extra,
        }  # fmt: skip
        parts.append((samples.tobytes(), fields))
        at += samples.size
    if below:
        parts[0][1][330] = (LONG, [0] * len(below))
    places, here = [], at
    for _, fields in parts:
        places.append(here)
        here += len(entries(fields, here))
    if below:
        parts[0][1][330] = (LONG, places[len(written) :])
    data = struct.pack("<2sHI", b"II", 42, places[0]) + b"".join(octets for octets, _ in parts)
    for number, (_, fields) in enumerate(parts):
        last = number + 1 >= len(written)
        data += entries(fields, places[number], following=0 if last else places[number + 1])
    return data


SMALL = np.ascontiguousarray(PIXELS[::3, ::3])
REDUCED = {254: (LONG, [1])}
SENSOR = {262: (SHORT, [32803])}


def test_pages_of_any_size_behind_the_first_are_said():
    found = decoded(pages((SMALL, {}), (PIXELS, {})))
    np.testing.assert_array_equal(found.pixels, SMALL)
    assert found.flags == ("first_of_many",)


def test_a_pyramid_is_its_largest_page():
    for data in (pages((PIXELS, {}), (SMALL, REDUCED)), pages((PIXELS, {}), below=((SMALL, {}),))):
        np.testing.assert_array_equal(decoded(data).pixels, PIXELS)


@pytest.mark.parametrize("said", [REDUCED, {255: (SHORT, [2])}, {254: (LONG, [4])}])
def test_a_preview_or_mask_before_the_picture_is_passed_over(said):
    np.testing.assert_array_equal(decoded(pages((SMALL, said), (PIXELS, {}))).pixels, PIXELS)


@pytest.mark.parametrize(
    "data",
    [
        pages((SMALL, REDUCED)),
        pages((SMALL, REDUCED), below=((PIXELS, SENSOR),)),
        pages((SMALL, {}), below=((PIXELS, SENSOR),)),
        pages((SMALL, {}), below=((PIXELS, {259: (SHORT, [34713])}),)),
        pages((SMALL, {}), below=((SMALL, REDUCED), (PIXELS, {}))),
        pages((SMALL, {50706: (1, bytes([1, 4, 0, 0]))})),
        pages((PIXELS, {262: (SHORT, [34892])})),
        pages((SMALL, {}), (PIXELS, SENSOR)),
        pages((PIXELS, {33422: (1, b"\0\1\1\2")})),
    ],
    ids=[
        "preview alone", "NEF", "NEF unmarked", "NEF by compression", "larger below", "DNG",
        "linear DNG", "sensor behind", "CFA",
    ],
)  # fmt: skip
def test_camera_raw_is_unsupported_whatever_it_is_called(data):
    assert refused(data)[0] == FailureReason.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(
    "head",
    [
        b"II*\x00\x10\x00\x00\x00CR\x02\x00", b"II*\x00\x08\x00\x00\x00IIII", b"IIRO\x08\x00",
        b"IIRS\x08\x00", b"MMOR\x00\x00", b"IIU\x00\x18\x00", b"FUJIFILMCCD-RAW 0201",
        b"II\x1a\x00\x00\x00HEAPCCDR", b"\x00MRM\x00\x00", b"FOVb\x00\x00",
        b"\x00\x00\x00\x18ftypcrx \x00", b"II\xbc\x01",
    ],
)  # fmt: skip
def test_camera_raw_with_a_mark_of_its_own_is_told_by_it(head):
    assert sniff(head.ljust(HEAD_BYTES, b"\x00")) == FileFormat.UNSUPPORTED_IMAGE


MADE = {271: (2, b"NIKON CORPORATION\0")}


@pytest.mark.parametrize(
    ("name", "columns", "fields", "reads"),
    [
        *((f"a{extension}", COLUMNS, MADE, False) for extension in sorted(CAMERA_RAW_EXTENSIONS)),
        ("folder/A.NEF", COLUMNS, MADE, False),
        ("a.nef", 999, MADE, False),
        ("a.nef", 1000, MADE, True),
        ("a.nef", COLUMNS, {}, True),
        ("a.nef.tif", COLUMNS, MADE, True),
        ("nef/a.tif", COLUMNS, MADE, True),
        ("nef", COLUMNS, MADE, True),
        ("a.tiff", COLUMNS, MADE, True),
    ],
)
def test_a_small_page_of_a_camera_under_a_name_of_camera_raw_is_a_preview(
    tmp_path, name, columns, fields, reads
):
    """Some makers hide the sensor's data, so that no field tells of them."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(write(lesion_image(2, ROWS, columns), Tiff(fields=fields)))
    if reads:
        assert read_image(path).record.columns == columns
        return
    with pytest.raises(ImageFailure) as caught:
        read_image(path)
    assert caught.value.reason == FailureReason.UNSUPPORTED_FORMAT
    assert caught.value.detail == "camera raw holds previews only"


def test_directories_in_a_circle_end():
    data = bytearray(pages((PIXELS, {}), (SMALL, {})))
    second = struct.unpack("<I", data[4:8])[0]
    data[second + 2 + 12 * 9 : second + 6 + 12 * 9] = struct.pack("<I", second)
    np.testing.assert_array_equal(decoded(bytes(data)).pixels, PIXELS)


def test_the_writer_of_these_tests_is_tifffiles_to_read():
    for samples, how, _ in layouts(LZW, "rgb"):
        found = tifffile.imread(io.BytesIO(write(samples, how)))
        np.testing.assert_array_equal(np.moveaxis(found, 0, -1) if how.separate else found, samples)
    assert packed(np.array([[1, 2], [3, 4]]), 4) == b"\x12\x34"


# ---- a directory that does not fit its data


def one_column_fewer(samples):
    return samples, {256: (LONG, [samples.shape[1] - 1])}


def alpha_not_declared(samples):
    alpha = np.full(samples.shape[:2], samples.max(), samples.dtype)
    return np.dstack([samples, alpha]), {258: (SHORT, [8, 8, 8]), 277: (SHORT, [3])}


def depth_not_declared(samples):
    return samples, {258: None}


def half_of_the_rows(samples):
    return samples, {257: (LONG, [samples.shape[0] // 2])}


CONTRADICTIONS = (one_column_fewer, alpha_not_declared, depth_not_declared, half_of_the_rows)


@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("strip_rows", [ROWS, 16])
@pytest.mark.parametrize("contradict", CONTRADICTIONS)
def test_data_for_more_than_the_header_says_contradict_it(contradict, strip_rows, compression):
    """They used to be cut to size: sheared, or noise."""
    samples, fields = contradict(PIXELS)
    data = write(samples, Tiff(compression=compression, strip_rows=strip_rows, fields=fields))
    assert refused(data)[0] == FailureReason.HEADER_CONTRADICTS_PIXELS


@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("strip_rows", [ROWS, 16])
def test_sixteen_bits_of_which_eight_are_declared_contradict_the_header(strip_rows, compression):
    fields = {258: (SHORT, [8, 8, 8])}
    how = Tiff(bits=16, compression=compression, strip_rows=strip_rows, fields=fields)
    reason, _ = refused(write(widened(PIXELS, 16), how))
    assert reason == FailureReason.HEADER_CONTRADICTS_PIXELS


@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize(
    ("tile", "fields"),
    [
        (None, {278: (LONG, [32])}),
        (None, {257: (LONG, [20]), 278: (LONG, [10])}),
        (TILE, {323: (SHORT, [15]), 257: (LONG, [45])}),
        (TILE, {322: (SHORT, [31])}),
    ],
    ids=["fewer strips", "shorter strips", "shorter tiles", "narrower tiles"],
)
def test_strips_and_tiles_of_another_size_contradict_the_header(tile, fields, compression):
    how = Tiff(compression=compression, strip_rows=16, tile=tile, fields=fields)
    assert refused(write(PIXELS, how))[0] == FailureReason.HEADER_CONTRADICTS_PIXELS


@pytest.mark.parametrize("compression", [NONE, DEFLATE])
def test_a_last_strip_may_be_as_long_as_the_others(compression):
    """So some writers fill it."""
    filled = np.pad(PIXELS, ((0, -ROWS % 32), (0, 0), (0, 0)), "edge")
    assert len(filled) > ROWS
    how = Tiff(compression=compression, strip_rows=32, fields={257: (LONG, [ROWS])})
    np.testing.assert_array_equal(decoded(write(filled, how)).pixels, PIXELS)


@pytest.mark.parametrize("block", [2, 4, 16, 512])
def test_what_fills_a_block_behind_a_strip_is_no_matter(block):
    narrow = PIXELS[:, :67]

    def fill(parts):
        parts[0][1] += -parts[0][1] % block

    how = Tiff(strip_rows=ROWS, damage=fill, behind=bytes(block))
    np.testing.assert_array_equal(decoded(write(narrow, how)).pixels, narrow)


@pytest.mark.parametrize(
    ("surplus", "reads"), [(0, True), (8, True), (9, False), (3 * 67, False), (3 * ROWS, False)]
)
def test_a_few_bytes_behind_a_strip_are_no_matter(surplus, reads):
    narrow = PIXELS[:, :67]
    assert narrow.nbytes % 2 == 0 and (narrow.nbytes + 9) % 2

    def lengthen(parts):
        parts[0][1] += surplus

    data = write(narrow, Tiff(strip_rows=ROWS, damage=lengthen, behind=bytes(surplus)))
    if reads:
        np.testing.assert_array_equal(decoded(data).pixels, narrow)
    else:
        assert refused(data)[0] == FailureReason.HEADER_CONTRADICTS_PIXELS


@pytest.mark.parametrize("compression", [JPEG, DEFLATE])
def test_a_part_with_many_more_rows_than_the_page_contradicts_it(compression):
    fields = {257: (LONG, [ROWS // 2]), 278: (LONG, [ROWS])}
    how = Tiff(YCBCR if compression == JPEG else RGB, compression=compression, strip_rows=ROWS)
    reason, _ = refused(write(PIXELS, replace(how, fields=fields)))
    assert reason == FailureReason.HEADER_CONTRADICTS_PIXELS


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("strip_rows", [1, 16, 30, ROWS])
def test_rows_of_a_strip_that_are_not_said_follow_from_the_byte_counts(strip_rows, bits, separate):
    how = Tiff(bits=bits, separate=separate, strip_rows=strip_rows, fields={278: None})
    np.testing.assert_array_equal(decoded(write(widened(PIXELS, bits), how)).pixels, PIXELS)


def test_rows_of_a_strip_that_nothing_tells_are_not_guessed():
    def shorten(parts):
        parts[1][1] -= 1

    data = write(PIXELS, Tiff(damage=shorten, fields={278: None}))
    assert refused(data)[0] in (
        FailureReason.DECODE_FAILED,
        FailureReason.HEADER_CONTRADICTS_PIXELS,
    )
