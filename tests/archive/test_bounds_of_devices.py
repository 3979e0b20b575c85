"""A device's own least sharpness flags its pictures and no other's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from batch.archive.local import LocalArchive
from batch.archive.reader import read_file
from batch.core.rules import QualityBounds, ReadingRules

RNG = np.random.default_rng(0)
PIXELS = np.clip(RNG.normal(150, 30, (300, 300, 3)), 0, 255).astype(np.uint8)


def photograph(folder, make: str | None) -> None:
    exif = Image.Exif()
    if make:
        exif[0x010F], exif[0x0110] = make, "X1"
    Image.fromarray(PIXELS).save(folder / "a.png", exif=exif)


@pytest.mark.parametrize(
    ("make", "bounds", "is_blurry"),
    [
        ("Canon", QualityBounds(), False),
        ("Canon", QualityBounds(sharpness_of_devices=(("Canon X1", 20.0),)), True),
        ("Nikon", QualityBounds(sharpness_of_devices=(("Canon X1", 20.0),)), False),
        (None, QualityBounds(sharpness_of_devices=(("Canon X1", 20.0),)), False),
        ("Nikon", QualityBounds(20.0, sharpness_of_devices=(("Nikon X1", -9.0),)), False),
        (None, QualityBounds(20.0), True),
    ],
)
def test_whose_pictures_are_flagged(tmp_path, make, bounds, is_blurry):
    photograph(tmp_path, make)
    archive = LocalArchive(tmp_path)
    rules = dataclasses.replace(ReadingRules(), quality=bounds)
    _, (result,) = read_file(archive, archive.locate("a.png"), rules)
    assert ("blurry" in result.record.flags) == is_blurry == (not result.record.is_reliable)
