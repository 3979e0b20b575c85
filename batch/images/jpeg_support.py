"""Which JPEGs are read, and which of them simplejpeg reads. Pure rules on headers.

What is refused here is refused by its kind, before anything is decoded: no decoder at hand reads
it, or none that would notice damage, or its colours would come out wrong.
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
    # libjpeg tells of no damage in it: a stream that was cut is filled up with grey
    **dict.fromkeys((0xC9, 0xCA), "JPEG with arithmetic coding"),
    0xCB: "lossless JPEG with arithmetic coding",
    0xF7: "JPEG-LS",
}
_ICC_HEAD = len(ICC_NAME) + 2
"""Then come the number of the chunk and how many there are."""
_XYB = "XYB".encode("utf-16-be")
"""How libjxl's profiles of its own colour space describe themselves."""

_LUMA_OF_TURBOJPEG = frozenset({(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4)})
_ALIKE_BLOCKS = 3
"""TurboJPEG takes components of one size for 4:4:4 when they have at most so many blocks each."""


def settle_colour(
    data: bytes, header: JpegHeader, photometric_interpretation: str | None
) -> tuple[bytes, set[str]]:
    """Make the stream say its colour to libjpeg; refuse what has none or is not read.

    Args:
        photometric_interpretation: of the DICOM header around it; None for a plain file.

    Returns:
        the stream, and the flags that its colour deserves.

    Raises:
        ImageFailure: UNSUPPORTED_FORMAT; NOT_COLOUR for one component; HEADER_CONTRADICTS_PIXELS
            for four within DICOM, where only three are told of.
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
    """What libjpeg reads of lossless JPEG: it converts no colours there. One component is grey."""
    colour, _ = stream_colour(header, None)
    return colour in (StreamColour.RGB, StreamColour.GREY) and not header.subsampled


def icc_profile(data: bytes, header: JpegHeader) -> bytes:
    """What the header holds of a colour profile, in the order of its chunks; all or a part."""
    chunks = [
        data[start + 4 : end]
        for marker, start, end in header.segments
        if marker == APP2 and data.startswith(ICC_NAME, start + 4)
    ]
    return b"".join(chunk[_ICC_HEAD:] for chunk in sorted(chunks))


def is_read_by_turbojpeg(sampling: tuple[tuple[int, int], ...]) -> bool:
    """Whether TurboJPEG has a name for the sampling (turbojpeg.c, getSubsamp); others it refuses.

    Args:
        sampling: (horizontal, vertical) factors of three components, or of four.
    """
    first, *others = sampling
    if len(set(sampling)) == 1 and first[0] * first[1] <= _ALIKE_BLOCKS:
        return True
    if len(sampling) == 4 and others.pop() != first:
        return False
    if first == (2, 2) and others in ([(2, 1)] * 2, [(1, 2)] * 2):
        return True
    return first in _LUMA_OF_TURBOJPEG and others == [(1, 1)] * 2
