"""Rules on JPEG headers: which kinds are read, and which of them simplejpeg reads.

A kind is refused before decoding if no available decoder reads it or would notice damage, or if its
colours would be wrong.
"""

from __future__ import annotations

from batch.images.jpeg_headers import (
    APP2,
    DHP,
    ICC_NAME,
    LOSSLESS,
    PROGRESSIVE,
    SEQUENTIAL,
    JpegHeader,
    StreamColour,
    state_colour,
    stream_colour,
)
from batch.images.refusals import contradiction, greyscale, unsupported

_READ = SEQUENTIAL | {PROGRESSIVE, LOSSLESS}
_KINDS = {
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, DHP), "hierarchical JPEG"),
    # libjpeg reports no damage here: it fills a stream that was cut with grey
    **dict.fromkeys((0xC9, 0xCA), "JPEG with arithmetic coding"),
    0xCB: "lossless JPEG with arithmetic coding",
    0xF7: "JPEG-LS",
}
_ICC_HEAD = len(ICC_NAME) + 2
"""After the name come the number of the chunk and the number of chunks."""
_XYB = "XYB".encode("utf-16-be")
"""Part of the description in profiles that libjxl writes for its own colour space."""

_LUMA_OF_TURBOJPEG = frozenset({(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4)})
_ALIKE_BLOCKS = 3
"""TurboJPEG reads components of equal size as 4:4:4 if each has at most so many blocks."""


def settle_colour(
    data: bytes, header: JpegHeader, photometric_interpretation: str | None
) -> tuple[bytes, set[str]]:
    """Make the stream state its colour; refuse a stream without colour or of an unsupported kind.

    Args:
        data: the stream.
        header: of the stream.
        photometric_interpretation: of the DICOM header; None for a photograph.

    Returns:
        the stream, and flags on its colour.

    Raises:
        ImageFailure: UNSUPPORTED_FORMAT; NOT_COLOUR for one component; HEADER_CONTRADICTS_PIXELS
            for four components inside DICOM.
    """
    require_supported(data, header)
    colour, is_ambiguous = stream_colour(header, photometric_interpretation)
    if colour == StreamColour.GREY:
        raise greyscale()
    if colour == StreamColour.FOUR:
        if photometric_interpretation is not None:
            raise contradiction("stream of 4 components, header of 3")
        is_ambiguous = header.adobe_transform is None  # Adobe inverts CMYK, others may not
    flags: set[str] = set()
    if is_ambiguous:
        flags.add("colour_ambiguous")
    return state_colour(data, header, colour), flags


def require_supported(data: bytes, header: JpegHeader) -> None:
    """Refuse the kinds of JPEG that are not read.

    Raises:
        ImageFailure: UNSUPPORTED_FORMAT.
    """
    components = len(header.component_ids)
    if header.process not in _READ:
        raise unsupported(_KINDS[header.process])
    if header.precision != 8:
        raise unsupported(f"JPEG of {header.precision} bits a sample")
    if components not in (1, 3, 4):
        raise unsupported(f"JPEG of {components} components")
    if header.rows == 0:
        raise unsupported("JPEG that tells its height after its first scan")
    if components == 3 and _XYB in icc_profile(data, header):
        raise unsupported("JPEG in XYB colours")
    if header.process == LOSSLESS and not _is_rgb(header):
        raise unsupported("lossless JPEG, not in RGB")


def _is_rgb(header: JpegHeader) -> bool:
    """Whether libjpeg reads this lossless JPEG, in which it converts no colours."""
    colour, _ = stream_colour(header, None)
    return colour in (StreamColour.RGB, StreamColour.GREY) and not header.subsampled


def icc_profile(data: bytes, header: JpegHeader) -> bytes:
    """The chunks of a colour profile in the header, joined in order; some may be missing."""
    chunks = [
        data[start + 4 : end]
        for marker, start, end in header.segments
        if marker == APP2 and data.startswith(ICC_NAME, start + 4)
    ]
    return b"".join(chunk[_ICC_HEAD:] for chunk in sorted(chunks))


def is_read_by_turbojpeg(sampling: tuple[tuple[int, int], ...]) -> bool:
    """Whether TurboJPEG reads this sampling (turbojpeg.c, getSubsamp); it refuses others.

    Args:
        sampling: (horizontal, vertical) factors of three or four components.
    """
    first, *others = sampling
    if len(set(sampling)) == 1 and first[0] * first[1] <= _ALIKE_BLOCKS:
        return True
    if len(sampling) == 4 and others.pop() != first:
        return False
    if first == (2, 2) and others in ([(2, 1)] * 2, [(1, 2)] * 2):
        return True
    return first in _LUMA_OF_TURBOJPEG and others == [(1, 1)] * 2
