"""A small JPEG encoder for what the usual ones do not write: any sampling, any order of segments.

Baseline, or progressive by spectral selection; the quantisation and Huffman tables are Pillow's.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import ceil

import numpy as np
from PIL import Image

from batch.images import jpeg_headers

_AT = np.arange(8)
_DCT = np.sqrt(np.where(_AT, 2, 1) / 8)[:, None] * np.cos(
    (2 * _AT[None] + 1) * _AT[:, None] * np.pi / 16
)
_ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, (i // 8 if (i // 8 + i % 8) % 2 else i)))

Sampling = Sequence[tuple[int, int]]


def saved(pixels: np.ndarray, mode: str = "RGB", **options: object) -> bytes:
    """What Pillow writes. pixels: (h, w, 3) uint8."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


def pillow_pixels(data: bytes) -> np.ndarray:
    """What libjpeg makes of it: (h, w, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def segment(marker: int, payload: bytes) -> bytes:
    """One marker segment."""
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload


def scan_start(data: bytes) -> int:
    """Offset of the first byte of coded data."""
    return jpeg_headers.read_header(data).segments[-1][2]


def replaced(data: bytes, marker: int, payload: bytes) -> bytes:
    """The file with another payload in its first segment of that kind."""
    start, end = next((s, e) for m, s, e in jpeg_headers.read_header(data).segments if m == marker)
    return data[:start] + segment(marker, payload) + data[end:]


def encode(
    pixels: np.ndarray,
    sampling: Sampling,
    progressive: bool = False,
    restart_interval: int = 0,
    interleaved: bool = True,
) -> bytes:
    """A YCbCr JPEG with these (horizontal, vertical) factors. pixels: (h, w, 3) uint8, RGB."""
    model = saved(np.zeros((8, 8, 3), np.uint8))
    kept = [(m, model[s:e]) for m, s, e in jpeg_headers.read_header(model).segments]
    quantisers = {body[4]: np.frombuffer(body[5:69], np.uint8) for m, body in kept if m == 0xDB}
    codes = dict(_codes(body[4:]) for m, body in kept if m == 0xC4)
    planes = np.asarray(Image.fromarray(pixels).convert("YCbCr")).astype(float) - 128
    height, width = pixels.shape[:2]
    widest, highest = max(h for h, _ in sampling), max(v for _, v in sampling)
    across, down = ceil(width / (8 * widest)), ceil(height / (8 * highest))
    blocks = []
    for number, (h, v) in enumerate(sampling):
        rows = np.minimum(np.arange(down * v * 8) * highest // v, height - 1)
        columns = np.minimum(np.arange(across * h * 8) * widest // h, width - 1)
        plane = planes[rows[:, None], columns[None], number]
        tiles = plane.reshape(down * v, 8, across * h, 8).swapaxes(1, 2)
        turned = (_DCT @ tiles @ _DCT.T).reshape(down * v, across * h, 64)[..., _ZIGZAG]
        blocks.append(np.rint(turned / quantisers[min(number, 1)]).astype(int))
    frame = b"\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([3])
    for number, (h, v) in enumerate(sampling):
        frame += bytes([number + 1, h << 4 | v, min(number, 1)])
    parts = [b"\xff\xd8"] + [body for m, body in kept if m in (0xE0, 0xDB, 0xC4)]
    parts.append(segment(0xC2 if progressive else 0xC0, frame))
    if restart_interval:
        parts.append(segment(0xDD, restart_interval.to_bytes(2, "big")))
    alone = [(number,) for number in range(3)]
    first = [(0, 1, 2)] if interleaved else alone
    bands = [(first, 0, 0), (alone, 1, 5), (alone, 6, 63)] if progressive else [(first, 0, 63)]
    for scans, low, high in bands:
        for chosen in scans:
            order = _order(chosen, sampling, (across, down), (width, height))
            coded = _coded(order, blocks, codes, (low, high), restart_interval)
            ids = b"".join(bytes([n + 1, 0x11 * min(n, 1)]) for n in chosen)
            parts += [segment(0xDA, bytes([len(chosen)]) + ids + bytes([low, high, 0])), coded]
    return b"".join([*parts, b"\xff\xd9"])


def _codes(payload: bytes) -> tuple[int, dict[int, str]]:
    """(class and id, code of every symbol) of a segment with one table."""
    found, code, used = {}, 0, 0
    for length, count in enumerate(payload[1:17], 1):
        for symbol in payload[17 + used : 17 + used + count]:
            found[symbol] = f"{code:0{length}b}"
            code += 1
        used += count
        code <<= 1
    return payload[0], found


def _order(chosen, sampling, mcus, size):
    """For every MCU of a scan: its (component, row, column) blocks."""
    if len(chosen) > 1:
        for mcu in range(mcus[0] * mcus[1]):
            row, column = divmod(mcu, mcus[0])
            yield [
                (n, row * sampling[n][1] + y, column * sampling[n][0] + x)
                for n in chosen
                for y in range(sampling[n][1])
                for x in range(sampling[n][0])
            ]
        return
    h, v = sampling[chosen[0]]
    widest, highest = max(x for x, _ in sampling), max(y for _, y in sampling)
    for row in range(ceil(ceil(size[1] * v / highest) / 8)):
        for column in range(ceil(ceil(size[0] * h / widest) / 8)):
            yield [(chosen[0], row, column)]


def _coded(order, blocks, codes, band, restart_interval) -> bytes:
    parts: list[bytes] = []
    bits: list[str] = []
    before = [0, 0, 0]
    for number, mcu in enumerate(order):
        if restart_interval and number and number % restart_interval == 0:
            parts += [_octets(bits), bytes([0xFF, 0xD0 + (number // restart_interval - 1) % 8])]
            bits, before = [], [0, 0, 0]
        for component, row, column in mcu:
            block, table = blocks[component][row, column], min(component, 1)
            if band[0] == 0:
                bits.append(_with_size(block[0] - before[component], codes[table]))
                before[component] = block[0]
            zeros = 0
            last = max((k for k in range(max(band[0], 1), band[1] + 1) if block[k]), default=0)
            for k in range(max(band[0], 1), last + 1):
                if not block[k]:
                    zeros += 1
                    continue
                bits.append(codes[16 | table][0xF0] * (zeros // 16))
                bits.append(_with_size(block[k], codes[16 | table], zeros % 16 * 16))
                zeros = 0
            if last < band[1]:
                bits.append(codes[16 | table][0])
    return b"".join([*parts, _octets(bits)])


def _with_size(value: int, codes: dict[int, str], run: int = 0) -> str:
    size = int(abs(value)).bit_length()
    stored = int(value) if value >= 0 else int(value) + (1 << size) - 1
    return codes[run | size] + (f"{stored:0{size}b}" if size else "")


def _octets(bits: list[str]) -> bytes:
    joined = "".join(bits)
    joined += "1" * (-len(joined) % 8)
    octets = int("1" + joined, 2).to_bytes(len(joined) // 8 + 1, "big")[1:]
    return octets.replace(b"\xff", b"\xff\x00")
