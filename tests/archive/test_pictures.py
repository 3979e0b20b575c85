from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from batch.archive.local import LocalArchive
from batch.archive.pictures import ImageAddress, decode_picture, jpeg, read_picture, upright
from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import Limits
from tests.support.archives import dermoscopic, dicom_bytes

_RNG = np.random.default_rng(5)


def _corners(rows: int = 60, columns: int = 90) -> np.ndarray:
    """Every corner of another colour, so that each turn and mirror gives another picture."""
    pixels = np.full((rows, columns, 3), 128, np.uint8)
    pixels[: rows // 3, : columns // 3] = (255, 0, 0)
    pixels[: rows // 3, -columns // 3 :] = (0, 255, 0)
    pixels[-rows // 3 :, : columns // 3] = (0, 0, 255)
    return pixels


def _encoded(pixels: np.ndarray, kind: str, orientation: int | None = None, **options) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
        exif[0x010E] = "Jane^Doe"
    Image.fromarray(pixels).save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


def _sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _decode(data: bytes, side: int = 480, limits: Limits | None = None):
    return decode_picture(data, ImageAddress("a", _sha(data)), limits or Limits(), side)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 9])
def test_the_orientation_is_applied_once_as_pillow_would(kind, orientation):
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    data = _encoded(_corners(), kind, orientation, **options)
    with Image.open(io.BytesIO(data)) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.int16)
    found = _decode(data).pixels
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).mean() < 2


def test_turning_twice_by_half_gives_the_picture_back():
    pixels = _corners()
    for orientation in (1, 2, 3, 4, 5, 7):
        assert np.array_equal(upright(upright(pixels, orientation), orientation), pixels)
    assert np.array_equal(upright(upright(pixels, 6), 8), pixels)


@given(rows=st.integers(1, 400), columns=st.integers(1, 400), side=st.integers(1, 500))
def test_the_longer_side_is_bounded_the_aspect_is_kept_and_nothing_is_enlarged(rows, columns, side):
    pixels = np.zeros((rows, columns, 3), np.uint8)
    found = _decode(_encoded(pixels, "PNG"), side).pixels
    height, width = found.shape[:2]
    assert max(height, width) == min(side, max(rows, columns))
    scale = min(1, side / max(rows, columns))
    assert abs(height - rows * scale) <= 1
    assert abs(width - columns * scale) <= 1


def test_a_dicom_object_is_read_under_either_kind_of_id():
    data = dicom_bytes(dermoscopic(_corners(), jpeg=False))
    import pydicom

    uid = str(pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID)
    for image_id in (uid, _sha(data)):
        found = decode_picture(data, ImageAddress("a.dcm", image_id), Limits(), 480)
        assert np.array_equal(found.pixels, _corners())


def test_a_frame_of_several_is_the_one_that_was_asked_for():
    from batch.demo.dicom_writer import multi_frame_capture

    frames = np.stack([np.full((40, 50, 3), level, np.uint8) for level in (10, 120, 240)])
    dataset = multi_frame_capture(frames, 1, 1)
    data, uid = dicom_bytes(dataset), str(dataset.SOPInstanceUID)
    for number, level in ((1, 10), (2, 120), (3, 240)):
        found = decode_picture(data, ImageAddress("a", f"{uid}#{number}", number), Limits(), 480)
        assert abs(int(found.pixels.mean()) - level) <= 2
    for image_id, number in ((uid, None), (f"{uid}#2", 1), (f"{uid}#4", 4), (f"{uid}#0", 0)):
        with pytest.raises(ImageFailure):
            decode_picture(data, ImageAddress("a", image_id, number), Limits(), 480)


@pytest.mark.parametrize(
    ("data", "image_id", "reason"),
    [
        (_encoded(_corners(), "PNG"), "sha256:0", FailureReason.VANISHED),
        (_encoded(_corners(), "PNG"), "1.2.3", FailureReason.VANISHED),
        (dicom_bytes(dermoscopic(_corners())), "1.2.3", FailureReason.VANISHED),
        (_encoded(_corners(), "JPEG")[:400], None, FailureReason.DECODE_FAILED),
        (b"no image at all", None, FailureReason.DICOM_INVALID),
        (b"", None, FailureReason.DICOM_INVALID),
    ],
    ids=["other-content", "uid-of-a-plain-file", "other-uid", "truncated", "text", "empty"],
)
def test_what_is_not_that_image_is_a_failure_of_ours(data, image_id, reason):
    with pytest.raises(ImageFailure) as failure:
        decode_picture(data, ImageAddress("a", image_id or _sha(data)), Limits(), 480)
    assert failure.value.reason == reason


def test_limits_hold():
    data = _encoded(_corners(), "PNG")
    with pytest.raises(ImageFailure) as failure:
        _decode(data, limits=Limits(pixels=60 * 90 - 1))
    assert failure.value.reason == FailureReason.TOO_MANY_PIXELS
    assert _decode(data, limits=Limits(pixels=60 * 90)).pixels.shape == (60, 90, 3)


def test_a_file_is_read_from_the_archive_in_the_watched_process(tmp_path):
    data = _encoded(_corners(), "PNG")
    (tmp_path / "visit").mkdir()
    (tmp_path / "visit" / "a.png").write_bytes(data)
    address = ImageAddress("visit/a.png", _sha(data))
    found = read_picture(LocalArchive(tmp_path), address, Limits(), 45)
    assert found.pixels.shape == (30, 45, 3)


def test_nothing_outside_the_archive_is_read(tmp_path):
    data = _encoded(_corners(), "PNG")
    archive, outside = tmp_path / "archive", tmp_path / "outside"
    for folder in (archive, outside):
        folder.mkdir()
        (folder / "a.png").write_bytes(data)
    (archive / "link.png").symlink_to(archive / "a.png")
    (archive / "folder").symlink_to(outside)
    for path in ("../outside/a.png", str(outside / "a.png"), "folder/a.png", "link.png", "no.png",
                 "", ".", "a\0.png"):  # fmt: skip
        with pytest.raises(ImageFailure):
            read_picture(LocalArchive(archive), ImageAddress(path, _sha(data)), Limits(), 45)


@given(st.integers(2_000, 30_000))
def test_a_picture_keeps_to_its_bytes_or_says_so(max_bytes):
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    try:
        data = jpeg(noise, max_bytes)
    except ImageFailure as failure:
        assert failure.reason == FailureReason.TOO_MANY_PIXELS
        return
    assert len(data) <= max_bytes
    assert Image.open(io.BytesIO(data)).size == (96, 96)


def test_a_picture_carries_no_metadata():
    data = _encoded(_corners(), "JPEG", 6, comment=b"Jane^Doe", icc_profile=b"Jane^Doe" * 40)
    found = jpeg(_decode(data).pixels, 100_000)
    assert b"Jane" not in found
    with Image.open(io.BytesIO(found)) as image:
        assert not dict(image.getexif())
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
