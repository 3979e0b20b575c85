"""Reduced decoding: what comes out is what the whole image would have given."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images import raster
from batch.images.formats import FileFormat
from batch.images.preprocess import DECODE_AT_LEAST, preprocess, resize, resize_reduced, scale_of


def blocks(rows: int, columns: int, scale: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A decoded picture of smooth noise, and the image that it is an exact reduction of: each of
    its pixels stands for scale by scale equal ones, less where the image ends."""
    height, width = -(-rows // scale), -(-columns // scale)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    small = np.array(resize(coarse, height, width))
    return small, np.kron(small, np.ones((scale, scale, 1), np.uint8))[:rows, :columns]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(450, 700),
    columns=st.integers(450, 700),
    scale=st.sampled_from((2, 4, 8)),
    past=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    last=st.integers(0, 255),
    seed=st.integers(0, 99),
)
def test_the_whole_image_gives_the_same(rows, columns, scale, past, last, seed):
    """Whatever fraction is left over, and whatever its last line is."""
    rows, columns = rows * scale - past[0] % scale, columns * scale - past[1] % scale
    small, whole = blocks(rows, columns, scale, seed)
    small[-1], whole[(len(small) - 1) * scale :] = last, last
    found = resize_reduced(small, rows, columns, 180, 180).astype(int)
    expected = resize(whole, 180, 180).astype(int)
    difference = np.abs(found - expected)
    assert difference[:-2].mean() <= 0.6
    if rows % scale:  # these lines are computed with the whole image's weights
        assert difference[-1, :-1].max() <= 5  # across, the decoded pixels' own
        assert difference[-1].mean() <= 1
    if columns % scale:
        assert difference[:-2, -1].max() <= 2


@pytest.mark.parametrize("column", [False, True], ids=["row", "column"])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_a_white_last_line_weighs_what_it_weighs_in_the_image(scale, column):
    """One white line of an image that is black: Pillow alone would count it `scale` times."""
    whole = np.zeros((451 * scale + 1, 460 * scale, 3), np.uint8)
    whole[-1] = 255
    small = np.zeros((452, 460, 3), np.uint8)
    small[-1] = 255
    if column:
        whole, small = whole.swapaxes(0, 1), small.swapaxes(0, 1)
    found = resize_reduced(small, *whole.shape[:2], 180, 180)
    expected = resize(np.ascontiguousarray(whole), 180, 180)
    assert 5 < expected.max() < 100
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_constant_picture_stays_constant():
    for colour in (0, 1, 127, 254, 255):
        small = np.full((501, 473, 3), colour, np.uint8)
        assert np.all(resize_reduced(small, 1001, 945, 180, 180) == colour)


def test_a_whole_image_is_resized_as_ever():
    pixels = np.random.default_rng(1).integers(0, 256, (457, 503, 3), dtype=np.uint8)
    found = resize_reduced(pixels, 457, 503, 180, 180)
    np.testing.assert_array_equal(found, resize(pixels, 180, 180))
    np.testing.assert_array_equal(found, preprocess(pixels))


@pytest.mark.parametrize(
    ("rows", "columns", "shape", "scale"),
    [
        (900, 900, (900, 900, 3), 1),
        (900, 900, (450, 450, 3), 2),
        (901, 900, (451, 450, 3), 2),
        (1803, 1801, (451, 451, 3), 4),
        (3601, 3608, (451, 451, 3), 8),
    ],
)
def test_the_scale_is_told_by_the_sizes(rows, columns, shape, scale):
    assert scale_of(np.zeros(shape, np.uint8), rows, columns) == scale


@pytest.mark.parametrize("shape", [(449, 450, 3), (900, 450, 3), (300, 300, 3)])
def test_no_scale_of_libjpegs_is_an_error(shape):
    with pytest.raises(ValueError, match="900 by 900"):
        scale_of(np.zeros(shape, np.uint8), 900, 900)


@pytest.mark.parametrize(
    ("height", "width"),
    [(901, 1203), (1129, 1503), (905, 1000), (1801, 2401), (1803, 2402), (3607, 3601)],
)
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_whose_sides_are_not_divided_stays_close_to_its_full_decode(
    height, width, subsampling
):
    image = lesion_image(3, height, width)
    image[-1] = 255  # a frame of one line, as real archives hold them
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90, subsampling=subsampling)
    data = buffer.getvalue()
    full = raster.decode(data, FileFormat.JPEG, Limits())
    reduced = raster.decode(data, FileFormat.JPEG, Limits(), DECODE_AT_LEAST)
    assert (reduced.rows, reduced.columns) == (height, width)
    assert reduced.pixels.shape[0] < height
    expected = preprocess(full.pixels).astype(int)
    difference = np.abs(preprocess(reduced.pixels, height, width) - expected)
    assert difference.mean() <= 0.5
    assert difference[:-1].max() <= 8
    assert difference[-1].mean() <= 8  # the encoder's padding is mixed into the last decoded line
