"""Pixels that lie as Pillow keeps them are taken as they are, and give the same picture."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.archive import jpeg_decoder, raster
from batch.archive.four_bytes import in_place
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 70),
    columns=st.integers(1, 70),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_a_picture_is_scaled_alike_however_it_lies(rows, columns, height, width, seed):
    whole = np.random.default_rng(seed).integers(0, 256, (rows, columns, 4), np.uint8)
    pixels = whole[..., :3]
    assert in_place(pixels) is not None
    scaled = raster.resize(pixels, height, width)
    assert scaled.shape == (height, width, 3)
    assert np.array_equal(scaled, raster.resize(np.ascontiguousarray(pixels), height, width))


WHOLE = np.arange(6 * 8 * 4, dtype=np.uint8).reshape(6, 8, 4)


@pytest.mark.parametrize(
    "pixels",
    [
        np.ascontiguousarray(WHOLE[..., :3]),
        WHOLE[..., 1:],
        WHOLE[..., 2::-1],
        WHOLE[::-1, :, :3],
        WHOLE[:, ::-1, :3],
        WHOLE[1:, :, :3],
        WHOLE[:, :5, :3],
        WHOLE.transpose(1, 0, 2)[..., :3],
    ],
    ids=["three bytes", "shifted", "reversed", "flipped", "mirrored", "cut", "narrowed", "turned"],
)
def test_what_lies_otherwise_is_copied_and_scaled_as_it_is(pixels):
    assert in_place(pixels) is None
    assert np.array_equal(
        raster.resize(pixels, 3, 4), raster.resize(np.ascontiguousarray(pixels), 3, 4)
    )


def test_a_decoded_jpeg_is_not_copied_and_outlives_its_decoder():
    data = jpeg_bytes(lesion_image(3, 240, 320))
    pixels = jpeg_decoder.decode_rgb(data, 240, 320, None)
    ready = in_place(pixels)
    assert ready is not None
    expected = raster.resize(np.ascontiguousarray(pixels), 180, 180)
    del pixels
    gc.collect()
    again = raster.Image.fromarrow(ready, "RGB", (320, 240)).resize((180, 180), 2)
    assert np.array_equal(np.asarray(again), expected)
