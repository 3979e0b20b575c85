import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import Limits
from batch.images import jpeg_headers
from batch.images.formats import FileFormat
from batch.images.jpeg_headers import JpegHeader, StreamColour
from batch.images.raster import decode
from tests.support import jpeg_writer as writer

RED = np.full((32, 32, 3), (255, 0, 0), np.uint8)


def header(
    ids=(1, 2, 3), sampling=((1, 1),) * 3, jfif=False, adobe=None, process=0xC0
) -> JpegHeader:
    return JpegHeader(8, 8, 8, ids, sampling, jfif, adobe, (), process)


@pytest.mark.parametrize(
    ("given_header", "photometric", "expected"),
    [
        (header(ids=(82, 71, 66)), None, (StreamColour.RGB, False)),
        (header(ids=(82, 71, 66)), "YBR_FULL_422", (StreamColour.RGB, False)),
        (header(ids=(82, 71, 66), jfif=True), None, (StreamColour.YCBCR, True)),
        (header(ids=(82, 71, 66), jfif=True), "YBR_FULL_422", (StreamColour.YCBCR, True)),
        (header(ids=(82, 71, 66), jfif=True), "RGB", (StreamColour.RGB, True)),
        (header(ids=(82, 71, 66), adobe=1), None, (StreamColour.YCBCR, True)),
        (header(ids=(82, 71, 66), adobe=1), "RGB", (StreamColour.RGB, True)),
        (header(ids=(82, 71, 66), adobe=0), "YBR_FULL", (StreamColour.RGB, False)),
        (header(adobe=0), "YBR_FULL", (StreamColour.RGB, False)),
        (header(adobe=0), None, (StreamColour.RGB, False)),
        (header(adobe=1), "RGB", (StreamColour.YCBCR, False)),
        (header(adobe=2), None, (StreamColour.YCBCR, False)),
        (header(adobe=0, jfif=True), None, (StreamColour.YCBCR, True)),
        (header(adobe=0, jfif=True), "RGB", (StreamColour.YCBCR, True)),
        (header(jfif=True), "RGB", (StreamColour.YCBCR, False)),
        (header(sampling=((2, 2), (1, 1), (1, 1))), "RGB", (StreamColour.YCBCR, False)),
        (header(), "RGB", (StreamColour.RGB, True)),
        (header(), "YBR_FULL", (StreamColour.YCBCR, False)),
        (header(), None, (StreamColour.YCBCR, False)),
        (header(process=jpeg_headers.LOSSLESS), None, (StreamColour.RGB, False)),
        (header(ids=(1,), sampling=((1, 1),)), "RGB", (StreamColour.GREY, False)),
        (header(ids=(1, 2, 3, 4), sampling=((1, 1),) * 4), None, (StreamColour.FOUR, False)),
    ],
)
def test_the_first_rule_that_applies_decides_the_colour(given_header, photometric, expected):
    assert jpeg_headers.stream_colour(given_header, photometric) == expected


