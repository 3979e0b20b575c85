"""A picture for a page: copied where that is enough, else made; without metadata either way."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from batch.archive.local import LocalArchive
from batch.archive.picture_files import PictureForm, picture_file, read_picture_file
from batch.archive.pictures import ImageAddress, decode_picture
from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images.jpeg_copy import without_metadata
from batch.images.jpeg_headers import read_header
from batch.images.preprocess import resize
from batch.review.page.pictures import AS_FILES, INSIDE
from tests.support.archives import dermoscopic, dicom_bytes
from tests.support.icc import profile

SECRET = b"Jane^Doe"
PIXELS = lesion_image(3, 90, 120)
FORM = PictureForm(side=400, least_side=320, quality=88, max_bytes=100_000)


def encoded(pixels: np.ndarray, kind: str = "JPEG", orientation: int = 1, **options) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, SECRET.decode()
    Image.fromarray(pixels).save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


def address_of(data: bytes) -> ImageAddress:
    return ImageAddress("a", f"sha256:{hashlib.sha256(data).hexdigest()}")


def made(data: bytes, form: PictureForm = FORM, limits: Limits | None = None):
    return picture_file(data, address_of(data), limits or Limits(), form)


def pixels_of(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        assert not dict(image.getexif())
        assert set(image.info) <= {
            "jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive", "progression",
            "adobe", "adobe_transform",
        }  # fmt: skip
        return np.asarray(image.convert("RGB"))


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    "options",
    [{}, {"quality": 96, "subsampling": 0}, {"progressive": True}, {"comment": SECRET},
     {"icc_profile": SRGB}],
)  # fmt: skip
def test_a_jpeg_that_is_small_enough_is_copied_to_the_bit(options):
    data = encoded(PIXELS, **options)
    found = made(data)
    assert found.data == without_metadata(data)
    assert (found.width, found.height) == (120, 90)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(pixels_of(found.data), np.asarray(image))
    assert SECRET not in found.data


def test_a_grey_one_is_never_scored_and_has_no_picture():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert("L").save(buffer, "JPEG")
    with pytest.raises(ImageFailure) as failure:
        made(buffer.getvalue())
    assert failure.value.reason == FailureReason.NOT_COLOUR


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (encoded(PIXELS, orientation=6), FORM),
        (encoded(PIXELS, icc_profile=profile()), FORM),
        (encoded(PIXELS, keep_rgb=True), FORM),
        (encoded(PIXELS, "PNG"), FORM),
        (encoded(PIXELS, "WEBP", lossless=True), FORM),
        (encoded(lesion_image(3, 300, 401), quality=95), FORM),
        (encoded(PIXELS), PictureForm(400, 320, 88, 100_000, copies=False)),
        (encoded(PIXELS, quality=98), PictureForm(400, 320, 88, 7_000)),
    ],
    ids=["turned", "profile", "rgb", "png", "webp", "longer", "no copies", "too many bytes"],
)
def test_everything_else_is_decoded_turned_converted_and_encoded(data, form):
    found = made(data, form)
    wanted = decode_picture(data, address_of(data), Limits(), form.side).pixels
    wanted = resize(wanted, found.height, found.width)
    shown = pixels_of(found.data)
    assert found.data != data
    assert shown.shape == (found.height, found.width, 3)
    assert (found.height > found.width) == (wanted.shape[0] > wanted.shape[1])
    assert np.abs(shown.astype(int) - wanted).mean() < 6
    assert len(found.data) <= form.max_bytes
    assert SECRET not in found.data
    assert read_header(found.data).sampling == ((2, 2), (1, 1), (1, 1))


@pytest.mark.parametrize(
    ("longer", "expected"),
    [(401, 351), (456, 399), (458, 344), (533, 400), (640, 400), (800, 400), (801, 400),
     (1600, 400), (3200, 400)],
)  # fmt: skip
def test_a_large_photograph_is_decoded_to_its_size_where_libjpeg_can(longer, expected):
    data = encoded(lesion_image(2, longer * 3 // 4, longer))
    found = made(data)
    assert (found.width, abs(found.height - 0.75 * found.width) <= 1) == (expected, True)
    assert np.abs(pixels_of(found.data).mean() - lesion_image(2, 300, 400).mean()) < 4


@settings(max_examples=40, deadline=None)
@given(
    longer=st.integers(20, 1700),
    shorter=st.integers(20, 1700),
    stands=st.booleans(),
    side=st.integers(100, 500),
)
def test_the_longer_side_is_kept_between_the_bounds_where_the_source_has_it(
    longer, shorter, stands, side
):
    longer, shorter = max(longer, shorter), min(longer, shorter)
    size = (longer, shorter) if stands else (shorter, longer)
    form = PictureForm(side, round(0.8 * side), 80, 10**6, copies=False)
    found = made(encoded(np.full((*size, 3), 90, np.uint8), quality=60), form)
    most = max(found.width, found.height)
    assert most <= side
    assert most >= min(round(0.8 * side), longer)
    assert abs(found.width / found.height - size[1] / size[0]) <= 0.1 * size[1] / size[0] or (
        min(found.width, found.height) < 20
    )


def test_the_forms_of_the_page_are_as_they_were_agreed():
    assert (AS_FILES.side, AS_FILES.least_side, AS_FILES.quality) == (2000, 1600, 88)
    assert AS_FILES.max_bytes == 1_500_000
    assert AS_FILES.copies
    assert (INSIDE.side, INSIDE.quality, INSIDE.copies) == (1024, 80, False)


def test_noise_is_made_coarser_until_it_fits():
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    sizes = [len(made(encoded(noise, "PNG"), PictureForm(200, 200, 88, most)).data)
             for most in (100_000, 20_000, 8_000)]  # fmt: skip
    assert sizes[0] > 20_000 >= sizes[1] > 8_000 >= sizes[2]
    with pytest.raises(ImageFailure) as failure:
        made(encoded(noise, "PNG"), PictureForm(200, 200, 88, 500))
    assert failure.value.reason == FailureReason.TOO_MANY_PIXELS


def scrambled(data: bytes) -> bytes:
    """A JPEG whose coded data are cut short and closed again."""
    return data[: len(data) // 2] + b"\xff\xd9"


@pytest.mark.parametrize(
    "data",
    [
        scrambled(encoded(PIXELS, quality=95)),
        scrambled(encoded(PIXELS, quality=95, progressive=True)),
        encoded(PIXELS)[:500],
        encoded(PIXELS, "PNG")[:-400],
        b"",
        b"\xff\xd8\xff\xe0",
    ],
)
def test_what_is_damaged_has_no_picture(data):
    with pytest.raises(ImageFailure):
        made(data)


def test_limits_hold_for_copies_too():
    with pytest.raises(ImageFailure) as failure:
        made(encoded(PIXELS), limits=Limits(pixels=90 * 120 - 1))
    assert failure.value.reason == FailureReason.TOO_MANY_PIXELS


def test_a_frame_of_dicom_is_a_picture(tmp_path):
    data = dicom_bytes(dermoscopic(PIXELS))
    (tmp_path / "a.dcm").write_bytes(data)
    address = ImageAddress("a.dcm", address_of(data).image_id)
    sha = hashlib.sha256(data).hexdigest()
    found = read_picture_file(LocalArchive(tmp_path), address, sha, Limits(), FORM)
    assert np.abs(pixels_of(found.data).astype(int) - PIXELS).mean() < 6


def test_only_the_file_that_was_scored_is_shown(tmp_path):
    data = encoded(PIXELS)
    (tmp_path / "a.jpg").write_bytes(data)
    address = ImageAddress("a.jpg", address_of(data).image_id)
    archive, sha = LocalArchive(tmp_path), hashlib.sha256(data).hexdigest()
    assert read_picture_file(archive, address, sha, Limits(), FORM).data == without_metadata(data)
    for wrong, place in ((sha, "b.jpg"), ("0" * 64, "a.jpg")):
        with pytest.raises(ImageFailure):
            read_picture_file(archive, ImageAddress(place, address.image_id), wrong, Limits(), FORM)
