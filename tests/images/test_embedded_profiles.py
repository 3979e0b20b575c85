"""Whole files: a profile is found wherever its format keeps it, and the model's input shows it."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from batch.archive.pictures import ImageAddress, decode_picture
from batch.core.records import ModelInput
from batch.core.rules import Limits
from batch.demo import dicom_writer
from batch.demo.lesions import lesion_image
from batch.images.embedded_profiles import IGNORED, of_jpeg
from batch.images.jpeg_headers import read_header
from tests.support import encoded, icc
from tests.support.archives import dermoscopic, dicom_bytes, read

PIXELS = lesion_image(5, 180, 180)
ADOBE, P3 = icc.profile(icc.ADOBE_RGB), icc.profile(icc.DISPLAY_P3)
STORED = icc.encoded(PIXELS, icc.ADOBE_RGB)
STORED_P3 = icc.encoded(PIXELS, icc.DISPLAY_P3)
LARGE = icc.profile(icc.ADOBE_RGB, more={b"priv": np.random.default_rng(0).bytes(150_000)})
APPLIED, BROKEN = {"icc_applied"}, {"icc_broken"}
OURS = {"icc_applied", "icc_broken", "icc_not_applied", IGNORED}


def saved(kind: str, pixels: np.ndarray = STORED, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if kind == "JPEG":
        options = {"quality": 100, "subsampling": 0, **options}
    if kind == "WEBP":
        options = {"lossless": True, **options}
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def taken(tmp_path, data: bytes) -> ModelInput:
    path = tmp_path / "file"
    path.write_bytes(data)
    (result,) = read(path)[1]
    assert isinstance(result, ModelInput), result
    return result


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Of the mean colours, whatever noise a JPEG adds: at most of a channel, in grey levels."""
    return float(np.abs(found.mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max())


def check(result: ModelInput, flags: set[str], expected: np.ndarray | None = None) -> None:
    """The flags of colours, and pixels: as in sRGB where applied, as stored where not."""
    assert set(result.record.flags) & OURS == flags
    if expected is None:
        expected = PIXELS if flags == APPLIED else STORED
    assert distance(result.pixels, expected) < 1
    assert distance(STORED, PIXELS) > 5


def icc_chunks(*parts: tuple[int, int, bytes]) -> bytes:
    segments = b""
    for number, total, part in parts:
        payload = b"ICC_PROFILE\x00" + bytes([number, total]) + part
        segments += b"\xff\xe2" + struct.pack(">H", len(payload) + 2) + payload
    return segments


def jpeg_with(segments: bytes) -> bytes:
    data = saved("JPEG")
    return data[:2] + segments + data[2:]


def png_with(*chunks: tuple[bytes, bytes], **options: object) -> bytes:
    data = saved("PNG", **options)
    made = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return data[:33] + made + data[33:]


def bitmap(profile: bytes, space: bytes = b"DEBM", size: int | None = None) -> bytes:
    """BITMAPV5HEADER, with the profile behind the pixels."""
    pixels = STORED[::-1, :, ::-1].tobytes()  # 180 pixels of 3 bytes need no padding
    header = struct.pack("<IiiHHIIiiII", 124, 180, 180, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    header += bytes(16) + space + bytes(36 + 12)
    header += struct.pack("<IIII", 4, 124 + len(pixels), size or len(profile), 0)
    start = b"BM" + struct.pack("<IHHI", 14 + 124 + len(pixels) + len(profile), 0, 0, 14 + 124)
    return start + header + pixels + profile


HALF = len(ADOBE) // 2
PLACES = {
    "JPEG": saved("JPEG", icc_profile=ADOBE),
    "JPEG, several segments": saved("JPEG", icc_profile=LARGE),
    "JPEG, in wrong order": jpeg_with(icc_chunks((2, 2, ADOBE[HALF:]), (1, 2, ADOBE[:HALF]))),
    "progressive JPEG": saved("JPEG", icc_profile=ADOBE, progressive=True),
    "PNG": saved("PNG", icc_profile=ADOBE),
    "PNG, with cICP that is not known here": png_with(
        (b"cICP", bytes([12, 13, 0, 1])), icc_profile=ADOBE
    ),
    "TIFF": saved("TIFF", icc_profile=ADOBE),
    "TIFF, compressed": saved("TIFF", icc_profile=ADOBE, compression="tiff_lzw"),
    "WebP": saved("WEBP", icc_profile=ADOBE),
    "BMP": bitmap(ADOBE),
    "native DICOM": dicom_bytes(dermoscopic(STORED, ICCProfile=ADOBE)),
    "JPEG in DICOM": dicom_bytes(dermoscopic(STORED, jpeg=True, ICCProfile=ADOBE)),
    "JPEG 2000 in DICOM": (
        lambda dataset: (setattr(dataset, "ICCProfile", ADOBE), dicom_bytes(dataset))[1]
    )(encoded.LOSSLESS["jpeg 2000"](STORED)),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_profile_is_found_and_applied(tmp_path, place):
    check(taken(tmp_path, PLACES[place]), APPLIED)


DAMAGED = {
    "JPEG, first of three": jpeg_with(icc_chunks((1, 3, ADOBE))),
    "JPEG, second missing": jpeg_with(icc_chunks((1, 3, ADOBE[:99]), (3, 3, ADOBE[99:]))),
    "JPEG, counted from nought": jpeg_with(icc_chunks((0, 1, ADOBE))),
    "JPEG, two totals": jpeg_with(icc_chunks((1, 2, ADOBE[:99]), (2, 3, ADOBE[99:]))),
    "JPEG, two firsts": jpeg_with(icc_chunks((1, 1, ADOBE), (1, 1, P3))),
    "JPEG, label only": jpeg_with(b"\xff\xe2" + struct.pack(">H", 14) + b"ICC_PROFILE\x00"),
    "PNG, not deflated": png_with((b"iCCP", b"name\x00\x00" + ADOBE)),
    "TIFF, cut off": saved("TIFF", icc_profile=ADOBE[:200]),
    "WebP, text": saved("WEBP", icc_profile=b"no profile"),
    "BMP, beyond the end": bitmap(ADOBE, size=len(ADOBE) + 1),
    "DICOM, cut off": dicom_bytes(dermoscopic(STORED, ICCProfile=ADOBE[:200])),
}


@pytest.mark.parametrize("place", DAMAGED)
def test_a_damaged_profile_is_said_and_the_picture_is_scored_as_it_is(tmp_path, place):
    check(taken(tmp_path, DAMAGED[place]), BROKEN)


UNUSABLE = {
    "grey": icc.profile(colour_space=b"GRAY"),
    "inks": icc.table_profile(),
    "link": icc.profile(device_class=b"link", connection_space=b"RGB "),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_profile_of_another_kind_is_said(tmp_path, name):
    data = saved("PNG", icc_profile=UNUSABLE[name])
    check(taken(tmp_path, data), {"icc_not_applied"})


GAMMA, SRGB_GAMMA = (struct.pack(">I", value) for value in (55556, 45455))
WIDE = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB_PRIMARIES = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def exif_of_adobe_rgb(order: str) -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif.get_ifd(0x8769)[0xA001] = 2
    return exif.tobytes()


IN_OTHER_WORDS = {
    "PNG, nothing said": (png_with(), set()),
    "PNG, sRGB": (png_with((b"sRGB", b"\0"), (b"gAMA", GAMMA)), set()),
    "PNG, gamma of sRGB": (png_with((b"gAMA", SRGB_GAMMA), (b"cHRM", SRGB_PRIMARIES)), set()),
    "PNG, another gamma": (png_with((b"gAMA", GAMMA)), {IGNORED}),
    "PNG, other primaries": (png_with((b"gAMA", SRGB_GAMMA), (b"cHRM", WIDE)), {IGNORED}),
    "PNG, cICP of sRGB": (png_with((b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", GAMMA)), set()),
    "PNG, cICP of P3": (png_with((b"cICP", bytes([12, 13, 0, 1])), (b"sRGB", b"\0")), {IGNORED}),
    "PNG, cICP of sRGB and a profile": (
        png_with((b"cICP", bytes([1, 13, 0, 1])), icc_profile=ADOBE),
        set(),
    ),
    "JPEG, Exif of sRGB": (saved("JPEG", exif=Image.Exif()), set()),
    "JPEG, Exif of Adobe RGB": (saved("JPEG", exif=exif_of_adobe_rgb("<")), {IGNORED}),
    "JPEG, the same in big endian": (saved("JPEG", exif=exif_of_adobe_rgb(">")), {IGNORED}),
    "JPEG, DCF's optional colour space": (
        saved("JPEG", exif=Image.Exif().tobytes() + b"\x01\x00\x02\x00\x04\x00\x00\x00R03\x00"),
        {IGNORED},
    ),
    "BMP, a linked profile": (bitmap(b"C:\\adobe.icc\x00", b"KNIL"), {IGNORED}),
    "BMP, sRGB": (bitmap(b"", b"BGRs"), set()),
    "DICOM, SRGB": (dicom_bytes(dermoscopic(STORED, ColorSpace="SRGB")), set()),
    "DICOM, ADOBERGB": (dicom_bytes(dermoscopic(STORED, ColorSpace="ADOBERGB")), {IGNORED}),
    "DICOM, ICC profile empty": (dicom_bytes(dermoscopic(STORED, ICCProfile=b"")), set()),
}


@pytest.mark.parametrize("name", IN_OTHER_WORDS)
def test_another_colour_space_without_a_profile_is_said(tmp_path, name):
    data, flags = IN_OTHER_WORDS[name]
    check(taken(tmp_path, data), flags)


def test_srgb_needs_no_flag(tmp_path):
    profile = icc.profile(icc.SRGB)
    check(taken(tmp_path, saved("PNG", icc_profile=profile)), set())
    dataset = dermoscopic(STORED, jpeg=True, ICCProfile=profile, ColorSpace="SRGB")
    check(taken(tmp_path, dicom_bytes(dataset)), set())


def test_a_palette_is_coloured_before_the_profile_is_applied(tmp_path):
    buffer = io.BytesIO()
    picture = Image.fromarray(STORED).quantize(64)
    picture.save(buffer, "PNG", icc_profile=ADOBE)
    shown = np.asarray(picture.convert("RGB"))
    expected = icc.encoded(shown, icc.SRGB, icc.ADOBE_RGB)
    check(taken(tmp_path, buffer.getvalue()), APPLIED, expected)


# what a wrapped JPEG brings along, against what the object's header says


def wrapped(stream_profile: bytes | None, **changes: object) -> bytes:
    dataset = dermoscopic(STORED, jpeg=True, **changes)
    dataset.PixelData = encapsulate([saved("JPEG", icc_profile=stream_profile)])
    return dicom_bytes(dataset)


@pytest.mark.parametrize(
    ("data", "flags", "expected"),
    [
        (wrapped(ADOBE), APPLIED, PIXELS),
        (wrapped(P3, ICCProfile=ADOBE), APPLIED, PIXELS),
        (wrapped(ADOBE, ICCProfile=icc.profile(icc.SRGB)), set(), STORED),
        (wrapped(ADOBE, ICCProfile=b"damaged"), BROKEN, STORED),
        (wrapped(ADOBE, ColorSpace="SRGB"), set(), STORED),
        (wrapped(ADOBE, ColorSpace="ADOBERGB"), APPLIED, PIXELS),
        (wrapped(None), set(), STORED),
    ],
    ids=["stream only", "both", "header is sRGB", "header broken", "header says SRGB",
         "header says so, too", "neither"],
)  # fmt: skip
def test_the_header_of_a_dicom_object_has_the_word(tmp_path, data, flags, expected):
    check(taken(tmp_path, data), flags, expected)


def path_of_light(name: str, profile: bytes | None) -> Dataset:
    item = Dataset()
    item.OpticalPathIdentifier = name
    if profile is not None:
        item.ICCProfile = profile
    return item


def group(name: str) -> Dataset:
    path, item = Dataset(), Dataset()
    path.OpticalPathIdentifier = name
    item.OpticalPathIdentificationSequence = Sequence([path])
    return item


def test_a_profile_in_the_one_optical_path_is_applied(tmp_path):
    paths = Sequence([path_of_light("1", ADOBE)])
    data = dicom_bytes(dermoscopic(STORED, OpticalPathSequence=paths))
    check(taken(tmp_path, data), APPLIED)


def test_each_frame_has_the_profile_of_its_own_optical_path(tmp_path):
    dataset = dicom_writer.multi_frame_capture(np.stack([STORED, STORED_P3]), 1, 1)
    dataset.OpticalPathSequence = Sequence([path_of_light("P", P3), path_of_light("A", ADOBE)])
    dataset.PerFrameFunctionalGroupsSequence = Sequence([group("A"), group("P")])
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_bytes(dataset))
    first, second = read(path)[1]
    for result in (first, second):
        check(result, APPLIED)


def test_optical_paths_that_no_frame_names_are_no_profile(tmp_path):
    paths = Sequence([path_of_light("P", P3), path_of_light("A", ADOBE)])
    data = dicom_bytes(dermoscopic(STORED, OpticalPathSequence=paths))
    check(taken(tmp_path, data), BROKEN)


def test_every_frame_of_an_object_is_converted(tmp_path):
    dataset = dicom_writer.multi_frame_capture(np.stack([STORED, STORED[::-1]]), 1, 1)
    dataset.ICCProfile = ADOBE
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_bytes(dataset))
    first, second = read(path)[1]
    check(first, APPLIED)
    check(second, APPLIED, PIXELS[::-1])


def test_inks_are_converted_by_their_profile_and_by_nothing_else(tmp_path):
    def inks(profile: bytes | None) -> ModelInput:
        picture, buffer = Image.fromarray(PIXELS).convert("CMYK"), io.BytesIO()
        picture.save(buffer, "JPEG", quality=95, icc_profile=profile)
        return taken(tmp_path, buffer.getvalue())

    plain, other, converted = (inks(p) for p in (None, ADOBE, icc.table_profile()))
    assert plain.record.flags == ("cmyk_converted", "lossy")
    assert other.record.flags == ("cmyk_converted", "icc_not_applied", "lossy")
    assert converted.record.flags == ("cmyk_converted", "icc_applied", "lossy")
    np.testing.assert_array_equal(other.pixels, plain.pixels)
    # the table has no colour but grey: light that all inks leave
    assert np.ptp(converted.pixels.astype(int), axis=2).max() <= 2
    assert np.corrcoef(converted.pixels.ravel(), plain.pixels.ravel())[0, 1] > 0.5


def test_inks_keep_their_profile_where_the_stream_is_written_anew(tmp_path):
    picture, buffer = Image.fromarray(PIXELS).convert("CMYK"), io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, icc_profile=icc.table_profile())
    whole = buffer.getvalue()
    at = whole.index(b"\xff\xda")
    stray = whole[:at] + b"\x00\x01\x02" + whole[at:]
    expected, found = taken(tmp_path, whole), taken(tmp_path, stray)
    assert found.record.flags == ("cmyk_converted", "icc_applied", "lossy")
    np.testing.assert_array_equal(found.pixels, expected.pixels)


def test_a_damaged_profile_of_inks_is_said_once(tmp_path):
    picture, buffer = Image.fromarray(PIXELS).convert("CMYK"), io.BytesIO()
    picture.save(buffer, "JPEG", quality=95)
    data = buffer.getvalue()
    found = taken(tmp_path, data[:2] + icc_chunks((1, 2, ADOBE)) + data[2:])
    assert found.record.flags == ("cmyk_converted", "icc_broken", "lossy")


def test_a_chunk_about_colours_behind_the_pixels_of_a_png_says_nothing(tmp_path):
    body = b"gAMA" + (100_000).to_bytes(4, "big")
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    data = saved("PNG")
    at = data.rindex(b"IEND") - 4
    assert IGNORED not in taken(tmp_path, data[:at] + chunk + data[at:]).record.flags
    at = data.index(b"IDAT") - 4
    assert IGNORED in taken(tmp_path, data[:at] + chunk + data[at:]).record.flags


def test_a_picture_for_a_person_has_the_same_colours(tmp_path):
    for place in ("JPEG", "PNG", "JPEG in DICOM", "JPEG 2000 in DICOM"):
        result = taken(tmp_path, PLACES[place])
        address = ImageAddress("file", result.record.image_id)
        picture = decode_picture(PLACES[place], address, Limits(), 480)
        assert distance(picture.pixels, PIXELS) < 1


def test_a_profile_that_is_there_twice_is_one():
    data = jpeg_with(icc_chunks((1, 1, ADOBE)) * 2)
    assert of_jpeg(data, read_header(data).segments) == (ADOBE, ())


def test_segments_after_the_first_scan_are_not_looked_at():
    data = saved("JPEG") + icc_chunks((1, 1, ADOBE))
    assert of_jpeg(data, read_header(data).segments) == (None, ())
