"""The strict decoder: Pillow's pixels for sound data, a failure for damaged data."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images.formats import FileFormat
from batch.images.jpeg_decoder import decode_rgb
from batch.images.jpeg_headers import read_header
from batch.images.raster import decode
from tests.support import jpeg_writer as writer


def saved(height: int, width: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(lesion_image(1, height, width)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("at_least", [None, 360])
@pytest.mark.parametrize(("height", "width"), [(90, 120), (718, 960), (720, 960), (1440, 1600)])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}], ids=str
)
def test_sound_data_gives_pillows_pixels_to_the_bit(height, width, options, at_least):
    data = saved(height, width, **options)
    image = Image.open(io.BytesIO(data))
    if at_least:
        image.draft(None, (at_least, at_least))
    found = decode_rgb(data, read_header(data), at_least)
    np.testing.assert_array_equal(found, np.asarray(image))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (720, 720, 360), (719, 720, 719), (720, 719, 720), (721, 720, 361), (720, 721, 360),
        (1439, 1440, 720), (1441, 1440, 361), (2879, 2880, 720), (2881, 2887, 361),
    ],
)  # fmt: skip
def test_the_smallest_scale_that_leaves_enough_is_taken(height, width, expected):
    data = saved(height, width)
    assert decode_rgb(data, read_header(data), 360).shape[0] == expected


LESION = lesion_image(1, 120, 160)
ADOBE = b"Adobe\x00\x64\x00\x00\x00\x00"
YCCK = writer.saved(LESION, "CMYK").replace(ADOBE + b"\x00", ADOBE + b"\x02")
SOUND = {
    "4:2:0": writer.saved(LESION),
    "4:4:4": writer.saved(LESION, subsampling=0),
    "progressive": writer.saved(LESION, progressive=True),
    "restart markers": writer.saved(LESION, restart_marker_rows=1),
    "CMYK": writer.saved(LESION, "CMYK"),
    "CMYK, progressive": writer.saved(LESION, "CMYK", progressive=True),
    "YCCK": YCCK,
    "4x2": writer.encode(LESION, ((4, 2), (1, 1), (1, 1))),
    "3x1, progressive": writer.encode(LESION, ((3, 1), (1, 1), (1, 1)), progressive=True),
    "large chroma, restart markers": writer.encode(
        LESION, ((1, 1), (2, 2), (2, 2)), restart_interval=3
    ),
    "lossless": imagecodecs.jpeg8_encode(LESION, lossless=True),
}


def half(data: bytes) -> int:
    start = writer.scan_start(data)
    return start + (len(data) - start) // 2


DAMAGE = {
    "cut": lambda d: d[: half(d)],
    "cut and closed": lambda d: d[: half(d)] + b"\xff\xd9",
    "last blocks gone": lambda d: d[:-20] + b"\xff\xd9",
    "the end never written": lambda d: d[: half(d)] + bytes(len(d) - half(d) - 2) + b"\xff\xd9",
    "much more of nothing": lambda d: d[: half(d)] + bytes(9 * len(d)) + b"\xff\xd9",
    "the end erased": lambda d: d[: half(d)] + b"\xff" * (len(d) - half(d) - 2) + b"\xff\xd9",
    "a piece missing": lambda d: d[: half(d)] + d[half(d) + 200 :],
    "no end marker": lambda d: d[:-2],
}  # fmt: skip


@pytest.mark.parametrize("kind", SOUND)
def test_a_whole_file_of_each_kind_has_libjpegs_pixels(kind):
    found = decode(SOUND[kind], FileFormat.JPEG, Limits())
    np.testing.assert_array_equal(found.pixels, writer.pillow_pixels(SOUND[kind]))
    assert ("lossy" in found.flags) == (kind != "lossless")
    assert ("cmyk_converted" in found.flags) == ("C" in kind)
    assert "colour_ambiguous" not in found.flags


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", SOUND)
def test_damaged_data_fails_where_pillow_alone_would_fill_with_grey(kind, damage):
    with pytest.raises(ImageFailure) as failure:
        decode(DAMAGE[damage](SOUND[kind]), FileFormat.JPEG, Limits())
    assert failure.value.reason == FailureReason.DECODE_FAILED
    assert failure.value.detail == "jpeg: truncated or damaged"


def test_cmyk_is_taken_as_adobe_writes_it():
    found = decode(SOUND["CMYK"], FileFormat.JPEG, Limits())
    assert np.abs(found.pixels.astype(int) - LESION).mean() < 4


def test_cmyk_without_adobes_marker_may_have_either_polarity():
    data = SOUND["CMYK"]
    at = data.index(b"\xff\xee")
    found = decode(data[:at] + data[at + 16 :], FileFormat.JPEG, Limits())
    assert "colour_ambiguous" in found.flags


def test_bytes_after_the_end_harm_nothing():
    found = decode(SOUND["4:2:0"] + b"trailing bytes", FileFormat.JPEG, Limits()).pixels
    np.testing.assert_array_equal(found, writer.pillow_pixels(SOUND["4:2:0"]))
