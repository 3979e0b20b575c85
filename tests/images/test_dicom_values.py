"""Values that are decoded here are those that pydicom gives."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag

from batch.images.dicom_attributes import (
    PlainValues,
    number,
    record_attributes,
    selection_values,
    text,
    texts,
)

# pydicom warns of what it cannot decode, as it should
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FILES = sorted((Path(pydicom.data.__file__).parent / "test_files").glob("**/*.dcm"))
KEYWORDS = (
    "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality",
    "ImageType", "StudyDate", "StudyTime", "AcquisitionDateTime", "ContentDate", "Manufacturer",
    "ManufacturerModelName", "PatientID", "AccessionNumber", "BodyPartExamined", "Laterality",
    "TrackingID", "LossyImageCompression", "BurnedInAnnotation", "PhotometricInterpretation",
    "InstitutionName", "StudyDescription", "SpecificCharacterSet",
)  # fmt: skip
NUMBERS = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "NumberOfFrames")


def fresh(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path, force=True)
    except Exception:  # shipped to be broken
        return Dataset()


def all_values(dataset) -> dict[str, object]:
    found: dict[str, object] = {f"text {name}": text(dataset, name) for name in KEYWORDS}
    found |= {f"texts {name}": texts(dataset, name) for name in KEYWORDS}
    for name in NUMBERS:
        try:
            found[name] = number(dataset, name, default=-1)
        except Exception as error:
            found[name] = str(error)
    return found | record_attributes(dataset, None) | selection_values(dataset, None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_public_files_give_the_same_values(path):
    assert all_values(PlainValues(fresh(path))) == all_values(fresh(path))


def test_there_are_public_files():
    assert len(FILES) > 60


def raw(vr: str, value: bytes, charset: bytes) -> Dataset:
    """A dataset of two elements as they come from a file: a character set, and one value."""
    stored = charset + b" " * (len(charset) % 2)
    written = b"\x08\x00\x05\x00CS" + len(stored).to_bytes(2, "little") + stored
    dataset = read_dataset(io.BytesIO(written), False, True)
    tag = Tag("ManufacturerModelName")
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return dataset


@settings(max_examples=400, deadline=None)
@given(
    vr=st.sampled_from(["UI", "CS", "DA", "DT", "TM", "LO", "SH", "UT", "LT", "PN", "IS"]),
    value=st.one_of(
        st.binary(max_size=24),
        st.text(st.sampled_from("AZ09 .\\\0^=~é日\x1b"), max_size=24).map(str.encode),
    ),
    charset=st.sampled_from(
        [b"", b"ISO_IR 6", b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 13", b"GB18030",
         b"\\ISO 2022 IR 87", b"ISO 2022 IR 13\\ISO 2022 IR 87", b"\\ISO 2022 IR 149"]
    ),
)  # fmt: skip
def test_any_bytes_give_the_same_text(vr, value, charset):
    name = "ManufacturerModelName"
    assert text(PlainValues(raw(vr, value, charset)), name) == text(raw(vr, value, charset), name)
    assert texts(PlainValues(raw(vr, value, charset)), name) == texts(raw(vr, value, charset), name)


@pytest.mark.parametrize("little", [True, False])
def test_a_number_is_read_in_its_byte_order(little):
    dataset = Dataset()
    tag = Tag("Rows")
    value = (1025).to_bytes(2, "little" if little else "big")
    dataset[tag] = RawDataElement(tag, "US", 2, value, 0, False, little)
    assert number(PlainValues(dataset), "Rows") == 1025


def test_a_keyword_that_is_none_is_our_mistake():
    with pytest.raises(KeyError, match="Colums"):
        PlainValues(Dataset()).get("Colums")
