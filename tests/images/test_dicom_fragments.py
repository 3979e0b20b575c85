"""Which fragments are which frame: what they hold decides, whatever the offset tables say."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pydicom
import pytest

from batch.core.errors import FailureReason, ImageFailure
from batch.demo import dicom_writer
from batch.demo.lesions import lesion_image
from batch.images.dicom_fragments import DELIMITER, ITEM, split_frames, walk_items
from batch.images.preprocess import preprocess
from tests.support import encoded
from tests.support.archives import altered, dicom_bytes, read

FRAMES = np.stack([lesion_image(seed, 48, 40) for seed in range(3)])
JPEG = [dicom_writer.jpeg_bytes(frame) for frame in FRAMES]
JPEG_2000 = [encoded.jpeg_2000_stream(frame, 8) for frame in FRAMES]
BOXED = [
    imagecodecs.jpeg2k_encode(frame, level=0, reversible=True, codecformat="jp2")
    for frame in FRAMES
]
JPEG_XL = [imagecodecs.jpegxl_encode(frame, lossless=True) for frame in FRAMES]
RLE = [encoded.rle_stream(frame) for frame in FRAMES]
KINDS = {"jpeg": JPEG, "jpeg 2000": JPEG_2000, "jp2": BOXED, "jpeg xl": JPEG_XL, "rle": RLE}


def even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def item(data: bytes) -> bytes:
    return ITEM + struct.pack("<I", len(data)) + data


def value(fragments, table=()) -> bytes:
    """Encapsulated pixel data, without its delimiter."""
    offsets = struct.pack(f"<{len(table)}I", *table)
    return item(offsets) + b"".join(item(even(fragment)) for fragment in fragments)


def halves(stream: bytes) -> list[bytes]:
    middle = len(stream) // 4 * 2
    return [stream[:middle], stream[middle:]]


def offsets_of(fragments, firsts) -> list[int]:
    sizes = [8 + len(even(fragment)) for fragment in fragments]
    return [sum(sizes[:number]) for number in firsts]


def streams(data: bytes, declared: int, extended: bytes = b"") -> list[bytes | None]:
    """The stream of each declared frame without its padding; None where it is refused."""
    frames, found = split_frames(data, declared, extended), []
    for index in range(declared):
        try:
            found.append(frames.stream(index).rstrip(b"\0"))
        except ImageFailure as failure:
            assert failure.reason == FailureReason.HEADER_CONTRADICTS_PIXELS
            found.append(None)
    return found


WRONG_TABLES = {
    "zeros": [0, 0, 0],
    "descending": [2000, 1000, 0],
    "permuted": "permuted",
    "beyond": [0, 10**6, 2 * 10**6],
    "too few": [0],
    "too many": [0, 8, 16, 24, 32],
    "within": [0, 10, 20],
    "none": [],
    "right": "right",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRONG_TABLES)
def test_one_fragment_a_frame_is_that_whatever_the_table_says(kind, name):
    fragments, table = KINDS[kind], WRONG_TABLES[name]
    if isinstance(table, str):
        table = offsets_of(fragments, (0, 1, 2) if table == "right" else (2, 0, 1))
    assert streams(value(fragments, table), 3) == [each.rstrip(b"\0") for each in fragments]


@pytest.mark.parametrize("kind", ["jpeg", "jpeg 2000", "jp2", "jpeg xl", "rle"])
@pytest.mark.parametrize("name", WRONG_TABLES)
def test_frames_in_several_fragments_begin_where_streams_begin(kind, name):
    whole = KINDS[kind]
    fragments = [part for stream in whole for part in halves(stream)]
    table = WRONG_TABLES[name]
    if isinstance(table, str):
        table = offsets_of(fragments, (0, 2, 4) if table == "right" else (4, 0, 2))
    assert streams(value(fragments, table), 3) == [each.rstrip(b"\0") for each in whole]


def test_an_extended_table_is_believed_no_more_than_the_other():
    fragments = [*halves(JPEG[0]), *halves(JPEG[1])]
    for extended in ([0, 0], [9999, 0], [0], [0, 10**12]):
        packed = struct.pack(f"<{len(extended)}Q", *extended)
        assert streams(value(fragments), 2, packed) == [JPEG[0], JPEG[1]]


@pytest.mark.parametrize("width", ["basic", "extended"])
def test_a_table_helps_where_the_start_of_a_stream_is_damaged(width):
    """Five fragments, three frames, and the second stream begins with no marker."""
    damaged = b"\0" + JPEG[1][1:]
    fragments = [*halves(JPEG[0]), damaged, *halves(JPEG[2])]
    table = offsets_of(fragments, (0, 2, 3))
    basic = table if width == "basic" else ()
    extended = struct.pack("<3Q", *table) if width == "extended" else b""
    assert streams(value(fragments, basic), 3, extended) == [JPEG[0], damaged, JPEG[2]]


@pytest.mark.parametrize("table", [(), (0, 0, 0), (0, 8, 16)])
def test_what_cannot_be_told_apart_is_refused_and_not_guessed(table):
    """The same without a table that fits: the third frame would be taken for the second."""
    damaged = b"\0" + JPEG[1][1:]
    fragments = [*halves(JPEG[0]), damaged, *halves(JPEG[2])]
    with pytest.raises(ImageFailure) as failure:
        split_frames(value(fragments, table), 3)
    assert failure.value.reason == FailureReason.HEADER_CONTRADICTS_PIXELS
    assert failure.value.detail == "3 frames declared, 5 fragments that do not tell them apart"


def test_frames_that_are_not_there_are_missed_and_the_others_are_not():
    assert streams(value(JPEG[:2]), 3) == [JPEG[0], JPEG[1], None]
    assert streams(value([*halves(JPEG[0]), JPEG[1]]), 4) == [JPEG[0], JPEG[1], None, None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("there", "declared", "said"), [(3, 2, True), (3, 1, True), (3, 3, False)])
def test_frames_beyond_those_declared_are_said(kind, there, declared, said):
    frames = split_frames(value(KINDS[kind][:there]), declared)
    assert frames.has_surplus is said
    assert frames.stream(0).rstrip(b"\0") == KINDS[kind][0].rstrip(b"\0")


@pytest.mark.parametrize("kind", KINDS)
def test_one_frame_in_several_fragments_has_nothing_beyond_it(kind):
    stream = KINDS[kind][0]
    frames = split_frames(value(halves(stream)), 1)
    assert not frames.has_surplus
    assert frames.stream(0).rstrip(b"\0") == stream.rstrip(b"\0")


def test_a_picture_in_a_picture_at_the_start_of_a_fragment_is_no_frame():
    """An Exif thumbnail begins like a JPEG; the fragment before it does not end like one."""
    preview = b"\xff\xd8\xff\xe1" + b"Exif" * 8 + JPEG[1]
    fragments = [preview[: preview.index(JPEG[1])], JPEG[1] + JPEG[0][2:]]
    frames = split_frames(value(fragments), 1)
    assert frames.stream(0).rstrip(b"\0") == b"".join(fragments).rstrip(b"\0")
    assert not frames.has_surplus


def test_empty_fragments_are_no_frames():
    assert streams(value([JPEG[0], b"", JPEG[1]]), 2) == [JPEG[0], JPEG[1]]
    assert streams(value([JPEG[0], b"", JPEG[1]]), 3) == [JPEG[0], b"", JPEG[1]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_basic_offset_table_that_was_left_out_is_no_frame(kind):
    fragments = KINDS[kind]
    data = b"".join(item(even(fragment)) for fragment in fragments)
    assert streams(data, 3) == [each.rstrip(b"\0") for each in fragments]


def test_the_start_of_another_kind_of_stream_is_none_within_a_frame():
    """Two bytes of JPEG XL's, which may stand anywhere in JPEG 2000 and RLE."""
    for stream in (JPEG_2000[0], RLE[0]):
        middle = len(stream) // 2
        parts = [stream[:middle], b"\xff\x0a" + stream[middle:], b"\xff\xd8\xff" + stream]
        frames = split_frames(value(parts), 1)
        assert frames.stream(0).rstrip(b"\0") == b"".join(map(even, parts)).rstrip(b"\0")
        assert not frames.has_surplus


