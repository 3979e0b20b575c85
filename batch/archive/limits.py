"""What a file may ask of this machine before any of its pixels is decoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from batch.errors import FailureReason, ImageFailure, Stage, UsageError
from batch.near import did_you_mean


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one file; the defaults hold a 100-megapixel original.

    file_bytes: size on disk. side, pixels: of one frame, as its headers declare them.
    frames: of one DICOM object. decoded_bytes: of one frame, before it is brought to 8 bits.
    inflated_bytes: of a deflated DICOM dataset. nesting: levels of DICOM sequences.
    decode_seconds: of one file in the watched process. decoder_bytes: address space of the
    watched process.
    """

    file_bytes: int = 512 * 1024**2
    side: int = 20_000
    pixels: int = 100_000_000
    frames: int = 64
    decoded_bytes: int = 640 * 1024**2
    inflated_bytes: int = 128 * 1024**2
    nesting: int = 32
    decode_seconds: int = 60
    decoder_bytes: int = 4 * 1024**3

    def check_size(self, rows: int, columns: int, bytes_per_pixel: int = 3) -> None:
        """Refuse a frame whose declared size is absurd, before memory is asked for.

        Raises:
            ImageFailure: HEADER_CONTRADICTS_PIXELS for a side below 1, TOO_MANY_PIXELS above.
        """
        if rows < 1 or columns < 1:
            raise ImageFailure(
                Stage.DECODE, FailureReason.HEADER_CONTRADICTS_PIXELS, "declared without pixels"
            )
        if max(rows, columns) > self.side or rows * columns > self.pixels:
            raise ImageFailure(
                Stage.DECODE,
                FailureReason.TOO_MANY_PIXELS,
                f"{columns}x{rows}; allowed: {self.side} a side, {self.pixels} in all",
            )
        if (needed := rows * columns * bytes_per_pixel) > self.decoded_bytes:
            raise ImageFailure(
                Stage.DECODE,
                FailureReason.TOO_MANY_PIXELS,
                f"{needed} bytes decoded; allowed: {self.decoded_bytes}",
            )


_RANGES = {"decode_seconds": (1, 86_400), "decoder_bytes": (1 << 29, 1 << 46)}
_DIGITS = 18
LIMIT_NAMES = tuple(field.name for field in dataclasses.fields(Limits))


def parse_limits(words: Iterable[str]) -> Limits:
    """Limits from words like `frames=128`; the defaults for the rest.

    Raises:
        UsageError: an unknown name, or a value that is no positive whole number.
    """
    changed: dict[str, int] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in LIMIT_NAMES or not value.isdecimal():
            raise UsageError(
                f"--limit: found {word[:80]!r}; allowed: NAME=NUMBER, a whole number, with NAME "
                f"one of {', '.join(LIMIT_NAMES)}."
                f"{'' if name in LIMIT_NAMES else did_you_mean(name, LIMIT_NAMES)}"
            )
        low, high = _RANGES.get(name, (1, 1 << 46))
        if len(value) > _DIGITS or not low <= int(value) <= high:
            raise UsageError(f"--limit: found {word[:80]!r}; allowed: {name} from {low} to {high}.")
        changed[name] = int(value)
    return dataclasses.replace(Limits(), **changed)
