"""Finds embedded colour profiles, and other statements that colours are not sRGB.

JPEG: APP2 segments (ICC.1 annex B.4). PNG: iCCP, unless cICP overrides it (PNG 3rd edition,
11.3.2). TIFF: tag 34675. WebP: chunk ICCP. BMP: version 5. DICOM: ICC Profile (0028,2000), at the
top or in an optical path. GIF's application extension, which almost no program writes, is not read.
"""

from __future__ import annotations

from collections.abc import Mapping

from batch.images.colour_profiles import INCOMPLETE
from batch.images.dicom_attributes import PlainValues, text
from batch.images.formats import FileFormat
from batch.images.jpeg_headers import APP2, ICC_NAME

IGNORED = "colour_space_ignored"

_APP1 = 0xE1
_SEGMENT_HEADER = 4

_SRGB_CODE_POINTS = b"\x01\x0d"  # ITU-T H.273: primaries of BT.709, transfer of sRGB
_SRGB_GAMMA = (1 / 2.2,)
_SRGB_CHROMATICITIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_ALIKE = 0.01

_BMP_INFO, _BMP_V5_BYTES, _BMP_SPACE, _BMP_PROFILE = 14, 124, 70, 126
_BMP_EMBEDDED, _BMP_LINKED = b"DEBM", b"KNIL"  # MBED and LINK, in little endian

_ADOBE_RGB_IN_EXIF = (
    b"R03\x00",  # interoperability index: the optional colour space of DCF
    b"\xa0\x01\x00\x03\x00\x00\x00\x01\x00\x02",  # ColorSpace 2, big endian
    b"\x01\xa0\x03\x00\x01\x00\x00\x00\x02\x00",  # little endian
)
SRGB = "SRGB"
"""Color Space (0028,2002) of DICOM."""


Embedded = tuple[bytes | None, tuple[str, ...]]
"""A profile and flags.

The profile is None if there is none, and `INCOMPLETE` if parts of it are missing. There is a flag
if there is no profile and something else says that the colours are not sRGB.
"""


def of_jpeg(data: bytes, segments: tuple[tuple[int, int, int], ...]) -> Embedded:
    """The profile of a JPEG stream, joined from its parts.

    Args:
        data: the stream.
        segments: (marker, start, end) of the header, as in `jpeg_headers.read_header`.
    """
    parts: dict[int, bytes] = {}
    totals: set[int] = set()
    flags: tuple[str, ...] = ()
    for marker, start, end in segments:
        payload = data[start + _SEGMENT_HEADER : end] if marker in (_APP1, APP2) else b""
        if marker == APP2 and payload.startswith(ICC_NAME):
            number, total = (*payload[len(ICC_NAME) : len(ICC_NAME) + 2], 0, 0)[:2]
            part = payload[len(ICC_NAME) + 2 :]
            totals.add(total)
            if parts.setdefault(number, part) != part:
                return INCOMPLETE, ()
        elif marker == _APP1 and _is_adobe_rgb(payload):
            flags = (IGNORED,)
    if not totals:
        return None, flags
    is_whole = len(totals) == 1 and sorted(parts) == list(range(1, max(totals) + 1))
    return b"".join(parts[number] for number in sorted(parts)) if is_whole else INCOMPLETE, ()


def of_raster(data: bytes, file_format: FileFormat, profile: object, exif: object) -> Embedded:
    """The profile of a BMP, WebP, GIF or TIFF file.

    Args:
        data: the file.
        file_format: of the file.
        profile: as the reader of the format gives it; None if there is none, or it is damaged.
        exif: as the reader gives it, bytes or None.
    """
    if file_format == FileFormat.BMP:
        return _of_bitmap(data)
    if profile is not None:
        return profile if isinstance(profile, bytes) else INCOMPLETE, ()
    return None, (IGNORED,) if _is_adobe_rgb(exif) else ()


def of_png(profile: bytes | None, chunks: Mapping[bytes, bytes]) -> Embedded:
    """The profile of a PNG, whose own chunks about colours count before Exif.

    Args:
        profile: of the iCCP chunk, empty if it is damaged; None without one.
        chunks: name to content of cICP, sRGB, gAMA and cHRM.
    """
    if chunks.get(b"cICP", b"")[:2] == _SRGB_CODE_POINTS:
        return None, ()
    if profile is not None:
        return profile or INCOMPLETE, ()
    return None, (IGNORED,) if _is_other_png(chunks) else ()


