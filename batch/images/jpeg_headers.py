"""Reads the JPEG headers that decide size and colour.

Sources: ITU-T T.81 annex B (markers), Adobe TN 5116 (APP14), JFIF 1.02. A decoder has to guess
whether three components are RGB or YCbCr, and libjpeg guesses wrong for some DICOM objects. So
`stream_colour` decides, and `state_colour` writes the decision into the stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from batch.core.errors import FailureReason, ImageFailure, Stage

SOI, EOI, SOS, APP0, APP2, APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE2, 0xEE
ICC_NAME = b"ICC_PROFILE\x00"
"""Beginning of an APP2 segment with a colour profile, or a chunk of one."""
DHP = 0xDE
"""Marker of a hierarchical picture, before its first frame."""
SEQUENTIAL, PROGRESSIVE, LOSSLESS = frozenset({0xC0, 0xC1}), 0xC2, 0xC3
START_OF_FRAME = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}  # last: JPEG-LS
_SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""A marker that begins a segment, or begins or ends the image. Fill bytes, stuffed zeros, TEM,
restart markers and reserved markers do not count, since they may be anywhere."""
_RGB_IDS = (0x52, 0x47, 0x42)
_JFIF_BYTES, _ADOBE_BYTES = 14, 12
"""Shortest payload that libjpeg accepts as a JFIF or Adobe marker."""


class StreamColour(StrEnum):
    """What the components of a JPEG stream are."""

    GREY = "grey"
    RGB = "rgb"
    YCBCR = "ycbcr"
    FOUR = "four"


@dataclass(frozen=True)
class JpegHeader:
    """The headers of a JPEG before its first scan.

    rows, columns, precision: of the frame header; precision in bits.
    component_ids: of each component.
    sampling: (horizontal, vertical) factors of each component.
    has_jfif: whether there is a JFIF marker.
    adobe_transform: of APP14; None without this marker.
    segments: (marker, start, end) of each segment.
    process: marker of the frame header; DHP for a hierarchical picture.
    scan_components: number of components in the first scan; 0 without one.
    """

    rows: int
    columns: int
    precision: int
    component_ids: tuple[int, ...]
    sampling: tuple[tuple[int, int], ...]
    has_jfif: bool
    adobe_transform: int | None
    segments: tuple[tuple[int, int, int], ...]
    process: int = 0xC0
    scan_components: int = 0

    @property
    def subsampled(self) -> bool:
        """Whether any component has fewer samples than another."""
        return len(set(self.sampling)) > 1


def read_header(data: bytes) -> JpegHeader:
    """Walk the markers up to the first scan.

    Raises:
        ImageFailure: DECODE_FAILED if there is no frame header before a scan or the end.
    """
    has_jfif, adobe, frame, process, scan_components = False, None, None, 0, 0
    segments = []
    for marker, start, end in walk(data):
        payload = data[start + 4 : end]
        segments.append((marker, start, end))
        if marker == APP0 and payload[:5] == b"JFIF\x00" and len(payload) >= _JFIF_BYTES:
            has_jfif = True
        elif marker == APP14 and payload[:5] == b"Adobe" and len(payload) >= _ADOBE_BYTES:
            adobe = payload[11]
        elif marker in START_OF_FRAME or marker == DHP:
            process = process or marker
            frame = payload if frame is None else frame
        elif marker == SOS and payload:
            scan_components = payload[0]
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
        process=process,
        scan_components=scan_components,
    )


def stream_colour(
    header: JpegHeader, photometric_interpretation: str | None
) -> tuple[StreamColour, bool]:
    """Decide what the components of a stream mean.

    For a photograph libjpeg's rule counts, as in every viewer: JFIF first, then Adobe's marker,
    then the component ids. Inside DICOM the ids R, G, B come first, unless a marker and the
    header's Photometric Interpretation both contradict them. For a stream without marks and without
    subsampled chroma the header counts. This is correct for all colour test files of pydicom with
    transfer syntax .50.

    Args:
        header: of the stream.
        photometric_interpretation: of the DICOM header; None for a photograph.

    Returns:
        the colour, and whether it is ambiguous: only the DICOM header says RGB, or the stream's own
        marks contradict each other.
    """
    count = len(header.component_ids)
    if count != 3:
        return (StreamColour.GREY if count == 1 else StreamColour.FOUR), False
    marks = _marks(header)
    contradictory = len(marks) > 1
    if photometric_interpretation is None:
        return _libjpeg_guess(header), contradictory
    says_rgb = photometric_interpretation == "RGB"
    if header.component_ids == _RGB_IDS and (says_rgb or StreamColour.YCBCR not in marks):
        return StreamColour.RGB, contradictory
    if not marks and says_rgb and not header.subsampled:
        return StreamColour.RGB, True
    return _libjpeg_guess(header), contradictory


def _marks(header: JpegHeader) -> set[StreamColour]:
    """The colours that the marks of a stream state."""
    marks = set()
    if header.has_jfif:
        marks.add(StreamColour.YCBCR)
    if header.adobe_transform is not None:
        marks.add(StreamColour.RGB if header.adobe_transform == 0 else StreamColour.YCBCR)
    if header.component_ids == _RGB_IDS:
        marks.add(StreamColour.RGB)
    return marks


def state_colour(data: bytes, header: JpegHeader, colour: StreamColour) -> bytes:
    """Make libjpeg decode three components as `colour`.

    If libjpeg would not do so, the JFIF and Adobe markers are replaced by an Adobe marker with the
    right transform; else the stream is unchanged.
    """
    if len(header.component_ids) != 3 or colour == _libjpeg_guess(header):
        return data
    kept = [
        data[start:end] for marker, start, end in header.segments if marker not in (APP0, APP14)
    ]
    scan_start = header.segments[-1][2] if header.segments else 2
    return b"\xff\xd8" + colour_marker(header, colour) + b"".join(kept) + data[scan_start:]


def colour_marker(header: JpegHeader, colour: StreamColour) -> bytes:
    """The Adobe marker that states a colour; four components keep their transform."""
    if colour == StreamColour.FOUR:
        if header.adobe_transform is None:
            return b""  # CMYK
        transform = 2 if header.adobe_transform else 0
    else:
        transform = 0 if colour == StreamColour.RGB else 1
    return b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])


def _libjpeg_guess(header: JpegHeader) -> StreamColour:
    """The choice of libjpeg for three components (jdapimin.c, default_decompress_parms)."""
    if header.has_jfif:
        return StreamColour.YCBCR
    if header.adobe_transform is not None:
        return StreamColour.RGB if header.adobe_transform == 0 else StreamColour.YCBCR
    if header.process == LOSSLESS:
        return StreamColour.RGB
    return StreamColour.RGB if header.component_ids == _RGB_IDS else StreamColour.YCBCR


def walk(data: bytes, position: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of every segment up to a scan's header or the end of the image.

    Stray bytes between segments are skipped, as in libjpeg (jdmarker.c, next_marker).

    Args:
        data: a stream.
        position: where to begin; None for the start of the stream.
    """
    if position is None:
        position = 2 if data[:2] == b"\xff\xd8" else len(data)
    while match := _SEGMENT.search(data, position):
        start, marker = match.start(), data[match.start() + 1]
        if marker == SOI or (marker != EOI and start + 4 > len(data)):
            return
        length = 0 if marker == EOI else int.from_bytes(data[start + 2 : start + 4], "big")
        position = start + 2 + length
        yield marker, start, min(position, len(data))
        if marker in (SOS, EOI):
            return
