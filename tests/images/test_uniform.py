"""What holds next to nothing is told; what only looks so (tube, bright or dark skin) is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from batch.core.errors import FailureReason, ImageFailure
from batch.core.records import ModelInput
from batch.demo.lesions import lesion_image
from batch.images.uniform import NEARLY_UNIFORM, uniformity_flags
from tests.support.archives import dermoscopic, dicom_bytes, read

LESION = lesion_image(4, 180, 180)
DOWN, ACROSS = np.mgrid[-1:1:180j, -1:1:180j]
NOISE = np.random.default_rng(0)
FLAGGED = (NEARLY_UNIFORM,)
COLOURS = [(0, 0, 0), (128, 128, 128), (255, 255, 255), (12, 200, 77), (30, 30, 30)]


def where(mask, colour=(0, 0, 0), picture=LESION) -> np.ndarray:
    return np.where(mask[..., None], np.array(colour, np.uint8), picture)


def tube(radius: float, colour=(0, 0, 0), across: float = 1.0, picture=LESION) -> np.ndarray:
    """What is seen through a dermatoscope's tube; across: width of the round part over height."""
    return where((ACROSS / across) ** 2 + DOWN**2 > radius**2, colour, picture)


def noisy(level: int, spread: float) -> np.ndarray:
    noise = NOISE.normal(level, spread, (180, 180, 3))
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("colour", COLOURS)
def test_exactly_one_colour_is_a_failure(colour):
    with pytest.raises(ImageFailure) as failure:
        uniformity_flags(where(DOWN < 2, colour))
    assert failure.value.reason == FailureReason.ONE_COLOUR


@pytest.mark.parametrize("place", [(0, 0), (1, 1), (90, 91), (179, 179)])
def test_one_other_pixel_is_no_failure_but_told(place):
    pixels = np.full((180, 180, 3), 200, np.uint8)
    pixels[place] = 0
    assert uniformity_flags(pixels) == FLAGGED


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    "mask",
    [DOWN > 0, DOWN > -1 / 3, DOWN < 0, ACROSS > 0, np.abs(DOWN) < 0.5, DOWN > 0.02],
    ids=["lower half", "lower two thirds", "upper half", "right half", "middle", "a line less"],
)
def test_filler_over_half_of_a_picture_is_told_whatever_its_colour(mask, colour):
    assert uniformity_flags(where(mask, colour)) == FLAGGED
    assert uniformity_flags(where(mask, colour, tube(0.95))) == FLAGGED


@pytest.mark.parametrize("share", [0.05, 0.2, 0.35])
def test_a_smaller_part_is_not_told(share):
    assert uniformity_flags(where(1 - 2 * share < DOWN, (128, 128, 128))) == ()


@pytest.mark.parametrize("shift", [4, 6, 8], ids=["12 bits in 16", "10 in 16", "8 in 16"])
def test_samples_that_were_scaled_wrongly_are_told(shift):
    assert uniformity_flags((LESION >> shift) + (DOWN > 0.9)[..., None].astype(np.uint8)) == FLAGGED


@pytest.mark.parametrize("level", [0, 3, 128, 250])
def test_next_to_one_colour_is_told(level):
    assert uniformity_flags(noisy(level, 2)) == FLAGGED


def test_a_page_with_a_few_words_is_told():
    page = noisy(250, 3)
    page[20:160:20, 20:100:2] = 60
    assert uniformity_flags(page) == FLAGGED


def test_black_over_most_that_is_not_round_is_told():
    assert uniformity_flags(where(np.abs(ACROSS) > 0.3, (0, 0, 0), noisy(120, 30))) == FLAGGED
    assert uniformity_flags(where(ACROSS < 0.3, (9, 11, 10)) // np.uint8(1)) == FLAGGED


@pytest.mark.parametrize("radius", [0.5, 0.6, 0.75, 0.9, 1.0, 1.1])
@pytest.mark.parametrize("across", [1.0, 0.75])
@pytest.mark.parametrize("colour", [(0, 0, 0), (3, 2, 6), (20, 20, 24)])
def test_a_dark_surround_is_not_told(radius, across, colour):
    assert uniformity_flags(tube(radius, colour, across)) == ()


def test_a_dark_surround_with_noise_and_a_black_lesion_is_not_told():
    black = where(DOWN**2 + ACROSS**2 < 0.1, (8, 6, 5))
    pixels = tube(0.62, (0, 0, 0), picture=black).astype(int) + NOISE.integers(0, 6, (180, 180, 3))
    assert uniformity_flags(np.clip(pixels, 0, 255).astype(np.uint8)) == ()


@pytest.mark.parametrize(
    "pixels",
    [
        LESION,
        where(DOWN**2 + ACROSS**2 < 0.01, (90, 50, 40), noisy(246, 8)),
        where(DOWN**2 + ACROSS**2 < 0.04, (20, 14, 12), noisy(60, 7)),
        where(DOWN**2 + ACROSS**2 < 0.5, (9, 8, 8)),
        where(DOWN**2 + ACROSS**2 > 1.1, (255, 255, 255)),
    ],
    ids=["lesion", "bright skin", "dark skin", "large black lesion", "white corners"],
)
def test_a_picture_of_skin_is_not_told(pixels):
    assert uniformity_flags(pixels) == ()


# from files


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "make",
    [_png, lambda p: dicom_bytes(dermoscopic(p)), lambda p: dicom_bytes(dermoscopic(p, jpeg=True))],
    ids=["PNG", "native DICOM", "JPEG in DICOM"],
)
def test_files_end_so(tmp_path, make):
    large = lesion_image(4, 400, 600)
    half, blank = large.copy(), np.full_like(large, 77)
    half[200:] = 128
    found = []
    for number, pixels in enumerate((large, half, blank)):
        path = tmp_path / str(number)
        path.write_bytes(make(pixels))
        (result,) = read(path)[1]
        found.append(
            NEARLY_UNIFORM in result.record.flags
            if isinstance(result, ModelInput)
            else result.reason
        )
    assert found == [False, True, FailureReason.ONE_COLOUR]
