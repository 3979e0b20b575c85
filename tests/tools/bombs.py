"""Small files that ask for a machine: what each costs, and what becomes of it.

`python -m tests.tools.bombs [FOLDER]` writes the files (about 10 MB; without FOLDER into a
temporary one), reads each in a process of its own and prints a table. A process may take 3 GiB of
address space, as a worker of the job might; the watched process keeps its own bound.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from batch.archive.local import LocalArchive
from batch.archive.reader import read_file
from batch.core.records import Unscored
from batch.core.rules import Limits, ReadingRules
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from tests.support.archives import REPOSITORY, dermoscopic, dicom_bytes, locate

ADDRESS_SPACE = 3 * 1024**3
SECONDS = 120
PIXELS = lesion_image(1, 100, 100)


@dataclass(frozen=True)
class Bomb:
    """A file to be made.

    expected: a reason, or `scored`. allowed_mb: of peak memory. decode_seconds: as a limit; short
    for what is ended for its time.
    """

    name: str
    make: Callable[[], bytes]
    expected: str = "too_many_pixels"
    allowed_mb: int = 700
    decode_seconds: int = 60


@dataclass(frozen=True)
class Measured:
    """What became of a file in a process of its own. peak_mb: of it and its watched process."""

    name: str
    size: int
    reason: str
    peak_mb: float
    seconds: float


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(columns: int, rows: int, idat: bytes, before: bytes = b"") -> bytes:
    """8-bit RGB."""
    header = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0))
    end = _png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + before + _png_chunk(b"IDAT", idat) + end


def _one_colour_png(side: int, rows_a_chunk: int = 100) -> bytes:
    """Every row: filter `Sub`, one pixel, zeros. One compressed chunk of rows is repeated."""
    rows = (b"\x01\xc8\x96\x78" + bytes(3 * (side - 1))) * rows_a_chunk
    compress = zlib.compressobj(9)
    head = compress.compress(rows) + compress.flush(zlib.Z_FULL_FLUSH)
    again = compress.compress(rows) + compress.flush(zlib.Z_FULL_FLUSH)
    repeats = side // rows_a_chunk
    checksum = 1
    for _ in range(repeats):
        checksum = zlib.adler32(rows, checksum)
    last = b"\x03\x00"  # an empty final block
    return _png(side, side, head + again * (repeats - 1) + last + checksum.to_bytes(4, "big"))


def _png_with_inflating_text() -> bytes:
    text = zlib.compress(bytes(200_000_000))
    rows = np.concatenate([np.zeros((100, 1), np.uint8), PIXELS.reshape(100, -1)], axis=1)
    before = _png_chunk(b"zTXt", b"Comment\x00\x00" + text)
    return _png(100, 100, zlib.compress(rows.tobytes()), before)


def _png_with_inflating_profile() -> bytes:
    rows = np.concatenate([np.zeros((100, 1), np.uint8), PIXELS.reshape(100, -1)], axis=1)
    before = _png_chunk(b"iCCP", b"profile\x00\x00" + zlib.compress(bytes(200_000_000)))
    return _png(100, 100, zlib.compress(rows.tobytes()), before)


def _jpeg_with_size(rows: int, columns: int) -> bytes:
    data = bytearray(jpeg_bytes(PIXELS))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", rows, columns)
    return bytes(data)


def _jpeg_of_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG in one colour, whose last scan comes again and again."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (200, 150, 120)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def _tiff_of_one_strip(side: int, inflated: int | None = None) -> bytes:
    """Deflated RGB in a strip of so many bytes, or of as many as the page needs."""
    zeros, packer = bytes(1 << 20), zlib.compressobj(9)
    size = inflated or side * side * 3
    parts = [packer.compress(zeros[: min(len(zeros), size - at)]) for at in range(0, size, 1 << 20)]
    strip = b"".join(parts) + packer.flush()
    return _tiff(side, 8, len(strip))[:140] + strip


def _tiff(side: int, compression: int = 1, count: int | None = None) -> bytes:
    """RGB in one strip, which is not there."""
    count = min(side * side * 3, 2**32 - 1) if count is None else count
    entries = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, 3, 134),
        (259, 3, 1, compression),
        (262, 3, 1, 2),
        (273, 4, 1, 140),
        (277, 3, 1, 3),
        (278, 4, 1, side),
        (279, 4, 1, count),
        (284, 3, 1, 1),
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\x00" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    return head + struct.pack("<HHH", 8, 8, 8) + bytes(600)


def _webp(side: int) -> bytes:
    canvas = b"\x00" * 4 + 2 * (side - 1).to_bytes(3, "little")
    chunks = b"WEBPVP8X" + struct.pack("<I", 10) + canvas
    chunks += b"VP8L" + struct.pack("<I", 20) + b"\x2f" + bytes(19)
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def _gif(side: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    return screen + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\x00;"


def _bmp(side: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 600, 0, 0, 54) + header + bytes(600)


def _native(side: int) -> bytes:
    dataset = dermoscopic(PIXELS[:10, :10], Rows=side, Columns=side)
    return dicom_bytes(dataset)


def _encapsulated(syntax: str, stream: bytes, side: int = 100, frames: int = 1) -> bytes:
    dataset = dermoscopic(PIXELS, Rows=side, Columns=side)
    dataset.file_meta.TransferSyntaxUID = syntax
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    return dicom_bytes(dataset)


def _jpeg_2000(side: int) -> bytes:
    """Of 100 by 100 pixels, with a SIZ of another size."""
    data = bytearray(imagecodecs.jpeg2k_encode(PIXELS, level=0, codecformat="j2k"))
    at = data.index(b"\xff\x51")
    data[at + 6 : at + 14] = struct.pack(">II", side, side)
    data[at + 22 : at + 30] = struct.pack(">II", side, side)  # one tile
    return bytes(data)


def _jpeg_ls(side: int) -> bytes:
    data = bytearray(imagecodecs.jpegls_encode(PIXELS))
    at = data.index(b"\xff\xf7")
    data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def _rle(segment: bytes) -> bytes:
    """Three segments of one content each."""
    offsets = [64 + number * len(segment) for number in range(3)]
    return struct.pack("<16I", 3, *offsets, *[0] * 12) + segment * 3


def _deflated(size: int) -> bytes:
    dataset = dermoscopic(PIXELS)
    dataset.add_new(0x00090010, "LO", "melanoma-batch tests")
    dataset.add_new(0x00091010, "OB", bytes(size))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return dicom_bytes(dataset)


BOMBS = (
    Bomb("header-30000.png", lambda: _png(30_000, 30_000, zlib.compress(bytes(900)))),
    Bomb("real-19000.png", lambda: _one_colour_png(19_000)),
    Bomb("real-9900.png", lambda: _one_colour_png(9_900), "one_colour", allowed_mb=1200),
    Bomb("text-200mb.png", _png_with_inflating_text, "scored"),
    Bomb("profile-200mb.png", _png_with_inflating_profile, "scored"),
    Bomb(
        "strip-200mb.tif", lambda: _tiff_of_one_strip(300, 200_000_000), "header_contradicts_pixels"
    ),
    Bomb("real-9900.tif", lambda: _tiff_of_one_strip(9_900), "one_colour", allowed_mb=1200),
    Bomb("header-65500.jpg", lambda: _jpeg_with_size(65_500, 65_500)),
    Bomb(
        "scans-5000.jpg",
        lambda: _jpeg_of_scans(6_000, 5_000),
        "decoder_timed_out",
        decode_seconds=2,
    ),
    Bomb("header-60000.tif", lambda: _tiff(60_000)),
    Bomb("canvas-16777216.webp", lambda: _webp(1 << 24)),
    Bomb("header-65535.gif", lambda: _gif(65_535)),
    Bomb("header-60000.bmp", lambda: _bmp(60_000)),
    Bomb("native-65000.dcm", lambda: _native(65_000)),
    Bomb("native-9900.dcm", lambda: _native(9_900), "header_contradicts_pixels"),
    Bomb(
        "jpeg2000-60000.dcm",
        lambda: _encapsulated(JPEG2000Lossless, _jpeg_2000(60_000)),
        "header_contradicts_pixels",
    ),
    Bomb(
        "jpeg2000-4000.dcm",
        lambda: _encapsulated(JPEG2000Lossless, _jpeg_2000(4_000), 4_000),
        "decode_failed",
    ),
    Bomb("deflated-200mb.dcm", lambda: _deflated(200_000_000), "inflates_too_much"),
    Bomb(
        "frames-100000.dcm",
        lambda: _encapsulated(JPEG2000Lossless, _jpeg_2000(100), frames=100_000),
        "too_many_frames",
    ),
    Bomb(
        "rle-9900.dcm",
        lambda: _encapsulated(RLELossless, _rle(b"\x81\x00" * 8), 9_900),
        "decode_failed",
    ),
    Bomb(
        "rle-too-much.dcm",
        lambda: _encapsulated(RLELossless, _rle(b"\x81\x00" * 250_000)),
        "decode_failed",
    ),
    Bomb(
        "jpegls-60000.dcm",
        lambda: _encapsulated(JPEGLSLossless, _jpeg_ls(60_000)),
        "header_contradicts_pixels",
    ),
    Bomb(
        "jpegls-9900.dcm",
        lambda: _encapsulated(JPEGLSLossless, _jpeg_ls(9_900), 9_900),
        "decode_failed",
    ),
)


def measure(bomb: Bomb, folder: Path) -> Measured:
    """Write a file and read it in a process of its own.

    Raises:
        subprocess.SubprocessError: the process failed, or did not end.
    """
    path = folder / bomb.name
    path.write_bytes(bomb.make())
    options = ["--read", str(path), "--decode-seconds", str(bomb.decode_seconds)]
    run = subprocess.run(
        [sys.executable, "-m", "tests.tools.bombs", *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return Measured(bomb.name, path.stat().st_size, **json.loads(run.stdout))


def measure_all(folder: Path) -> list[Measured]:
    """Write and measure every bomb, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda bomb: measure(bomb, folder), BOMBS))


