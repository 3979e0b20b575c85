"""Plain files to RGB: colours, transparency, flags."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images.formats import HEAD_BYTES, FileFormat, sniff
from batch.images.raster import check_before_opening, decode

PIXELS = lesion_image(2, 90, 120)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes):
    return decode(data, sniff(data[:HEAD_BYTES]), Limits())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_kinds_come_back_as_they_were(kind, options):
    found = decoded(saved(Image.fromarray(PIXELS), kind, **options))
    np.testing.assert_array_equal(found.pixels, PIXELS)
    assert (found.rows, found.columns) == (90, 120)


def test_transparency_is_laid_on_white_and_said():
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, :4] = (200, 10, 20, 255)
    rgba[:, 4:] = (0, 0, 0, 0)
    found = decoded(saved(Image.fromarray(rgba, "RGBA"), "PNG"))
    assert found.flags == ("alpha_composited",)
    assert found.pixels[0, 0].tolist() == [200, 10, 20]
    assert found.pixels[0, 7].tolist() == [255, 255, 255]


def test_a_transparent_palette_is_laid_on_white_too():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 200, 10, 20])
    image.paste(1, (0, 0, 4, 8))
    found = decoded(saved(image, "PNG", transparency=0))
    assert found.flags == ("alpha_composited",)
    assert found.pixels[0, 0].tolist() == [200, 10, 20]
    assert found.pixels[0, 7].tolist() == [255, 255, 255]


def test_the_first_of_many_pages_is_taken_and_said():
    pages = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    found = decoded(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert found.flags == ("first_of_many",)
    assert found.pixels[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_orientation_is_ignored_as_in_training_and_said(kind, orientation):
    """Also where Pillow would turn the image while loading it, which it does for TIFF."""
    pixels = lesion_image(3, 40, 60)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decoded(saved(Image.fromarray(pixels), kind, exif=exif, **options))
    assert found.flags == ("exif_orientation_ignored",)
    np.testing.assert_array_equal(found.pixels, pixels)
    assert (found.rows, found.columns) == (40, 60)


def test_cmyk_is_converted_and_said():
    found = decoded(saved(Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "JPEG", quality=100))
    assert found.flags == ("cmyk_converted", "lossy")
    assert np.abs(found.pixels[0, 0].astype(int) - (255, 0, 0)).max() <= 6


@pytest.mark.parametrize(
    ("kind", "options", "lossy"),
    [
        ("WEBP", {"lossless": True}, False),
        ("WEBP", {"quality": 80}, True),
        ("TIFF", {}, False),
        ("TIFF", {"compression": "jpeg"}, True),
        ("JPEG", {}, True),
        ("PNG", {}, False),
    ],
)
def test_lossy_is_what_lost_something(kind, options, lossy):
    found = decoded(saved(Image.fromarray(PIXELS), kind, **options))
    assert ("lossy" in found.flags) is lossy


def test_sixteen_bits_a_sample_are_said():
    """A 16-bit RGB PNG, written by hand: Pillow reads its upper bytes and says nothing."""
    import zlib

    wide = PIXELS.astype(">u2") * 257
    rows = b"".join(b"\x00" + row.tobytes() for row in wide)

    def chunk(name, data):
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", 120, 90, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    data += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    found = decoded(data)
    np.testing.assert_array_equal(found.pixels, PIXELS)
    assert found.flags == ("was_16bit",)


def bitmap(fourth: np.ndarray, start: int | None = None) -> bytes:
    """A 32-bit bitmap with an alpha mask (BITMAPV4HEADER), written by hand."""
    octets = np.dstack([PIXELS[..., ::-1], fourth])[::-1].tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    sizes = (108, 120, 90, 1, 32, 3, len(octets), 0, 0, 0, 0)
    header = struct.pack("<IiiHHIIiiII", *sizes) + masks + b"BGRs" + bytes(48)
    begin = 14 + len(header) if start is None else start
    whole = 14 + len(header) + len(octets)
    return b"BM" + struct.pack("<IHHI", whole, 0, 0, begin) + header + octets


@pytest.mark.parametrize("fourth", [0, 255])
def test_a_bitmap_whose_fourth_byte_says_nothing_holds_a_picture(fourth):
    found = decoded(bitmap(np.full((90, 120), fourth, np.uint8)))
    np.testing.assert_array_equal(found.pixels, PIXELS)
    assert found.flags == ()


def test_a_bitmap_with_alpha_is_laid_on_white():
    alpha = np.tile(np.linspace(0, 255, 120).astype(np.uint8), (90, 1))
    found = decoded(bitmap(alpha))
    part = alpha[..., None] / 255
    assert np.abs(found.pixels - (PIXELS * part + 255 * (1 - part))).max() <= 1
    assert found.flags == ("alpha_composited",)


@pytest.mark.parametrize(("start", "reads"), [(0, True), (122, True), (121, False), (14, False)])
def test_a_bitmap_whose_pixels_begin_in_its_header_is_refused(start, reads):
    data = bitmap(np.zeros((90, 120), np.uint8), start)
    if reads:
        check_before_opening(data, FileFormat.BMP, Limits())
        np.testing.assert_array_equal(decoded(data).pixels, PIXELS)
    else:
        with pytest.raises(ImageFailure) as caught:
            check_before_opening(data, FileFormat.BMP, Limits())
        assert caught.value.reason == FailureReason.DECODE_FAILED


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_cut_file_of_any_kind_gives_no_pixels(kind, kept):
    image = Image.fromarray(PIXELS)
    data = saved(image.quantize(256) if kind == "GIF" else image, kind)
    with pytest.raises(ImageFailure):
        decoded(data[: int(len(data) * kept)])


def test_a_gif_whose_codes_end_early_is_refused():
    """Its stream is well-formed: a clear code, 100 pixels, and the code that ends it."""
    data = saved(Image.fromarray(PIXELS).quantize(256), "GIF")
    start = data.index(b"\x2c\x00\x00\x00\x00\x78\x00\x5a\x00") + 10
    bits = "".join(f"{code:09b}"[::-1] for code in (256, *range(100), 257))
    octets = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    early = data[:start] + b"\x08" + bytes([len(octets)]) + octets + b"\x00;"
    with pytest.raises(ImageFailure):
        decoded(early)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_damaged_metadata_is_no_part_of_the_picture(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(Image.fromarray(PIXELS), kind, exif=b"Exif\0\0MM no exif", **options)
    np.testing.assert_array_equal(decoded(data).pixels, PIXELS)


@pytest.mark.parametrize("opaque", [0, 1])
def test_alpha_that_hides_nothing_is_not_said(opaque):
    rgba = np.dstack([PIXELS, np.full((90, 120), 255, np.uint8)])
    rgba[0, 0, 3] -= 1 - opaque
    for kind in ("PNG", "TIFF", "WEBP", "BMP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        found = decoded(saved(Image.fromarray(rgba, "RGBA"), kind, **options))
        if kind != "BMP":  # Pillow writes it without a mask
            assert found.flags == (() if opaque else ("alpha_composited",))
        assert np.abs(found.pixels.astype(int) - PIXELS).max() <= 1


def plain_bitmap(
    bits: int,
    size: tuple[int, int] = (120, 90),
    *,
    said: int | None = None,
    start: int | None = None,
    table: int | None = None,
    header_size: int = 40,
    top_down: bool = False,
    behind: bytes = b"",
) -> bytes:
    """A bitmap of PIXELS in so many bits, written by hand.

    size: columns and rows of the header. said: bits of the header. start: where the header says
    that the pixels begin. table: entries of the colour table that the header says.
    """
    indexed = Image.fromarray(PIXELS).quantize(1 << bits) if bits <= 8 else None
    colours, masks, compression = b"", b"", 0
    if indexed is not None:
        palette = np.zeros((1 << bits, 4), np.uint8)
        listed = np.array(indexed.getpalette(), np.uint8).reshape(-1, 3)
        palette[: len(listed), :3] = listed[:, ::-1]
        colours = palette[:, : 3 if header_size == 12 else 4].tobytes()
        samples = np.asarray(indexed)
        if bits == 4:
            samples = samples[:, ::2] << 4 | samples[:, 1::2]
        rows = samples
    elif bits == 16:
        wide = PIXELS.astype("<u2")
        rows = (wide[..., 0] >> 3 << 11 | wide[..., 1] >> 2 << 5 | wide[..., 2] >> 3).view(np.uint8)
        masks, compression = struct.pack("<III", 0xF800, 0x07E0, 0x001F), 3
    else:
        padding = np.zeros((90, 120, bits // 8 - 3), np.uint8)
        rows = np.dstack([PIXELS[..., ::-1], padding]).reshape(90, -1)
    octets = (rows if top_down else rows[::-1]).tobytes()
    columns, height = size
    if header_size == 12:
        header = struct.pack("<IHHHH", 12, columns, height, 1, said or bits)
    else:
        height = -height if top_down else height
        header = struct.pack("<IiiHHI", header_size, columns, height, 1, said or bits, compression)
        header += struct.pack("<IiiII", len(octets), 0, 0, table or 0, 0)
    head = header + masks + colours
    begin = 14 + len(head) if start is None else start
    whole = 14 + len(head) + len(octets)
    return b"BM" + struct.pack("<IHHI", whole, 0, 0, begin) + head + octets + behind


def failed(data: bytes) -> FailureReason:
    with pytest.raises(ImageFailure) as caught:
        check_before_opening(data, FileFormat.BMP, Limits())
    return caught.value.reason


SOUND_BITMAPS = {
    "4 bit": (4, {}),
    "8 bit": (8, {}),
    "8 bit, table said": (8, {"table": 256}),
    "8 bit, table not in the offset": (8, {"start": 54}),
    "8 bit, OS/2": (8, {"header_size": 12}),
    "8 bit, OS/2, table not in the offset": (8, {"header_size": 12, "start": 26}),
    "16 bit with masks": (16, {}),
    "24 bit": (24, {}),
    "24 bit, OS/2": (24, {"header_size": 12}),
    "24 bit, from the top": (24, {"top_down": True}),
    "24 bit, offset 0": (24, {"start": 0}),
    "24 bit, two bytes behind": (24, {"behind": b"\0\0"}),
    "32 bit": (32, {}),
}


@pytest.mark.parametrize(("bits", "options"), SOUND_BITMAPS.values(), ids=SOUND_BITMAPS)
def test_sound_bitmaps_are_read(bits, options):
    data = plain_bitmap(bits, **options)
    check_before_opening(data, FileFormat.BMP, Limits())
    wanted = PIXELS
    if bits <= 8:
        wanted = np.asarray(Image.fromarray(PIXELS).quantize(1 << bits).convert("RGB"))
    difference = np.abs(decoded(data).pixels.astype(int) - wanted)
    assert difference.max() <= (8 if bits == 16 else 0)


@pytest.mark.parametrize(
    ("bits", "options"),
    [
        (8, {"start": 53}),
        (8, {"start": 55}),
        (8, {"start": 54 + 512}),
        (8, {"start": 54 + 1023}),
        (8, {"start": 26 + 767, "header_size": 12}),
        (4, {"start": 54 + 63}),
        (16, {"start": 54}),
        (16, {"start": 65}),
        (24, {"start": 53}),
        (24, {"start": 25, "header_size": 12}),
    ],
)
def test_a_bitmap_whose_pixels_begin_in_masks_or_colour_table_is_damage(bits, options):
    assert failed(plain_bitmap(bits, **options)) == FailureReason.DECODE_FAILED


@pytest.mark.parametrize(
    ("bits", "options"),
    [
        (24, {"size": (116, 90)}),
        (24, {"size": (116, 90), "top_down": True}),
        (24, {"size": (116, 90), "header_size": 12}),
        (24, {"size": (118, 90)}),
        (24, {"size": (120, 89)}),
        (24, {"size": (120, 45)}),
        (32, {"said": 24}),
        (32, {"size": (119, 90)}),
        (24, {"said": 16}),
        (16, {"size": (60, 90)}),
        (8, {"size": (116, 90)}),
        (8, {"size": (116, 90), "start": 54}),
        (8, {"said": 4}),
        (24, {"behind": bytes(360)}),
        (24, {"behind": bytes(3000), "start": 55}),
    ],
)
def test_a_bitmap_that_holds_more_than_its_header_needs_contradicts_it(bits, options):
    """It used to be drawn sheared, or cut."""
    assert failed(plain_bitmap(bits, **options)) == FailureReason.HEADER_CONTRADICTS_PIXELS


def test_a_profile_behind_the_pixels_is_not_counted():
    """BITMAPV5HEADER says where it begins."""
    octets = np.ascontiguousarray(PIXELS[::-1, :, ::-1]).tobytes()
    profile = bytes(2000)
    header = struct.pack("<IiiHHIIiiII", 124, 120, 90, 1, 24, 0, len(octets), 0, 0, 0, 0)
    header += bytes(16) + b"DEBM" + bytes(48) + struct.pack("<III", 4, 124 + len(octets), 2000)
    header += bytes(4)
    assert len(header) == 124
    data = b"BM" + struct.pack("<IHHI", 138 + len(octets) + 2000, 0, 0, 138) + header + octets
    check_before_opening(data + profile, FileFormat.BMP, Limits())
    np.testing.assert_array_equal(decoded(data + profile).pixels, PIXELS)