@pytest.mark.parametrize(
    ("end", "spans", "where"),
    [
        (DELIMITER + bytes(4), 3, "delimiter"),
        (b"", 3, "end"),
        (bytes(16), 3, "nulls"),
        (b"\xfc\xff\xfc\xffOB\0\0\0\0\0\0", 3, "another element"),
    ],
)
def test_items_end_at_a_delimiter_or_where_something_else_begins(end, spans, where):
    items = walk_items(value([b"ab", b"cdef"]) + end)
    assert len(items.spans) == spans, where
    assert items.end == len(value([b"ab", b"cdef"]))
    assert not items.is_cut


def test_a_byte_of_padding_that_no_length_counts_is_passed_over():
    data = item(b"") + item(b"abc") + b"\0" + item(b"defg") + DELIMITER
    items = walk_items(data)
    assert [data[a:b] for a, b in items.spans] == [b"", b"abc", b"defg"]
    assert data[items.end :] == DELIMITER


def test_a_fragment_that_is_cut_off_costs_its_frame_only():
    data = value(JPEG)[:-200]
    frames = split_frames(data, 3)
    assert [frames.stream(index).rstrip(b"\0") for index in (0, 1)] == JPEG[:2]
    with pytest.raises(ImageFailure) as failure:
        frames.stream(2)
    assert failure.value.reason == FailureReason.DECODE_FAILED


