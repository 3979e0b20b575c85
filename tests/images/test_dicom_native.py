"""Uncompressed pixel data whose length is not what the header needs."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from batch.core.errors import FailureReason
from batch.core.records import ModelInput, Unscored
from batch.demo.lesions import lesion_image
from batch.images.dicom_native import NativeSize
from batch.images.preprocess import preprocess
from tests.support.archives import dermoscopic, dicom_bytes, read

ROWS, COLUMNS = 30, 42
PIXELS = lesion_image(1, ROWS, COLUMNS)
FRAME = PIXELS.nbytes


def results_of(tmp_path, dataset):
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(dataset))
    return read(tmp_path / "a.dcm")[1]


def is_contradiction(results) -> bool:
    return all(
        isinstance(result, Unscored)
        and result.reason == FailureReason.HEADER_CONTRADICTS_PIXELS
        for result in results
    )  # fmt: skip


@pytest.mark.parametrize("rows", [29, 31])
@pytest.mark.parametrize("columns", [40, 41, 43])
def test_an_image_of_other_sides_is_refused_and_not_sheared(tmp_path, rows, columns):
    assert is_contradiction(results_of(tmp_path, dermoscopic(PIXELS, Rows=rows, Columns=columns)))


@pytest.mark.parametrize("surplus", [-FRAME, -300, -3, -2, 2, 4, 90, 126, FRAME // 2, FRAME - 2])
@pytest.mark.parametrize("fill", [0, 200])
@pytest.mark.parametrize("frames", [1, 3])
def test_another_length_is_refused_whatever_the_surplus_is(tmp_path, surplus, fill, frames):
    data = PIXELS.tobytes() * frames
    data = data[:surplus] if surplus < 0 else data + bytes([fill]) * surplus
    if not data:
        data = b"\0\0"
    results = results_of(tmp_path, dermoscopic(PIXELS, NumberOfFrames=frames, PixelData=data))
    assert len(results) == frames
    assert is_contradiction(results)


@pytest.mark.parametrize("rows", [30, 31])
@pytest.mark.parametrize("frames", [1, 3])
def test_one_byte_of_padding_is_none_of_the_image(tmp_path, rows, frames):
    pixels = lesion_image(1, rows, 41)
    data = pixels.tobytes() * frames
    data += b"\0" * (len(data) % 2)
    results = results_of(tmp_path, dermoscopic(pixels, NumberOfFrames=frames, PixelData=data))
    for result in results:
        np.testing.assert_array_equal(result.pixels, preprocess(pixels))
        assert "frames_beyond_declared" not in result.record.flags


@pytest.mark.parametrize(("there", "declared"), [(2, 1), (5, 1), (5, 4)])
def test_whole_frames_beyond_those_declared_are_said(tmp_path, there, declared):
    frames = [lesion_image(seed, 31, 41) for seed in range(there)]
    data = b"".join(frame.tobytes() for frame in frames)
    data += b"\0" * (len(data) % 2)
    changes = {"PixelData": data, "NumberOfFrames": declared}
    results = results_of(tmp_path, dermoscopic(frames[0], **changes))
    assert len(results) == declared
    for result, frame in zip(results, frames, strict=False):
        np.testing.assert_array_equal(result.pixels, preprocess(frame))
        assert "frames_beyond_declared" in result.record.flags


def shared_chroma(pixels: np.ndarray) -> bytes:
    """(h, w, 3) YBR_FULL as YBR_FULL_422: two of Y, one Cb, one Cr (PS3.3 C.7.6.3.1.2)."""
    flat = pixels.reshape(-1, 2, 3)
    return np.stack([flat[:, 0, 0], flat[:, 1, 0], flat[:, 0, 1], flat[:, 0, 2]], 1).tobytes()


@pytest.mark.parametrize(
    ("frames", "declared", "expected"),
    [
        (1, 1, "scored"),
        (3, 3, "scored"),
        (2, 1, "beyond"),
        (1, 2, "refused"),
        (3, 1, "refused"),  # as long as two frames with chroma for every pixel
        (3, 2, "refused"),
    ],
)
def test_shared_chroma_is_as_long_as_two_samples_a_pixel(tmp_path, frames, declared, expected):
    grey = np.repeat(PIXELS[..., :1], 3, axis=2)
    grey[..., 1:] = 128
    data = shared_chroma(grey) * frames
    changes = {"PhotometricInterpretation": "YBR_FULL_422", "NumberOfFrames": declared}
    results = results_of(tmp_path, dermoscopic(PIXELS, PixelData=data, **changes))
    if expected == "refused":
        assert is_contradiction(results)
        return
    wanted = preprocess(np.repeat(PIXELS[..., :1], 3, axis=2))
    for result in results:
        np.testing.assert_array_equal(result.pixels, wanted)
        flagged = "frames_beyond_declared" in result.record.flags
        assert flagged == (expected == "beyond")


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_chroma_for_every_pixel_under_the_name_of_shared_chroma_is_refused(tmp_path, frames):
    changes = {"PhotometricInterpretation": "YBR_FULL_422", "NumberOfFrames": frames}
    dataset = dermoscopic(PIXELS, PixelData=PIXELS.tobytes() * frames, **changes)
    assert is_contradiction(results_of(tmp_path, dataset))


@pytest.mark.parametrize(("columns", "planes"), [(41, 0), (42, 1)])
def test_shared_chroma_in_an_odd_row_or_in_planes_is_refused(tmp_path, columns, planes):
    pixels = lesion_image(1, 30, columns)
    dataset = dermoscopic(pixels, PhotometricInterpretation="YBR_FULL_422",
                          PlanarConfiguration=planes,
                          PixelData=bytes(30 * columns * 2))  # fmt: skip
    assert is_contradiction(results_of(tmp_path, dataset))


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian,
     ExplicitVRBigEndian],
)  # fmt: skip
@pytest.mark.parametrize("columns", [41, 42])
def test_every_uncompressed_syntax_is_measured(tmp_path, syntax, columns):
    dataset = dermoscopic(PIXELS, Columns=columns)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset["PixelData"].VR = "OB"
    is_big = syntax == ExplicitVRBigEndian
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, force_encoding=True, little_endian=not is_big,
                     implicit_vr=syntax == ImplicitVRLittleEndian)  # fmt: skip
    (tmp_path / "a.dcm").write_bytes(buffer.getvalue())
    (result,) = read(tmp_path / "a.dcm")[1]
    if columns == COLUMNS:
        assert isinstance(result, ModelInput)
        np.testing.assert_array_equal(result.pixels, preprocess(PIXELS))
    else:
        assert is_contradiction([result])


@pytest.mark.parametrize(
    ("frame_bits", "found", "frames", "expected"),
    [
        (8, 1, 1, 1),
        (8, 2, 1, 1),  # a byte of padding, not a second frame
        (8, 3, 1, 3),
        (24, 3, 1, 1),
        (24, 4, 1, 1),
        (24, 5, 1, None),
        (24, 6, 1, 2),
        (24, 7, 1, 2),
        (24, 9, 3, 3),
        (24, 10, 3, 3),
        (24, 6, 3, 2),
        (24, 0, 1, None),
        (24, 2, 1, None),
        (12, 2, 1, 1),
        (12, 3, 2, 2),
        (4, 1, 1, 1),
    ],
)
def test_whole_frames(frame_bits, found, frames, expected):
    assert NativeSize(frame_bits, found, frames).whole_frames() == expected


LEFT_OUT = [
    ("PlanarConfiguration",),
    ("BitsStored",),
    ("HighBit",),
    ("BitsStored", "HighBit"),
    ("SamplesPerPixel",),
    ("PixelRepresentation",),
    ("SamplesPerPixel", "PlanarConfiguration", "BitsStored", "HighBit", "PixelRepresentation"),
]


@pytest.mark.parametrize("left_out", LEFT_OUT)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("frames", [1, 2])
def test_what_a_header_leaves_out_costs_no_picture(tmp_path, left_out, bits, syntax, frames):
    is_big = syntax == ExplicitVRBigEndian
    words = PIXELS.astype(np.uint16) * 257 if bits == 16 else PIXELS
    data = words.astype(f"{'>' if is_big else '<'}u{bits // 8}").tobytes() * frames
    dataset = dermoscopic(PIXELS, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1,
                          NumberOfFrames=frames, PixelData=data)  # fmt: skip
    for keyword in left_out:
        del dataset[keyword]
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, force_encoding=True, little_endian=not is_big,
                     implicit_vr=False)  # fmt: skip
    (tmp_path / "a.dcm").write_bytes(buffer.getvalue())
    results = read(tmp_path / "a.dcm")[1]
    assert len(results) == frames
    for result in results:
        assert isinstance(result, ModelInput)
        np.testing.assert_array_equal(result.pixels, preprocess(PIXELS))


def test_nothing_is_assumed_for_bits_allocated(tmp_path):
    (result,) = results_of(tmp_path, dermoscopic(PIXELS, BitsAllocated=None))
    assert isinstance(result, Unscored)
    assert result.reason == FailureReason.DICOM_INVALID
