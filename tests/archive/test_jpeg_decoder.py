"""The strict decoder: Pillow's pixels for sound data, a failure for damaged data."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from batch.archive.formats import FileFormat
from batch.archive.jpeg_decoder import decode_rgb
from batch.archive.limits import Limits
from batch.archive.raster import decode
from batch.demo.lesions import lesion_image
from batch.errors import FailureReason, ImageFailure


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
    np.testing.assert_array_equal(decode_rgb(data, height, width, at_least), np.asarray(image))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (720, 720, 360), (719, 720, 719), (720, 719, 720), (721, 720, 361), (720, 721, 360),
        (1439, 1440, 720), (1441, 1440, 361), (2879, 2880, 720), (2881, 2887, 361),
    ],
)  # fmt: skip
def test_the_smallest_scale_that_leaves_enough_is_taken(height, width, expected):
    assert decode_rgb(saved(height, width), height, width, 360).shape[0] == expected


SOUND = saved(300, 400)


@pytest.mark.parametrize(
    "damaged",
    [
        SOUND[: len(SOUND) // 2],
        SOUND[: len(SOUND) // 2] + b"\xff\xd9",
        SOUND[:-20] + b"\xff\xd9",
        SOUND[: len(SOUND) // 2] + bytes(512) + SOUND[len(SOUND) // 2 + 512 :],
        SOUND[: len(SOUND) // 2] + SOUND[len(SOUND) // 2 + 100 :],
    ],
    ids=["cut", "cut and closed", "last blocks gone", "a hole of zeros", "a piece missing"],
)
def test_damaged_data_fails_where_pillow_alone_would_fill_with_grey(damaged):
    with pytest.raises(ImageFailure) as failure:
        decode(damaged, FileFormat.JPEG, Limits())
    assert failure.value.reason == FailureReason.DECODE_FAILED


def test_bytes_after_the_end_harm_nothing():
    found = decode(SOUND + b"trailing bytes", FileFormat.JPEG, Limits()).pixels
    np.testing.assert_array_equal(found, np.asarray(Image.open(io.BytesIO(SOUND))))


def test_stray_bytes_between_segments_count_as_damage():
    with pytest.raises(ImageFailure) as failure:
        decode(SOUND[:20] + b"\x00\x00" + SOUND[20:], FileFormat.JPEG, Limits())
    assert failure.value.detail == "jpeg: truncated or damaged"