def of_dicom(values: PlainValues, index: int) -> Embedded:
    """The profile of a frame, by the header of a DICOM object. index: from 0."""
    profile = _profile_element(values)
    if profile is None:
        profile = _of_optical_paths(values, index)
    stated = text(values, "ColorSpace")  # (0028,2002) may occur without a profile
    is_other = profile is None and stated not in (None, SRGB)
    return profile, (IGNORED,) if is_other else ()


def _of_bitmap(data: bytes) -> Embedded:
    """The profile of a bitmap with a BITMAPV5HEADER, which has its offset and size."""
    if int.from_bytes(data[_BMP_INFO : _BMP_INFO + 4], "little") != _BMP_V5_BYTES:
        return None, ()
    space = data[_BMP_SPACE : _BMP_SPACE + 4]
    if space != _BMP_EMBEDDED:  # a linked profile is another file, which is never opened
        return None, (IGNORED,) if space == _BMP_LINKED else ()
    start, size = (
        int.from_bytes(data[at : at + 4], "little") for at in (_BMP_PROFILE, _BMP_PROFILE + 4)
    )
    profile = data[_BMP_INFO + start : _BMP_INFO + start + size]
    return profile if size and len(profile) == size else INCOMPLETE, ()


def _is_adobe_rgb(exif: object) -> bool:
    return isinstance(exif, bytes) and any(mark in exif for mark in _ADOBE_RGB_IN_EXIF)


def _is_other_png(chunks: Mapping[bytes, bytes]) -> bool:
    """Whether cICP, else sRGB, else gAMA and cHRM state other colours; in the standard's order."""
    if b"cICP" in chunks:
        return chunks[b"cICP"][:2] != _SRGB_CODE_POINTS
    if b"sRGB" in chunks:
        return False
    stated = ((b"gAMA", _SRGB_GAMMA), (b"cHRM", _SRGB_CHROMATICITIES))
    return any(
        abs(value - expected) > _ALIKE
        for name, expected_values in stated
        for value, expected in zip(_fractions(chunks.get(name, b"")), expected_values, strict=False)
    )


def _fractions(content: bytes) -> list[float]:
    """32-bit numbers in units of 1/100,000, as in PNG."""
    whole = range(0, len(content) - 3, 4)
    return [int.from_bytes(content[at : at + 4], "big") / 100_000 for at in whole]


def _profile_element(values: PlainValues) -> bytes | None:
    """ICC Profile (0028,2000), or None if it is absent or empty."""
    try:
        value = values.get("ICCProfile")
    except Exception:  # parsers of values raise errors of many types
        return INCOMPLETE
    if not value:
        return None
    return value if isinstance(value, bytes) else INCOMPLETE


def _of_optical_paths(values: PlainValues, index: int) -> bytes | None:
    """The profile of the optical path of a frame."""
    paths = _items(values, "OpticalPathSequence")
    profiles = {_profile_element(path) for path in paths}
    if len(profiles) > 1:
        name = _optical_path(values, index)
        chosen = [path for path in paths if name and text(path, "OpticalPathIdentifier") == name]
        profiles = {_profile_element(path) for path in chosen}
        return profiles.pop() if len(profiles) == 1 else INCOMPLETE
    return profiles.pop() if profiles else None


def _items(values: PlainValues, keyword: str) -> list[PlainValues]:
    try:
        items = values.get(keyword)
    except Exception:  # parsers of values raise errors of many types
        return []
    return items if isinstance(items, list) else []


def _optical_path(values: PlainValues, index: int) -> str | None:
    """Optical Path Identifier of a frame, from its own functional groups or the shared ones."""
    own = _items(values, "PerFrameFunctionalGroupsSequence")[index : index + 1]
    for group in (*own, *_items(values, "SharedFunctionalGroupsSequence")):
        for item in _items(group, "OpticalPathIdentificationSequence"):
            return text(item, "OpticalPathIdentifier")
    return None
