"""PNG: what makes the picture is whole or refused; what lies beside it is no matter."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images.formats import FileFormat
from batch.images.raster import decode

PIXELS = lesion_image(2, 90, 120)
BIG = 2_000_000
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def decoded(data: bytes):
    return decode(data, FileFormat.PNG, Limits())


def refused(data: bytes) -> FailureReason:
    with pytest.raises(ImageFailure) as caught:
        decoded(data)
    return caught.value.reason


def chunk(name: bytes, payload: bytes, wrong: int = 0) -> bytes:
    checksum = zlib.crc32(name + payload) ^ wrong
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", checksum)


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def written(kind: str) -> tuple[bytes, np.ndarray]:
    """A file of one kind, and its pixels."""
    image = Image.fromarray(PIXELS)
    alpha = np.tile(np.linspace(0, 255, 120).astype(np.uint8), (90, 1))
    on_white = PIXELS * (alpha[..., None] / 255) + 255 - alpha[..., None]
    if kind == "rgb":
        return saved(image), PIXELS
    if kind == "rgba":
        return saved(Image.fromarray(np.dstack([PIXELS, alpha]), "RGBA")), np.rint(on_white)
    if kind == "rgb key":
        key = tuple(int(value) for value in PIXELS[0, 0])
        keyed = PIXELS.copy()
        keyed[np.equal(PIXELS, key).all(2)] = 255
        return saved(image, transparency=key), keyed
    if kind.startswith("palette"):
        colours = 16 if "4 bit" in kind else 256
        quantised = image.quantize(colours)
        pixels = np.asarray(quantised.convert("RGB")).copy()
        options: dict[str, object] = {"bits": 4} if colours == 16 else {}
        if "tRNS" in kind:
            options["transparency"] = 3
            pixels[np.asarray(quantised) == 3] = 255
        return saved(quantised, **options), pixels
    samples = np.dstack([PIXELS, alpha]) if kind == "rgba 16" else PIXELS
    wide = samples.astype(">u2") * 257
    rows = b"".join(b"\x00" + row.tobytes() for row in wide)
    head = struct.pack(">IIBBBBB", 120, 90, 16, 6 if kind == "rgba 16" else 2, 0, 0, 0)
    data = SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
    return data + chunk(b"IEND", b""), np.rint(on_white) if kind == "rgba 16" else PIXELS


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip


def interlaced(pixels: np.ndarray = PIXELS) -> bytes:
    """Adam7, written by hand: x and y where a pass begins, and its steps."""
    rows = b""
    for x, y, step_x, step_y in PASSES:
        part = pixels[y::step_y, x::step_x]
        if not part.size:
            continue
        rows += b"".join(b"\x00" + np.ascontiguousarray(row).tobytes() for row in part)
    head = struct.pack(">IIBBBBB", *pixels.shape[1::-1], 8, 2, 0, 0, 1)
    data = SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
    return data + chunk(b"IEND", b"")


KINDS = ("rgb", "rgba", "rgb key", "palette", "palette tRNS", "palette 4 bit", "palette 4 bit tRNS",
         "rgb 16", "rgba 16", "interlaced")  # fmt: skip


def file_of(kind: str) -> tuple[bytes, np.ndarray]:
    return (interlaced(), PIXELS) if kind == "interlaced" else written(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_it_was(kind):
    data, pixels = file_of(kind)
    found = decoded(data)
    assert np.abs(found.pixels.astype(int) - pixels).max() <= ("rgba" in kind)
    assert ("was_16bit" in found.flags) == kind.endswith("16")
    assert ("alpha_composited" in found.flags) == (
        "rgba" in kind or "tRNS" in kind or "key" in kind
    )


def shortened(data: bytes, kept: float) -> bytes:
    """The same header, and a data stream that ends well, after a part of its rows."""
    found = chunks(data)
    rows = zlib.decompress(b"".join(payload for name, payload in found if name == b"IDAT"))
    stream = zlib.compress(rows[: int(len(rows) * kept)])
    before = b"".join(chunk(*each) for each in found if each[0] not in (b"IDAT", b"IEND"))
    return SIGNATURE + before + chunk(b"IDAT", stream) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.0, 1 / 3, 0.999])
def test_a_stream_that_ends_well_but_early_is_refused(kind, kept):
    assert refused(shortened(file_of(kind)[0], kept)) == FailureReason.DECODE_FAILED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [8, 20, 33, 0.3, 0.5, 0.97])
def test_a_file_that_was_cut_is_refused(kind, kept):
    data, _ = file_of(kind)
    cut = data[: kept if isinstance(kept, int) else int(len(data) * kept)]
    assert refused(cut) == FailureReason.DECODE_FAILED


def test_a_file_cut_behind_its_last_data_is_whole():
    data, pixels = written("rgb")
    np.testing.assert_array_equal(decoded(data[:-12]).pixels, pixels)


def with_chunk(extra: bytes, data: bytes | None = None) -> bytes:
    data = data or written("rgb")[0]
    return data[:33] + extra + data[33:]


XMP = b"XML:com.adobe.xmp\0"


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iTXt", XMP + b"\1\0\0\0" + zlib.compress(b"x" * BIG)),
        chunk(b"iTXt", XMP + b"\0\0\0\0" + b"x" * BIG),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * BIG)),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * BIG)) * 70,
        chunk(b"zTXt", b"a\0\0no stream"),
        chunk(b"tEXt", b"a\0" + b"x" * BIG),
        chunk(b"tEXt", b"a\0b", wrong=1),
        chunk(b"iCCP", b"p\0\0" + zlib.compress(b"x" * 100), wrong=1),
        chunk(b"gAMA", b"\0\0\0\0", wrong=1),
        chunk(b"eXIf", b"no exif"),
        chunk(b"tIME", b"short"),
        chunk(b"pHYs", b""),
        chunk(b"zzZz", b"of some program"),
    ],
    ids=["XMP compressed", "XMP", "zTXt", "70 zTXt", "zTXt damaged", "tEXt", "tEXt checksum",
         "iCCP checksum", "gAMA checksum", "eXIf damaged", "tIME damaged", "pHYs empty", "private"],
)  # fmt: skip
def test_what_lies_beside_the_picture_does_not_cost_it(extra):
    found = decoded(with_chunk(extra))
    np.testing.assert_array_equal(found.pixels, PIXELS)
    assert found.flags == ()


def test_a_large_profile_is_read():
    profile = np.random.default_rng(1).bytes(BIG)
    found = decoded(with_chunk(chunk(b"iCCP", b"p\0\0" + zlib.compress(profile))))
    assert (found.icc_profile, found.flags) == (profile, ())


@pytest.mark.parametrize(
    "payload", [b"p\0\0no stream", b"p", b"p\0\0" + zlib.compress(b"x" * 50)[:9]]
)
def test_a_profile_that_cannot_be_inflated_is_empty(payload):
    found = decoded(with_chunk(chunk(b"iCCP", payload)))
    assert found.icc_profile == b""
    np.testing.assert_array_equal(found.pixels, PIXELS)


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"IDAT"])
def test_a_wrong_checksum_of_what_makes_the_picture_is_damage(name):
    data, _ = written("palette")
    at = data.index(name)
    end = at + 4 + int.from_bytes(data[at - 4 : at], "big")
    broken = data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :]
    assert refused(broken) == FailureReason.DECODE_FAILED


def test_a_dialect_is_unsupported():
    """Apple's tools write CgBI for telephones: premultiplied, other byte order, no checksum."""
    assert refused(with_chunk(chunk(b"CgBI", b"\x50\0\x20\2"))) == FailureReason.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("kind", ["palette", "rgb 16", "rgb"])
