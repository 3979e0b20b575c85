"""Plain files to RGB: colours, transparency, flags."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from batch.archive.formats import HEAD_BYTES, sniff
from batch.archive.limits import Limits
from batch.archive.raster import decode
from batch.demo.lesions import lesion_image

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
    import struct
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
