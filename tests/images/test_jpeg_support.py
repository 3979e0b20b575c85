"""Kinds of JPEG that are not read are called so: neither damaged, nor scored in wrong colours."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images.formats import FileFormat
from batch.images.jpeg_support import is_read_by_turbojpeg
from batch.images.raster import decode
from tests.support.jpeg_writer import encode, replaced, saved, segment

PIXELS = lesion_image(1, 60, 80)
SOUND = saved(PIXELS)
FRAME = SOUND.index(b"\xff\xc0")
WIDE = PIXELS.astype(np.uint16) << 4

LOSSLESS = imagecodecs.jpeg8_encode(PIXELS, lossless=True)


def of_process(marker: int) -> bytes:
    return SOUND[: FRAME + 1] + bytes([marker]) + SOUND[FRAME + 2 :]


def xyb() -> bytes:
    """As libjxl's encoder writes it: the third component subsampled, and a profile of its own."""
    data = encode(PIXELS, ((2, 2), (2, 2), (1, 1)), interleaved=False)
    profile = bytes(128) + b"mluc" + "XYB_Per".encode("utf-16-be") + bytes(200)
    return data[:2] + segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + profile) + data[2:]


UNSUPPORTED = {
    "12 bits": (imagecodecs.jpeg8_encode(WIDE, bitspersample=12), "JPEG of 12 bits a sample"),
    "16 bits, lossless": (
        imagecodecs.jpeg8_encode(WIDE, lossless=True, bitspersample=16),
        "JPEG of 16 bits a sample",
    ),
    "JPEG-LS": (imagecodecs.jpegls_encode(PIXELS), "JPEG-LS"),
    **{
        f"frame {marker:x}": (of_process(marker), "hierarchical JPEG")
        for marker in (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF)
    },
    "a picture in levels": (
        SOUND[:FRAME] + segment(0xDE, SOUND[FRAME + 4 : FRAME + 19]) + SOUND[FRAME:],
        "hierarchical JPEG",
    ),
    "arithmetic": (of_process(0xC9), "JPEG with arithmetic coding"),
    "arithmetic, progressive": (of_process(0xCA), "JPEG with arithmetic coding"),
    "arithmetic, lossless": (of_process(0xCB), "lossless JPEG with arithmetic coding"),
    "two components": (
        replaced(SOUND, 0xC0, b"\x08\x00\x3c\x00\x50\x02\x01\x11\x00\x02\x11\x01"),
        "JPEG of 2 components",
    ),
    "height to come": (
        SOUND[: FRAME + 5] + bytes(2) + SOUND[FRAME + 7 :],
        "JPEG that tells its height after its first scan",
    ),
    "lossless, with JFIF": (
        LOSSLESS[:2] + SOUND[2:20] + LOSSLESS[2:],
        "lossless JPEG, not in RGB",
    ),
    "XYB": (xyb(), "JPEG in XYB colours"),
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_what_is_not_read_is_called_unsupported(kind):
    data, detail = UNSUPPORTED[kind]
    with pytest.raises(ImageFailure) as failure:
        decode(data, FileFormat.JPEG, Limits())
    assert failure.value.reason == FailureReason.UNSUPPORTED_FORMAT
    assert failure.value.detail == detail


def test_one_component_is_greyscale_and_three_of_one_grey_are_not():
    grey = np.repeat(PIXELS.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    with pytest.raises(ImageFailure) as failure:
        decode(saved(grey, "L"), FileFormat.JPEG, Limits())
    assert failure.value.reason == FailureReason.NOT_COLOUR
    assert decode(saved(grey), FileFormat.JPEG, Limits()).pixels.shape == (60, 80, 3)


def test_four_components_contradict_a_dicom_header_of_three():
    with pytest.raises(ImageFailure) as failure:
        decode(saved(PIXELS, "CMYK"), FileFormat.JPEG, Limits(), photometric_interpretation="RGB")
    assert failure.value.reason == FailureReason.HEADER_CONTRADICTS_PIXELS


def test_a_lossless_jpeg_comes_back_as_it_was_at_any_size():
    large = lesion_image(1, 1000, 1100)
    data = imagecodecs.jpeg8_encode(large, lossless=True)
    found = decode(data, FileFormat.JPEG, Limits(), at_least=450)
    np.testing.assert_array_equal(found.pixels, large)
    assert "lossy" not in found.flags


@pytest.mark.parametrize(
    ("sampling", "known"),
    [
        ([(1, 1), (1, 1), (1, 1)], True),
        ([(2, 2), (1, 1), (1, 1)], True),
        ([(4, 1), (1, 1), (1, 1)], True),
        ([(1, 4), (1, 1), (1, 1)], True),
        ([(2, 2), (2, 1), (2, 1)], True),
        ([(2, 2), (1, 2), (1, 2)], True),
        ([(3, 1), (3, 1), (3, 1)], True),
        ([(2, 2), (2, 2), (2, 2)], False),
        ([(4, 2), (1, 1), (1, 1)], False),
        ([(3, 1), (1, 1), (1, 1)], False),
        ([(2, 2), (2, 1), (1, 2)], False),
        ([(1, 1), (2, 2), (2, 2)], False),
        ([(1, 1), (1, 1), (1, 1), (1, 1)], True),
        ([(2, 2), (1, 1), (1, 1), (2, 2)], True),
        ([(2, 2), (1, 1), (1, 1), (1, 1)], False),
    ],
    ids=str,
)
def test_turbojpegs_samplings_are_known(sampling, known):
    assert is_read_by_turbojpeg(tuple(sampling)) is known
