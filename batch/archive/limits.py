"""What a file may ask of this machine before any of its pixels is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from batch.errors import FailureReason, ImageFailure, Stage


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one file; the defaults hold a 100-megapixel original.

    file_bytes: size on disk. side, pixels: of one frame, as its header declares them.
    frames: of one DICOM object.
    """

    file_bytes: int = 512 * 1024**2
    side: int = 20_000
    pixels: int = 100_000_000
    frames: int = 64

    def check_size(self, rows: int, columns: int) -> None:
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
