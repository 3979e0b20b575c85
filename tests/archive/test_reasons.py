"""Every reason why an image has no score, produced from a real broken file."""

from __future__ import annotations

import io
import os
import shutil
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import MPEG2MPML, DeflatedExplicitVRLittleEndian

from batch.archive.local import LocalArchive
from batch.archive.reader import read_file
from batch.core.errors import FailureReason as Reason
from batch.core.errors import Stage
from batch.core.records import FileState, ImageLocation, ModelInput, Unscored
from batch.core.rules import Limits, ReadingRules
from batch.demo import dicom_writer as dicom
from batch.demo.lesions import lesion_image
from tests.support.archives import as_nobody, dermoscopic, dicom_bytes, locate, read

PIXELS = lesion_image(1, 60, 80)


def photograph(jpeg=True, **changes):
    return dermoscopic(PIXELS, jpeg=jpeg, **changes)


def foreign_sop_class():
    dataset = photograph(SOPClassUID="1.3.6.1.4.1.99999.1")
    dataset.file_meta.MediaStorageSOPClassUID = "1.3.6.1.4.1.99999.1"
    return dicom_bytes(dataset)


def video_syntax():
    dataset = photograph()
    dataset.file_meta.TransferSyntaxUID = MPEG2MPML
    return dicom_bytes(dataset)


def palette_without_tables():
    return dicom_bytes(
        photograph(jpeg=False, PhotometricInterpretation="PALETTE COLOR", SamplesPerPixel=1,
                   PlanarConfiguration=None, PixelData=bytes(60 * 80))
    )  # fmt: skip


def arithmetic_syntax():
    data = dicom_bytes(photograph())
    assert data.count(b"1.2.840.10008.1.2.4.50") == 1
    return data.replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.56")


def of_another_process(marker):
    """A baseline object whose stream is of another kind than its transfer syntax says."""
    data = dicom_bytes(photograph())
    assert data.count(b"\xff\xc0\x00\x11") == 1
    return data.replace(b"\xff\xc0\x00\x11", bytes((0xFF, marker)) + b"\x00\x11")


def nested(levels):
    """Sequences of undefined length in sequences, written by hand: pydicom's writer recurses."""
    start = b"\x40\x00\x30\xa7SQ\x00\x00" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
    end = b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)
    return dicom_bytes(photograph()) + start * levels + end * levels


def deflated(size):
    """A dataset whose deflated form is a thousandth of it: zeros in a private element."""
    dataset = photograph(jpeg=False)
    dataset.add_new(0x00091010, "OB", bytes(size))
    dataset.add_new(0x00090010, "LO", "melanoma-batch tests")
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return dicom_bytes(dataset)


def no_sop_class():
    dataset = photograph()
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.3"
    data = dicom_bytes(dataset)
    start = data.index(b"\x08\x00\x16\x00UI")
    cut = data[:start] + data[start + 8 + int.from_bytes(data[start + 6 : start + 8], "little") :]
    # a bare dataset: no file meta that could name the class
    return cut[cut.index(b"\x08\x00\x08\x00CS") :]


def png(pixels, mode=None) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, "PNG")
    return buffer.getvalue()


