"""Palettes as they are really written: bytes, words, wrong descriptors, segments."""

from __future__ import annotations

import io
import struct

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import ReadingRules
from batch.images import dicom_image
from batch.images.dicom_frames import decode_frame
from batch.images.dicom_parse import parse
from tests.support.archives import dermoscopic, dicom_bytes

RULES = ReadingRules()
INDICES = np.arange(256, dtype=np.uint8).reshape(16, 16)
ENTRIES = np.random.default_rng(1).integers(0, 256, (256, 3))
ENTRIES[17] = 255, 0, 128
NAMES = ("Red", "Green", "Blue")


def palette(tables, descriptor, indices=INDICES, prefix="", **changes):
    """An object of three tables (bytes) with one descriptor."""
    dataset = dermoscopic(np.zeros((*indices.shape, 3), np.uint8), **changes)
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "PALETTE COLOR", 1
    del dataset["PlanarConfiguration"]
    dataset.PixelData = indices.tobytes()
    for name, table in zip(NAMES, tables, strict=True):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", list(descriptor))
        setattr(dataset, f"{prefix}{name}PaletteColorLookupTableData", table)
    return dataset


def tables(entries, kind="u1", factor=1):
    return [(channel * factor).astype(kind).tobytes() for channel in np.asarray(entries).T]


def frame(data: bytes):
    image = dicom_image.describe(parse(data, RULES.limits), RULES)
    return decode_frame(image, 0, RULES.limits)


def refused(dataset) -> ImageFailure:
    with pytest.raises(ImageFailure) as failure:
        frame(dicom_bytes(dataset))
    return failure.value


@pytest.mark.parametrize(
    ("bits", "kind", "factor"),
    [
        (8, "u1", 1),  # packed
        (8, "<u2", 1),  # in words (PS3.3 C.7.6.3.1.6)
        (8, "<u2", 256),  # in their upper bytes
        (8, "<u2", 257),  # in both
        (16, "<u2", 257),
        (16, "<u2", 256),
        (16, "<u2", 1),  # 8-bit values in a table of 16: as such they would be black
        (16, "u1", 1),
        (12, "<u2", 16),
    ],
)
def test_entries_are_found_wherever_they_lie(bits, kind, factor):
    dataset = palette(tables(ENTRIES, kind, factor), (256, 0, bits))
    pixels, flags = frame(dicom_bytes(dataset))
    np.testing.assert_array_equal(pixels.reshape(256, 3), ENTRIES)
    assert flags == ("palette",)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("count", "first"), [(200, 0), (156, 100), (100, 100), (1, 0), (1, 77)])
def test_values_outside_the_table_have_its_ends(count, first, bits):
    entries = ENTRIES[:count]
    kind, factor = ("u1", 1) if bits == 8 else ("<u2", 257)
    data = [table + b"\0" * (len(table) % 2) for table in tables(entries, kind, factor)]
    pixels, _ = frame(dicom_bytes(palette(data, (count, first, bits))))
    expected = entries[np.clip(np.arange(256) - first, 0, count - 1)]
    np.testing.assert_array_equal(pixels.reshape(256, 3), expected)


@pytest.mark.parametrize("declared", [0, 65536 % 65536])
def test_no_entries_are_65536_of_them(declared):
    entries = np.random.default_rng(2).integers(0, 256, (65536, 3))
    indices = np.arange(0, 65536, 16, dtype="<u2").reshape(64, 64)
    dataset = palette(tables(entries, "<u2", 257), (declared, 0, 16), indices,
                      BitsAllocated=16, BitsStored=16, HighBit=15)  # fmt: skip
    pixels, _ = frame(dicom_bytes(dataset))
    np.testing.assert_array_equal(pixels.reshape(-1, 3), entries[::16])


def test_a_table_of_more_than_32767_entries_is_not_read_as_a_negative_number():
    entries = np.random.default_rng(3).integers(0, 256, (40000, 3))
    indices = np.arange(0, 40000, 100, dtype="<u2").reshape(20, 20)
    dataset = palette(tables(entries, "<u2", 257), (40000, 0, 16), indices,
                      BitsAllocated=16, BitsStored=16, HighBit=15)  # fmt: skip
    pixels, _ = frame(dicom_bytes(dataset))
    np.testing.assert_array_equal(pixels.reshape(-1, 3), entries[::100])


@pytest.mark.parametrize(("allocated", "kind"), [(8, "i1"), (16, "<i2")])
def test_signed_values_are_mapped_from_a_negative_first_one(allocated, kind):
    indices = np.arange(-128, 128).astype(kind).reshape(16, 16)
    dataset = palette(tables(ENTRIES), (256, -128, 8), indices, PixelRepresentation=1,
                      BitsAllocated=allocated, BitsStored=allocated,
                      HighBit=allocated - 1)  # fmt: skip
    for name in NAMES:
        dataset[f"{name}PaletteColorLookupTableDescriptor"].VR = "SS"
    pixels, _ = frame(dicom_bytes(dataset))
    np.testing.assert_array_equal(pixels.reshape(256, 3), ENTRIES)


