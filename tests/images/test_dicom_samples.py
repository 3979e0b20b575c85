"""Where in its word a sample lies, and what its full scale is; in every way of storing it."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import ReadingRules
from batch.demo.lesions import lesion_image
from batch.images import dicom_image
from batch.images.dicom_frames import decode_frame
from batch.images.dicom_parse import parse
from batch.images.dicom_samples import SampleBits, eight_bits, sample_bits, stored_values
from tests.support import encoded
from tests.support.archives import dermoscopic, dicom_bytes

PIXELS = lesion_image(4, 48, 64)
RULES = ReadingRules()


def frame(data: bytes):
    image = dicom_image.describe(parse(data, RULES.limits), RULES)
    return decode_frame(image, 0, RULES.limits)


def scaled(stored: int) -> np.ndarray:
    """PIXELS in so many bits, uint32; eight bits of them come back exactly."""
    return np.rint(PIXELS / 255 * (2**stored - 1)).astype(np.uint32)


def words(stored: int, high: int, allocated: int, rubbish: bool = False) -> np.ndarray:
    """The samples in their words; beside them nothing, or what an overlay leaves there."""
    shift = high + 1 - stored
    found = scaled(stored) << shift
    if rubbish:
        mask = ((2**stored - 1) << shift) ^ (2**allocated - 1)
        noise = np.random.default_rng(1).integers(0, 2**allocated, found.shape, dtype=np.uint64)
        found = found | (noise.astype(np.uint32) & np.uint32(mask))
    return found.astype(f"<u{allocated // 8}")


WORDS = [
    (8, 7, 8), (8, 7, 16), (8, 15, 16), (8, 11, 16), (8, 8, 16), (10, 9, 16), (12, 11, 16),
    (12, 15, 16), (12, 13, 16), (15, 15, 16), (16, 15, 16), (8, 7, 32), (8, 31, 32), (12, 19, 32),
    (16, 15, 32), (16, 31, 32), (24, 23, 32), (32, 31, 32),
]  # fmt: skip


@pytest.mark.parametrize("rubbish", [False, True], ids=["clean", "with rubbish beside it"])
@pytest.mark.parametrize("planes", [0, 1])
@pytest.mark.parametrize(("stored", "high", "allocated"), WORDS)
def test_native_samples_are_cut_out_of_their_words(stored, high, allocated, planes, rubbish):
    samples = words(stored, high, allocated, rubbish)
    ordered = samples.transpose(2, 0, 1) if planes else samples
    dataset = dermoscopic(
        PIXELS, BitsAllocated=allocated, BitsStored=stored, HighBit=high,
        PlanarConfiguration=planes, PixelData=np.ascontiguousarray(ordered).tobytes(),
    )  # fmt: skip
    pixels, flags = frame(dicom_bytes(dataset))
    np.testing.assert_array_equal(pixels, PIXELS)
    assert flags == (("was_16bit",) if stored > 8 else ())


@pytest.mark.parametrize(("stored", "high", "allocated"), [w for w in WORDS if w[2] <= 16])
def test_rle_samples_are_cut_out_of_their_words(stored, high, allocated):
    stream = encoded.rle_stream(words(stored, high, allocated, rubbish=True))
    dataset = encoded.wrapped(PIXELS, stream, RLELossless, BitsAllocated=allocated,
                              BitsStored=stored, HighBit=high)  # fmt: skip
    np.testing.assert_array_equal(frame(dicom_bytes(dataset))[0], PIXELS)


ENCODERS = {
    "jpeg lossless": (
        JPEGLosslessSV1,
        lambda p, bits: imagecodecs.jpeg_encode(p, lossless=True, bitspersample=bits),
    ),
    "jpeg-ls": (JPEGLSLossless, encoded.jpeg_ls_stream),
    "jpeg 2000": (JPEG2000Lossless, encoded.jpeg_2000_stream),
}

# bits stored, high bit, bits allocated, bits of the stream, shift in it: dcmtk 3.6.7 writes the
# first seven (dcmcjpls and dcmcjpeg, each in its raw and its cooked mode)
STREAMS = [
    (12, 11, 16, 16, 0),
    (8, 7, 16, 16, 0),
    (8, 15, 16, 16, 8),
    (12, 15, 16, 16, 4),
    (16, 15, 16, 16, 0),
    (12, 11, 16, 12, 0),
    (8, 7, 8, 8, 0),
    (12, 15, 16, 12, 0),  # the values alone, and the header of the words
    (8, 15, 16, 8, 0),
    (16, 15, 16, 12, 0),  # the header names the word
    (16, 15, 16, 8, 0),
    (16, 15, 16, 10, 0),
    (8, 7, 8, 12, 0),  # 8-bit values in a stream of more, as of a wider encoder
    (10, 9, 16, 12, 0),
]


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize(("stored", "high", "allocated", "precision", "shift"), STREAMS)
def test_the_smaller_of_stream_and_header_is_the_full_scale(
    kind, stored, high, allocated, precision, shift
):
    syntax, encode = ENCODERS[kind]
    samples = scaled(min(stored, precision)) << shift
    stream = encode(samples.astype(np.uint8 if precision <= 8 else np.uint16), precision)
    dataset = encoded.wrapped(PIXELS, stream, syntax, BitsAllocated=allocated, BitsStored=stored,
                              HighBit=high)  # fmt: skip
    np.testing.assert_array_equal(frame(dicom_bytes(dataset))[0], PIXELS)


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("shift", [8, 4])
def test_overlays_in_a_whole_word_are_cut_away(kind, shift):
    syntax, encode = ENCODERS[kind]
    stored = 16 - shift
    stream = encode(words(stored, stored - 1, 16, rubbish=True), 16)
    dataset = encoded.wrapped(PIXELS, stream, syntax, BitsAllocated=16, BitsStored=stored,
                              HighBit=stored - 1)  # fmt: skip
    np.testing.assert_array_equal(frame(dicom_bytes(dataset))[0], PIXELS)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("stored", [8, 12, 16])
def test_jpeg_xl_tells_its_bits(bits, stored):
    samples = scaled(min(bits, stored)).astype(np.uint8 if bits == 8 else np.uint16)
    stream = imagecodecs.jpegxl_encode(samples, lossless=True, bitspersample=bits)
    allocated = 8 if stored == 8 else 16
    data = encoded.jpeg_xl_bytes(PIXELS, stream, BitsAllocated=allocated, BitsStored=stored,
                                 HighBit=stored - 1)  # fmt: skip
    np.testing.assert_array_equal(frame(data)[0], PIXELS)


@pytest.mark.parametrize(
    ("precision", "stored", "high", "allocated"),
    [(12, 8, 7, 8), (12, 10, 9, 16), (10, 8, 7, 16), (12, 8, 15, 16)],
)
def test_a_stream_whose_values_the_header_has_no_room_for_is_refused(
    precision, stored, high, allocated
):
    stream = encoded.jpeg_ls_stream(scaled(precision).astype(np.uint16), precision)
    dataset = encoded.wrapped(PIXELS, stream, JPEGLSLossless, BitsAllocated=allocated,
                              BitsStored=stored, HighBit=high)  # fmt: skip
    with pytest.raises(ImageFailure) as failure:
        frame(dicom_bytes(dataset))
    assert failure.value.reason == FailureReason.HEADER_CONTRADICTS_PIXELS


@pytest.mark.parametrize(
    ("allocated", "stored", "high"),
    [(8, 16, 15), (8, 12, 11), (16, 12, 10), (16, 12, 16), (16, 0, 0), (32, 33, 32), (16, 8, 3)],
)
def test_a_header_whose_words_cannot_hold_its_samples_is_refused(allocated, stored, high):
    values = {"BitsAllocated": allocated, "BitsStored": stored, "HighBit": high}
    with pytest.raises(ImageFailure) as failure:
        sample_bits(values)
    assert failure.value.reason == FailureReason.HEADER_CONTRADICTS_PIXELS


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}, SampleBits(16, 12, 11)),
        ({"BitsAllocated": 16, "BitsStored": 12}, SampleBits(16, 12, 11)),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 0}, SampleBits(8, 8, 7)),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 15}, SampleBits(8, 8, 7)),
        ({"BitsAllocated": 16}, SampleBits(16, 16, 15)),
        ({}, SampleBits(8, 8, 7)),
    ],
)
def test_what_a_header_leaves_out_has_one_meaning(values, expected):
    assert sample_bits(values) == expected


@pytest.mark.parametrize("full", [8, 9, 12, 16, 17, 24, 32])
def test_the_ends_of_the_scale_are_black_and_white(full):
    kind = np.uint8 if full == 8 else np.uint16 if full <= 16 else np.uint32
    values = np.array([[[0, 2 ** (full - 1), 2**full - 1]]], kind)
    pixels, flags = eight_bits(values, full)
    assert pixels.tolist() == [[[0, 128, 255]]]
    assert flags == (() if full == 8 else ("was_16bit",))


@pytest.mark.parametrize("full", [1, 7, 33])
def test_fewer_or_more_bits_are_refused(full):
    with pytest.raises(ImageFailure) as failure:
        eight_bits(np.zeros((1, 1, 3), np.uint32), full)
    assert failure.value.reason == FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION


def test_stored_values_leaves_what_it_was_given_alone():
    samples = words(8, 15, 16)
    before = samples.copy()
    values, full = stored_values(samples, 16, SampleBits(16, 8, 15))
    assert full == 8
    np.testing.assert_array_equal(values, PIXELS)
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize("allocated", [8, 16])
@pytest.mark.parametrize("kind", ["native", "rle", "jpeg lossless", "jpeg-ls", "jpeg 2000"])
def test_signed_colours_are_refused_and_not_guessed(kind, allocated):
    samples = words(allocated, allocated - 1, allocated)
    changes = {"BitsAllocated": allocated, "BitsStored": allocated, "HighBit": allocated - 1,
               "PixelRepresentation": 1}  # fmt: skip
    if kind == "native":
        dataset = dermoscopic(PIXELS, PixelData=samples.tobytes(), **changes)
    elif kind == "rle":
        dataset = encoded.wrapped(PIXELS, encoded.rle_stream(samples), RLELossless, **changes)
    else:
        syntax, encode = ENCODERS[kind]
        dataset = encoded.wrapped(PIXELS, encode(samples, allocated), syntax, **changes)
    with pytest.raises(ImageFailure) as failure:
        frame(dicom_bytes(dataset))
    assert failure.value.reason == FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION
    assert failure.value.detail == "signed colours"


@pytest.mark.parametrize("stored", [8, 12, 16])
def test_big_endian_words_are_read_in_their_order(stored):
    dataset = dermoscopic(
        PIXELS, BitsAllocated=16, BitsStored=stored, HighBit=15,
        PixelData=words(stored, 15, 16).astype(">u2").tobytes(),
    )  # fmt: skip
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, force_encoding=True, little_endian=False, implicit_vr=False)
    np.testing.assert_array_equal(frame(buffer.getvalue())[0], PIXELS)


def wide(bits: int) -> np.ndarray:
    """A smooth picture that uses all of so many bits, with noise in the lowest of them."""
    noise = np.random.default_rng(2).integers(0, 2 ** (bits - 8), PIXELS.shape)
    return ((PIXELS.astype(np.uint32) << (bits - 8)) + noise).astype(f"<u{2 if bits <= 16 else 4}")


@pytest.mark.parametrize("kind", ["jpeg-ls", "jpeg 2000", "jpeg lossless"])
@pytest.mark.parametrize(("stored", "high"), [(8, 7), (10, 9), (12, 11), (14, 13), (15, 14)])
def test_a_stream_whose_picture_is_wider_than_its_header_is_scaled_by_the_stream(
    kind, stored, high
):
    syntax, encode = ENCODERS[kind]
    dataset = encoded.wrapped(PIXELS, encode(wide(16), 16), syntax, BitsAllocated=16,
                              BitsStored=stored, HighBit=high)  # fmt: skip
    pixels, flags = frame(dicom_bytes(dataset))
    assert np.abs(pixels.astype(int) - PIXELS).max() <= 1
    assert flags == ("was_16bit",)


@pytest.mark.parametrize("kind", ["native", "rle"])
@pytest.mark.parametrize("stored", [8, 10, 12, 14, 15])
def test_words_whose_picture_is_wider_than_their_header_are_refused(kind, stored):
    changes = {"BitsAllocated": 16, "BitsStored": stored, "HighBit": stored - 1}
    if kind == "native":
        dataset = dermoscopic(PIXELS, PixelData=wide(16).tobytes(), **changes)
    else:
        dataset = encoded.wrapped(PIXELS, encoded.rle_stream(wide(16)), RLELossless, **changes)
    with pytest.raises(ImageFailure) as failure:
        frame(dicom_bytes(dataset))
    assert failure.value.reason == FailureReason.HEADER_CONTRADICTS_PIXELS
    assert failure.value.detail == f"a picture of more than {stored} bits, as stored"


@pytest.mark.parametrize(("stored", "factor"), [(8, 256), (12, 256), (12, 16), (10, 257), (14, 4)])
def test_values_at_the_upper_end_of_their_words_are_not_cut_away(stored, factor):
    """As of a writer that shifts and leaves High Bit; 8 to 14 bits of picture, with few levels."""
    samples = (scaled(16) // factor * factor).astype("<u2")
    changes = {"BitsAllocated": 16, "BitsStored": stored, "HighBit": stored - 1}
    with pytest.raises(ImageFailure) as failure:
        frame(dicom_bytes(dermoscopic(PIXELS, PixelData=samples.tobytes(), **changes)))
    assert failure.value.reason == FailureReason.HEADER_CONTRADICTS_PIXELS
    stream = encoded.jpeg_ls_stream(samples, 16)
    pixels, _ = frame(dicom_bytes(encoded.wrapped(PIXELS, stream, JPEGLSLossless, **changes)))
    assert np.abs(pixels.astype(int) - PIXELS).max() <= 1


@pytest.mark.parametrize("stored", [8, 12, 15])
@pytest.mark.parametrize("bit", ["next", "highest"])
@pytest.mark.parametrize("overlay", ["text", "block", "all"])
def test_an_overlay_beside_the_picture_costs_nothing(stored, bit, overlay):
    drawn = np.zeros(PIXELS.shape, np.uint16)
    drawn[{"text": np.s_[4:20:2, 4:40:3], "block": np.s_[8:30, 8:50], "all": np.s_[:]}[overlay]] = 1
    samples = words(stored, stored - 1, 16) | (drawn << (stored if bit == "next" else 15))
    dataset = dermoscopic(PIXELS, BitsAllocated=16, BitsStored=stored, HighBit=stored - 1,
                          PixelData=samples.astype("<u2").tobytes())  # fmt: skip
    np.testing.assert_array_equal(frame(dicom_bytes(dataset))[0], PIXELS)
