"""Planted names, numbers and texts are looked for in everything that a run leaves behind."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from batch.cli import main
from batch.core.errors import ExitCode
from batch.demo.dicom_writer import multi_frame_capture
from batch.demo.lesions import lesion_image
from tests.support.archives import altered, dermoscopic, dicom_bytes
from tests.support.small_model import SCORE

PIXELS = lesion_image(1, 60, 80)
KEY = b"Vq7-planted-key-of-forty-bytes-Wx9-Yz3-K"

# attribute to value; each value is found nowhere else
IDENTITY = {
    "PatientID": "PID-Zyxx-88123",
    "IssuerOfPatientID": "Quorvane Clinic",
    "AccessionNumber": "ACC-Pliw-0417",
}
TEXTS = {
    "PatientName": "Thornquist^Belphoebe",
    "OtherPatientNames": "Marrowgate^Ysolde",
    "OtherPatientIDs": "OPID-Vexx-5512",
    "PatientBirthDate": "19370321",
    "PatientBirthName": "Fennimarch^Odalys",
    "PatientAddress": "7 Grimpelwick Lane",
    "PatientTelephoneNumbers": "+99-555-0147",
    "PatientComments": "plays the hurdygurdonium",
    "AdditionalPatientHistory": "worried about Uncle Bartlewyn",
    "ImageComments": "mole next to the Skarvendotter tattoo",
    "StudyDescription": "control for Mrs Aldersquill",
    "SeriesDescription": "left arm of Pemberwythe",
    "ProtocolName": "protocol Hobblestraw",
    "OperatorsName": "Krimlok^Tamsen",
    "ReferringPhysicianName": "Dovecrest^Ignatia",
    "PerformingPhysicianName": "Wolmarch^Cuthbert",
    "RequestingPhysician": "Ravensbourne^Eluned",
    "InstitutionName": "Saint Yorrick Infirmary",
    "InstitutionAddress": "1 Umberhollow Square",
    "InstitutionalDepartmentName": "ward Blenkinsop",
    "StationName": "STN-Oxmoor-3",
    "DeviceSerialNumber": "SN-Quibble-77",
    "RequestedProcedureDescription": "excision for Lady Morwenstow",
}
PRIVATE = "private Zanthorpe"
TRACKING_ID = "lesion of Ephraim Nackle"
NOT_A_NUMBER = "Vexlingf"
NESTED = "Cloudesley^Winnifred"
EXIF = "photographed by Tobermoor"
COMMENT = "comment on Hallowfennel"
FOLDER, FILE = "Nymbolt-Ottokar", "Gristlewood"

HIDDEN = [*TEXTS.values(), PRIVATE, NOT_A_NUMBER, NESTED, EXIF, COMMENT]
VALUES = [*HIDDEN, *IDENTITY.values(), TRACKING_ID]


def planted(jpeg=False, **changes):
    dataset = dermoscopic(PIXELS, jpeg=jpeg, **TEXTS, **IDENTITY, TrackingID=TRACKING_ID)
    block = dataset.private_block(0x0009, "melanoma-batch tests", create=True)
    block.add_new(0x10, "LO", PRIVATE)
    item = type(dataset.AnatomicRegionSequence[0])()
    item.PersonName = NESTED
    dataset.ContentSequence = [item]
    return altered(dataset, **changes)


def with_another_vr(keyword: str, vr: str, **changes) -> bytes:
    """The value of an element under a VR that its value breaks."""
    dataset = planted(**changes)
    element = dataset[keyword]
    tag = element.tag.group.to_bytes(2, "little") + element.tag.element.to_bytes(2, "little")
    data = dicom_bytes(dataset)
    assert data.count(tag + element.VR.encode()) == 1
    return data.replace(tag + element.VR.encode(), tag + vr.encode())


def with_no_number(keyword: str, digits: str) -> bytes:
    """A number element with a name in it, which pydicom quotes when it complains."""
    data = dicom_bytes(planted(**{keyword: digits}))
    assert len(digits) == len(NOT_A_NUMBER)
    assert data.count(digits.encode()) == 1
    return data.replace(digits.encode(), NOT_A_NUMBER.encode())


def photograph(kind: str) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(PIXELS)
    exif = Image.Exif()
    for tag in (0x010E, 0x013B, 0x8298):  # description, artist, copyright
        exif[tag] = EXIF
    if kind == "PNG":
        texts = PngInfo()
        texts.add_text("Comment", COMMENT)
        texts.add_itxt("Author", EXIF, zip=True)
        image.save(buffer, kind, exif=exif, pnginfo=texts)
    else:
        image.save(buffer, kind, exif=exif, **({"comment": COMMENT} if kind == "JPEG" else {}))
    return buffer.getvalue()


def sequence() -> bytes:
    dataset = multi_frame_capture(PIXELS[None].repeat(3, axis=0), 1, 1)
    for keyword, value in (TEXTS | IDENTITY).items():
        setattr(dataset, keyword, value)
    dataset.NumberOfFrames = 4  # the last one is missing
    return dicom_bytes(dataset)


def files() -> dict[str, bytes]:
    good = dicom_bytes(planted())
    compressed = dicom_bytes(planted(jpeg=True))
    jpeg = photograph("JPEG")
    return {
        "good.dcm": good,
        "jpeg.dcm": compressed,
        "no-uid.dcm": dicom_bytes(planted(TrackingUID=None)),
        "sequence.dcm": sequence(),
        "truncated.dcm": good[:-5000],
        "half.dcm": compressed[: len(compressed) * 3 // 4],
        "head.dcm": good[:700],
        "number-of-frames.dcm": with_no_number("NumberOfFrames", "11111111"),
        "series-number.dcm": with_no_number("SeriesNumber", "11111111"),
        "patient-id-vr.dcm": with_another_vr("PatientID", "DS"),
        "name-vr.dcm": with_another_vr("PatientName", "FD"),
        "text-vr.dcm": with_another_vr("StudyDescription", "AT"),
        "unknown-vr.dcm": with_another_vr("InstitutionName", "ZZ"),
        "interpretation.dcm": dicom_bytes(planted(PhotometricInterpretation="HSV")),
        "other-size.dcm": dicom_bytes(planted(jpeg=True, Rows=61)),
        "good.jpg": jpeg,
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "good.png": photograph("PNG"),
        "truncated.png": photograph("PNG")[:-3000],
        "good.tif": photograph("TIFF"),
        "truncated.tif": photograph("TIFF")[:-3000],
        "text.jpg": "\n".join(VALUES).encode(),
        "notes.txt": "\n".join(VALUES).encode(),
    }


@dataclass(frozen=True)
class Run:
    """A night over the planted archive. said: stdout and stderr, those of libraries included."""

    reports: Path
    said: str

    @property
    def log(self) -> str:
        (log,) = (self.reports / "logs").glob("*.log")
        return log.read_text(encoding="utf-8")

    def table(self, name: str) -> pd.DataFrame:
        return pq.read_table(self.reports / "latest" / name).to_pandas()

    def cells(self) -> str:
        """Every value of every table but the file names, as text."""
        tables = [self.table(name) for name in ("predictions", "unscored", "files")]
        tables.append(self.table("alerts.parquet"))
        names = ["path", "path_bytes"]
        return "\n".join(
            str(value) for table in tables for row in table.drop(columns=names).values.tolist()
            for value in row
        )  # fmt: skip

    def everything(self) -> bytes:
        """Bytes of every file below the reports, every cell, and all that was said."""
        found = [path.read_bytes() for path in self.reports.rglob("*") if path.is_file()]
        return b"\n".join([*found, self.cells().encode(), self.said.encode()])


@contextlib.contextmanager
def hearing(path: Path):
    """Send both standard streams to a file, for Python and for every library and child."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with path.open("w", encoding="utf-8") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        finally:
            for number, descriptor in zip((1, 2), saved, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("planted") / "archive" / FOLDER
    folder.mkdir(parents=True)
    for name, data in files().items():
        (folder / f"{FILE}-{name}").write_bytes(data)
        os.utime(folder / f"{FILE}-{name}", (0, 0))  # what is young gets another night
    return folder.parent


@pytest.fixture(scope="module")
def score(archive, tmp_path_factory):
    """Score the planted archive with more words on the command line."""

    def run(*words: str) -> Run:
        folder = tmp_path_factory.mktemp("night")
        key = folder / "key"
        key.write_bytes(KEY)
        key.chmod(0o600)
        command = [*SCORE, str(archive), "--output", str(folder / "reports")]
        command += ["--max-unscored-rate", "1", "--patient-key-file", str(key), *words]
        with hearing(folder / "said"):
            code = main(command)
        assert code == ExitCode.COMPLETE
        return Run(folder / "reports", (folder / "said").read_text(encoding="utf-8"))

    return run


@pytest.fixture(scope="module")
def night(score) -> Run:
    return score()


@pytest.fixture(scope="module")
def full(score) -> Run:
    return score("--identifiers", "full")


@pytest.fixture(scope="module")
def none(score) -> Run:
    return score("--identifiers", "none")


def spellings(value: str) -> list[bytes]:
    """A value as it is, and its parts as they would stand in a message."""
    return [part.encode() for part in {value, *value.split("^")}]


def found_in(data: bytes, values) -> list[str]:
    return [value for value in values if any(part in data for part in spellings(value))]


def test_every_value_was_planted(archive):
    data = b"".join(path.read_bytes() for path in archive.rglob("*") if path.is_file())
    assert found_in(data, VALUES) == VALUES


def test_the_files_ended_in_all_the_ways_that_might_quote_them(night):
    states = night.table("files").set_index("path")["state"].rename(lambda p: Path(p).name)
    assert len(states) == len(files())
    assert set(states) == {"scored", "unscored", "non_image"}
    for name in ("good.dcm", "jpeg.dcm", "no-uid.dcm", "sequence.dcm", "good.jpg", "good.png"):
        assert states[f"{FILE}-{name}"] == "scored"
    reasons = set(night.table("unscored")["reason"])
    assert reasons >= {"dicom_invalid", "decode_failed", "header_contradicts_pixels"}


def test_no_planted_value_stands_in_anything_that_a_run_leaves(night):
    assert found_in(night.everything(), VALUES) == []


def test_the_key_stands_nowhere(night, full, none):
    for run in (night, full, none):
        everything = run.everything()
        assert KEY not in everything
        assert KEY.hex().encode() not in everything


def test_file_names_stand_in_the_tables_only(night):
    assert set(night.table("files")["path"]) == {f"{FOLDER}/{FILE}-{name}" for name in files()}
    run_json = (night.reports / "latest" / "run.json").read_text(encoding="utf-8")
    for text in (night.log, night.said, run_json, night.cells()):
        assert FOLDER not in text
        assert FILE not in text


def test_the_log_and_the_summary_say_something(night):
    assert f"{len(files())} files found" in night.log
    assert "Scored" in night.said


def test_one_patient_has_one_pseudonym(night):
    predictions = night.table("predictions")
    planted_ones = predictions[predictions["path"].str.endswith(("good.dcm", "no-uid.dcm"))]
    assert len(planted_ones) == 2
    assert planted_ones["patient_pseudonym"].nunique() == 1
    assert planted_ones["patient_pseudonym"].str.fullmatch("[0-9a-f]{64}").all()


def test_full_identifiers_are_patient_issuer_accession_and_the_lesions_name(full):
    predictions = full.table("predictions")
    row = predictions[predictions["path"].str.endswith("no-uid.dcm")].iloc[0]
    assert row["patient_id"] == IDENTITY["PatientID"]
    assert row["issuer_of_patient_id"] == IDENTITY["IssuerOfPatientID"]
    assert row["accession_number"] == IDENTITY["AccessionNumber"]
    assert row["lesion_id"] == TRACKING_ID
    assert found_in(full.everything(), HIDDEN) == []


def test_full_identifiers_stand_in_their_columns_and_nowhere_else(full):
    elsewhere = [full.said, full.log, (full.reports / "latest" / "run.json").read_text()]
    named = ["patient_id", "issuer_of_patient_id"]
    elsewhere += [full.table("unscored").drop(columns=named).to_string()]
    elsewhere += [full.table("files").to_string()]
    assert found_in("\n".join(elsewhere).encode(), VALUES) == []


def test_without_identifiers_no_uid_stands_anywhere(none):
    predictions = none.table("predictions")
    uids = ["study_instance_uid", "series_instance_uid", "sop_instance_uid", "lesion_id"]
    assert predictions[uids].isna().all(axis=None)
    assert predictions["image_id"].str.startswith("sha256:").all()
    images = none.table("unscored")["image_id"].dropna()
    assert len(images)
    assert images.str.startswith("sha256:").all()
    dataset = planted()
    of_this_object = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "TrackingUID")
    everything = none.everything()
    assert found_in(everything, [str(dataset[keyword].value) for keyword in of_this_object]) == []
    assert found_in(everything, VALUES) == []
