"""Blur and exposure are found at any size and contrast, and nothing breaks on odd pictures."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from batch.archive.reader import read_image
from batch.core.rules import QualityBounds
from batch.demo.lesions import lesion_image
from batch.evaluation.stress_changes import blurred, exposed
from batch.images.preprocess import preprocess
from batch.images.quality import (
    BLURRY,
    OVEREXPOSED,
    UNDEREXPOSED,
    Quality,
    is_reliable,
    measure_quality,
    middle_green,
    quality_flags,
)
from batch.images.uniform import NEARLY_UNIFORM

SOUND = Quality(1.0, 1.0, 200.0, 0.0, 0.0, 0.0)
BOUNDS = QualityBounds()


def measured(pixels: np.ndarray) -> Quality:
    return measure_quality(pixels, preprocess(pixels))


@pytest.mark.parametrize(
    ("field", "value", "flags"),
    [
        ("sharpness", BOUNDS.sharpness, ()),
        ("sharpness", BOUNDS.sharpness - 0.001, (BLURRY,)),
        ("bright_level", BOUNDS.bright_level, ()),
        ("bright_level", BOUNDS.bright_level - 0.1, (UNDEREXPOSED,)),
        ("saturated_share", BOUNDS.saturated_share, (OVEREXPOSED,)),
        ("saturated_share", BOUNDS.saturated_share - 0.001, ()),
        ("white_share", BOUNDS.white_share, (OVEREXPOSED,)),
        ("white_share", BOUNDS.white_share - 0.001, ()),
        ("noise", 60.0, ()),
        ("dark_surround_share", 0.6, ()),
    ],
)
def test_each_bound_is_where_it_is_said(field, value, flags):
    assert quality_flags(dataclasses.replace(SOUND, **{field: value}), BOUNDS) == flags


def test_several_flags_are_sorted_and_all_are_doubts():
    bad = dataclasses.replace(SOUND, sharpness=-9.0, bright_level=9.0, white_share=1.0)
    flags = quality_flags(bad, BOUNDS)
    assert flags == (BLURRY, OVEREXPOSED, UNDEREXPOSED)
    assert not any(is_reliable((flag,)) for flag in (*flags, NEARLY_UNIFORM))
    assert is_reliable(("lossy", "upscaled"))


def natural(rows: int, columns: int, contrast: float = 40.0) -> np.ndarray:
    """Noise whose amplitude falls as one over the frequency, as that of photographs does."""
    rng = np.random.default_rng(5)
    down, across = np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None]
    frequency = np.maximum(np.hypot(down, across), 1 / max(rows, columns))
    plane = np.fft.ifft2(np.fft.fft2(rng.normal(size=(rows, columns))) / frequency).real
    plane = 170 + contrast * plane / plane.std()
    return np.clip(plane, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)


@pytest.mark.parametrize("size", [(384, 512), (512, 384), (1536, 2048), (300, 512), (900, 900)])
@pytest.mark.parametrize("contrast", [10.0, 40.0])
def test_blur_is_found_at_every_size_and_contrast(size, contrast):
    sound = natural(*size, contrast)
    assert BLURRY not in quality_flags(measured(sound), BOUNDS)
    for radius in (4, 8):
        assert BLURRY in quality_flags(measured(blurred(sound, radius)), BOUNDS), radius


def test_contrast_hardly_counts():
    low, high = measured(natural(600, 800, 10.0)), measured(natural(600, 800, 40.0))
    assert abs(low.sharpness - high.sharpness) < abs(np.log(16)) * 0.75


@pytest.mark.parametrize(("stops", "flag"), [(-2, UNDEREXPOSED), (3, OVEREXPOSED)])
def test_exposure_is_found(stops, flag):
    sound = lesion_image(3, 600, 450)
    assert quality_flags(measured(sound), BOUNDS) == ()
    assert flag in quality_flags(measured(exposed(sound, stops)), BOUNDS)


def test_noise_is_measured_in_grey_levels():
    rng = np.random.default_rng(0)
    for sigma in (2.0, 5.0, 12.0):
        flat = np.clip(128 + rng.normal(0, sigma, (500, 500, 3)), 0, 255).round().astype(np.uint8)
        assert measured(flat).noise == pytest.approx(sigma, rel=0.1)


def test_shares_count_what_they_name():
    pixels = np.full((400, 400, 3), 120, np.uint8)
    pixels[:100] = 0  # a quarter nearly black
    pixels[300:] = (255, 120, 120)  # a quarter with one channel saturated
    pixels[350:] = 255  # an eighth white
    found = measured(pixels)
    assert found.dark_surround_share == pytest.approx(0.25, abs=0.02)
    assert found.saturated_share == pytest.approx(0.25, abs=0.02)
    assert found.white_share == pytest.approx(0.125, abs=0.02)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)),
        elements=st.integers(0, 255),
    )
)
def test_odd_pictures_give_finite_plain_numbers(pixels):
    found = measured(pixels)
    assert all(type(value) is float and np.isfinite(value) for value in vars(found).values())


@pytest.mark.parametrize(("rows", "columns"), [(1, 5000), (5000, 1), (2, 3), (513, 512), (4, 4)])
def test_the_middle_is_never_empty(rows, columns):
    middle = middle_green(np.zeros((rows, columns, 3), np.uint8))
    assert min(middle.shape) >= 1
    assert max(middle.shape) <= 257


def test_a_reader_measures_and_flags(tmp_path):
    from PIL import Image

    sound = lesion_image(3, 600, 450)
    Image.fromarray(sound).save(tmp_path / "sound.png")
    Image.fromarray(blurred(sound, 8)).save(tmp_path / "soft.png")
    sharp, soft = (read_image(tmp_path / name).record for name in ("sound.png", "soft.png"))
    assert sharp.is_reliable is True
    assert soft.is_reliable is False
    assert BLURRY in soft.flags
    assert BLURRY not in sharp.flags
    assert sharp.sharpness > soft.sharpness


@pytest.mark.skipif(not os.environ.get("MELANOMA_BATCH_DATA"), reason="MELANOMA_BATCH_DATA unset")
@pytest.mark.parametrize("source", ["ham10000", "isic2017"])
def test_sound_dermoscopy_is_hardly_flagged(source):
    folder = Path(os.environ["MELANOMA_BATCH_DATA"]) / source / "images"
    paths = sorted(folder.glob("*.jpg"))[::97][:100]
    records = [read_image(path).record for path in paths]
    assert len(records) > 20
    assert sum(not record.is_reliable for record in records) <= 0.04 * len(records)
