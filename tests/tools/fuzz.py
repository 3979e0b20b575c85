"""Damaged files by the thousand: `python -m tests.tools.fuzz --mutants 20000 --seed 0`.

Each mutant of a small good file is read as the pipeline reads it; whatever it has become, it ends
in exactly as many results as it has frames. Prints the outcomes counted; the exit code is 1 after
a violation, and the mutant is kept in the folder that --save names.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from batch.archive.local import LocalArchive
from batch.archive.reader import read_file
from batch.core.errors import FailureReason
from batch.core.privacy import IdentifierPolicy, Identifiers
from batch.core.records import FileReading, FileState, ModelInput, Unscored
from batch.core.rules import Limits, ReadingRules
from batch.demo import dicom_writer
from batch.demo.lesions import lesion_image
from tests.support import encoded, icc
from tests.support.archives import dicom_bytes, locate
from tests.support.tiff_writer import JPEG, LZW, SHORT, YCBCR, Tiff, write

SECONDS = 60
PIXELS = lesion_image(1, 40, 40)
RULES = ReadingRules(
    limits=Limits(decode_seconds=20),
    identifiers=IdentifierPolicy(Identifiers.FULL, b"a key of the tests, 32 bytes long"),
)
"""Identifiers in full, so that every attribute is read."""

SUBSAMPLED = {530: (SHORT, [2, 2])}

_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF, 0xD8, 0xD9, 0xDA, 0x0A, 0x5C)
_SHORTS = (0, 1, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 40, 41, 65_500)
_LONGS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 20_000, 100_000_000)


def _plain(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **options)
    return buffer.getvalue()


def _palette(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).quantize(200).save(buffer, kind, **options)
    return buffer.getvalue()


def _several_frames() -> bytes:
    frames = np.stack([lesion_image(seed, 40, 40) for seed in range(3)])
    return dicom_bytes(dicom_writer.multi_frame_capture(frames, 1, 1))


BASES: dict[str, bytes] = {
    "jpeg.jpg": dicom_writer.jpeg_bytes(PIXELS),
    "progressive.jpg": _plain("JPEG", progressive=True),
    "plain.png": _plain("PNG"),
    "palette.png": _palette("PNG", transparency=3),
    "strips.tif": write(PIXELS, Tiff(compression=LZW, predictor=2)),
    "planes.tif": write(PIXELS.astype("u2") * 257, Tiff(bits=16, separate=True, big=True)),
    "tiles.tif": write(PIXELS, Tiff(YCBCR, compression=JPEG, tile=(16, 16), fields=SUBSAMPLED)),
    "palette.tif": _palette("TIFF", compression="packbits"),
    "plain.bmp": _plain("BMP"),
    "plain.gif": _palette("GIF"),
    "lossy.webp": _plain("WEBP"),
    "adobe-rgb.jpg": _plain("JPEG", icc_profile=icc.profile(icc.ADOBE_RGB)),
    "jpeg.dcm": dicom_bytes(encoded.LOSSY["jpeg"](PIXELS)),
    "native.dcm": dicom_bytes(encoded.LOSSLESS["native"](PIXELS)),
    "jpeg-2000.dcm": dicom_bytes(encoded.LOSSLESS["jpeg 2000"](PIXELS)),
    "jpeg-ls.dcm": dicom_bytes(encoded.LOSSLESS["jpeg-ls"](PIXELS)),
    "jpeg-lossless.dcm": dicom_bytes(encoded.LOSSLESS["jpeg lossless"](PIXELS)),
    "rle.dcm": dicom_bytes(encoded.LOSSLESS["rle"](PIXELS)),
    "frames.dcm": _several_frames(),
}


def mutate(data: bytes, chance: random.Random) -> bytes:
    """One to eight changes; half of them in the first kilobyte, where the headers are."""
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        if mutant:
            at = chance.randrange(min(len(mutant), chance.choice((1024, len(mutant)))))
            chance.choice(_MUTATIONS)(mutant, at, chance)
    return bytes(mutant)


def _flip_a_bit(mutant: bytearray, at: int, chance: random.Random) -> None:
    mutant[at] ^= 1 << chance.randrange(8)


def _overwrite_a_byte(mutant: bytearray, at: int, chance: random.Random) -> None:
    mutant[at] = chance.choice(_BYTES)


def _overwrite_a_short(mutant: bytearray, at: int, chance: random.Random) -> None:
    order = chance.choice(("little", "big"))
    mutant[at : at + 2] = chance.choice(_SHORTS).to_bytes(2, order)


def _overwrite_a_long(mutant: bytearray, at: int, chance: random.Random) -> None:
    order = chance.choice(("little", "big"))
    mutant[at : at + 4] = chance.choice(_LONGS).to_bytes(4, order)


def _delete(mutant: bytearray, at: int, chance: random.Random) -> None:
    del mutant[at : at + chance.choice((1, 2, 4, 16, 256))]


def _insert(mutant: bytearray, at: int, chance: random.Random) -> None:
    mutant[at:at] = chance.randbytes(chance.choice((1, 2, 4, 16, 256)))


def _duplicate(mutant: bytearray, at: int, chance: random.Random) -> None:
    mutant[at:at] = mutant[at : at + chance.choice((2, 16, 256, 2048))]


def _truncate(mutant: bytearray, at: int, chance: random.Random) -> None:
    del mutant[max(at, chance.randrange(len(mutant))) :]


_MUTATIONS = (
    _flip_a_bit,
    _overwrite_a_byte,
    _overwrite_a_short,
    _overwrite_a_long,
    _delete,
    _insert,
    _duplicate,
    _truncate,
)


def examine(path: Path) -> tuple[list[str], list[str]]:
    """(outcomes, violations) of a file: one outcome for each frame, or for the file as a whole."""
    location = locate(path.parent, path)
    start = time.monotonic()
    try:
        reading, results = read_file(LocalArchive(path.parent), location, RULES)
    except Exception as error:
        return ["an exception"], [f"raised {type(error).__name__}"]
    seconds = time.monotonic() - start
    outcomes = [_outcome(result) for result in results] or [f"{reading.state}: {reading.reason}"]
    violations = [*_of_reading(reading, results)]
    violations += [fault for result in results for fault in _of_result(result, path)]
    if str(path.parent) in reading.detail or path.name in reading.detail:
        violations.append("the path stands in the detail of the file")
    if seconds >= SECONDS:
        violations.append(f"took {seconds:.0f} s")
    return outcomes, violations


def _outcome(result: ModelInput | Unscored) -> str:
    return "ready to be scored" if isinstance(result, ModelInput) else str(result.reason)


def _of_reading(reading: FileReading, results: tuple[ModelInput | Unscored, ...]) -> list[str]:
    violations = []
    if reading.frames != len(results):
        violations.append(f"{reading.frames} frames, {len(results)} results")
    settled = reading.state in (FileState.NON_IMAGE, FileState.PENDING)
    if settled == bool(results):
        violations.append(f"state {reading.state} with {len(results)} results")
    return violations


def _of_result(result: ModelInput | Unscored, path: Path) -> list[str]:
    violations = []
    if isinstance(result, ModelInput):
        if (result.pixels.shape, result.pixels.dtype) != ((180, 180, 3), np.uint8):
            violations.append(f"pixels {result.pixels.shape} {result.pixels.dtype}")
        said, found = repr(result.record), result.record.path
        try:
            "".join(map(str, vars(result.record).values())).encode()  # else no table can hold it
        except UnicodeEncodeError:
            violations.append("an attribute that is not Unicode")
    else:
        said, found = result.detail, result.path
        if not isinstance(result.reason, FailureReason):
            violations.append(f"reason {result.reason!r}")
        if path.name in said or "Demo" in said:
            violations.append(f"detail quotes: {said}")
    if str(path.parent) in said:
        violations.append("the folder stands in a result")
    if found != path.name:
        violations.append("another path")
    return violations


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--mutants", metavar="N", type=int, default=20_000)
    words.add_argument("--seed", metavar="N", type=int, default=0)
    words.add_argument("--save", metavar="FOLDER", type=Path, help="keep what breaks a rule here")
    options = words.parse_args()
    chance = random.Random(options.seed)
    counts: Counter[str] = Counter()
    broken, slowest = 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.mutants):
            name = chance.choice(sorted(BASES))
            path = Path(folder) / name
            path.write_bytes(mutate(BASES[name], chance))
            start = time.monotonic()
            outcomes, violations = examine(path)
            slowest = max(slowest, time.monotonic() - start)
            counts.update(outcomes)
            if violations:
                broken += 1
                print(f"mutant {number} of {name}: {'; '.join(violations)}", flush=True)
                if options.save:
                    options.save.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, options.save / f"{options.seed}-{number}-{name}")
    for outcome, count in counts.most_common():
        print(f"{count:8} {outcome}")
    print(f"{options.mutants} mutants, {broken} violations, slowest {slowest:.1f} s")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
