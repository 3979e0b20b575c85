"""The resize: the definition's pixels, Pillow's but for roundings, the same on every processor."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cykooz_resizer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from batch.demo.lesions import lesion_image
from batch.images import preprocess
from batch.images.preprocess import resize


def noise(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def pillows(pixels: np.ndarray, height: int, width: int, box: preprocess.Box | None) -> np.ndarray:
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box))


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(1, 400),
    columns=st.integers(1, 400),
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    cut=st.tuples(*[st.integers(0, 7)] * 4),
    seed=st.integers(0, 99),
)
def test_it_is_pillows_resize_but_for_a_rounding(rows, columns, height, width, cut, seed):
    pixels = noise(rows, columns, seed)
    left, top = min(cut[0] / 8, columns / 2), min(cut[1] / 8, rows / 2)
    box = (left, top, max(left + 0.5, columns - cut[2] / 8), max(top + 0.5, rows - cut[3] / 8))
    found = resize(pixels, height, width, box).astype(int)
    difference = np.abs(found - pillows(pixels, height, width, box))
    assert found.shape == (height, width, 3)
    assert difference.max() <= 1


@pytest.mark.parametrize("shape", [(450, 600), (576, 768), (1200, 1600), (100, 90)], ids=str)
def test_of_a_lesion_hardly_a_sample_is_another_than_pillows(shape):
    pixels = lesion_image(4, *shape)
    assert np.mean(resize(pixels, 180, 180) != pillows(pixels, 180, 180, None)) <= 0.005


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 300),
    columns=st.integers(1, 300),
    extremes=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_processor_gives_the_same(rows, columns, extremes, seed):
    """With the widest instructions that there are, with older ones, and with none."""
    pixels = noise(rows, columns, seed)
    if extremes:
        pixels = (pixels > 127).astype(np.uint8) * 255
    resizer, found = preprocess.resizer(), []
    usual = resizer.cpu_extensions
    try:
        for extension in _there(usual):
            resizer.cpu_extensions = extension
            found.append(resize(pixels, 180, 180))
    finally:
        resizer.cpu_extensions = usual
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def _there(best: cykooz_resizer.CpuExtensions) -> list[cykooz_resizer.CpuExtensions]:
    """None, and what this processor has up to its best."""
    kinds = cykooz_resizer.CpuExtensions
    intel = [kinds.none, kinds.sse4_1, kinds.avx2]
    return intel[: intel.index(best) + 1] if best in intel else [kinds.none, best]


WHOLE = np.arange(6 * 8 * 4, dtype=np.uint8).reshape(6, 8, 4)


@pytest.mark.parametrize(
    "pixels",
    [
        WHOLE[..., :3],
        WHOLE[..., 1:],
        WHOLE[..., 2::-1],
        WHOLE[::-1, :, :3],
        WHOLE[:, ::-1, :3],
        WHOLE[1:, :5, :3],
        WHOLE.transpose(1, 0, 2)[..., :3],
    ],
    ids=["four bytes", "shifted", "reversed", "flipped", "mirrored", "cut", "turned"],
)
def test_a_picture_is_resized_alike_however_it_lies(pixels):
    expected = resize(np.ascontiguousarray(pixels), 3, 4)
    np.testing.assert_array_equal(resize(pixels, 3, 4), expected)


def test_what_has_the_size_already_is_not_touched():
    pixels = noise(18, 20, 1)
    assert resize(pixels, 18, 20) is pixels


@pytest.mark.parametrize("colour", [0, 1, 127, 254, 255])
def test_a_constant_picture_stays_constant(colour):
    assert np.all(resize(np.full((301, 277, 3), colour, np.uint8), 180, 180) == colour)


def test_threads_do_not_mix_their_pictures():
    pictures = [noise(300 + seed, 200 + seed, seed) for seed in range(16)]
    alone = [resize(picture, 90, 80) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda picture: resize(picture, 90, 80), pictures * 4))
    for found, expected in zip(together, alone * 4, strict=True):
        np.testing.assert_array_equal(found, expected)
