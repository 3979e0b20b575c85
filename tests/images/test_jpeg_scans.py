"""Scans are counted where they are, and none may be missing."""

from __future__ import annotations

import numpy as np
import pytest

from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import Limits
from batch.demo.dicom_writer import encapsulate
from batch.demo.lesions import lesion_image
from batch.images import sandbox
from batch.images.dicom_kinds import Codec
from batch.images.formats import FileFormat
from batch.images.jpeg_headers import read_header
from batch.images.jpeg_scans import count_scans, has_every_scan, scans
from batch.images.raster import decode
from tests.support.jpeg_writer import encode, saved, segment

PIXELS = lesion_image(3, 60, 80)
PROGRESSIVE = saved(PIXELS, progressive=True)
SCANS = PROGRESSIVE.count(b"\xff\xda")
COMMENT = segment(0xFE, b"\xff\xda\x00\x02" * 100)


def test_scans_are_counted_where_they_are_and_not_where_a_comment_looks_like_one():
    assert count_scans(PROGRESSIVE) == SCANS == 10
    assert count_scans(PROGRESSIVE[:2] + COMMENT + PROGRESSIVE[2:]) == SCANS
    assert count_scans(PROGRESSIVE + PROGRESSIVE) == SCANS
    assert count_scans(PROGRESSIVE[:-2] + COMMENT + PROGRESSIVE[-2:]) == SCANS
    assert count_scans(b"before" + PROGRESSIVE, 6) == SCANS
    assert count_scans(b"") == 0


def many_scans() -> bytes:
    """A progressive picture whose first scan comes seventy times."""
    start, _, end = next(scans(PROGRESSIVE))
    return PROGRESSIVE[:end] + PROGRESSIVE[start:end] * 69 + PROGRESSIVE[end:]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (PROGRESSIVE, False),
        (PROGRESSIVE[:2] + COMMENT + PROGRESSIVE[2:], False),
        (PROGRESSIVE * 20, False),
        (PROGRESSIVE + COMMENT, False),
        (many_scans(), True),
        (many_scans()[:2] + segment(0xFE, b"\xff\xd8\xff" * 300) + many_scans()[2:], True),
        (many_scans()[:2] + b"\x00" + many_scans()[2:], True),
    ],
    ids=["few", "a comment", "pictures in a row", "after the end", "many", "hidden", "stray byte"],
)
def test_only_a_stream_with_many_scans_of_its_own_is_watched(data, expected):
    assert sandbox.raster_needs_sandbox(data, FileFormat.JPEG) is expected
    pixel_data = encapsulate([PROGRESSIVE, data])
    assert sandbox.object_needs_sandbox(Codec.JPEG, pixel_data, 60, 80) is expected


def test_a_stream_that_is_read_code_by_code_is_watched():
    odd = encode(PIXELS, ((3, 1), (1, 1), (1, 1)))
    assert sandbox.raster_needs_sandbox(odd, FileFormat.JPEG)
    assert sandbox.object_needs_sandbox(Codec.JPEG, encapsulate([odd]), 60, 80)
    assert not sandbox.raster_needs_sandbox(b"\xff\xd8\xff", FileFormat.JPEG)


WITH_SCANS = {
    "progressive": PROGRESSIVE,
    "progressive CMYK": saved(PIXELS, "CMYK", progressive=True),
    "a scan a component": encode(PIXELS, ((1, 1),) * 3, interleaved=False),
    "of unusual sampling": encode(PIXELS, ((4, 2), (1, 1), (1, 1)), progressive=True),
}


@pytest.mark.parametrize("kind", WITH_SCANS)
def test_a_file_that_was_closed_between_two_scans_is_refused(kind):
    data = WITH_SCANS[kind]
    header = read_header(data)
    assert has_every_scan(data, header)
    ends = [end for _, _, end in scans(data)]
    assert len(ends) >= 3
    for end in ends[:-1]:
        with pytest.raises(ImageFailure) as failure:
            decode(data[:end] + b"\xff\xd9", FileFormat.JPEG, Limits())
        assert failure.value.reason == FailureReason.DECODE_FAILED
        assert failure.value.detail == "jpeg: truncated or damaged"


def test_the_parameters_of_a_sequential_scan_say_nothing_of_what_is_missing():
    data = encode(PIXELS, ((1, 1),) * 3, interleaved=False)
    for start, coded, _ in scans(data):
        assert data[coded - 3 : coded] == b"\x00\x3f\x00"
        del start
    faulty = data.replace(b"\x00\x3f\x00", b"\x00\x00\x00")
    np.testing.assert_array_equal(
        decode(faulty, FileFormat.JPEG, Limits()).pixels,
        decode(data, FileFormat.JPEG, Limits()).pixels,
    )


def test_a_long_run_of_fill_bytes_is_passed_over_at_once():
    """Looked at from each of its bytes, this one would take hours."""
    ((_, coded, _),) = scans(saved(PIXELS))
    data = saved(PIXELS)[:coded] + (b"\xff" * 3_000_000 + b"\x00") * 2
    assert count_scans(data) == 1
    assert count_scans(data[:coded] + b"\xff" * 3_000_000) == 1
    assert read_header(b"\xff\xd8" + b"\xff" * 3_000_000 + data[2:]).rows == 60