def transparent(kind: str) -> bytes:
    """A picture of which nothing can be seen."""
    rgba = np.dstack([PIXELS, np.zeros(PIXELS.shape[:2], np.uint8)])
    buffer = io.BytesIO()
    image = Image.fromarray(rgba, "RGBA")
    if kind == "GIF":
        image = Image.new("P", (9, 9), 1)
        image.putpalette([0, 0, 0, 200, 10, 20])
        image.save(buffer, kind, transparency=1)
    else:
        image.save(buffer, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    return buffer.getvalue()


JPEG = dicom.jpeg_bytes(PIXELS)

# name, bytes, stage, reason, limits
CASES = [
    ("empty.jpg", b"", Stage.IDENTIFY, Reason.EMPTY_FILE, None),
    ("large.jpg", JPEG, Stage.READ, Reason.FILE_TOO_LARGE, Limits(file_bytes=len(JPEG) - 1)),
    ("text.jpg", b"no photograph", Stage.IDENTIFY, Reason.CONTENT_NOT_AN_IMAGE, None),
    ("letter.jpg", b"%PDF-1.4", Stage.IDENTIFY, Reason.CONTENT_NOT_AN_IMAGE, None),
    ("IM0001", b"\x01\x02\x03\x04", Stage.IDENTIFY, Reason.CONTENT_NOT_AN_IMAGE, None),
    (
        "raw.jpg",
        b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(64),
        Stage.IDENTIFY,
        Reason.UNSUPPORTED_FORMAT,
        None,
    ),
    ("raw.cr3", b"\x00\x00\x00\x18ftypcrx ", Stage.IDENTIFY, Reason.UNSUPPORTED_FORMAT, None),
    ("raw.orf", b"\x01\x02\x03\x04", Stage.IDENTIFY, Reason.CONTENT_NOT_AN_IMAGE, None),
    ("photo.heic", b"\x00\x00\x00\x18ftypheic", Stage.IDENTIFY, Reason.UNSUPPORTED_FORMAT, None),
    ("foreign.dcm", foreign_sop_class(), Stage.IDENTIFY, Reason.UNSUPPORTED_SOP_CLASS, None),
    ("video.dcm", video_syntax(), Stage.DECODE, Reason.UNSUPPORTED_TRANSFER_SYNTAX, None),
    ("palette.dcm", palette_without_tables(), Stage.DECODE, Reason.DECODE_FAILED, None),
    (
        "arithmetic.dcm",
        arithmetic_syntax(),
        Stage.DECODE,
        Reason.UNSUPPORTED_TRANSFER_SYNTAX,
        None,
    ),
    *(
        (name, of_another_process(marker), Stage.DECODE, Reason.UNSUPPORTED_TRANSFER_SYNTAX, None)
        for name, marker in (
            ("arithmetic-stream.dcm", 0xC9),
            ("arithmetic-progressive.dcm", 0xCA),
            ("in-levels.dcm", 0xC5),
        )
    ),
    (
        "signed.dcm",
        dicom_bytes(photograph(jpeg=False, PixelRepresentation=1)),
        Stage.DECODE,
        Reason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION,
        None,
    ),
    (
        "narrow.dcm",
        dicom_bytes(photograph(jpeg=False, Columns=79)),
        Stage.DECODE,
        Reason.HEADER_CONTRADICTS_PIXELS,
        None,
    ),
    (
        "hsv.dcm",
        dicom_bytes(photograph(jpeg=False, PhotometricInterpretation="HSV")),
        Stage.DECODE,
        Reason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION,
        None,
    ),
    ("deep.dcm", nested(33), Stage.IDENTIFY, Reason.NESTED_TOO_DEEP, None),
    ("abyss.dcm", nested(20_000), Stage.IDENTIFY, Reason.NESTED_TOO_DEEP, None),
    (
        "inflating.dcm",
        deflated(300_000),
        Stage.IDENTIFY,
        Reason.INFLATES_TOO_MUCH,
        Limits(inflated_bytes=200_000),
    ),
    (
        "wide.dcm",
        dicom_bytes(photograph(jpeg=False, BitsAllocated=16, BitsStored=16, HighBit=15)),
        Stage.DECODE,
        Reason.TOO_MANY_PIXELS,
        Limits(decoded_bytes=60 * 80 * 6 - 1),
    ),
    ("rowless.dcm", dicom_bytes(photograph(Rows=None)), Stage.IDENTIFY, Reason.DICOM_INVALID, None),
    ("nameless.dcm", no_sop_class(), Stage.IDENTIFY, Reason.UNSUPPORTED_SOP_CLASS, None),
    (
        "frames-0.dcm",
        dicom_bytes(photograph(NumberOfFrames=0)),
        Stage.IDENTIFY,
        Reason.DICOM_INVALID,
        None,
    ),
    (
        "no-pixels.dcm",
        dicom_bytes(photograph(PixelData=None)),
        Stage.DECODE,
        Reason.PIXEL_DATA_MISSING,
        None,
    ),
    ("big.png", png(PIXELS), Stage.DECODE, Reason.TOO_MANY_PIXELS, Limits(side=79)),
    ("bigger.png", png(PIXELS), Stage.DECODE, Reason.TOO_MANY_PIXELS, Limits(pixels=4799)),
    ("big.dcm", dicom_bytes(photograph()), Stage.DECODE, Reason.TOO_MANY_PIXELS, Limits(side=79)),
    (
        "65000.dcm",
        dicom_bytes(photograph(jpeg=False, Rows=65000, Columns=65000)),
        Stage.DECODE,
        Reason.TOO_MANY_PIXELS,
        None,
    ),
    (
        "frames.dcm",
        dicom_bytes(photograph(NumberOfFrames=65)),
        Stage.IDENTIFY,
        Reason.TOO_MANY_FRAMES,
        None,
    ),
    (
        "other-size.dcm",
        dicom_bytes(photograph(Rows=61)),
        Stage.DECODE,
        Reason.HEADER_CONTRADICTS_PIXELS,
        None,
    ),
    (
        "short.dcm",
        dicom_bytes(photograph(jpeg=False, Rows=70)),
        Stage.DECODE,
        Reason.HEADER_CONTRADICTS_PIXELS,
        None,
    ),
    (
        "flat.dcm",
        dicom_bytes(photograph(Rows=0)),
        Stage.DECODE,
        Reason.HEADER_CONTRADICTS_PIXELS,
        None,
    ),
    ("half.jpg", JPEG[: len(JPEG) // 2], Stage.DECODE, Reason.DECODE_FAILED, None),
    ("nearly.jpg", JPEG[:-200], Stage.DECODE, Reason.DECODE_FAILED, None),
    ("half.png", png(PIXELS)[:2000], Stage.DECODE, Reason.DECODE_FAILED, None),
    ("head.jpg", JPEG[:30], Stage.DECODE, Reason.DECODE_FAILED, None),
    (
        "white.png",
        png(np.full((200, 300, 3), 255, np.uint8)),
        Stage.DECODE,
        Reason.ONE_COLOUR,
        None,
    ),
    ("grey.png", png(PIXELS, "L"), Stage.DECODE, Reason.NOT_COLOUR, None),
    ("grey16.png", png(np.full((9, 9), 60000, np.uint16)), Stage.DECODE, Reason.NOT_COLOUR, None),
    *(
        (f"clear.{kind.lower()}", transparent(kind), Stage.DECODE, Reason.WHOLLY_TRANSPARENT, None)
        for kind in ("PNG", "TIFF", "WEBP", "GIF")
    ),
    (
        "grey.dcm",
        dicom_bytes(
            photograph(jpeg=False, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2")
        ),
        Stage.DECODE,
        Reason.NOT_COLOUR,
        None,
    ),
]

# reasons that need a file system's help, or come from scoring; each has its own test
ELSEWHERE = {
    Reason.NOT_READABLE,
    Reason.VANISHED,
    Reason.NOT_A_REGULAR_FILE,
    Reason.DECODER_TIMED_OUT,  # tests/images/test_sandbox.py
    Reason.DECODER_CRASHED,  # tests/images/test_sandbox.py
    Reason.MODEL_INPUT_INVALID,  # tests/model/test_scoring.py, tests/images/test_preprocess.py
    Reason.MODEL_FAILED,  # tests/model/test_scoring.py
    Reason.SCORE_NOT_FINITE,  # tests/model/test_scoring.py
}


@pytest.mark.parametrize(
    ("name", "data", "stage", "reason", "limits"),
    CASES,
    ids=lambda v: v if isinstance(v, str) and "." in v else "",
)
def test_a_broken_file_ends_as_one_unscored_row_with_its_reason(
    tmp_path, name, data, stage, reason, limits
):
    path = tmp_path / name
    path.write_bytes(data)
    reading, results = read(path, limits)
    assert reading.frames == len(results) == 1
    assert isinstance(results[0], Unscored)
    assert (results[0].stage, results[0].reason) == (stage, reason)
    assert results[0].path == name


def test_every_reason_is_produced_by_a_real_file():
    assert {case[3] for case in CASES} | ELSEWHERE == set(Reason)
    assert not {case[3] for case in CASES} & ELSEWHERE


def test_a_deleted_file_vanished(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    location = locate(tmp_path, path)
    path.unlink()
    _, (result,) = read_file(LocalArchive(tmp_path), location, ReadingRules())
    assert (result.stage, result.reason) == (Stage.READ, Reason.VANISHED)


def test_a_file_without_permission_is_not_readable(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    location = locate(tmp_path, path)
    path.chmod(0)
    with as_nobody():
        _, (result,) = read_file(LocalArchive(tmp_path), location, ReadingRules())
    assert (result.reason, result.detail) == (Reason.NOT_READABLE, "EACCES")


def _link(path: Path) -> None:
    target = path.parent / "target.jpg"
    target.write_bytes(JPEG)
    path.symlink_to(target)


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("make", [_link, os.mkfifo, _socket], ids=["link", "fifo", "socket"])
def test_what_is_no_regular_file_is_never_opened(tmp_path, make):
    path = tmp_path / "a.jpg"
    make(path)
    _, (result,) = read(path)
    assert result.reason == Reason.NOT_A_REGULAR_FILE


@pytest.mark.parametrize("change", ["replaced", "grown"])
def test_a_file_that_changed_since_it_was_listed_waits_for_the_next_run(tmp_path, change):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    location = locate(tmp_path, path)
    if change == "grown":
        path.write_bytes(JPEG + b"more")
    else:
        os.utime(path, ns=(0, location.mtime_ns + 1))
    reading, results = read_file(LocalArchive(tmp_path), location, ReadingRules())
    assert reading.state == FileState.PENDING
    assert reading.reason == "changed_while_read"
    assert results == ()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("notes.txt", b"hello", "other_file_type"),
        ("README", b"hello", "other_file_type"),
        ("report.pdf", b"%PDF-1.4", "other_file_type"),
        (".DS_Store", b"\x00\x00\x00\x01Bud1", "other_file_type"),
        ("._photo.jpg", b"\x00\x05\x16\x07", "other_file_type"),
        ("empty.txt", b"", "other_file_type"),
        ("blob.bin", b"\x00\x01\x02", "other_file_type"),
        ("letter.dcm", dicom_bytes(dicom.encapsulated_pdf(1)), "dicom_without_pixels"),
        (
            "ct.dcm",
            dicom_bytes(photograph(SOPClassUID="1.2.840.10008.5.1.4.1.1.2")),
            "dicom_other_kind",
        ),
    ],
)
def test_what_is_no_image_is_stated_as_such(tmp_path, name, data, reason):
    path = tmp_path / name
    path.write_bytes(data)
    reading, results = read(path)
    assert (reading.state, reading.reason) == (FileState.NON_IMAGE, reason)
    assert (reading.frames, results) == (0, ())


def test_one_bad_frame_costs_one_row(tmp_path):
    """The second of three frames is truncated: the other two are scored."""
    frames = np.stack([lesion_image(seed, 64, 64) for seed in range(3)])
    dataset = dicom.multi_frame_capture(frames, 1, 1)
    encoded = [dicom.jpeg_bytes(frame) for frame in frames]
    encoded[1] = encoded[1][: len(encoded[1]) // 2]
    dataset.PixelData = dicom.encapsulate(encoded)
    dataset["PixelData"].VR = "OB"
    dicom.save(dataset, tmp_path / "a.dcm")
    reading, results = read(tmp_path / "a.dcm")
    assert reading.frames == 3
    assert [type(result) for result in results] == [ModelInput, Unscored, ModelInput]
    assert results[1].frame_number == 2
    assert results[1].image_id == f"{dataset.SOPInstanceUID}#2"
    assert results[1].reason == Reason.DECODE_FAILED


def test_fewer_fragments_than_frames_are_reasons_not_a_crash(tmp_path):
    dataset = photograph(NumberOfFrames=3)
    dicom.save(dataset, tmp_path / "a.dcm")
    reading, results = read(tmp_path / "a.dcm")
    assert reading.frames == 3
    assert [type(result) for result in results] == [ModelInput, Unscored, Unscored]


def test_an_attribute_that_cannot_be_parsed_costs_itself_only(tmp_path):
    data = dicom_bytes(photograph(Manufacturer="no number"))
    as_text, as_number = b"\x08\x00\x70\x00LO", b"\x08\x00\x70\x00IS"
    assert data.count(as_text) == 1
    (tmp_path / "a.dcm").write_bytes(data.replace(as_text, as_number))
    _, (result,) = read(tmp_path / "a.dcm")
    assert isinstance(result, ModelInput)
    assert result.record.modality == "DMS"


def test_an_unexpected_error_of_a_codec_costs_one_row(tmp_path, monkeypatch):
    def explode(*_, **__):
        raise KeyError("Jane^Doe")

    monkeypatch.setattr("batch.archive.reader.preprocess", explode)
    (tmp_path / "a.jpg").write_bytes(JPEG)
    _, (result,) = read(tmp_path / "a.jpg")
    assert (result.reason, result.detail) == (Reason.DECODE_FAILED, "unexpected KeyError")


def test_an_unlisted_folder_stands_for_what_it_hides(tmp_path):
    from batch.archive.local import list_archive

    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "a.jpg").write_bytes(JPEG)
    shutil.copy(hidden / "a.jpg", tmp_path / "b.jpg")
    tmp_path.chmod(0o755)
    hidden.chmod(0)
    top = Path(tempfile.gettempdir())
    for parent in tmp_path.parents:
        if top in parent.parents:  # pytest's own folders are closed to others
            parent.chmod(0o755)
    with as_nobody():
        found = list(list_archive(tmp_path))
        reading, (result,) = read_file(LocalArchive(tmp_path), found[1], ReadingRules())
    hidden.chmod(0o700)
    assert [location.path for location in found] == ["b.jpg", "hidden/"]
    assert result.reason == Reason.NOT_READABLE
    assert reading.frames == 1


def test_an_archive_root_that_cannot_be_listed_is_one_entry(tmp_path):
    from batch.archive.local import list_archive

    gone = tmp_path / "gone"
    assert list(list_archive(gone)) == [ImageLocation("", 0, 0)]
