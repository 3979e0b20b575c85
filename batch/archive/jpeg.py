"""The few JPEG headers that decide size and colour. Pure functions on bytes, no decoding.

Source: ITU-T T.81 annex B (markers), Adobe TN 5116 (APP14), JFIF 1.02. A decoder has to guess
whether three components are RGB or YCbCr; libjpeg's guess is wrong for some DICOM objects, so we
decide (`stream_colour`) and, where libjpeg would decide otherwise, say so in the stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from batch.errors import FailureReason, ImageFailure, Stage

_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_START_OF_FRAME = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}  # last: JPEG-LS
_SOI, _EOI, _SOS, _APP0, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE
_RGB_IDS = (0x52, 0x47, 0x42)


class StreamColour(StrEnum):
    """What the components of a JPEG stream are."""

    GREY = "grey"
    RGB = "rgb"
    YCBCR = "ycbcr"
    FOUR = "four"


@dataclass(frozen=True)
class JpegHeader:
    """What a JPEG says before its first scan.

    component_ids: one a component. sampling: (horizontal, vertical) factors, one a component.
    adobe_transform: of APP14, None without that marker. segments: (marker, start, end) offsets.
    """

    rows: int
    columns: int
    precision: int
    component_ids: tuple[int, ...]
    sampling: tuple[tuple[int, int], ...]
    has_jfif: bool
    adobe_transform: int | None
    segments: tuple[tuple[int, int, int], ...]

    @property
    def subsampled(self) -> bool:
        """Whether any component has fewer samples than another."""
        return len(set(self.sampling)) > 1


def read_header(data: bytes) -> JpegHeader:
    """Walk the markers up to the first scan.

    Raises:
        ImageFailure: DECODE_FAILED when there is no frame header before a scan or the end.
    """
    has_jfif, adobe, frame = False, None, None
    segments = []
    for marker, start, end in _walk(data):
        payload = data[start + 4 : end]
        segments.append((marker, start, end))
        if marker == _APP0 and payload[:5] == b"JFIF\x00":
            has_jfif = True
        elif marker == _APP14 and payload[:5] == b"Adobe" and len(payload) >= 12:
            adobe = payload[11]
        elif marker in _START_OF_FRAME and frame is None:
            frame = payload
    if frame is None or len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        raise ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, "JPEG without a frame header")
    parts = [frame[6 + 3 * i : 9 + 3 * i] for i in range(frame[5])]
    return JpegHeader(
        rows=int.from_bytes(frame[1:3], "big"),
        columns=int.from_bytes(frame[3:5], "big"),
        precision=frame[0],
        component_ids=tuple(part[0] for part in parts),
        sampling=tuple((part[1] >> 4, part[1] & 15) for part in parts),
        has_jfif=has_jfif,
        adobe_transform=adobe,
        segments=tuple(segments),
    )


def stream_colour(
    header: JpegHeader, photometric_interpretation: str | None
) -> tuple[StreamColour, bool]:
    """Decide what three components mean; the first of five rules that applies.

    Component ids R, G, B; Adobe's transform; JFIF (always YCbCr); subsampled chroma; and at last
    what the DICOM header says, where a plain file says YCbCr. Correct on all colour test files of
    pydicom with transfer syntax .50.

    Returns:
        the colour, and whether it is ambiguous: RGB only by the DICOM header's word.
    """
    count = len(header.component_ids)
    if count != 3:
        return (StreamColour.GREY if count < 3 else StreamColour.FOUR), False
    if header.component_ids == _RGB_IDS:
        return StreamColour.RGB, False
    if header.adobe_transform is not None:
        return (StreamColour.RGB if header.adobe_transform == 0 else StreamColour.YCBCR), False
    if header.has_jfif or header.subsampled or photometric_interpretation != "RGB":
        return StreamColour.YCBCR, False
    return StreamColour.RGB, True


def state_colour(data: bytes, header: JpegHeader, colour: StreamColour) -> bytes:
    """Make libjpeg decode three components as `colour`; the stream unchanged where it would.

    Replaces the JFIF and Adobe markers by an Adobe marker with the right transform.
    """
    if len(header.component_ids) != 3 or colour == _libjpeg_guess(header):
        return data
    transform = 0 if colour == StreamColour.RGB else 1
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    kept = [
        data[start:end] for marker, start, end in header.segments if marker not in (_APP0, _APP14)
    ]
    scan_start = header.segments[-1][2] if header.segments else 2
    return b"\xff\xd8" + adobe + b"".join(kept) + data[scan_start:]


def _libjpeg_guess(header: JpegHeader) -> StreamColour:
    """Libjpeg's own choice for three components (jdapimin.c, default_decompress_parms)."""
    if header.has_jfif:
        return StreamColour.YCBCR
    if header.adobe_transform is not None:
        return StreamColour.RGB if header.adobe_transform == 0 else StreamColour.YCBCR
    return StreamColour.RGB if header.component_ids == _RGB_IDS else StreamColour.YCBCR


def _walk(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of every segment from SOI to the first scan's header.

    Stray bytes between segments are passed over, as libjpeg does (jdmarker.c, next_marker).
    """
    position = 2 if data[:2] == b"\xff\xd8" else len(data)
    while (position := data.find(b"\xff", position)) >= 0 and position + 4 <= len(data):
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _STANDALONE or marker == 0:
            position += 2
            continue
        if marker in (_SOI, _EOI):
            return
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        yield marker, position, min(end, len(data))
        if marker == _SOS:
            return
        position = end
