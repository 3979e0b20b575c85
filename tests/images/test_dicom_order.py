"""Where an object ends: delimiters that are missing, other objects behind it, elements out of turn,
files that are cut off."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from batch.core.errors import FailureReason, ImageFailure
from batch.core.records import FileState, ModelInput, Unscored
from batch.core.rules import Limits
from batch.demo import dicom_writer
from batch.demo.lesions import lesion_image
from batch.images.dicom_fragments import DELIMITER
from batch.images.dicom_parse import parse
from batch.images.preprocess import preprocess
from tests.support import encoded
from tests.support.archives import dermoscopic, dicom_bytes, read

PIXELS, OTHER = lesion_image(1, 120, 160), lesion_image(2, 60, 80)
FIRST = dicom_bytes(dermoscopic(PIXELS, lesion=1))
COMPRESSED = dicom_bytes(dermoscopic(PIXELS, lesion=1, jpeg=True))
SECOND = dicom_bytes(dermoscopic(OTHER, lesion=2))
FLAG = "objects_beyond_first"
END = DELIMITER + bytes(4)


def only(tmp_path, data):
    (tmp_path / "a.dcm").write_bytes(data)
    reading, results = read(tmp_path / "a.dcm")
    assert reading.frames == len(results) == 1
    return results[0]


def bare(data: bytes) -> bytes:
    """A file without its preamble and file meta."""
    return data[data.index(b"\x08\x00\x08\x00CS") :]


def stored_as(dataset, syntax) -> bytes:
    dataset.file_meta.TransferSyntaxUID = syntax
    if dataset["PixelData"].VR not in ("OB", "OW"):
        dataset["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    is_big = syntax == ExplicitVRBigEndian
    pydicom.dcmwrite(buffer, dataset, force_encoding=True, little_endian=not is_big,
                     implicit_vr=syntax == ImplicitVRLittleEndian)  # fmt: skip
    return buffer.getvalue()


PADDING = b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", 8) + bytes(8)
ENDS = {
    "nulls": bytes(16),
    "many nulls": bytes(5000),
    "the end of the file": b"",
    "the tag without its length": DELIMITER,
    "another element": PADDING,
    "nulls and a delimiter": bytes(4) + END,
}


@pytest.mark.parametrize("kind", ["jpeg", "jpeg-ls", "jpeg 2000", "rle"])
@pytest.mark.parametrize("end", ENDS)
def test_pixel_data_ends_with_its_items_whether_or_not_a_delimiter_says_so(tmp_path, end, kind):
    made = encoded.LOSSY if kind == "jpeg" else encoded.LOSSLESS
    data = dicom_bytes(made[kind](PIXELS))
    assert data.endswith(END)
    expected = only(tmp_path, data)
    result = only(tmp_path, data[: -len(END)] + ENDS[end])
    np.testing.assert_array_equal(result.pixels, expected.pixels)
    assert FLAG not in result.record.flags
    assert result.record.lesion_id == dicom_writer.uid("lesion", 1, 1)


def test_elements_behind_pixel_data_without_a_delimiter_are_read():
    data = COMPRESSED[: -len(END)] + PADDING
    parsed = parse(data, Limits())
    assert parsed.dataset.DataSetTrailingPadding == bytes(8)
    assert not parsed.is_followed


def test_items_in_implicit_vr_are_walked_as_well():
    dataset = pydicom.dcmread(io.BytesIO(COMPRESSED))
    value = dataset.PixelData
    del dataset["PixelData"]
    data = stored_as_implicit(dataset) + b"\xe0\x7f\x10\x00" + b"\xff" * 4 + value
    parsed = parse(data, Limits())
    assert parsed.dataset.PixelData == value.removesuffix(END)


def stored_as_implicit(dataset) -> bytes:
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, force_encoding=True, little_endian=True, implicit_vr=True)
    return buffer.getvalue()


FOLLOWERS = {
    "a file": SECOND,
    "a file of the same object": FIRST,
    "padding and a file": bytes(300) + SECOND,
    "a dataset": bare(SECOND),
    "trailing padding and a file": PADDING + SECOND,
    "a file in another syntax": stored_as(dermoscopic(OTHER), ImplicitVRLittleEndian),
    "a file with another preamble": b"II*\0" + bytes(124) + SECOND[128:],
}


@pytest.mark.parametrize("first", [FIRST, COMPRESSED], ids=["native", "jpeg"])
@pytest.mark.parametrize("follower", FOLLOWERS)
def test_an_object_behind_the_first_is_not_read_but_said(tmp_path, first, follower):
    expected = only(tmp_path, first)
    result = only(tmp_path, first + FOLLOWERS[follower])
    assert isinstance(result, ModelInput)
    np.testing.assert_array_equal(result.pixels, expected.pixels)
    assert result.record.image_id == expected.record.image_id
    assert result.record.lesion_id == expected.record.lesion_id
    assert set(result.record.flags) == {*expected.record.flags, FLAG}


def test_a_dataset_behind_a_bare_dataset_does_not_replace_it(tmp_path):
    (tmp_path / "IM1").write_bytes(bare(FIRST) + bare(SECOND))
    _, (result,) = read(tmp_path / "IM1")
    np.testing.assert_array_equal(result.pixels, preprocess(PIXELS))
    assert FLAG in result.record.flags


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_an_object_behind_one_in_another_encoding_is_said(tmp_path, syntax):
    result = only(tmp_path, stored_as(dermoscopic(PIXELS), syntax) + SECOND)
    np.testing.assert_array_equal(result.pixels, preprocess(PIXELS))
    assert FLAG in result.record.flags


@pytest.mark.parametrize("behind", [b"", b"\0", bytes(40), b"text behind it"])
def test_what_stands_behind_a_deflated_dataset_is_said_when_it_is_an_object(tmp_path, behind):
    data = stored_as(dermoscopic(PIXELS), DeflatedExplicitVRLittleEndian)
    assert FLAG not in only(tmp_path, data + behind).record.flags
    result = only(tmp_path, data + behind + SECOND)
    np.testing.assert_array_equal(result.pixels, preprocess(PIXELS))
    assert FLAG in result.record.flags


@pytest.mark.parametrize("junk", [bytes(2), bytes(511), b"\r\n", b"\0\0\r\nsome text behind it\n"])
def test_padding_and_junk_behind_an_object_are_no_object(tmp_path, junk):
    for first in (FIRST, COMPRESSED):
        expected, result = only(tmp_path, first), only(tmp_path, first + junk)
        np.testing.assert_array_equal(result.pixels, expected.pixels)
        assert result.record.flags == expected.record.flags


def test_an_image_behind_a_non_image_is_not_passed_over(tmp_path):
    letter = dicom_bytes(dicom_writer.encapsulated_pdf(1))
    (tmp_path / "a.dcm").write_bytes(letter)
    assert read(tmp_path / "a.dcm")[0].state == FileState.NON_IMAGE
    result = only(tmp_path, letter + SECOND)
    assert isinstance(result, Unscored)
    assert (result.reason, result.detail) == (
        FailureReason.DICOM_INVALID, "a second object behind a non-image",
    )  # fmt: skip


def test_elements_out_of_turn_are_read(tmp_path):
    """Some writers do not sort; here the study's UID stands behind the pixels."""
    dataset = dermoscopic(PIXELS)
    uid = dataset.StudyInstanceUID
    del dataset["StudyInstanceUID"]
    value = uid.encode() + b"\0" * (len(uid) % 2)
    data = dicom_bytes(dataset) + b"\x20\x00\x0d\x00UI" + struct.pack("<H", len(value)) + value
    result = only(tmp_path, data)
    assert result.record.study_instance_uid == uid
    assert FLAG not in result.record.flags


