"""Sound pictures whose headers have faults: libjpeg's pixels, whatever it warns of."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from batch.core.errors import ImageFailure
from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images import jpeg_repair
from batch.images.formats import HEAD_BYTES, FileFormat, sniff
from batch.images.raster import decode
from tests.support.jpeg_writer import encode, pillow_pixels, replaced, saved, scan_start, segment

PIXELS = lesion_image(1, 90, 120)
SOUND = saved(PIXELS)
PROGRESSIVE = saved(PIXELS, progressive=True)
RESTARTS = saved(PIXELS, restart_marker_rows=1)
ODD = encode(PIXELS, ((4, 2), (1, 1), (1, 1)))
CMYK = saved(PIXELS, "CMYK")
EXPECTED = pillow_pixels(SOUND)
START = scan_start(SOUND)
TABLES = SOUND.index(b"\xff\xdb")


def with_parameters(*octets: int) -> bytes:
    return SOUND[: START - 3] + bytes(octets) + SOUND[START:]


def with_first(*segments: bytes) -> bytes:
    return SOUND[:2] + b"".join(segments) + SOUND[2:]


def icc(number: int, count: int) -> bytes:
    return segment(0xE2, b"ICC_PROFILE\x00" + bytes([number, count]) + b"x" * 20)


def pictures(directory: bytes) -> bytes:
    return segment(0xE2, b"MPF\x00" + directory)


def mpf(*entries: bytes) -> bytes:
    """A directory of several pictures (CIPA DC-007), with these entries."""
    head = b"II*\x00\x08\x00\x00\x00" + len(entries).to_bytes(2, "little")
    return pictures(head + b"".join(entries) + bytes(4) + b"\xff" * 32)


VERSION = b"\x00\xb0\x07\x00\x04\x00\x00\x000100"
TWO = b"\x01\xb0\x04\x00\x01\x00\x00\x00\x02\x00\x00\x00"
OUTSIDE = b"\x02\xb0\x07\x00\x20\x00\x00\x00\x32\x00\x00\x00"

FAULTS = {
    "scan of coefficient 0": with_parameters(0, 0, 0),
    "scan from 1": with_parameters(1, 63, 0),
    "scan to 64": with_parameters(0, 64, 0),
    "scan with approximation": with_parameters(0, 63, 0x21),
    "profile chunk 1 of 3": with_first(icc(1, 3)),
    "profile chunks out of order": with_first(icc(2, 2), icc(1, 2)),
    "profile chunk twice": with_first(icc(1, 2), icc(1, 2)),
    "profile chunk 0": with_first(icc(0, 1)),
    "profile of 0 chunks": with_first(icc(1, 0)),
    "profile chunk 3 of 2": with_first(icc(1, 2), icc(3, 2)),
    "profile of two opinions": with_first(icc(1, 2), icc(2, 3)),
    "profile cut before its numbers": with_first(segment(0xE2, b"ICC_PROFILE\x00")),
    "stray bytes": SOUND[:TABLES] + b"\x00\x01\x02" + SOUND[TABLES:],
    "stray bytes at the start": SOUND[:2] + bytes(3) + SOUND[2:],
    "stray bytes before the scan": SOUND.replace(b"\xff\xda", b"stray\xff\xda"),
    "fill bytes": SOUND[:2] + b"\xff" * 9 + SOUND[2:TABLES] + b"\xff" * 5 + SOUND[TABLES:],
    "a reserved marker": SOUND[:TABLES] + b"\xff\x02" + SOUND[TABLES:],
    "a restart marker": SOUND[:TABLES] + b"\xff\xd0" + SOUND[TABLES:],
    "JFIF of another revision": replaced(
        SOUND, 0xE0, b"JFIF\x00\x02\x01\x00\x00\x01\x00\x01\x00\x00"
    ),
    "JFIF cut short": replaced(SOUND, 0xE0, b"JFIF\x00\x01"),
    "unknown Adobe transform": replaced(SOUND, 0xE0, b"Adobe\x00\x64\x00\x00\x00\x00\x07"),
    "zeros before the end": SOUND[:-2] + bytes(3000) + SOUND[-2:],
    "many zeros before the end": SOUND[:-2] + bytes(300_000) + SOUND[-2:],
    "one zero before the end": SOUND[:-2] + bytes(1) + SOUND[-2:],
    "fill bytes before the end": SOUND[:-2] + b"\xff" * 3000 + SOUND[-2:],
    "spaces before the end": SOUND[:-2] + b" " * 3000 + SOUND[-2:],
    "junk after the end": SOUND + bytes(range(256)) * 40,
    "another picture after the end": SOUND + saved(255 - PIXELS),
    "broken EXIF": with_first(segment(0xE1, b"Exif\x00\x00II*\x00\xff\xff\xff\xff")),
    "no EXIF in EXIF": with_first(segment(0xE1, b"Exif\x00\x00")),
    "broken XMP": with_first(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00<x:xmp")),
    "broken Photoshop": with_first(segment(0xED, b"Photoshop 3.0\x008BIM\x04")),
    "Photoshop cut": with_first(
        segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\x00\x00\x00\x00\x00\x02ab")
    ),
    "no directory of pictures": with_first(pictures(b"")),
    "directory of pictures without a number": with_first(mpf(VERSION)),
    "directory of pictures without entries": with_first(mpf(VERSION, TWO)),
    "directory of pictures, pointing outside": with_first(mpf(VERSION, TWO, OUTSIDE)),
    "empty segments": with_first(*(segment(marker, b"") for marker in range(0xE0, 0xF0))),
    "all at once": b"".join(
        [SOUND[:2], bytes(2), icc(1, 3), mpf(VERSION, TWO), with_parameters(0, 0, 0)[2:-2]]
    )
    + bytes(50)
    + SOUND[-2:],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_headers_costs_no_picture(fault):
    data = FAULTS[fault]
    assert sniff(data[:HEAD_BYTES]) == FileFormat.JPEG
    found = decode(data, FileFormat.JPEG, Limits())
    np.testing.assert_array_equal(found.pixels, EXPECTED)
    assert (found.rows, found.columns) == (90, 120)


@pytest.mark.parametrize("fault", FAULTS)
def test_such_a_file_is_still_refused_when_it_is_cut(fault):
    data = FAULTS[fault]
    start = scan_start(data)
    cut = data[: start + (len(SOUND) - START) // 2] + b"\xff\xd9"
    with pytest.raises(ImageFailure) as failure:
        decode(cut, FileFormat.JPEG, Limits())
    assert failure.value.detail == "jpeg: truncated or damaged"


@pytest.mark.parametrize(
    "data",
    [
        PROGRESSIVE[:2] + icc(1, 3) + PROGRESSIVE[2:],
        PROGRESSIVE.replace(b"\xff\xc4", b"\x00\x00\x00\xff\xc4"),
        re.sub(rb"(?=\xff[\xd0-\xd7])", bytes(9), RESTARTS),
        ODD[:2] + icc(2, 3) + ODD[2:-2] + bytes(700) + ODD[-2:],
        CMYK[:2] + icc(2, 3) + CMYK[2:-2] + bytes(700) + CMYK[-2:],
        replaced(CMYK, 0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x07"),
    ],
    ids=["progressive", "zeros between scans", "zeros between restarts", "4x2", "CMYK", "YCCK"],
)
def test_other_kinds_are_repaired_too(data):
    expected = pillow_pixels(data)
    np.testing.assert_array_equal(decode(data, FileFormat.JPEG, Limits()).pixels, expected)


def test_what_other_segments_say_is_not_lost_with_a_broken_one():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(PIXELS, exif=exif)
    found = decode(data[:2] + mpf(VERSION, TWO) + data[2:], FileFormat.JPEG, Limits())
    assert "exif_orientation_ignored" in found.flags


@pytest.mark.parametrize("tail", [b"\x12", b"\x12" * 15, bytes(range(1, 40))])
def test_what_may_be_left_of_damaged_data_is_no_padding(tail):
    with pytest.raises(ImageFailure):
        decode(SOUND[:-2] + b"\x55" * 9 + tail + SOUND[-2:], FileFormat.JPEG, Limits())


def test_a_sound_stream_has_no_second_form():
    bare = saved(PIXELS, keep_rgb=True)
    assert list(jpeg_repair.forms(bare)) == [bare]


def test_the_stuffed_zero_of_the_last_byte_is_no_padding():
    stuffed = SOUND[:START] + b"\x12\xff\x00" + SOUND[-2:]
    padded = stuffed[:-2] + bytes(20) + stuffed[-2:]
    assert list(jpeg_repair.forms(padded))[-1].endswith(b"\x12\xff\x00\xff\xd9")
