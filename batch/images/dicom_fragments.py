"""Assigns the fragments of encapsulated pixel data to frames.

The content of the fragments decides, not the offset tables. Real files have tables that hold zeros,
are in the wrong order, or point beyond the data; a decoder that uses them gives a frame the pixels
of another. Sources: PS3.5 A.4 (fragments, Basic Offset Table), PS3.3 C.7.6.3.1.8 (Extended Offset
Table), PS3.5 G.5 (RLE header).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images.refusals import contradiction

ITEM, DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_HEADER = 8
"""Bytes of an item's tag and length."""
_UNDEFINED = 0xFFFFFFFF

_JPEG = (b"\xff\xd8\xff",)  # lossless JPEG and JPEG-LS, too
_JPEG_2000 = (b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  \r\n\x87\n")  # the codestream, a JP2 file
_JPEG_XL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n")
_RLE = (b"",)  # known by its header
_HAVE_END = (_JPEG, _JPEG_2000)
_JPEG_END = b"\xff\xd9"
_PADDING_SEEN = 16
_RLE_HEADER, _RLE_SEGMENTS = 64, 15

Span = tuple[int, int]


@dataclass(frozen=True)
class Items:
    """The items of encapsulated pixel data, with the Basic Offset Table.

    spans: (start, end) of the content of each item.
    end: where the items end.
    is_cut: whether the last item is shorter than it says.
    """

    spans: tuple[Span, ...]
    end: int
    is_cut: bool


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of encapsulated pixel data.

    data: the encapsulated value.
    spans: of each frame, the contents of its fragments.
    declared: number of frames by the header.
    has_surplus: whether there are more frames than declared.
    doubtful: the last fragment, if it is incomplete or followed by something else; else None.
    """

    data: bytes
    spans: tuple[tuple[Span, ...], ...]
    declared: int
    has_surplus: bool
    doubtful: Span | None

    def stream(self, index: int) -> bytes:
        """The stream of a frame. index: from 0.

        Raises:
            ImageFailure: HEADER_CONTRADICTS_PIXELS if the frame is missing, DECODE_FAILED if its
                end is.
        """
        if index >= len(self.spans):
            raise contradiction(
                f"{self.declared} frames declared, {len(self.spans)} in the pixel data"
            )
        spans = self.spans[index]
        last = spans[-1]
        if last == self.doubtful and not _ends(self.data, last):
            raise ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, "cut off in a fragment")
        if len(spans) == 1:
            return self.data[last[0] : last[1]]
        return b"".join(self.data[start:end] for start, end in spans)


def walk_items(data: bytes, position: int = 0) -> Items:
    """Walk from item to item up to the delimiter, or to the end if that is missing.

    After a fragment of odd length there may be a byte that no length counts.
    """
    spans: list[Span] = []
    is_cut = False
    while data[position : position + 4] == ITEM and position + _HEADER <= len(data):
        length = int.from_bytes(data[position + 4 : position + _HEADER], "little")
        if length == _UNDEFINED:
            break
        start, end = position + _HEADER, position + _HEADER + length
        is_cut = end > len(data)
        spans.append((start, min(end, len(data))))
        position = min(end, len(data))
        if length % 2 and data[position + 1 : position + 5] in (ITEM, DELIMITER):
            position += 1
    return Items(tuple(spans), position, is_cut)


def split_frames(data: bytes, declared: int, extended_offsets: bytes = b"") -> Frames:
    """Assign fragments to frames.

    Each frame has one fragment if the numbers are equal and no fragment continues another. Else the
    beginnings and ends of streams decide, else an offset table that nothing contradicts.

    Args:
        data: the value of Pixel Data, from the Basic Offset Table on.
        declared: Number of Frames.
        extended_offsets: the value of Extended Offset Table, 8 bytes a frame.

    Raises:
        ImageFailure: HEADER_CONTRADICTS_PIXELS if the frames cannot be separated.
    """
    items = walk_items(data)
    if not items.spans:
        raise ImageFailure(
            Stage.DECODE, FailureReason.DECODE_FAILED, "no fragments in the pixel data"
        )
    table, fragments = _offsets(data[slice(*items.spans[0])], 4), items.spans[1:]
    if _kind(data, items.spans[0]) is not None:  # some writers leave the Basic Offset Table out
        table, fragments = [], items.spans
    if len(fragments) != declared:
        fragments = tuple(span for span in fragments if span[0] < span[1])
    tables = (_offsets(extended_offsets, 8), table)
    firsts = _firsts(data, fragments, declared, tables)
    if firsts is None:
        raise contradiction(
            f"{declared} frames declared, {len(fragments)} fragments that do not tell them apart"
        )
    spans = tuple(fragments[a:b] for a, b in pairwise([*firsts, len(fragments)]))
    is_doubtful = items.is_cut or data[items.end :].strip(b"\0") != b""
    doubtful = items.spans[-1] if is_doubtful else None
    return Frames(data, spans[:declared], declared, len(spans) > declared, doubtful)


def _firsts(
    data: bytes, fragments: Sequence[Span], declared: int, tables: Sequence[Sequence[int]]
) -> list[int] | None:
    """Numbers of the fragments that begin a frame; None if that is not clear."""
    kinds = [_kind(data, span) for span in fragments]
    if len(fragments) == declared and _is_one_each(data, fragments, kinds):
        return list(range(declared))
    kind = kinds[0] if kinds else None
    by_start = [n for n, one_kind in enumerate(kinds) if one_kind is not None and one_kind == kind]
    by_both = [
        n for n in by_start if n == 0 or kind not in _HAVE_END or _ends(data, fragments[n - 1])
    ]
    for firsts in (by_start, by_both):
        if len(firsts) == declared:
            return firsts
    for table in tables:
        named = _by_table(fragments, table)
        if len(named) == declared and set(by_start) <= set(named):
            return named
    if len(fragments) == declared and kind not in _HAVE_END:
        return None  # a damaged start and a second fragment of one frame look the same
    agreed = by_start[: declared + 1] == by_both[: declared + 1]
    if agreed and len(by_start) > declared:
        return by_start
    if agreed and by_start and _are_whole(data, fragments, by_start):
        return by_start  # fewer than declared: those that are there
    return [0] if declared == 1 and fragments and not by_start else None


def _is_one_each(
    data: bytes, fragments: Sequence[Span], kinds: Sequence[tuple[bytes, ...] | None]
) -> bool:
    """Whether each fragment is a frame, if there are as many: none continues the one before it.

    A fragment that begins no stream, after a complete one, is a frame with a damaged start.
    """
    kind = next((fragment_kind for fragment_kind in kinds if fragment_kind is not None), None)
    return kind is None or all(
        kinds[n] == kind or start == end or _ends(data, fragments[n - 1])
        for n, (start, end) in enumerate(fragments)
        if n > 0
    )


def _by_table(fragments: Sequence[Span], table: Sequence[int]) -> list[int]:
    """The entries of an offset table as fragment numbers; empty if it does not fit them."""
    if not fragments:
        return []
    origin = fragments[0][0]
    numbers = {start - origin: number for number, (start, _) in enumerate(fragments)}
    named = [numbers.get(offset, -1) for offset in table]
    fits = named[:1] == [0] and all(before < after for before, after in pairwise(named))
    return named if fits else []


def _are_whole(data: bytes, fragments: Sequence[Span], firsts: Sequence[int]) -> bool:
    """Whether no stream ends before its last fragment; else a frame without a start follows."""
    borders = {*firsts, len(fragments)}
    inner = (n for n in range(len(fragments)) if n + 1 not in borders)
    return not any(_ends(data, fragments[n]) for n in inner)


def _kind(data: bytes, span: Span) -> tuple[bytes, ...] | None:
    """The kind of stream that begins in a span, as its possible beginnings; None if none does."""
    start, end = span
    for kind in (_JPEG, _JPEG_2000, _JPEG_XL):
        if data.startswith(kind, start, end):
            return kind
    return _RLE if _is_rle_header(data[start : min(start + _RLE_HEADER, end)]) else None


def _ends(data: bytes, span: Span) -> bool:
    """Whether a span ends with the end marker of the JPEG family, and perhaps padding."""
    start, end = span
    return data[max(start, end - _PADDING_SEEN) : end].rstrip(b"\0").endswith(_JPEG_END)


def _is_rle_header(header: bytes) -> bool:
    """Whether bytes are an RLE header: a number of segments, offsets that ascend from 64, zeros."""
    if len(header) < _RLE_HEADER:
        return False
    count, *offsets = (int.from_bytes(header[at : at + 4], "little") for at in range(0, 64, 4))
    used = offsets[:count]
    return (
        1 <= count <= _RLE_SEGMENTS
        and used[0] == _RLE_HEADER
        and used == sorted(set(used))
        and not any(offsets[count:])
    )


def _offsets(table: bytes, width: int) -> list[int]:
    whole = len(table) - len(table) % width
    return [int.from_bytes(table[at : at + width], "little") for at in range(0, whole, width)]