@pytest.mark.parametrize(("stored", "high"), [(8, 7), (8, 15), (8, 11)])
def test_the_numbers_of_the_entries_are_cut_out_of_their_words(stored, high):
    indices = (INDICES.astype("<u2") << (high - 7)) | (0x8000 if high == 7 else 0x0001)
    indices = indices.astype("<u2") if high != 7 else indices
    dataset = palette(tables(ENTRIES), (256, 0, 8), indices, BitsAllocated=16, BitsStored=stored,
                      HighBit=high)  # fmt: skip
    pixels, _ = frame(dicom_bytes(dataset))
    np.testing.assert_array_equal(pixels.reshape(256, 3), ENTRIES)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_palette_in_a_lossless_stream(syntax):
    indices = np.kron(INDICES, np.ones((4, 4), np.uint8))  # openjpeg encodes none of 16x16
    dataset = palette(tables(ENTRIES, "<u2"), (256, 0, 8), indices)
    dataset.compress(syntax, generate_instance_uid=False)
    pixels, flags = frame(dicom_bytes(dataset))
    np.testing.assert_array_equal(pixels, ENTRIES[indices])
    assert flags == ("palette",)


@pytest.mark.parametrize(
    ("bits", "kind", "factor"), [(8, "u1", 1), (8, ">u2", 1), (16, ">u2", 257)]
)
def test_a_big_endian_palette_is_read_in_its_order(bits, kind, factor):
    data = tables(ENTRIES, kind, factor)
    if kind == "u1":  # packed into words, whose bytes are swapped
        data = [np.frombuffer(table, "<u2").astype(">u2").tobytes() for table in data]
    dataset = palette(data, (256, 0, bits))
    dataset.PixelData = INDICES.view("<u2").astype(">u2").tobytes()
    dataset["PixelData"].VR = "OW"
    for name in NAMES:
        dataset[f"{name}PaletteColorLookupTableData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, force_encoding=True, little_endian=False, implicit_vr=False)
    pixels, _ = frame(buffer.getvalue())
    np.testing.assert_array_equal(pixels.reshape(256, 3), ENTRIES)


def segments(*parts, unit="<H"):
    return b"".join(struct.pack(unit, part) for part in parts)


RAMP = [0, 4, 10, 20, 30, 40, 1, 6, 100, 2, 1, 0, 0]
"""Four entries, a line of six more to 100, and the first segment once more (at byte 0)."""
RAMP_GIVES = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 10, 20, 30, 40]


@pytest.mark.parametrize(("bits", "factor"), [(16, 257), (16, 1), (8, 1)])
def test_segments_are_expanded(bits, factor):
    """A discrete, a linear and an indirect one, in words (PS3.3 C.7.9.2)."""
    parts = [p * factor if n in (2, 3, 4, 5, 8) else p for n, p in enumerate(RAMP)]
    indices = np.arange(14, dtype=np.uint8).reshape(2, 7)
    dataset = palette([segments(*parts)] * 3, (14, 0, bits), indices, "Segmented")
    pixels, _ = frame(dicom_bytes(dataset))
    assert pixels[..., 0].ravel().tolist() == RAMP_GIVES


def test_segments_of_bytes_are_expanded():
    data = segments(0, 4, 10, 20, 30, 40, 1, 6, 100, 2, 1, 0, 0, 0, 0, unit="B") + b"\0"
    indices = np.arange(14, dtype=np.uint8).reshape(2, 7)
    dataset = palette([data] * 3, (14, 0, 8), indices, "Segmented")
    pixels, _ = frame(dicom_bytes(dataset))
    assert pixels[..., 0].ravel().tolist() == RAMP_GIVES


@pytest.mark.parametrize(
    "parts",
    [
        [0, 4, 1, 2],  # fewer entries than it says
        [0, 3, 1, 2, 3],  # fewer than the descriptor says
        [0, 5, 1, 2, 3, 4, 5],  # more
        [1, 4, 9],  # a line from nowhere
        [2, 1, 0, 0],  # nothing to repeat
        [0, 1, 5, 2, 3, 6, 0],  # an indirect segment in an indirect one
        [0, 1, 5, 2, 9, 999, 9],  # beyond the data
        [7, 1, 1],
        [0, 0],
    ],
)
def test_segments_that_are_none_are_refused(parts):
    indices = np.zeros((2, 2), np.uint8)
    dataset = palette([segments(*parts)] * 3, (4, 0, 16), indices, "Segmented")
    assert refused(dataset).reason == FailureReason.HEADER_CONTRADICTS_PIXELS


@pytest.mark.parametrize("length", [2, 100, 254, 258, 300, 510, 514, 1024])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_table_of_another_length_is_refused(length, bits):
    failure = refused(palette([bytes(length)] * 3, (256, 0, bits)))
    assert failure.reason == FailureReason.HEADER_CONTRADICTS_PIXELS


@pytest.mark.parametrize(
    "keyword",
    ["RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
     "BluePaletteColorLookupTableData", "RedPaletteColorLookupTableData"],
)  # fmt: skip
def test_a_palette_without_a_table_is_refused(keyword):
    dataset = palette(tables(ENTRIES), (256, 0, 8))
    del dataset[keyword]
    failure = refused(dataset)
    assert (failure.reason, failure.detail) == (
        FailureReason.DECODE_FAILED, "palette without tables",
    )  # fmt: skip
