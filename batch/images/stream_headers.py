"""Reads headers and ends of compressed frames: size and colour before decoding.

Sources: ISO/IEC 15444-1 annex A (SIZ, COD), ISO/IEC 14495-1 (JPEG-LS shares JPEG's frame header),
ISO/IEC 18181-1 (JPEG XL size header).
"""

from __future__ import annotations

from dataclasses import dataclass

from batch.core.errors import FailureReason, ImageFailure, Stage

_END = b"\xff\xd9"
_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(frozen=True)
class Jpeg2000Header:
    """Size, bits and colour transform of a JPEG 2000 or HTJ2K codestream.

    precision: bits of the first component's samples.
    """

    rows: int
    columns: int
    components: int
    precision: int
    multiple_component_transform: bool


@dataclass(frozen=True)
class JpegXlHeader:
    """Size and bits of a JPEG XL codestream.

    precision: bits of a sample; 0 for floating-point numbers.
    """

    rows: int
    columns: int
    precision: int


def require_end(frame: bytes, name: str) -> None:
    """Refuse a lossless JPEG without its end marker, because imagecodecs fills missing data.

    openjpeg, CharLS and the RLE decoder themselves refuse a truncated stream.

    Raises:
        ImageFailure: DECODE_FAILED.
    """
    if _END not in frame.rstrip(b"\0")[-4:]:  # padding may follow
        raise ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, f"{name} without end marker")


def jpeg_2000_header(frame: bytes) -> Jpeg2000Header:
    """Read SIZ and COD of a codestream, raw or in a JP2 file.

    Raises:
        ImageFailure: DECODE_FAILED if there is none.
    """
    start = frame.find(b"\xff\x4f\xff\x51")
    siz = frame[start + 4 : start + 4 + 39]
    if start < 0 or len(siz) < 39:
        raise ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, "JPEG 2000 without header")
    right, bottom, left, top = (int.from_bytes(siz[at : at + 4], "big") for at in (4, 8, 12, 16))
    position, transform = start + 2, False
    while (
        frame[position : position + 1] == b"\xff" and frame[position + 1 : position + 2] != b"\x90"
    ):
        length = int.from_bytes(frame[position + 2 : position + 4], "big")
        if frame[position + 1] == 0x52:  # COD: style, progression, layers, transform
            transform = frame[position + 8 : position + 9] == b"\x01"
        if length < 2:
            break
        position += 2 + length
    return Jpeg2000Header(
        rows=bottom - top,
        columns=right - left,
        components=int.from_bytes(siz[36:38], "big"),
        precision=(siz[38] & 0x7F) + 1,
        multiple_component_transform=transform,
    )


def jpeg_xl_header(frame: bytes) -> JpegXlHeader:
    """Read size and bit depth of a JPEG XL codestream, raw or the first in a container.

    Raises:
        ImageFailure: DECODE_FAILED if there is none; UNSUPPORTED_TRANSFER_SYNTAX for an animation
            or a preview before it.
    """
    start = 0 if frame[:2] == b"\xff\x0a" else frame.find(b"\xff\x0a", 12)
    if start < 0 or len(frame) < start + 12:
        raise ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, "JPEG XL without header")
    bits = _Bits(frame[start + 2 : start + 34])
    rows, columns = _jxl_size(bits)
    if bits.take(1):  # all defaults
        return JpegXlHeader(rows, columns, 8)
    if bits.take(1):  # extra fields
        bits.take(3)  # orientation
        if bits.take(1):  # intrinsic size
            _jxl_size(bits)
        if bits.take(1) or bits.take(1):
            raise ImageFailure(
                Stage.DECODE,
                FailureReason.UNSUPPORTED_TRANSFER_SYNTAX,
                "JPEG XL with a preview or an animation",
            )
    if bits.take(1):
        return JpegXlHeader(rows, columns, 0)
    choice = bits.take(2)
    return JpegXlHeader(rows, columns, (8, 10, 12)[choice] if choice < 3 else bits.take(6) + 1)


class _Bits:
    """Bits of a JPEG XL header, lowest first."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value, self._left = self._left & ((1 << count) - 1), self._left >> count
        return value


def _jxl_size(bits: _Bits) -> tuple[int, int]:
    """(rows, columns)."""
    small = bits.take(1)

    def side() -> int:
        if small:
            return (bits.take(5) + 1) * 8
        return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1

    rows = side()
    ratio = bits.take(3)
    if ratio == 0:
        return rows, side()
    wide, high = _JXL_RATIOS[ratio - 1]
    return rows, rows * wide // high


def webp_size(head: bytes) -> tuple[int, int]:
    """(rows, columns) of a WebP file, whose decoder allocates memory when the file is opened.

    Raises:
        ImageFailure: DECODE_FAILED for an unknown first chunk.
    """
    chunk = head[12:16]
    if chunk == b"VP8X" and len(head) >= 30:
        return (
            int.from_bytes(head[27:30], "little") + 1,
            int.from_bytes(head[24:27], "little") + 1,
        )
    if chunk == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return ((bits >> 14) & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if chunk == b"VP8 " and len(head) >= 30:
        return (
            int.from_bytes(head[28:30], "little") & 0x3FFF,
            int.from_bytes(head[26:28], "little") & 0x3FFF,
        )
    raise ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, "WebP without header")
