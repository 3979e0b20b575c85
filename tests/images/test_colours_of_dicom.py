"""Colours against the originals, not only "it decodes": a wrong colour is a wrong score."""

from __future__ import annotations

import numpy as np
import pytest

from batch.core.rules import ReadingRules
from batch.demo.lesions import lesion_image
from batch.images import dicom_image
from batch.images.dicom_frames import decode_frame
from batch.images.dicom_parse import parse
from tests.support import encoded
from tests.support.archives import dermoscopic, dicom_bytes
from tests.tools import matrix

PIXELS = lesion_image(4, 96, 128)
RULES = ReadingRules()


def frame(data: bytes, index: int = 0):
    image = dicom_image.describe(parse(data, RULES.limits), RULES)
    return decode_frame(image, index, RULES.limits)


@pytest.mark.parametrize("kind", encoded.LOSSLESS)
def test_lossless_kinds_come_back_as_they_were(kind):
    pixels, flags = frame(dicom_bytes(encoded.LOSSLESS[kind](PIXELS)))
    np.testing.assert_array_equal(pixels, PIXELS)
    assert flags == ()


def test_jpeg_xl_comes_back_as_it_was():
    np.testing.assert_array_equal(frame(encoded.jpeg_xl_bytes(PIXELS))[0], PIXELS)


@pytest.mark.parametrize("kind", encoded.LOSSY)
def test_lossy_kinds_come_back_in_their_colours(kind):
    pixels, _ = frame(dicom_bytes(encoded.LOSSY[kind](PIXELS)))
    difference = np.abs(pixels.astype(int) - PIXELS)
    assert difference.mean() < 4
    assert np.abs(pixels.mean(axis=(0, 1)) - PIXELS.mean(axis=(0, 1))).max() < 2


def test_uncompressed_ybr_is_converted_exactly_once():
    pixels, _ = frame(dicom_bytes(encoded.ybr_native(PIXELS)))
    assert np.abs(pixels.astype(int) - PIXELS).max() <= 3


def test_a_codec_that_undid_its_transform_is_not_converted_again():
    """JPEG 2000 with its own transform, labelled YBR_FULL: the stream has the word."""
    dataset = encoded.LOSSLESS["jpeg 2000, transformed"](PIXELS)
    dataset.PhotometricInterpretation = "YBR_FULL"
    np.testing.assert_array_equal(frame(dicom_bytes(dataset))[0], PIXELS)


def _palette(bits: int, entries: np.ndarray, indices: np.ndarray):
    dataset = dermoscopic(PIXELS, PhotometricInterpretation="PALETTE COLOR", SamplesPerPixel=1,
                          PlanarConfiguration=None)  # fmt: skip
    dataset.Rows, dataset.Columns = indices.shape
    dataset.PixelData = indices.tobytes()
    for name, channel in zip(("Red", "Green", "Blue"), entries.T, strict=True):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [len(entries), 0, bits])
        words = channel.astype("<u2" if bits == 16 else "u1").tobytes()
        setattr(dataset, f"{name}PaletteColorLookupTableData", words)
    return dataset


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_gives_the_colours_of_its_tables(bits):
    entries = np.random.default_rng(1).integers(0, 256, (256, 3))
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    table = entries * 257 if bits == 16 else entries
    pixels, flags = frame(dicom_bytes(_palette(bits, table, indices)))
    np.testing.assert_array_equal(pixels.reshape(256, 3), entries)
    assert flags == ("palette",)


def test_frames_beyond_the_declared_number_are_not_read_but_said():
    dataset = dermoscopic(PIXELS)
    dataset.PixelData = np.stack([PIXELS, PIXELS[::-1]]).tobytes()
    pixels, flags = frame(dicom_bytes(dataset))
    np.testing.assert_array_equal(pixels, PIXELS)
    assert flags == ("frames_beyond_declared",)


# Pictures that pydicom ships in several encodings: each is compared with the uncompressed one.
TWINS = {
    "SC_rgb.dcm": {
        "SC_rgb_2frame.dcm": 0, "SC_rgb_expb.dcm": 0, "SC_rgb_rle.dcm": 0,
        "SC_rgb_rle_2frame.dcm": 0, "SC_rgb_16bit.dcm": 1, "SC_rgb_rle_16bit.dcm": 1,
        "SC_rgb_32bit.dcm": 1, "SC_rgb_rle_32bit.dcm": 1, "SC_rgb_jpeg_gdcm.dcm": 0,
        "SC_rgb_gdcm_KY.dcm": 1, "SC_ybr_full_uncompressed.dcm": 2,
        "SC_rgb_jpeg_dcmtk.dcm": 12, "SC_rgb_jpeg_lossy_gdcm.dcm": 12,
        "SC_rgb_dcmtk_+eb+cr.dcm": 12,
        "SC_rgb_dcmtk_+eb+cy+n1.dcm": 12, "SC_rgb_dcmtk_+eb+cy+np.dcm": 12,
        "SC_rgb_jls_lossy_line.dcm": 12, "SC_rgb_jls_lossy_sample.dcm": 12,
    },
    "OBXXXX1A.dcm": {"OBXXXX1A_rle.dcm": 0, "OBXXXX1A_2frame.dcm": 0, "OBXXXX1A_rle_2frame.dcm": 0},
    "US1_UNCR.dcm": {"US1_J2KR.dcm": 0, "examples_jpeg2k.dcm": 0},
}  # fmt: skip


def shipped(name: str) -> bytes:
    for folder in matrix.SHIPPED:
        for path in folder.rglob(name):
            return path.read_bytes()
    pytest.skip(f"neither pydicom nor pydicom-data ships {name} here")


@pytest.mark.parametrize(
    ("original", "name", "tolerance"),
    [(original, name, t) for original, names in TWINS.items() for name, t in names.items()],
)
def test_a_picture_of_another_maker_has_the_colours_of_its_uncompressed_twin(
    original, name, tolerance
):
    expected, _ = frame(shipped(original))
    found, _ = frame(shipped(name))
    assert found.shape == expected.shape
    assert np.median(np.abs(found.astype(int) - expected)) <= tolerance
    assert np.abs(found.astype(int) - expected).mean() <= max(tolerance, 1e-9)


def test_every_colour_image_that_pydicom_ships_is_decoded_but_those_named():
    found, _ = matrix.matrix(matrix.SHIPPED)
    colour = {name: r for name, r in found.items() if not r[2].startswith("not_colour")}
    failed = {name for name, result in colour.items() if result[2] != "decoded"}
    assert failed <= set(matrix.EXPECTED_FAILURES)
    assert len(colour) - len(failed) >= 25
