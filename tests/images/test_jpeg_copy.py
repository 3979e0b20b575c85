"""A copy without metadata shows the same pixels, holds nothing else, and is made of no odd file."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from batch.core.errors import FailureReason, ImageFailure
from batch.demo.lesions import lesion_image
from batch.images.jpeg_copy import MOST_SCANS, without_metadata
from batch.images.jpeg_headers import read_header
from batch.images.jpeg_scans import scans
from tests.support.jpeg_writer import encode, replaced, saved, segment

PIXELS = lesion_image(3, 60, 80)
SECRET = b"Jane^Doe 1950-01-01"
PLAIN = saved(PIXELS)
PROGRESSIVE = saved(PIXELS, progressive=True)
KINDS = {
    "baseline": PLAIN,
    "4:4:4": saved(PIXELS, subsampling=0),
    "grey": saved(PIXELS, "L"),
    "progressive": PROGRESSIVE,
    "progressive, grey": saved(PIXELS, "L", progressive=True),
    "restarts": encode(PIXELS, ((2, 2), (1, 1), (1, 1)), restart_interval=2),
    "three scans": encode(PIXELS, ((2, 1), (1, 1), (1, 1)), interleaved=False),
    "unusual sampling": encode(PIXELS, ((2, 2), (2, 1), (1, 1))),
}
METADATA = (
    segment(0xE1, b"Exif\x00\x00" + SECRET),
    segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + SECRET),
    segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + SECRET),
    segment(0xE2, b"MPF\x00" + SECRET),
    segment(0xED, b"Photoshop 3.0\x00" + SECRET),
    segment(0xE0, b"JFXX\x00\x10" + SECRET),
    segment(0xEE, b"Ducky" + SECRET),
    segment(0xFE, SECRET),
    segment(0xFE, b"\xff\xda\x00\x0c" + PLAIN),  # a whole picture, with markers of its own
    segment(0xEF, b""),
)


def pixels_of(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def with_segments(data: bytes, found) -> bytes:
    """The file with segments put before its frame."""
    place = next(start for marker, start, _ in read_header(data).segments if marker == 0xDB)
    return data[:place] + b"".join(found) + data[place:]


@pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)
def test_the_pixels_stay_and_a_copy_of_a_copy_is_the_same(data):
    copy = without_metadata(data)
    assert np.array_equal(pixels_of(copy), pixels_of(data))
    assert without_metadata(copy) == copy
    assert len(copy) <= len(data)


@settings(max_examples=60, deadline=None)
@given(
    data=st.sampled_from(list(KINDS.values())),
    before=st.lists(st.sampled_from(METADATA), max_size=6),
    fill=st.integers(0, 3),
    between=st.lists(st.sampled_from(METADATA), max_size=3),
    after=st.sampled_from([b"", SECRET, PLAIN, b"\x00" * 500, b"\xff" * 9, SECRET + b"\xff\xd9"]),
)
def test_whatever_stands_between_is_gone_and_nothing_else(data, before, fill, between, after):
    whole = with_segments(data, before)
    end = whole.rindex(b"\xff\xd9")
    whole = whole[:end] + b"".join(between) + b"\xff" * fill + whole[end:] + after
    assert without_metadata(whole) == without_metadata(data)
    assert SECRET not in without_metadata(whole)


def test_what_is_left_is_understood_marker_by_marker():
    copy = without_metadata(with_segments(PROGRESSIVE, METADATA))
    markers = {marker for marker, _, _ in read_header(copy).segments}
    assert markers == {0xE0, 0xDB, 0xC2, 0xC4, 0xDA}
    with Image.open(io.BytesIO(copy)) as image:
        assert set(image.info) <= {
            "jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive", "progression",
        }  # fmt: skip


def test_the_small_picture_within_jfif_goes_and_adobe_s_marker_stays():
    small = b"JFIF\x00\x01\x02\x00\x00\x48\x00\x48\x02\x02" + SECRET[:12]
    copy = without_metadata(replaced(PLAIN, 0xE0, small))
    assert SECRET[:4] not in copy
    assert copy[2:20] == segment(0xE0, small[:12] + b"\x00\x00")
    adobe = segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x01")
    longer = segment(0xEE, adobe[4:] + SECRET)
    for added in (adobe, longer):
        copy = without_metadata(with_segments(PLAIN, [added]))
        assert copy.count(adobe) == 1
        assert SECRET not in copy
        assert np.array_equal(pixels_of(copy), pixels_of(PLAIN))


def many_scans(count: int) -> bytes:
    start, _, end = next(scans(PROGRESSIVE))
    first = PROGRESSIVE[start:end]
    return PROGRESSIVE[:end] + first * count + PROGRESSIVE[end:]


FRAME = next((s, e) for m, s, e in read_header(PLAIN).segments if m == 0xC0)
RGB = saved(PIXELS, "RGB", keep_rgb=True)
CMYK = saved(PIXELS, "CMYK")
NO_SIZE = PLAIN[: FRAME[0] + 5] + b"\x00\x00" + PLAIN[FRAME[0] + 7 :]
TWELVE = PLAIN[: FRAME[0] + 4] + b"\x0c" + PLAIN[FRAME[0] + 5 :]
SCAN = next(s for m, s, _ in read_header(PLAIN).segments if m == 0xDA)
REFUSED = {
    "rgb": RGB,
    "cmyk": CMYK,
    "no size": NO_SIZE,
    "12 bits": TWELVE,
    "arithmetic": PLAIN[: FRAME[0] + 1] + b"\xc9" + PLAIN[FRAME[0] + 2 :],
    "lossless": PLAIN[: FRAME[0] + 1] + b"\xc3" + PLAIN[FRAME[0] + 2 :],
    "two frames": PLAIN[: FRAME[1]] + PLAIN[FRAME[0] : FRAME[1]] + PLAIN[FRAME[1] :],
    "two jfif": with_segments(PLAIN, [PLAIN[2:20]]),
    "lines told at the end": PLAIN[:-2] + segment(0xDC, b"\x00\x3c") + PLAIN[-2:],
    "reserved marker in the scan": PLAIN[:-2] + b"\xff\x01" + PLAIN[-2:],
    "hierarchical": with_segments(PLAIN, [segment(0xDE, PLAIN[FRAME[0] + 4 : FRAME[1]])]),
    "contradictory colours": with_segments(
        PLAIN, [segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00")]
    ),
    "a scan again and again": many_scans(MOST_SCANS),
}
BROKEN = {
    "empty": b"",
    "one byte": b"\xff",
    "other file": b"\x89PNG\r\n\x1a\n" + PLAIN,
    "start only": PLAIN[:2],
    "start and end": b"\xff\xd8\xff\xd9",
    "no end": PLAIN[:-2],
    "stray byte": PLAIN[:20] + b"\x00" + PLAIN[20:],
    "cut in a segment": PLAIN[: FRAME[0] + 6],
    "length of nothing": PLAIN[:20] + b"\xff\xfe\x00\x01" + PLAIN[20:],
    "length beyond the end": PLAIN[:SCAN] + b"\xff\xfe\xff\xff" + PLAIN[SCAN:],
    "a length is cut": b"\xff\xd8\xff\xe0\x00",
    "scan before frame": PLAIN[: FRAME[0]] + PLAIN[FRAME[1] :],
    "frame after scan": (
        PLAIN[: FRAME[0]] + PLAIN[FRAME[1] : -2] + PLAIN[FRAME[0] : FRAME[1]] + PLAIN[-2:]
    ),
    "fill bytes only": b"\xff\xd8" + b"\xff" * 3_000_000,
}  # fmt: skip


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_another_kind_is_refused(data):
    with pytest.raises(ImageFailure) as failure:
        without_metadata(data)
    assert failure.value.reason in (FailureReason.UNSUPPORTED_FORMAT, FailureReason.DECODE_FAILED)


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_refused(data):
    with pytest.raises(ImageFailure) as failure:
        without_metadata(data)
    assert failure.value.reason == FailureReason.DECODE_FAILED


def test_as_many_scans_as_an_encoder_writes_are_taken():
    assert without_metadata(many_scans(MOST_SCANS - 10)).count(b"\xff\xda") == MOST_SCANS


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(KINDS.values())), st.data())
def test_a_file_that_was_cut_anywhere_is_refused(data, draw):
    cut = draw.draw(st.integers(0, len(data) - 2))
    with pytest.raises(ImageFailure):
        without_metadata(data[:cut])


@settings(max_examples=300, deadline=None)
@example(PLAIN, [(FRAME[0] + 1, 0xC2)])
@given(
    st.sampled_from(list(KINDS.values())),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damage_gives_a_failure_of_ours_or_a_file_that_decodes_alike(data, changes):
    damaged = bytearray(data)
    for at, value in changes:
        damaged[at % len(data)] = value
    try:
        copy = without_metadata(bytes(damaged))
    except ImageFailure:
        return
    assert without_metadata(copy) == copy
    assert decoded(copy) == decoded(bytes(damaged))


def decoded(data: bytes) -> bytes | None:
    """What libjpeg makes of it, damage passed over; None where it gives up."""
    try:
        return pixels_of(data).tobytes()
    except OSError:
        return None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_bytes_of_any_kind_never_raise_anything_else(data):
    for each in (data, b"\xff\xd8" + data, PLAIN[:SCAN] + data, PLAIN[:20] + data + PLAIN[20:]):
        try:
            assert without_metadata(each)[-2:] == b"\xff\xd9"
        except ImageFailure:
            continue