def test_rows_that_are_told_twice_are_two_objects(tmp_path):
    """The first ones are those of the pixels; pydicom would take the last ones."""
    data = FIRST + b"\x28\x00\x10\x00US\x02\x00" + struct.pack("<H", 7)
    result = only(tmp_path, data)
    assert result.record.rows == 120
    assert FLAG in result.record.flags


@pytest.mark.parametrize("jpeg", [False, True])
def test_a_file_that_is_cut_off_keeps_what_stood_before_the_cut(tmp_path, jpeg):
    """Lesion and patient stand before the pixels, in a file cut at any place behind them."""
    data = COMPRESSED if jpeg else FIRST
    known = data.index(dicom_writer.uid("lesion", 1, 1).encode()) + 70
    pixels = data.index(b"\xe0\x7f\x10\x00O")
    for length in (known, pixels - 1, pixels + 4, pixels + 12, pixels + 30, pixels + 900):
        result = only(tmp_path, data[:length])
        assert isinstance(result, Unscored), length
        assert result.lesion_id == dicom_writer.uid("lesion", 1, 1), length


def test_a_sequence_that_the_file_ends_in_costs_itself_and_what_follows():
    """Of undefined length: pydicom gives up all that stood before it."""
    dataset = dermoscopic(PIXELS)
    dataset["AnatomicRegionSequence"].is_undefined_length = True
    for item in dataset.AnatomicRegionSequence:
        item.is_undefined_length_sequence_item = True
    data = dicom_bytes(dataset)
    place = data.index(b"\x08\x00\x18\x22SQ")
    for length in range(place + 12, place + 60, 3):
        parsed = parse(data[:length], Limits())
        assert parsed.dataset.SOPInstanceUID == dataset.SOPInstanceUID, length


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda d: cut(dicom_bytes(d), b"Demo^Patient"), "cut off before its pixels"),
        (lambda d: without(d, "SeriesInstanceUID"), "no pixels and no study or series"),
        (lambda d: unnamed(d), "no pixels and no SOP class"),
        (lambda d: renamed(d), "no pixels, and a SOP class that the standard does not have"),
    ],
    ids=["cut", "series", "class", "damaged class"],
)  # fmt: skip
def test_an_object_without_pixels_says_what_is_missing(tmp_path, change, detail):
    result = only(tmp_path, change(dicom_writer.encapsulated_pdf(1)))
    assert (result.reason, result.detail) == (FailureReason.DICOM_INVALID, detail)


