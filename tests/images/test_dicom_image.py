"""DICOM identity and colours."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest

from batch.archive.local import LocalArchive
from batch.archive.reader import read_file
from batch.core.errors import FailureReason, ImageFailure
from batch.core.privacy import IdentifierPolicy, Identifiers
from batch.core.records import KEPT_ATTRIBUTES, Unscored
from batch.core.rules import Limits, ReadingRules
from batch.demo import dicom_writer as dicom
from batch.demo.lesions import lesion_image
from batch.images import dicom_image as reader
from batch.images.dicom_frames import decode_frame
from batch.images.dicom_kinds import ObjectKind, is_plausible_class, object_kind
from batch.images.dicom_parse import parse
from batch.images.preprocess import preprocess
from tests.support.archives import altered, dermoscopic, dicom_bytes, locate, read
from tests.tools import matrix

PIXELS = lesion_image(1, 60, 80)
TEST_FILES = matrix.SHIPPED[0]


def photograph(jpeg=False, **changes):
    return dermoscopic(PIXELS, 3, 2, jpeg, **changes)


def identified(dataset):
    return reader.identify(dicom_bytes(dataset), ReadingRules())


def first_frame(dataset):
    return decode_frame(identified(dataset), 0, Limits())


def test_identity_goes_into_the_record():
    attributes = identified(photograph()).attributes
    assert attributes["study_instance_uid"] == dicom.uid("study", 1, 2)
    assert attributes["lesion_id"] == dicom.uid("lesion", 1, 3)
    assert attributes["acquisition_datetime"] == "2026-02-01T09:33:00"
    assert attributes["anatomic_region"] == "Back"
    assert attributes["laterality"] == "R"
    assert attributes["modality"] == "DMS"


def test_nothing_is_invented_where_the_source_has_none(tmp_path):
    dataset = photograph()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "TrackingUID",
                    "Modality", "ImageLaterality", "AnatomicRegionSequence",
                    "AcquisitionDateTime", "StudyDate"):  # fmt: skip
        del dataset[keyword]
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(dataset))
    reading, (result,) = read(tmp_path / "a.dcm")
    record = result.record
    assert record.image_id == f"sha256:{reading.content_sha256}"
    assert {
        record.study_instance_uid, record.series_instance_uid, record.lesion_id, record.modality,
        record.laterality, record.anatomic_region, record.acquisition_datetime,
    } == {None}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20260102030405.25+0100", "2026-01-02T03:04:05.25+0100"),
        ("20260102", "2026-01-02"),
        ("2026", "2026"),
        ("202613", None),
        ("20260132", None),
        ("2026010224", None),
        ("20240231", None),
        ("20240229", "2024-02-29"),
        ("20161231235960", "2016-12-31T23:59:60"),
        ("20161231235961", None),
        ("0000", None),
        ("yesterday", None),
    ],
)
def test_a_time_is_as_precise_as_its_source_and_a_bad_one_is_null(value, expected):
    dataset = photograph()
    del dataset.StudyDate
    dataset.add(pydicom.DataElement("AcquisitionDateTime", "DT", None))
    dataset["AcquisitionDateTime"]._value = value
    assert identified(dataset).attributes["acquisition_datetime"] == expected


def test_a_bad_acquisition_time_falls_back_to_the_next_date():
    dataset = photograph(StudyDate="20260203", StudyTime="99")
    dataset.AcquisitionDateTime = ""
    assert identified(dataset).attributes["acquisition_datetime"] == "2026-02-03"


def test_native_rgb_is_returned_bit_by_bit():
    pixels, flags = first_frame(photograph())
    np.testing.assert_array_equal(pixels, PIXELS)
    assert flags == ()


def test_planes_are_put_together():
    dataset = photograph(PlanarConfiguration=1)
    dataset.PixelData = PIXELS.transpose(2, 0, 1).tobytes()
    np.testing.assert_array_equal(first_frame(dataset)[0], PIXELS)


@pytest.mark.parametrize("stored", [10, 12, 16])
def test_more_than_eight_bits_are_scaled_by_what_is_stored(stored):
    dataset = photograph(BitsAllocated=16, BitsStored=stored, HighBit=stored - 1)
    wide = np.rint(PIXELS / 255 * (2**stored - 1)).astype("<u2")
    dataset.PixelData = wide.tobytes()
    pixels, flags = first_frame(dataset)
    np.testing.assert_array_equal(pixels, PIXELS)
    assert flags == ("was_16bit",)


def test_jpeg_in_dicom_has_the_colours_of_the_original():
    pixels, flags = first_frame(photograph(jpeg=True))
    assert np.abs(pixels.astype(int) - PIXELS).mean() < 4
    assert flags == ("lossy",)


def test_a_bare_dataset_without_preamble_and_meta_is_read(tmp_path):
    data = dicom_bytes(photograph())
    (tmp_path / "IM1").write_bytes(data[data.index(b"\x08\x00\x08\x00CS") :])
    reading, (result,) = read(tmp_path / "IM1")
    assert reading.file_format == "dicom"
    assert result.record.modality == "DMS"


@pytest.mark.parametrize(("name", "as_named"), [("a.jpg", "dicom"), ("b.dcm", "jpeg")])
def test_content_decides_whatever_the_name_says(tmp_path, name, as_named):
    data = dicom_bytes(photograph()) if as_named == "dicom" else dicom.jpeg_bytes(PIXELS)
    (tmp_path / name).write_bytes(data)
    reading, (result,) = read(tmp_path / name)
    assert reading.file_format == result.record.file_format == as_named


def test_frames_have_numbers_and_ids_of_their_own(tmp_path):
    frames = np.stack([lesion_image(seed, 64, 64) for seed in range(3)])
    dataset = dicom.multi_frame_capture(frames, 1, 1)
    dicom.save(dataset, tmp_path / "a.dcm")
    reading, results = read(tmp_path / "a.dcm")
    assert reading.frames == 3
    assert [result.record.frame_number for result in results] == [1, 2, 3]
    assert [result.record.image_id for result in results] == [
        f"{dataset.SOPInstanceUID}#{number}" for number in (1, 2, 3)
    ]
    assert "not_dermoscopic_sop_class" in results[0].record.flags


@pytest.mark.parametrize(
    ("uid", "standard", "pixels", "whole", "expected"),
    [
        ("1.2.840.10008.5.1.4.1.1.77.1.7", True, True, True, ObjectKind.SCORE),
        ("1.2.840.10008.5.1.4.1.1.77.1.4", True, True, True, ObjectKind.SCORE),
        ("1.2.840.10008.5.1.4.1.1.7", True, True, True, ObjectKind.SCORE),
        ("1.2.840.10008.5.1.4.1.1.7.4", True, True, True, ObjectKind.SCORE),
        ("1.2.840.10008.5.1.4.1.1.2", True, True, True, ObjectKind.NON_IMAGE),
        ("1.2.840.10008.5.1.4.1.1.88.11", True, False, True, ObjectKind.NON_IMAGE),
        ("1.3.6.1.4.1.99", False, True, True, ObjectKind.TO_A_PERSON),
        ("1.3.6.1.4.1.99", False, False, True, ObjectKind.NON_IMAGE),
        (None, False, True, True, ObjectKind.TO_A_PERSON),
        ("1.3.6.1.4.1.99", False, False, False, ObjectKind.TO_A_PERSON),
        (None, False, False, False, ObjectKind.TO_A_PERSON),
        ("1.2.840.10008.5.1.4.1.1.88.11", True, False, False, ObjectKind.TO_A_PERSON),
    ],
)
def test_the_kind_of_object_decides_what_is_done(uid, standard, pixels, whole, expected):
    assert object_kind(uid, standard, pixels, whole) == expected


# pydicom's own test picture: bands of pure colours; the same picture uncompressed says which
BANDS = [(5, (255, 0, 0)), (25, (0, 255, 0)), (45, (0, 0, 255))]


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_lossy_gdcm.dcm",
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+n1.dcm",
        "SC_rgb_dcmtk_+eb+cy+n2.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_dcmtk_+eb+cy+s2.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
    ],
)
def test_baseline_jpeg_of_other_makers_keeps_its_colours(name):
    path = TEST_FILES / name
    if not path.exists():
        pytest.skip(f"this pydicom does not ship {name}")
    image = reader.identify(path.read_bytes(), ReadingRules())
    pixels, _ = decode_frame(image, 0, Limits())
    for row, colour in BANDS:
        assert np.abs(pixels[row, 50].astype(int) - colour).max() <= 12, (row, pixels[row, 50])


@pytest.mark.parametrize("declared", [None, 1, 2])
def test_encapsulated_frames_beyond_the_declared_number_are_said(tmp_path, declared):
    frames = np.stack([lesion_image(seed, 64, 64) for seed in range(4)])
    dataset = dicom.multi_frame_capture(frames, 1, 1)
    if declared is None:
        del dataset.NumberOfFrames
    else:
        dataset.NumberOfFrames = declared
    dicom.save(dataset, tmp_path / "a.dcm")
    _, results = read(tmp_path / "a.dcm")
    assert len(results) == (declared or 1)
    assert all("frames_beyond_declared" in result.record.flags for result in results)


def test_frames_as_declared_have_no_such_flag(tmp_path):
    frames = np.stack([lesion_image(seed, 64, 64) for seed in range(4)])
    dicom.save(dicom.multi_frame_capture(frames, 1, 1), tmp_path / "a.dcm")
    _, results = read(tmp_path / "a.dcm")
    assert not any("frames_beyond_declared" in result.record.flags for result in results)


def test_a_missing_number_of_samples_is_not_taken_for_grey(tmp_path):
    dataset = photograph(jpeg=True)
    del dataset.SamplesPerPixel
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(dataset))
    _, (result,) = read(tmp_path / "a.dcm")
    assert result.record.rows == 60


def test_an_implicit_dataset_without_preamble_and_meta_is_read(tmp_path):
    dataset = photograph()
    del dataset.file_meta
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=True, little_endian=True)
    (tmp_path / "IM1").write_bytes(buffer.getvalue())
    _, (result,) = read(tmp_path / "IM1")
    assert result.record.modality == "DMS"
    np.testing.assert_array_equal(result.pixels, preprocess(PIXELS))


NO_IMAGES = [
    "DICOMDIR", "DICOMDIR-nooffset", "rtplan.dcm", "rtdose.dcm", "reportsi.dcm", "waveform_ecg.dcm",
    "CT_small.dcm", "MR_small.dcm", "examples_ybr_color.dcm", "test-SR.dcm",
]  # fmt: skip


@pytest.mark.parametrize("name", NO_IMAGES)
def test_other_kinds_of_real_objects_are_stated_as_non_images(tmp_path, name):
    path = next(TEST_FILES.rglob(name), None)
    if path is None:
        pytest.skip(f"this pydicom does not ship {name}")
    (tmp_path / name).write_bytes(path.read_bytes())
    reading, results = read(tmp_path / name)
    assert reading.state == "non_image"
    assert reading.reason in {"dicom_without_pixels", "dicom_other_kind"}
    assert results == ()


def test_a_file_cut_off_at_any_byte_is_never_taken_for_a_non_image(tmp_path):
    data = dicom_bytes(photograph(jpeg=True))
    start_of_pixels = data.index(b"\xe0\x7f\x10\x00OB")
    for length in [*range(133, 1200), start_of_pixels, start_of_pixels + 100, len(data) - 100]:
        (tmp_path / "a.dcm").write_bytes(data[:length])
        reading, results = read(tmp_path / "a.dcm")
        assert reading.state is None, length
        assert [type(result).__name__ for result in results] == ["Unscored"], length


@pytest.mark.parametrize(
    ("uid", "standard", "expected"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.11", True, True),
        ("1.3.12.2.1107.5.9.1", False, True),
        ("1.2.840.10008.5.1.4.9.1.77.1.7", False, False),
        ("1.2.840.10008.5.1.4.1.1.77.", False, False),
        ("1/2.840", False, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_a_damaged_class_is_no_other_class(uid, standard, expected):
    assert is_plausible_class(uid, standard) is expected


def test_free_text_in_the_place_of_a_code_stays_in_the_file():
    attributes = identified(
        photograph(
            TrackingUID="Jane Doe",
            SOPInstanceUID="Jane Doe 1",
            StudyInstanceUID="1.2.Jane",
            BodyPartExamined="mole of Jane",
            AnatomicRegionSequence=None,
            ImageLaterality="Jane",
            Modality="Jane",
        )
    ).attributes
    assert not [name for name, value in attributes.items() if value and "Jane" in value]


def test_codes_as_the_standard_writes_them_pass():
    dataset = photograph(AnatomicRegionSequence=None, BodyPartExamined="LOWER_LEG",
                         ImageLaterality=None, Laterality="B")  # fmt: skip
    attributes = identified(dataset).attributes
    assert (attributes["anatomic_region"], attributes["laterality"]) == ("LOWER_LEG", "B")


def sequences(levels, defined):
    """The bytes of sequences in sequences, each in its only item; of defined length or not."""
    inner = b""
    for _ in range(levels):
        if defined:
            item = b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
            inner = b"\x40\x00\x30\xa7SQ\x00\x00" + len(item).to_bytes(4, "little") + item
        else:
            start = b"\x40\x00\x30\xa7SQ\x00\x00" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
            end = b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)
            inner = start + inner + end
    return inner


@pytest.mark.parametrize("defined", [True, False], ids=["defined length", "undefined length"])
@pytest.mark.parametrize(("levels", "limit"), [(1, 1), (2, 1), (8, 8), (9, 8), (32, 32), (33, 32)])
def test_sequences_may_nest_as_deep_as_the_limit_and_no_deeper(levels, limit, defined):
    dataset = photograph()
    del dataset["AnatomicRegionSequence"]
    for element in [element for element in dataset if element.VR == "SQ"]:
        del dataset[element.tag]
    data = dicom_bytes(dataset) + sequences(levels, defined)
    if levels <= limit:
        assert parse(data, Limits(nesting=limit)).dataset.PixelData
        return
    with pytest.raises(ImageFailure) as failure:
        parse(data, Limits(nesting=limit))
    assert failure.value.reason == FailureReason.NESTED_TOO_DEEP


NEWER = {
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.601.3": "Thermography Image Storage",
    "1.2.840.10008.5.1.4.1.1.601.4": "Thermography Multi-frame Image Storage",
}


@pytest.mark.parametrize("uid", NEWER)
@pytest.mark.parametrize("has_pixels", [True, False])
def test_classes_that_are_newer_than_the_dictionary_are_known_as_non_images(
    tmp_path, uid, has_pixels
):
    dataset = photograph(SOPClassUID=uid)
    dataset.file_meta.MediaStorageSOPClassUID = uid
    if not has_pixels:
        for keyword in ("PixelData", "Rows", "Columns"):
            del dataset[keyword]
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(dataset))
    reading, results = read(tmp_path / "a.dcm")
    reason = "dicom_other_kind" if has_pixels else "dicom_without_pixels"
    assert (reading.state, reading.reason, reading.detail) == ("non_image", reason, NEWER[uid])
    assert results == ()


def test_a_class_that_the_standard_does_not_have_yet_goes_to_a_person(tmp_path):
    uid = "1.2.840.10008.5.1.4.1.1.999.1"
    dataset = photograph(SOPClassUID=uid)
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(dataset))
    _, (result,) = read(tmp_path / "a.dcm")
    assert result.reason == FailureReason.UNSUPPORTED_SOP_CLASS


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("1997.04.23", "10:28:21", "1997-04-23T10:28:21"),
        ("1997.04.23", "10:28:21.50", "1997-04-23T10:28:21.50"),
        ("1997.04.23", "10:28", "1997-04-23T10:28"),
        ("1997.04.23", "102821", "1997-04-23T10:28:21"),
        ("19970423", "10:28:21", "1997-04-23T10:28:21"),
        ("1997.04.23", None, "1997-04-23"),
        ("1997.04.23", "late", "1997-04-23"),
        ("1997.13.23", "10:28:21", None),
        ("1997.4.23", "10:28:21", None),
        ("23.04.1997", "10:28:21", None),
        ("1997-04-23", "10:28:21", None),
        ("1997.0423", "10:28:21", None),
    ],
)
def test_dates_and_times_of_acr_nema_are_read(date, time, expected):
    dataset = photograph(AcquisitionDateTime="")
    for keyword, vr, value in (("StudyDate", "DA", date), ("StudyTime", "TM", time)):
        dataset.add(pydicom.DataElement(keyword, vr, None))
        dataset[keyword]._value = value
    assert identified(dataset).attributes["acquisition_datetime"] == expected


KEY = b"a key of the tests, 32 bytes long"
UNREADABLE = {
    "no rows": lambda d: altered(d, Rows=None),
    "frames": lambda d: altered(d, NumberOfFrames=500),
    "foreign class": lambda d: altered(d, SOPClassUID="1.3.6.1.4.1.99999.1"),
    "too large": lambda d: altered(d, Rows=65000),
    "too long": lambda d: altered(d, Columns=79),
    "damaged": lambda d: altered(d, PhotometricInterpretation="HSV"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("level", Identifiers)
@pytest.mark.parametrize("key", [None, KEY], ids=["without key", "with key"])
def test_an_unreadable_object_keeps_what_its_level_lets_through(tmp_path, kind, level, key):
    policy = IdentifierPolicy(level, key)
    good = photograph(IssuerOfPatientID="Clinic")
    readable = reader.identify(dicom_bytes(good), ReadingRules(identifiers=policy)).attributes
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(UNREADABLE[kind](good)))
    location = locate(tmp_path, tmp_path / "a.dcm")
    rules = ReadingRules(identifiers=policy)
    _, (result,) = read_file(LocalArchive(tmp_path), location, rules)
    assert isinstance(result, Unscored)
    kept = {name: getattr(result, name) for name in KEPT_ATTRIBUTES}
    assert kept == {name: readable[name] for name in KEPT_ATTRIBUTES}
    assert (kept["patient_pseudonym"] is not None) == (key is not None)
    assert (kept["patient_id"] is not None) == (level == Identifiers.FULL)
    assert (kept["lesion_id"] is not None) == (level != Identifiers.NONE)
    assert "Demo" not in result.detail
    if level == Identifiers.NONE:
        said = repr(result)
        assert dicom.uid("lesion", 1, 3) not in said
        assert good.StudyInstanceUID not in said
        assert good.PatientID not in said


def test_a_frame_that_cannot_be_read_keeps_its_lesion_beside_those_that_can(tmp_path):
    frames = np.stack([lesion_image(seed, 64, 64) for seed in range(2)])
    dataset = altered(dicom.multi_frame_capture(frames, 1, 1), TrackingUID="1.2.9.8")
    encoded = [dicom.jpeg_bytes(frame) for frame in frames]
    dataset.PixelData = dicom.encapsulate([encoded[0], encoded[1][:400]])
    dataset["PixelData"].VR = "OB"
    dicom.save(dataset, tmp_path / "a.dcm")
    _, (first, second) = read(tmp_path / "a.dcm")
    assert first.record.lesion_id == second.lesion_id == "1.2.9.8"
    assert second.frame_number == 2