def test_wholly_transparent_is_no_picture(kind):
    if kind == "rgb":
        image = Image.fromarray(np.dstack([PIXELS, np.zeros((90, 120), np.uint8)]), "RGBA")
        data = saved(image)
    elif kind == "palette":
        image = Image.new("P", (9, 9), 1)
        image.putpalette([0, 0, 0, 200, 10, 20])
        data = saved(image, transparency=1)
    else:
        wide = np.zeros((9, 9, 4), ">u2")
        wide[..., :3] = 40_000
        rows = b"".join(b"\x00" + row.tobytes() for row in wide)
        head = struct.pack(">IIBBBBB", 9, 9, 16, 6, 0, 0, 0)
        data = SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
        data += chunk(b"IEND", b"")
    assert refused(data) == FailureReason.WHOLLY_TRANSPARENT


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
def test_grey_is_not_colour(mode):
    image = Image.fromarray(PIXELS).convert("L")
    assert refused(saved(image.convert(mode))) == FailureReason.NOT_COLOUR


def test_the_first_picture_of_an_animation_is_taken_and_said():
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    found = decoded(saved(frames[0], save_all=True, append_images=frames[1:]))
    assert found.flags == ("first_of_many",)
    assert found.pixels[0, 0].tolist() == [255, 0, 0]


def with_size(data: bytes, columns: int, rows: int) -> bytes:
    """The same chunks behind a header that says another size."""
    (_, header), *others = chunks(data)
    said = struct.pack(">II", columns, rows) + header[8:]
    return SIGNATURE + b"".join(chunk(*each) for each in ((b"IHDR", said), *others))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("columns", "rows"), [(120, 45), (120, 89), (117, 90), (60, 90)])
def test_data_of_a_larger_picture_contradict_the_header(kind, columns, rows, capfd):
    """libpng draws what fits, and writes a warning of its own."""
    data = with_size(file_of(kind)[0], columns, rows)
    assert refused(data) == FailureReason.HEADER_CONTRADICTS_PIXELS
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_behind_the_end_of_the_data_stream_are_no_matter(kind, capfd):
    data, _ = file_of(kind)
    longer = [(name, payload + b"padding" * (name == b"IDAT")) for name, payload in chunks(data)]
    padded = SIGNATURE + b"".join(chunk(*each) for each in longer)
    np.testing.assert_array_equal(decoded(padded).pixels, decoded(data).pixels)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["rgb", "palette", "interlaced"])
@pytest.mark.parametrize("rows", [90, 45])
def test_a_second_header_is_damage(kind, rows):
    data, _ = file_of(kind)
    head = with_size(data, 120, rows)[8:33]
    assert refused(data[:33] + head + data[33:]) == FailureReason.DECODE_FAILED


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (2, 3), (5, 1), (4, 9), (8, 8), (9, 5)])
@pytest.mark.parametrize("kind", ["rgb", "interlaced"])
def test_small_pictures_hold_what_their_headers_need(columns, rows, kind):
    pixels = PIXELS[:rows, :columns]
    data = saved(Image.fromarray(pixels)) if kind == "rgb" else interlaced(pixels)
    np.testing.assert_array_equal(decoded(data).pixels, pixels)