def cut(data: bytes, place: bytes) -> bytes:
    return data[: data.index(place)]


def without(dataset, keyword) -> bytes:
    del dataset[keyword]
    return dicom_bytes(dataset)


def unnamed(dataset) -> bytes:
    del dataset["SOPClassUID"]
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.3"
    data = dicom_bytes(dataset)
    return data[data.index(b"\x08\x00\x18\x00UI") :]


def renamed(dataset) -> bytes:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.9.1"
    return dicom_bytes(dataset)


def test_a_deflated_dataset_without_preamble_is_bounded_as_well():
    """A few kilobytes that inflate to more than is allowed, behind file meta alone."""
    dataset = dermoscopic(OTHER)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = dicom_bytes(dataset)
    body = data[data.index(b"\x08\x00\x08\x00CS") :] + PADDING[:8] + struct.pack("<I", 10**6)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflate.compress(body + bytes(10**6)) + deflate.flush()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    meta = dicom_bytes(dataset)
    meta = meta[132 : 132 + 12 + int.from_bytes(meta[140:144], "little")]
    assert parse(meta + deflated, Limits(), has_preamble=False).dataset.Rows == 60
    with pytest.raises(ImageFailure) as failure:
        parse(meta + deflated, Limits(inflated_bytes=500_000), has_preamble=False)
    assert failure.value.reason == FailureReason.INFLATES_TOO_MUCH


def acr_nema(**changes) -> bytes:
    """A file as ACR-NEMA 2.0 has it: implicit, no preamble, no SOP class, dotted dates."""
    dataset = dermoscopic(PIXELS, **changes)
    for keyword in ("SOPClassUID", "AcquisitionDateTime", "AnatomicRegionSequence"):
        del dataset[keyword]
    dataset.add_new(0x00080010, "SH", "ACR-NEMA 2.0")
    dataset.StudyDate, dataset.StudyTime = "", ""
    dataset["StudyDate"]._value, dataset["StudyTime"]._value = "1997.04.23", "10:28:21.5"
    del dataset.file_meta
    dataset.preamble = None
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=True, little_endian=True)
    body = buffer.getvalue()
    return b"\x08\x00\x01\x00" + struct.pack("<II", 4, len(body)) + body


def test_an_acr_nema_file_is_parsed_and_goes_to_a_person_with_its_lesion(tmp_path):
    (tmp_path / "IM0001").write_bytes(acr_nema())
    reading, (result,) = read(tmp_path / "IM0001")
    assert reading.file_format == "dicom"
    assert result.reason == FailureReason.UNSUPPORTED_SOP_CLASS
    assert result.lesion_id == dicom_writer.uid("lesion", 1, 1)


