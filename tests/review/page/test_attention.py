"""The model's attention as a grid over the upright picture."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batch.archive.local import LocalArchive
from batch.archive.pictures import ImageAddress, upright
from batch.core.rules import Limits
from batch.review.page.attention import LEAST_FALL, attention_grids, grid
from tests.support.archives import BrightnessClassifier, FailingClassifier


class CornerClassifier(BrightnessClassifier):
    """Looks at the upper left corner of its input only."""

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        return super().scores(pixels[:, :40, :40])


def _write(folder, name: str, pixels: np.ndarray | None, orientation: int = 1) -> ImageAddress:
    exif, buffer = Image.Exif(), io.BytesIO(b"no image")
    exif[0x0112] = orientation
    if pixels is not None:
        Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    (folder / name).write_bytes(buffer.getvalue())
    return ImageAddress(name, f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}")


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (2, (0, -1)), (3, (-1, -1)), (4, (-1, 0)), (6, (0, -1)), (8, (-1, 0))],
)
def test_it_lies_where_the_model_looks_in_the_upright_picture(tmp_path, orientation, corner):
    pixels = np.zeros((120, 180, 3), np.uint8)
    pixels[:30, :40] = 255
    address = _write(tmp_path, "a.png", pixels, orientation)
    archive = LocalArchive(tmp_path)
    (found,) = attention_grids(archive, [address, address], Limits(), CornerClassifier(), 0)
    assert found[0] == address.image_id
    shares = np.array(found[1])
    assert shares.shape == (12, 12)
    assert shares[corner] == shares.max() == 1
    assert not shares[4:8, 4:8].any()
    assert (shares > 0).sum() <= 16


def _nearly(brightness: int) -> np.ndarray:
    """One pixel is another: exactly one colour would not be scored."""
    pixels = np.full((180, 180, 3), brightness, np.uint8)
    pixels[-1, -1] ^= 1
    return pixels


def test_a_model_that_fails_costs_the_map_and_not_the_rest(tmp_path):
    addresses = [
        _write(tmp_path, "a.png", _nearly(13)),
        _write(tmp_path, "b.png", _nearly(99)),
        _write(tmp_path, "c.png", None),
        ImageAddress("b.png", "sha256:other"),
    ]
    archive = LocalArchive(tmp_path)
    found = dict(attention_grids(archive, addresses, Limits(), FailingClassifier(), 0))
    assert list(found) == [addresses[1].image_id]


@pytest.mark.parametrize("peak", [0.0, 0.01, LEAST_FALL / 2, LEAST_FALL, 0.6, 40.0])
def test_noise_is_not_drawn_as_a_finding(peak):
    falls = np.zeros((180, 180), np.float32)
    falls[60:120, 60:120] = peak
    found = np.array(grid(falls))
    assert found[6, 6] == round(min(1, peak / LEAST_FALL), 2)
    assert (found[0] == 0).all()


def test_a_rise_of_the_score_is_not_drawn():
    assert not np.array(grid(np.full((180, 180), -0.5, np.float32))).any()


@given(st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_shares_are_plain_numbers_of_the_turned_map(seed, orientation):
    cells = np.random.default_rng(seed).normal(0, 3, (12, 12)).astype(np.float32)
    falls = np.kron(cells, np.ones((15, 15), np.float32))
    found = grid(falls, orientation)
    assert all(type(share) is float and round(share, 2) == share for row in found for share in row)
    wanted = np.clip(cells / max(cells.max(), LEAST_FALL), 0, 1)
    assert np.abs(np.array(found) - upright(wanted, orientation)).max() <= 0.006