def violations(bomb: Bomb, measured: Measured) -> list[str]:
    """What is wrong with a measurement; nothing when all is well."""
    found = []
    if measured.reason != bomb.expected:
        found.append(f"{bomb.name}: {measured.reason}, expected {bomb.expected}")
    if measured.peak_mb > bomb.allowed_mb:
        found.append(f"{bomb.name}: {measured.peak_mb} MB, allowed {bomb.allowed_mb}")
    return found


def _read_here(path: Path, decode_seconds: int) -> dict[str, object]:
    """Read a file in this process, within its bound of address space."""
    resource.setrlimit(
        resource.RLIMIT_AS, (ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1])
    )
    rules = ReadingRules(limits=Limits(decode_seconds=decode_seconds))
    start = time.monotonic()
    _, (result,) = read_file(LocalArchive(path.parent), locate(path.parent, path), rules)
    seconds = time.monotonic() - start
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
    return {
        "reason": result.reason.value if isinstance(result, Unscored) else "scored",
        "peak_mb": round(max(_own_peak(), _peak_of_ended_children()) / 1024, 1),
        "seconds": round(seconds, 2),
    }


def _own_peak() -> int:
    """KiB; ru_maxrss would begin with the peak of whoever started this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])


def _peak_of_ended_children() -> int:
    """KiB, of the largest."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("folder", metavar="FOLDER", type=Path, nargs="?")
    words.add_argument("--read", metavar="FILE", type=Path, help="read one file here")
    words.add_argument("--decode-seconds", metavar="N", type=int, default=60)
    options = words.parse_args()
    if options.read:
        print(json.dumps(_read_here(options.read, options.decode_seconds)))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measured = measure_all(folder)
    print("| bomb | bytes | reason | peak memory MB | seconds |\n|---|---|---|---|---|")
    for m in measured:
        print(f"| {m.name} | {m.size} | {m.reason} | {m.peak_mb} | {m.seconds} |")
    return int(any(violations(bomb, m) for bomb, m in zip(BOMBS, measured, strict=True)))


if __name__ == "__main__":
    sys.exit(main())
