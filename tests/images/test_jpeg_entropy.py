"""Coded data read code by code: whole or damaged, without a decoder's help."""

from __future__ import annotations

import random

import imagecodecs
import numpy as np
import pytest
import simplejpeg

from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images.formats import FileFormat
from batch.images.jpeg_blocks import DamagedError
from batch.images.jpeg_entropy import check_whole
from batch.images.raster import decode
from tests.support.jpeg_writer import encode, pillow_pixels, saved, scan_start

PIXELS = lesion_image(2, 61, 83)
USUAL = {
    "4:2:0": saved(PIXELS),
    "4:4:4": saved(PIXELS, subsampling=0),
    "optimised": saved(PIXELS, optimize=True),
    "progressive": saved(PIXELS, progressive=True),
    "progressive, 4:4:4": saved(PIXELS, progressive=True, subsampling=0),
    "restart markers": saved(PIXELS, restart_marker_blocks=2),
    "progressive, restart markers": saved(PIXELS, progressive=True, restart_marker_blocks=3),
    "CMYK": saved(PIXELS, "CMYK"),
    "four components, progressive": saved(PIXELS, "CMYK", progressive=True),
}
SAMPLINGS = [
    ((4, 2), (1, 1), (1, 1)),
    ((3, 1), (1, 1), (1, 1)),
    ((1, 3), (1, 1), (1, 1)),
    ((2, 4), (1, 1), (1, 1)),
    ((4, 1), (2, 1), (2, 1)),
    ((1, 1), (2, 2), (2, 2)),
    ((1, 1), (2, 1), (2, 1)),
    ((1, 1), (1, 1), (2, 2)),
    ((2, 1), (1, 2), (1, 1)),
    ((2, 2), (1, 2), (2, 1)),
    ((3, 2), (1, 1), (1, 1)),
]


@pytest.mark.parametrize("kind", USUAL)
def test_sound_data_is_whole(kind):
    check_whole(USUAL[kind])


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_interval": 2}, {"interleaved": False}],
    ids=["baseline", "progressive", "restart markers", "a scan a component"],
)
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_any_sampling_is_read_with_libjpegs_pixels(sampling, options):
    data = encode(PIXELS, sampling, **options)
    expected = pillow_pixels(data)
    np.testing.assert_array_equal(decode(data, FileFormat.JPEG, Limits()).pixels, expected)
    assert np.abs(expected.astype(int) - PIXELS).mean() < 9
    np.testing.assert_array_equal(imagecodecs.jpeg8_decode(data), expected)


def test_components_of_four_blocks_each_come_in_scans_of_their_own():
    data = encode(PIXELS, ((2, 2),) * 3, interleaved=False)
    np.testing.assert_array_equal(
        decode(data, FileFormat.JPEG, Limits()).pixels, pillow_pixels(data)
    )


def damaged(data: bytes, seed: int) -> bytes:
    chance, start = random.Random(seed), scan_start(data)
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 2, 4))):
        mutant[chance.randrange(start, len(data) - 2)] = chance.randrange(256)
    return bytes(mutant)


@pytest.mark.parametrize("kind", [kind for kind in USUAL if "C" not in kind and "four" not in kind])
def test_nothing_passes_that_libjpeg_warns_of(kind):
    """simplejpeg reads the usual samplings strictly, so it can say what a warning is."""
    refused = 0
    for seed in range(40):
        mutant = damaged(USUAL[kind], seed)
        try:
            simplejpeg.decode_jpeg(mutant, strict=True)
        except ValueError:
            refused += 1
            with pytest.raises(DamagedError):
                check_whole(mutant)
    assert refused > 5


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.95])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("sampling", SAMPLINGS[:3], ids=str)
def test_a_cut_picture_of_unusual_sampling_is_refused(sampling, progressive, share):
    data = encode(PIXELS, sampling, progressive=progressive)
    start = scan_start(data)
    cut = data[: start + int((len(data) - start) * share)]
    for ending in (b"", b"\xff\xd9"):
        with pytest.raises(DamagedError):
            check_whole(cut + ending)
