"""Colour profiles and colours for tests, made from their definitions and not by LittleCMS.

Colorants are adapted to D50 (ICC.1 annex E), as profiles hold them. `encoded` gives the pixels that
a camera set to a colour space would have written for a picture in sRGB.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

D50 = (0.9642, 1.0, 0.8249)


def srgb_curve(encoded: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1: 0..1 as stored to 0..1 of light."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def power_curve(gamma: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda encoded: encoded**gamma


@dataclass(frozen=True)
class Space:
    """An RGB colour space. colorants: XYZ of red, green and blue, one a row, adapted to D50.

    curve: stored to light; parameters: the same, as a `para` element has it.
    """

    colorants: tuple[tuple[float, float, float], ...]
    curve: Callable[[np.ndarray], np.ndarray]
    function: int
    parameters: tuple[float, ...]


_SRGB_PARAMETERS = (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
SRGB = Space(
    ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)),
    srgb_curve,
    *_SRGB_PARAMETERS,
)
DISPLAY_P3 = Space(
    ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
    srgb_curve,
    *_SRGB_PARAMETERS,
)
ADOBE_RGB = Space(
    ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
    power_curve(563 / 256),
    0,
    (563 / 256,),
)
PROPHOTO = Space(
    ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)),
    power_curve(1.8),
    0,
    (1.8,),
)
SPACES = {"Adobe RGB (1998)": ADOBE_RGB, "Display P3": DISPLAY_P3}


def encoded(pixels: np.ndarray, space: Space, source: Space = SRGB) -> np.ndarray:
    """(h, w, 3) uint8 of one space to the same colours in another; beyond its gamut cut off."""
    steps = 65535
    light = source.curve(np.arange(256) / 255).astype(np.float32)
    matrix = np.asarray(source.colorants) @ np.linalg.inv(np.asarray(space.colorants))
    levels = np.interp(
        np.arange(steps + 1) / steps, space.curve(np.arange(4096) / 4095), np.arange(4096) / 4095
    )
    stored = np.rint(255 * levels).astype(np.uint8)
    found = np.clip(light[pixels] @ matrix.astype(np.float32), 0, 1)
    return stored[np.rint(found * steps).astype(np.uint16)]


def profile(
    space: Space = ADOBE_RGB,
    device_class: bytes = b"mntr",
    colour_space: bytes = b"RGB ",
    connection_space: bytes = b"XYZ ",
    version: int = 4,
    description: str = "of the tests",
    more: dict[bytes, bytes] | None = None,
    without: tuple[bytes, ...] = (),
) -> bytes:
    """A matrix profile with parametric curves. more: other elements; without: those left out."""
    curve = b"para" + bytes(4) + struct.pack(">HH", space.function, 0)
    curve += b"".join(_fixed(value) for value in space.parameters)
    elements = {
        b"desc": _text(description),
        b"cprt": _text("none"),
        b"wtpt": _xyz(D50),
        **{name + b"XYZ": _xyz(row) for name, row in zip((b"r", b"g", b"b"), space.colorants,
                                                          strict=True)},
        **{name + b"TRC": curve for name in (b"r", b"g", b"b")},
        **(more or {}),
    }  # fmt: skip
    kept = {name: data for name, data in elements.items() if name not in without}
    table, body, start = b"", b"", 128 + 4 + 12 * len(kept)
    for name, data in kept.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", 0, b"", version << 24, device_class, colour_space,
                         connection_space)  # fmt: skip
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += b"".join(_fixed(value) for value in D50) + bytes(48)
    content = header + struct.pack(">I", len(kept)) + table + body
    return len(content).to_bytes(4, "big") + content[4:]


def table_profile(colour_space: bytes = b"CMYK", channels: int = 4) -> bytes:
    """A profile with a table (`mft1`, two points a side) to Lab: more ink, less light."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * channels, indexing="ij"), -1).reshape(-1, channels)
    lightness = 255 * np.prod(1 - corners, axis=1)
    lab = np.stack([lightness, *[np.full(len(corners), 128)] * 2], axis=1)
    ramp = bytes(range(256))
    element = b"mft1" + bytes(4) + bytes([channels, 3, 2, 0])
    element += b"".join(_fixed(value) for value in np.eye(3).ravel())
    element += ramp * channels + lab.astype(np.uint8).tobytes() + ramp * 3
    colorants = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    return profile(device_class=b"prtr", colour_space=colour_space, connection_space=b"Lab ",
                   more={b"A2B0": element}, without=colorants, version=2)  # fmt: skip


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(value) for value in values)


def _text(words: str) -> bytes:
    text = words.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
