from __future__ import annotations

import base64
import hashlib
import io
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batch.archive.local import LocalArchive
from batch.archive.pictures import Picture
from batch.demo.lesions import lesion_image
from batch.review.page import pictures as thumbnails
from batch.review.page.pictures import attention_pictures, overlay, pictures
from tests.support.archives import BrightnessClassifier, FailingClassifier, dermoscopic, dicom_bytes


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _write(archive, files: dict[bytes, bytes]) -> pd.DataFrame:
    """Files into the archive, by name; their rows as the worklist has them."""
    rows = []
    for name, data in files.items():
        (path := archive / os.fsdecode(name)).parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        shown = name.decode("utf-8", "backslashreplace")
        raw = name if shown.encode() != name else None
        rows.append((f"sha256:{hashlib.sha256(data).hexdigest()}", shown, raw, None))
    return pd.DataFrame(rows, columns=["image_id", "path", "path_bytes", "frame_number"])


def _open(uri: str) -> np.ndarray:
    head, _, body = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body, validate=True))))


@pytest.fixture
def images(tmp_path) -> pd.DataFrame:
    return _write(
        tmp_path,
        {
            b"a.png": _png(lesion_image(1, 600, 900)),
            b"visit/caf\xe9.png": _png(lesion_image(2, 100, 80)),
            b"c.dcm": dicom_bytes(dermoscopic(lesion_image(3, 90, 120))),
        },
    )


def test_every_image_has_its_picture(tmp_path, images):
    found = pictures(LocalArchive(tmp_path), images)
    assert list(found) == list(images.image_id)
    shapes = [_open(uri).shape for uri in found.values()]
    assert shapes == [(320, thumbnails.SIDE, 3), (100, 80, 3), (90, 120, 3)]


@pytest.mark.parametrize("dtype", [object, "Int64", "float64"])
def test_a_missing_frame_number_may_be_of_any_kind(tmp_path, images, dtype):
    assert len(pictures(LocalArchive(tmp_path), images.astype({"frame_number": dtype}))) == len(
        images
    )


def test_what_cannot_be_read_is_left_out_and_the_rest_stays(tmp_path, images):
    os.truncate(tmp_path / "a.png", 5000)
    (tmp_path / "c.dcm").unlink()
    assert list(pictures(LocalArchive(tmp_path), images)) == [images.image_id[1]]
    assert pictures(LocalArchive(tmp_path / "nowhere"), images) == {}
    assert pictures(LocalArchive(tmp_path), images.iloc[:0]) == {}


def test_the_page_is_bounded_and_the_first_come_first(tmp_path, images):
    whole = pictures(LocalArchive(tmp_path), images)
    sizes = [len(uri) for uri in whole.values()]
    for taken in range(len(sizes) + 1):
        bound = sum(sizes[:taken])
        assert (
            list(pictures(LocalArchive(tmp_path), images, page_bytes=bound)) == list(whole)[:taken]
        )


def test_an_image_that_is_listed_twice_is_read_once(tmp_path, images):
    assert len(pictures(LocalArchive(tmp_path), pd.concat([images, images]))) == len(images)


class CornerClassifier(BrightnessClassifier):
    """Looks at the upper left corner of its input only."""

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        return super().scores(pixels[:, :40, :40])


def test_the_attention_lies_where_the_model_looks_in_the_upright_picture(tmp_path):
    pixels = np.zeros((120, 180, 3), np.uint8)
    pixels[:30, :40] = 255
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # upright is a quarter turn to the right: the corner goes to the upper right
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    rows = _write(tmp_path, {b"a.png": buffer.getvalue()})
    (uri,) = attention_pictures(LocalArchive(tmp_path), rows, None, CornerClassifier(), 0).values()
    found = _open(uri).astype(int)
    assert found.shape == (180, 120, 3)
    orange = found[..., 0] - found[..., 2] > 60
    assert orange[:30, -25:].any()
    assert not orange[:, :60].any()
    assert not orange[90:].any()


def _nearly(brightness: int) -> np.ndarray:
    """One pixel is another: exactly one colour would not be scored."""
    pixels = np.full((180, 180, 3), brightness, np.uint8)
    pixels[-1, -1] ^= 1
    return pixels


def test_a_model_that_fails_costs_the_map_and_not_the_rest(tmp_path):
    rows = _write(
        tmp_path,
        {
            b"a.png": _png(_nearly(13)),
            b"b.png": _png(_nearly(99)),
            b"c.png": b"no image",
        },
    )
    found = attention_pictures(LocalArchive(tmp_path), rows, None, FailingClassifier(), 0)
    assert list(found) == [rows.image_id[1]]


@pytest.mark.parametrize(
    ("peak", "is_full"), [(0.0, False), (0.01, False), (thumbnails.LEAST_FALL, True), (0.6, True)]
)
def test_noise_is_not_drawn_as_a_finding(peak, is_full):
    falls = np.zeros((180, 180), np.float32)
    falls[60:120, 60:120] = peak
    found = overlay(Picture(np.full((90, 90, 3), 100, np.uint8), 1), falls).astype(int)
    assert found.shape == (90, 90, 3)
    strength = (found[45, 45, 0] - 100) / (0.65 * 155)
    assert (strength > 0.98) == is_full
    assert strength == pytest.approx(min(1, peak / thumbnails.LEAST_FALL), abs=0.02)
    assert (found[0, 0] == 100).all()


def test_a_rise_of_the_score_is_not_drawn():
    falls = np.full((180, 180), -0.5, np.float32)
    assert (overlay(Picture(np.full((50, 60, 3), 100, np.uint8), 1), falls) == 100).all()