def element(tag: int, value: bytes, is_implicit: bool) -> bytes:
    """One element, little endian; as short as its VR allows."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    vr = {0x00280004: b"CS", 0x00280008: b"IS", 0x7FE00010: b"OB"}.get(tag, b"US")
    if is_implicit:
        return head + struct.pack("<I", len(value)) + value
    if vr == b"OB":
        return head + vr + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + vr + struct.pack("<H", len(value)) + value


OTHER_VALUES = {
    0x00280002: b"\1\0",
    0x00280004: b"YBR_FULL",
    0x00280006: b"\1\0",
    0x00280008: b"2 ",
    0x00280010: struct.pack("<H", 60),
    0x00280011: struct.pack("<H", 80),
    0x00280100: b"\x10\0",
    0x00280101: b"\7\0",
    0x00280102: b"\6\0",
    0x00280103: b"\1\0",
    0x7FE00010: PIXELS[::-1].tobytes(),
}


def repeated(tag, value, is_first, syntax, **changes):
    """A file in which an element stands twice in a row; value None: the same value again."""
    is_implicit = syntax == ImplicitVRLittleEndian
    data = stored_as(dermoscopic(PIXELS, NumberOfFrames=1, **changes), syntax)
    kept = pydicom.dcmread(io.BytesIO(data)).get_item(tag)
    own = element(tag, kept.value, is_implicit)
    assert data.count(own) == 1
    other = own if value is None else element(tag, value, is_implicit)
    return data.replace(own, other + own if is_first else own + other)


@pytest.mark.parametrize("tag", OTHER_VALUES)
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_two_values_of_an_element_of_the_pixels_are_refused(tmp_path, tag, is_first, syntax):
    (tmp_path / "a.dcm").write_bytes(repeated(tag, OTHER_VALUES[tag], is_first, syntax))
    _, results = read(tmp_path / "a.dcm")
    assert results
    for result in results:
        assert isinstance(result, Unscored)
        assert result.reason == FailureReason.DICOM_INVALID
        assert result.detail == "an element of the pixels has two values"


@pytest.mark.parametrize("tag", OTHER_VALUES)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_the_same_value_twice_is_no_contradiction(tmp_path, tag, syntax):
    result = only(tmp_path, repeated(tag, None, True, syntax))
    np.testing.assert_array_equal(result.pixels, preprocess(PIXELS))


@pytest.mark.parametrize(
    "sequence", [b"\x40\0\x55\x05", b"\x70\0\1\0"], ids=["out of turn", "last"]
)
@pytest.mark.parametrize("value", [None, OTHER_VALUES[0x7FE00010]], ids=["same", "other"])
def test_pixel_data_twice_behind_a_sequence_without_a_length(tmp_path, value, sequence):
    tag, syntax = 0x7FE00010, ExplicitVRLittleEndian
    data = repeated(tag, value, True, syntax)
    empty = sequence + b"SQ\0\0" + b"\xff" * 4 + DELIMITER + bytes(4)
    at = data.index(b"\xe0\x7f\x10\0")
    result = only(tmp_path, data[:at] + empty + data[at:])
    if value is None:
        np.testing.assert_array_equal(result.pixels, preprocess(PIXELS))
    else:
        assert result.reason == FailureReason.DICOM_INVALID


def test_two_values_out_of_turn_are_refused(tmp_path):
    data = stored_as(dermoscopic(PIXELS), ExplicitVRLittleEndian)
    at = data.index(b"\xe0\x7f\x10\0")
    other = element(0x00280004, b"YBR_FULL", False)
    result = only(tmp_path, data[:at] + other + data[at:])
    assert result.reason == FailureReason.DICOM_INVALID


@pytest.mark.parametrize("keyword", ["Rows", "PixelData"])
@pytest.mark.parametrize("is_first", [True, False])
def test_two_values_are_refused_in_a_compressed_object(tmp_path, keyword, is_first):
    other = dicom_bytes(dermoscopic(lesion_image(3, 120, 160), lesion=1, jpeg=True))
    if keyword == "Rows":
        own, repeat = element(0x00280010, b"\x78\0", False), element(0x00280010, b"\x3c\0", False)
    else:
        own, repeat = (data[data.rindex(b"\xe0\x7f\x10\0OB") :] for data in (COMPRESSED, other))
    assert COMPRESSED.count(own) == 1
    data = COMPRESSED.replace(own, repeat + own if is_first else own + repeat)
    result = only(tmp_path, data)
    assert isinstance(result, Unscored)
    assert result.reason == FailureReason.DICOM_INVALID
