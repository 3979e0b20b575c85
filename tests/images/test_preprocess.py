"""The one preprocessing function: golden pixels, an independent oracle, the speed path's bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from batch.archive.reader import read_image
from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import Limits
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.images import raster
from batch.images.formats import FileFormat
from batch.images.preprocess import DECODE_AT_LEAST, mean_colour, preprocess
from tests.support.archives import REPOSITORY

GOLDEN = sorted((REPOSITORY / "tests" / "golden").glob("*.input.png"))


def triangle_weights(source: int, target: int) -> np.ndarray:
    """(target, source): bilinear weights whose support grows with the shrink factor."""
    scale = source / target
    support = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source)[None] + 0.5 - centres[:, None]) / support
    weights = np.clip(1 - distance, 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


def oracle(pixels: np.ndarray) -> np.ndarray:
    """Antialiased bilinear resize by matrices, in floating point."""
    rows, columns = (triangle_weights(side, 180) for side in pixels.shape[:2])
    return np.stack([rows @ pixels[..., c].astype(float) @ columns.T for c in range(3)], axis=-1)


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 500),
    width=st.integers(1, 500),
    seed=st.integers(0, 2**16),
)
def test_it_is_the_antialiased_bilinear_resize_of_the_definition(height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = preprocess(pixels)
    assert found.shape == (180, 180, 3)
    assert found.dtype == np.uint8
    assert np.abs(found - oracle(pixels)).max() <= 1.51  # two roundings, one a direction


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_golden_pixels_come_out_again(path):
    source = next(p for p in path.parent.glob(path.name.replace(".input.png", ".*")) if p != path)
    expected = np.asarray(Image.open(path)).astype(int)
    # a grey level of the resize may become two in a conversion of colours
    allowed = 2 if "adobe" in path.name else 1
    assert np.abs(read_image(source).pixels - expected).max() <= allowed


def test_there_are_golden_pixels_for_every_way_into_the_program():
    names = {"jpeg", "png", "dicom_jpeg", "dicom_native", "adobe_rgb"}
    assert {p.name.split(".")[0] for p in GOLDEN} == names


def test_an_image_of_the_right_size_is_not_touched():
    pixels = lesion_image(5, 180, 180)
    np.testing.assert_array_equal(preprocess(pixels), pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((10, 10, 3), np.uint16),
    ],
    ids=["grey", "four channels", "float", "16 bit"],
)
def test_anything_but_rgb_bytes_is_refused(pixels):
    with pytest.raises(ImageFailure) as failure:
        preprocess(pixels)
    assert failure.value.reason == FailureReason.MODEL_INPUT_INVALID


@pytest.mark.parametrize(("height", "width"), [(900, 1200), (1080, 1440), (2304, 3072)])
def test_decoding_at_reduced_scale_stays_close_to_the_full_decode(height, width):
    data = jpeg_bytes(lesion_image(3, height, width))
    full = preprocess(raster.decode(data, FileFormat.JPEG, Limits()).pixels).astype(int)
    reduced_image = raster.decode(data, FileFormat.JPEG, Limits(), DECODE_AT_LEAST)
    difference = np.abs(preprocess(reduced_image.pixels) - full)
    assert (reduced_image.rows, reduced_image.columns) == (height, width)
    assert min(reduced_image.pixels.shape[:2]) >= DECODE_AT_LEAST
    assert difference.mean() <= 0.5
    assert np.percentile(difference, 99) <= 3
    assert difference.max() <= 8


def test_reduced_scale_really_decodes_less():
    data = jpeg_bytes(lesion_image(3, 1080, 1440))
    assert raster.decode(data, FileFormat.JPEG, Limits(), DECODE_AT_LEAST).pixels.shape[0] == 540


@pytest.mark.parametrize(
    ("pixels", "means"),
    [
        (np.zeros((180, 180, 3), np.uint8), (0.0, 0.0, 0.0)),
        (np.full((180, 180, 3), 255, np.uint8), (255.0, 255.0, 255.0)),
        (np.broadcast_to(np.array([1, 2, 3], np.uint8), (180, 180, 3)), (1.0, 2.0, 3.0)),
        (np.array([[[0, 0, 0], [1, 2, 255]]], np.uint8), (0.5, 1.0, 127.5)),
        (np.array([[[0, 0, 0], [0, 0, 0], [1, 1, 2]]], np.uint8), (0.3, 0.3, 0.7)),
    ],
)
def test_the_mean_colour_is_that_of_the_channels(pixels, means):
    assert mean_colour(pixels) == means


def test_every_image_that_is_read_tells_its_mean_colour():
    lesion = read_image(REPOSITORY / "tests" / "golden" / GOLDEN[0].name)
    record, means = lesion.record, lesion.pixels.reshape(-1, 3).mean(axis=0)
    found = (record.mean_red, record.mean_green, record.mean_blue)
    assert found == pytest.approx(tuple(means), abs=0.0501)
