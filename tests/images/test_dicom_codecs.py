"""Compressed frames: the stream has the word, whatever the object's header says of planes."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import (
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import ReadingRules
from batch.demo import dicom_writer
from batch.demo.lesions import lesion_image
from batch.images import dicom_codecs, dicom_image
from batch.images.dicom_frames import decode_frame
from batch.images.dicom_parse import parse
from batch.images.stream_headers import jpeg_2000_header, jpeg_xl_header
from tests.support import encoded
from tests.support.archives import dicom_bytes

PIXELS = lesion_image(4, 48, 64)
WIDE = PIXELS.astype(np.uint16) * 257
RULES = ReadingRules()
PROGRESSIVE, SPECTRAL = UID("1.2.840.10008.1.2.4.55"), UID("1.2.840.10008.1.2.4.53")


def frame(data: bytes):
    image = dicom_image.describe(parse(data, RULES.limits), RULES)
    return decode_frame(image, 0, RULES.limits)


def failure_of(data: bytes) -> ImageFailure:
    with pytest.raises(ImageFailure) as failure:
        frame(data)
    return failure.value


def lossless_jpeg(pixels: np.ndarray) -> bytes:
    return imagecodecs.jpeg_encode(pixels, lossless=True, bitspersample=8 * pixels.itemsize)


STREAMS = {
    "jpeg lossless": (lossless_jpeg(PIXELS), JPEGLosslessSV1, "RGB"),
    "jpeg-ls by pixel": (encoded.jpeg_ls_stream(PIXELS, 8, 2), JPEGLSLossless, "RGB"),
    "jpeg-ls by line": (encoded.jpeg_ls_stream(PIXELS, 8, 1), JPEGLSLossless, "RGB"),
    "jpeg-ls by plane": (encoded.jpeg_ls_stream(PIXELS, 8, 0), JPEGLSLossless, "RGB"),
    "jpeg 2000": (encoded.jpeg_2000_stream(PIXELS, 8), JPEG2000Lossless, "YBR_RCT"),
    "htj2k": (imagecodecs.htj2k_encode(PIXELS), HTJ2KLossless, "RGB"),
    "rle": (encoded.rle_stream(PIXELS), RLELossless, "RGB"),
    "jpeg": (dicom_writer.jpeg_bytes(PIXELS, 100), JPEGBaseline8Bit, "YBR_FULL_422"),
}


@pytest.mark.parametrize("planes", [0, 1, None])
@pytest.mark.parametrize("kind", STREAMS)
def test_planar_configuration_is_for_uncompressed_data_only(kind, planes):
    stream, syntax, photometric = STREAMS[kind]
    dataset = encoded.wrapped(PIXELS, stream, syntax, photometric, PlanarConfiguration=planes)
    pixels, _ = frame(dicom_bytes(dataset))
    tolerance = 12 if kind == "jpeg" else 0
    assert np.abs(pixels.astype(int) - PIXELS).mean() <= tolerance / 6
    if not tolerance:
        np.testing.assert_array_equal(pixels, PIXELS)


@pytest.mark.parametrize("planes", [0, 1])
def test_planar_configuration_is_nothing_to_jpeg_xl(planes):
    data = encoded.jpeg_xl_bytes(PIXELS, PlanarConfiguration=planes)
    np.testing.assert_array_equal(frame(data)[0], PIXELS)


@pytest.mark.parametrize("photometric", ["XYB", "RGB"])
def test_jpeg_xl_in_its_own_colours_is_rgb_when_decoded(photometric):
    stream = imagecodecs.jpegxl_encode(PIXELS, distance=0.5)
    pixels, _ = frame(encoded.jpeg_xl_bytes(PIXELS, stream, photometric))
    difference = np.abs(pixels.astype(int) - PIXELS)
    assert difference.mean() < 3
    assert np.abs(pixels.mean(axis=(0, 1)) - PIXELS.mean(axis=(0, 1))).max() < 1


@pytest.mark.parametrize("kind", ["jpeg 2000", "jpeg-ls by pixel", "rle", "jpeg"])
def test_its_colours_under_any_other_syntax_are_called_unsupported(kind):
    stream, syntax, _ = STREAMS[kind]
    failure = failure_of(dicom_bytes(encoded.wrapped(PIXELS, stream, syntax, "XYB")))
    assert failure.reason == FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION


def progressive() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", quality=95, progressive=True, subsampling=0)
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", [PROGRESSIVE, SPECTRAL, JPEGBaseline8Bit])
def test_progressive_jpeg_is_decoded(syntax):
    dataset = encoded.wrapped(PIXELS, progressive(), syntax, "YBR_FULL")
    pixels, flags = frame(dicom_bytes(dataset))
    with Image.open(io.BytesIO(progressive())) as image:
        np.testing.assert_array_equal(pixels, np.asarray(image))
    assert "lossy" in flags


def test_progressive_jpeg_that_is_cut_off_is_damaged_and_not_filled_up():
    dataset = encoded.wrapped(PIXELS, progressive()[:-300] + b"\xff\xd9", PROGRESSIVE, "YBR_FULL")
    assert failure_of(dicom_bytes(dataset)).reason == FailureReason.DECODE_FAILED


@pytest.mark.parametrize("number", [52, 54, 56, 58, 59, 65, 92, 100, 102, 107])
def test_what_no_decoder_here_reads_is_called_unsupported(number):
    syntax = UID(f"1.2.840.10008.1.2.4.{number}")
    dataset = encoded.wrapped(PIXELS, b"\xff\xd8\xff\xc9 something else", syntax)
    assert failure_of(dicom_bytes(dataset)).reason == FailureReason.UNSUPPORTED_TRANSFER_SYNTAX


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("bits", [8, 16])
def test_lossless_jpeg_holds_raw_samples_and_the_header_says_which(syntax, photometric, bits):
    raw = pydicom.pixels.convert_color_space(PIXELS, "RGB", photometric)
    samples = raw if bits == 8 else raw.astype(np.uint16) * 257
    dataset = encoded.wrapped(PIXELS, lossless_jpeg(samples), syntax, photometric,
                              BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1)  # fmt: skip
    pixels, _ = frame(dicom_bytes(dataset))
    assert np.abs(pixels.astype(int) - PIXELS).max() <= (0 if photometric == "RGB" else 2)


JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"


@pytest.mark.parametrize("marker", [JFIF, ADOBE + b"\0", ADOBE + b"\1", JFIF + ADOBE + b"\0"])
@pytest.mark.parametrize("pixels", [PIXELS, WIDE], ids=["8 bits", "16 bits"])
def test_markers_of_colour_change_no_sample_of_lossless_jpeg(marker, pixels):
    stream = lossless_jpeg(pixels)
    assert stream[2:4] == b"\xff\xee"  # an Adobe marker is there, and makes way
    stream = stream[:2] + marker + stream[18:]
    np.testing.assert_array_equal(dicom_codecs.decode_jpeg_lossless(stream).samples, pixels)


@pytest.mark.parametrize("predictor", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("pixels", [PIXELS, WIDE], ids=["8 bits", "16 bits"])
def test_every_predictor_of_lossless_jpeg(predictor, pixels):
    stream = imagecodecs.jpeg_encode(
        pixels, lossless=True, predictor=predictor, bitspersample=8 * pixels.itemsize
    )
    decoded = dicom_codecs.decode_jpeg_lossless(stream)
    np.testing.assert_array_equal(decoded.samples, pixels)
    assert decoded.precision == 8 * pixels.itemsize


@pytest.mark.parametrize("bits", [8, 9, 12, 16])
@pytest.mark.parametrize("kind", ["black", "white", "black below", "noise", "two values"])
def test_sound_lossless_jpeg_is_never_taken_for_damaged(kind, bits):
    """Where much is equal, the last codes are short, and alike."""
    chance = np.random.default_rng(bits)
    for rows, columns in ((1, 1), (1, 5), (7, 1), (9, 14), (30, 41)):
        shape, top = (rows, columns, 3), 2**bits - 1
        pixels = {
            "black": np.zeros(shape), "white": np.full(shape, top),
            "black below": chance.integers(0, top + 1, shape) * (np.arange(rows) < rows // 2)[
                :, None, None],
            "noise": chance.integers(0, top + 1, shape),
            "two values": chance.integers(0, 2, shape) * top,
        }[kind].astype(np.uint8 if bits == 8 else np.uint16)  # fmt: skip
        for predictor in (1, 4, 7):
            stream = imagecodecs.jpeg_encode(
                pixels, lossless=True, bitspersample=bits, predictor=predictor
            )
            np.testing.assert_array_equal(dicom_codecs.decode_jpeg_lossless(stream).samples, pixels)


def test_lossless_jpeg_of_one_component():
    decoded = dicom_codecs.decode_jpeg_lossless(lossless_jpeg(np.ascontiguousarray(PIXELS[..., 0])))
    np.testing.assert_array_equal(decoded.samples, PIXELS[..., 0])


@pytest.mark.parametrize("pixels", [PIXELS, WIDE], ids=["8 bits", "16 bits"])
def test_damaged_lossless_jpeg_is_refused_where_it_can_be_told(pixels):
    """Bytes lost or doubled: every decoder here fills up, or goes on with what it takes for codes.

    A changed bit that leaves the lengths of all codes as they are cannot be told from an image.
    """
    sound = lossless_jpeg(pixels)
    scan = sound.index(b"\xff\xda") + 14
    places = range(scan + 3, len(sound) - 20, 97)
    scored = 0
    for place in places:
        for mutant in (
            sound[:place] + sound[place + 9 :],
            sound[:place] + sound[place - 40 : place] + sound[place:],
            sound[:place] + b"\xff\xd9",
        ):
            try:
                dicom_codecs.decode_jpeg_lossless(mutant)
                scored += 1
            except Exception:  # each library has its own
                continue
    assert len(places) > 20
    assert scored <= len(places) * 3 // 100


@pytest.mark.parametrize("segments", [1, 2, 4, 6])
def test_rle_of_another_number_of_planes_is_refused(segments):
    stream = segments.to_bytes(4, "little") + STREAMS["rle"][0][4:]
    failure = failure_of(dicom_bytes(encoded.wrapped(PIXELS, stream, RLELossless)))
    assert failure.reason == FailureReason.HEADER_CONTRADICTS_PIXELS


@pytest.mark.parametrize("kind", ["jpeg lossless", "jpeg-ls by pixel", "jpeg 2000", "rle"])
def test_grey_streams_under_a_header_of_colours_are_refused(kind):
    grey = np.ascontiguousarray(PIXELS[..., 1])
    encode = {
        "jpeg lossless": lossless_jpeg,
        "jpeg-ls by pixel": lambda p: bytes(imagecodecs.jpegls_encode(p)),
        "jpeg 2000": lambda p: imagecodecs.jpeg2k_encode(p, level=0, codecformat="j2k"),
        "rle": lambda p: b"\1\0\0\0" + STREAMS["rle"][0][4:],
    }[kind]
    dataset = encoded.wrapped(PIXELS, encode(grey), STREAMS[kind][1])
    assert failure_of(dicom_bytes(dataset)).reason == FailureReason.HEADER_CONTRADICTS_PIXELS


@pytest.mark.parametrize("kind", [kind for kind in STREAMS if kind != "rle"])
def test_a_stream_in_colour_is_not_called_grey(kind):
    stream, syntax, _ = STREAMS[kind]
    dataset = encoded.wrapped(PIXELS, stream, syntax, "MONOCHROME2", SamplesPerPixel=1)
    failure = failure_of(dicom_bytes(dataset))
    assert failure.reason == FailureReason.HEADER_CONTRADICTS_PIXELS
    assert "greyscale by the header" in failure.detail


@pytest.mark.parametrize(
    ("photometric", "samples", "reason"),
    [
        ("MONOCHROME2", 1, FailureReason.NOT_COLOUR),
        ("MONOCHROME1", 1, FailureReason.NOT_COLOUR),
        ("", 1, FailureReason.NOT_COLOUR),
        ("MONOCHROME2", 3, FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION),
        ("HSV", 1, FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION),
        ("HSV", 3, FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION),
        ("RGB", 1, FailureReason.HEADER_CONTRADICTS_PIXELS),
        ("YBR_FULL", 4, FailureReason.HEADER_CONTRADICTS_PIXELS),
        ("PALETTE COLOR", 3, FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION),
    ],
)
def test_grey_is_said_only_of_grey(photometric, samples, reason):
    dataset = encoded.LOSSLESS["native"](PIXELS)
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = photometric, samples
    assert failure_of(dicom_bytes(dataset)).reason == reason


def test_a_palette_in_a_lossy_stream_is_called_unsupported():
    dataset = encoded.wrapped(PIXELS, STREAMS["jpeg"][0], JPEGBaseline8Bit, "PALETTE COLOR",
                              SamplesPerPixel=1)  # fmt: skip
    failure = failure_of(dicom_bytes(dataset))
    assert failure.reason == FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize(("rows", "columns"), [(48, 64), (47, 61), (8, 8)])
def test_headers_of_streams_tell_size_and_bits(bits, rows, columns):
    pixels = lesion_image(1, rows, columns)
    samples = pixels if bits == 8 else pixels.astype(np.uint16) << (bits - 8)
    header = jpeg_xl_header(imagecodecs.jpegxl_encode(samples, lossless=True, bitspersample=bits))
    assert (header.rows, header.columns, header.precision) == (rows, columns, bits)
    if rows > 32:
        header_2000 = jpeg_2000_header(encoded.jpeg_2000_stream(samples, bits))
        assert (header_2000.rows, header_2000.columns) == (rows, columns)
        assert (header_2000.precision, header_2000.components) == (bits, 3)


def test_jpeg_xl_of_floating_point_numbers_is_refused():
    stream = imagecodecs.jpegxl_encode((PIXELS / 255).astype(np.float32), lossless=True)
    assert jpeg_xl_header(stream).precision == 0
    failure = failure_of(encoded.jpeg_xl_bytes(PIXELS, stream))
    assert failure.reason == FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION


def test_jpeg_xl_with_an_animation_is_called_unsupported():
    stream = imagecodecs.jpegxl_encode(np.stack([PIXELS] * 2), lossless=True)
    failure = failure_of(encoded.jpeg_xl_bytes(PIXELS, stream))
    assert failure.reason == FailureReason.UNSUPPORTED_TRANSFER_SYNTAX


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("is_progressive", [False, True])
def test_lossy_jpeg_under_a_lossless_syntax_is_read_as_under_its_own(
    syntax, photometric, subsampling, is_progressive
):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(
        buffer, "JPEG", quality=95, subsampling=subsampling, progressive=is_progressive
    )
    wrapped = encoded.wrapped(PIXELS, buffer.getvalue(), syntax, photometric)
    pixels, flags = frame(dicom_bytes(wrapped))
    own = encoded.wrapped(PIXELS, buffer.getvalue(), JPEGBaseline8Bit, photometric)
    np.testing.assert_array_equal(pixels, frame(dicom_bytes(own))[0])
    assert np.abs(pixels.astype(int) - np.asarray(Image.open(buffer))).max() <= 1
    assert "lossy" in flags


def test_a_palette_in_a_lossy_stream_under_a_lossless_syntax_is_called_unsupported():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[..., 0]).save(buffer, "JPEG")
    dataset = encoded.wrapped(PIXELS, buffer.getvalue(), JPEGLosslessSV1, "PALETTE COLOR",
                              SamplesPerPixel=1)  # fmt: skip
    failure = failure_of(dicom_bytes(dataset))
    assert failure.reason == FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION
    assert failure.detail == "a palette's numbers, lossy"
