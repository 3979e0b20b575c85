"""What `doctor` says of one thing that it tried, and of all of them; the samples it decodes."""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from batch.core.errors import BatchError
from batch.core.rules import Limits, ReadingRules
from batch.images.dicom_kinds import CODECS, Codec


class Status(StrEnum):
    """How a check ended; with `failed` a run would not work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Check:
    """One thing that was tried. remedy: empty when nothing is to be done."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def doctor_table(checks: Sequence[Check]) -> str:
    """One line a check, its remedy below, and a closing count."""
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        lines += [f"{check.status:7}  {check.name:{width}}  {check.found}"]
        lines += [f"{'':7}  {'':{width}}  -> {check.remedy}"] if check.remedy else []
    counts = [f"{sum(c.status == status for c in checks)} {status}" for status in Status]
    return "\n".join([*lines, ", ".join(counts)])


def doctor_json(checks: Iterable[Check]) -> list[dict[str, str]]:
    """The checks, for a machine."""
    return [asdict(check) | {"status": check.status.value} for check in checks]


def has_failed(checks: Iterable[Check]) -> bool:
    """Whether a run would not work."""
    return any(check.status == Status.FAILED for check in checks)


def level(name: str, value: float, warn: float, fail: float, found: str, remedy: str) -> Check:
    """A check by a number or a truth (1 or 0): failed below `fail`, a warning below `warn`."""
    status = Status.FAILED if value < fail else Status.WARNING if value < warn else Status.OK
    return Check(name, status, found, remedy if status != Status.OK else "")


COLOUR = (200, 100, 50)


STREAMS = {
    Codec.JPEG: "eNr7f+P/bQZnBkYKwf8DDIIcDEDIzCjIwCTIwCzI8P8IgwgDIwMqYAOJCqCLgtUyootygkQFMdXeYuBhZ"
        "gRaArTDnsFO+2zz/5sAn0oTyg==",
    Codec.JPEG_LOSSLESS: "eNr7f+P/OwY+x5T8pFSGFAYQ+H+YQZCDAQiZgwQZ3AUZnAQZ/h9hEGNgZGRkQAHsrP9vMfAw"
        "BzG4MzgxAOWWJJ5xYMAKGP/fBAB4wRGk",
    Codec.JPEG_LS: "eNr7f+P/CwaF4ABPNzcGJgYGZgYGBg4Q5uJgY2RgYNQBYaAKkBjj/xv/vzMIcgA5HMyMggxMggzMgg"
        "z/bzHwMDMC9QK1MoFU5TG1ecb/rwv/X/f/JgCYIhS5",
    Codec.JPEG_2000: "eNr77/8/kEGfAQQ4oBgGUPnM7IyMEPQ/iIEHKMDIwMDCwsD4P4aBxcHh/wQGLrAyD6DI5PNbPEQY"
        "Yhanxm5gYObkuMol4eH9v/7wcwnBgJD1TbZAJS0t+89v8QFyoWo4a2vOMDAccrL/fxMAVZ0gtQ==",
    Codec.JPEG_XL: "eNr7z+XooMLBwsiQw+At0S3KcEU8ec/uinIGgResDG4JB4zu6wjqxTIAAM46Cxs=",
    Codec.RLE: "eNpjZmBgcABiJyB2YSAdHDxxMOWgEQA/TgRr",
}  # fmt: skip
"""A frame of 8x8 pixels of `COLOUR` in each codec (by Pillow, imagecodecs), zlib and base64."""


def decode_trouble(uid: str) -> str:
    """What is wrong with decoding a transfer syntax in this process; empty when nothing is."""
    from batch.images import dicom_image
    from batch.images.dicom_frames import decode_frame
    from batch.images.dicom_parse import parse

    codec, data = CODECS[uid], bytes(COLOUR) * 64
    if codec != Codec.NATIVE:  # an item without offsets, an item with the frame (PS3.5 A.4)
        frame = zlib.decompress(b64decode(STREAMS[codec]))
        item, length = b"\xfe\xff\x00\xe0", len(frame) + len(frame) % 2
        data = item + bytes(4) + item + length.to_bytes(4, "little") + frame.ljust(length, b"\0")
    parsed = parse(b"", Limits(), has_preamble=False)
    dataset = parsed.dataset
    dataset.file_meta.TransferSyntaxUID = uid  # type: ignore[assignment]
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 8, 8, 3
    dataset.PhotometricInterpretation = "YBR_FULL" if codec == Codec.JPEG else "RGB"
    dataset.PlanarConfiguration, dataset.PixelRepresentation, dataset.PixelData = 0, 0, data
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    pixels, _ = decode_frame(dicom_image.describe(parsed, ReadingRules()), 0, Limits())
    is_far = abs(pixels.astype(int) - COLOUR).max() > 3
    return "other colours than were encoded" if is_far else ""


def guarded(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """The checks of one look; what it raises is a failed check of its own."""
    checks: list[Check] = []
    try:
        for check in look():  # one by one: what came before an error stays
            checks += [check]
    except BatchError as error:
        checks += [Check(name, Status.FAILED, str(error))]
    except Exception as error:  # by its kind: messages may quote what was read
        what = error.strerror if isinstance(error, OSError) else getattr(error, "name", None)
        found = f"unexpected {type(error).__name__}" + (f" ({what})" if what else "")
        checks += [Check(name, Status.FAILED, found, "Repair that, or install the package again.")]
    return checks