def _saved(pixels, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


JFIF, ADOBE = b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00", b"Adobe\x00\x64\x00\x00\x00\x00"
COLOUR = np.full((32, 32, 3), (200, 60, 30), np.uint8)


def marked(jfif: bool, adobe: int | None, ids: tuple[int, ...], subsampling: int) -> bytes:
    """A picture in YCbCr, whatever its marks say."""
    data = writer.saved(COLOUR, subsampling=subsampling)
    parts = [b"\xff\xd8"]
    parts += [writer.segment(0xE0, JFIF)] if jfif else []
    parts += [] if adobe is None else [writer.segment(0xEE, ADOBE + bytes([adobe]))]
    for marker, start, end in jpeg_headers.read_header(data).segments:
        body = bytearray(data[start:end])
        if marker == 0xC0:
            body[10::3] = bytes(ids)
        elif marker == 0xDA:
            body[5:11:2] = bytes(ids)
        parts += [bytes(body)] if marker != 0xE0 else []
    return b"".join(parts) + data[writer.scan_start(data) :]


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("ids", [(1, 2, 3), (82, 71, 66), (0, 1, 2), (34, 35, 36)], ids=str)
@pytest.mark.parametrize("adobe", [None, 0, 1, 2])
@pytest.mark.parametrize("jfif", [False, True])
def test_a_plain_file_has_the_colours_that_libjpeg_gives_it(jfif, adobe, ids, subsampling):
    data = marked(jfif, adobe, ids, subsampling)
    expected = writer.pillow_pixels(data)
    found = decode(data, FileFormat.JPEG, Limits())
    np.testing.assert_array_equal(found.pixels, expected)
    is_ycbcr = np.abs(expected.astype(int) - COLOUR).max() <= 4
    assert is_ycbcr == (jfif or (adobe or 0) > 0 or (adobe is None and ids != (82, 71, 66)))


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
def test_jfif_wins_over_adobes_transform_0_in_dicom_too(photometric):
    data = marked(True, 0, (1, 2, 3), 0)
    found = decode(data, FileFormat.JPEG, Limits(), photometric_interpretation=photometric)
    assert np.abs(found.pixels.astype(int) - COLOUR).max() <= 4
    assert "colour_ambiguous" in found.flags


def _without(data: bytes, markers: set[int]) -> bytes:
    found = jpeg_headers.read_header(data)
    kept = [data[s:e] for m, s, e in found.segments if m not in markers]
    return data[:2] + b"".join(kept) + data[found.segments[-1][2] :]


def test_the_header_of_a_real_jpeg_is_read():
    found = jpeg_headers.read_header(_saved(np.zeros((30, 50, 3), np.uint8), subsampling=2))
    assert (found.rows, found.columns, found.precision) == (30, 50, 8)
    assert found.component_ids == (1, 2, 3)
    assert found.subsampled
    assert found.has_jfif
    assert found.adobe_transform is None


def test_a_stream_that_libjpeg_would_read_wrongly_is_decoded_in_its_own_colours():
    """RGB samples without any marker: libjpeg guesses YCbCr, the DICOM header knows better."""
    stored = _without(_saved(RED, keep_rgb=True), {0xEE})
    plain = stored.replace(b"R\x11", b"\x01\x11").replace(b"G\x11", b"\x02\x11")
    plain = plain.replace(b"B\x11", b"\x03\x11")
    sos = jpeg_headers.read_header(plain).segments[-1]
    scan = plain[sos[1] : sos[2]].replace(b"R", b"\x01").replace(b"G", b"\x02")
    plain = plain[: sos[1]] + scan.replace(b"B", b"\x03") + plain[sos[2] :]
    decoded = decode(plain, FileFormat.JPEG, Limits(), photometric_interpretation="RGB")
    assert "colour_ambiguous" in decoded.flags
    assert np.abs(decoded.pixels.astype(int) - RED).max() <= 3
    assert np.abs(np.asarray(Image.open(io.BytesIO(plain))).astype(int) - RED).max() > 100


@pytest.mark.parametrize("subsampling", [0, 2])
def test_an_ordinary_stream_is_left_as_it_is(subsampling):
    data = _saved(RED, subsampling=subsampling)
    assert (
        jpeg_headers.state_colour(data, jpeg_headers.read_header(data), StreamColour.YCBCR) is data
    )


def test_a_jpeg_without_frame_header_is_a_reason():
    with pytest.raises(ImageFailure) as failure:
        jpeg_headers.read_header(b"\xff\xd8\xff\xd9")
    assert failure.value.reason == FailureReason.DECODE_FAILED


@given(st.binary(max_size=300))
def test_any_bytes_give_a_header_or_a_reason(tail):
    try:
        found = jpeg_headers.read_header(b"\xff\xd8" + tail)
    except ImageFailure:
        return
    assert all(0 <= s < e <= len(tail) + 2 for _, s, e in found.segments)