@pytest.mark.parametrize("kind", ["jpeg", "jpeg 2000", "rle"])
def test_a_last_fragment_with_something_else_behind_it_is_not_trusted(kind):
    """Its length was damaged: where a stream has no end, nothing is decoded."""
    whole = KINDS[kind]
    data = value(whole[:2])
    length = len(even(whole[1]))
    short = data[: -length - 4] + struct.pack("<I", length - 40) + data[-length:]
    frames = split_frames(short, 2)
    assert frames.stream(0).rstrip(b"\0") == whole[0].rstrip(b"\0")
    with pytest.raises(ImageFailure) as failure:
        frames.stream(1)
    assert failure.value.reason == FailureReason.DECODE_FAILED
    assert split_frames(data + bytes(30), 2).stream(1).rstrip(b"\0") == whole[1].rstrip(b"\0")


def test_a_missing_byte_of_padding_at_the_end_of_the_file_is_no_loss():
    odd = JPEG[0] + b"\0" * (1 - len(JPEG[0]) % 2)
    data = item(b"") + ITEM + struct.pack("<I", len(odd) + 1) + odd
    assert split_frames(data, 1).stream(0) == odd


SYNTAXES = {
    "jpeg": (pydicom.uid.JPEGBaseline8Bit, "YBR_FULL_422", 12),
    "jpeg 2000": (pydicom.uid.JPEG2000Lossless, "YBR_RCT", 0),
    "jp2": (pydicom.uid.JPEG2000Lossless, "RGB", 0),
    "rle": (pydicom.uid.RLELossless, "RGB", 0),
}


@pytest.mark.parametrize("table", [[0, 0, 0], [900, 500, 0], [0, 10**6, 10**7], [0]], ids=str)
@pytest.mark.parametrize("kind", SYNTAXES)
def test_every_frame_has_its_own_pixels(tmp_path, kind, table):
    syntax, photometric, tolerance = SYNTAXES[kind]
    dataset = altered(
        dicom_writer.multi_frame_capture(FRAMES, 1, 1),
        PhotometricInterpretation=photometric,
        PixelData=value(KINDS[kind], table) + DELIMITER + bytes(4),
    )
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(dataset))
    _, results = read(tmp_path / "a.dcm")
    assert [result.record.frame_number for result in results] == [1, 2, 3]
    for frame, result in zip(FRAMES, results, strict=True):
        difference = np.abs(result.pixels.astype(int) - preprocess(frame))
        assert difference.mean() <= tolerance / 3
        assert "frames_beyond_declared" not in result.record.flags


@pytest.mark.parametrize("kind", ["jpeg", "jpeg 2000", "jp2"])
def test_as_many_fragments_as_frames_are_not_one_each_where_one_goes_on(kind):
    first, second, _ = KINDS[kind]
    expected = [first.rstrip(b"\0"), second.rstrip(b"\0"), None]
    assert streams(value([*halves(first), second]), 3) == expected
    assert streams(value([first, *halves(second)]), 3) == expected


@pytest.mark.parametrize("kind", ["jpeg xl", "rle"])
def test_where_streams_have_no_end_such_fragments_need_a_table(kind):
    first, second, _ = KINDS[kind]
    for fragments in ([*halves(first), second], [first, *halves(second)]):
        with pytest.raises(ImageFailure) as failure:
            split_frames(value(fragments), 3)
        assert failure.value.reason == FailureReason.HEADER_CONTRADICTS_PIXELS
    damaged = b"\1" + second[1:]
    fragments = [first, damaged, first]
    table = offsets_of(fragments, (0, 1, 2))
    found = streams(value(fragments, table), 3)
    assert found == [each.rstrip(b"\0") for each in fragments]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("kind", ["jpeg", "jpeg 2000"])
def test_a_damaged_start_costs_its_own_frame_only(kind, number):
    fragments = list(KINDS[kind])
    fragments[number] = b"\0" + fragments[number][1:]
    assert streams(value(fragments), 3) == [each.rstrip(b"\0") for each in fragments]
