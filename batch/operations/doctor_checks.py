"""The result of a check of `doctor`, how all of them are printed, and the samples it decodes."""

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
    """Result of a check; after `failed` a run would not work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Check:
    """A check.

    name: what was checked.
    status: the result.
    found: what was found.
    remedy: empty if there is nothing to do.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


def doctor_table(checks: Sequence[Check]) -> str:
    """A line for each check, its remedy below it, and a line with counts."""
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


def check_by_level(
    name: str, value: float, warn: float, fail: float, found: str, remedy: str
) -> Check:
    """Make a check of a number, or of a truth value as 1 or 0.

    Args:
        value: failed below `fail`, a warning below `warn`.
        remedy: used only if the check is not ok.
    """
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
"""A frame of 8x8 pixels of `COLOUR` in each codec, compressed by zlib, in base64."""


def decoding_problem(uid: str) -> str:
    """What is wrong with decoding a transfer syntax in this process; empty if nothing is."""
    from batch.images import dicom_image
    from batch.images.dicom_frames import decode_frame
    from batch.images.dicom_parse import parse

    codec, data = CODECS[uid], bytes(COLOUR) * 64
    if codec != Codec.NATIVE:  # an empty offset table, then an item with the frame (PS3.5 A.4)
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


def run_check(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """Run the checks of a function; an error of it becomes a failed check."""
    checks: list[Check] = []
    try:
        for check in look():  # one by one, so that checks before an error are kept
            checks += [check]
    except BatchError as error:
        checks += [Check(name, Status.FAILED, str(error))]
    except Exception as error:  # only its type, since its message may quote values
        what = error.strerror if isinstance(error, OSError) else getattr(error, "name", None)
        found = f"unexpected {type(error).__name__}" + (f" ({what})" if what else "")
        checks += [Check(name, Status.FAILED, found, "Repair that, or install the package again.")]
    return checks
