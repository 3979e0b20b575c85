"""Converts colours to sRGB by embedded colour profiles.

The models were trained on images without a profile, which means sRGB. A profile of another space is
applied with LittleCMS (through Pillow) to the model's input. A profile that is sRGB itself, by its
digest or by its effect, is ignored. If a profile cannot be used, the record gets a flag and the
image is taken as sRGB.

LittleCMS is native code. So a profile that this process has not seen is first tried in a watched
process. It is used here only if it worked there and changes colours.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from batch.core.rules import Limits
from batch.images.sandbox import call_in_sandbox, is_in_sandbox

APPLIED, BROKEN, NOT_APPLIED = "icc_applied", "icc_broken", "icc_not_applied"

INCOMPLETE = b""
"""Stands for a profile that a file announces but does not hold completely."""

PROFILE_BYTES = 4 * 1024**2
"""A larger profile is not applied. Those of displays have up to 20 kB, those of scanners and
printers, with tables, up to 2 MB."""

SAME_COLOURS = 2
"""A conversion that changes the probe by at most so many grey levels counts as none. The variants
of sRGB in use differ from LittleCMS's own by one at most, Rec. 709 by 16."""

WELL_KNOWN_SRGB = frozenset(
    {
        # "sRGB IEC61966-2.1" of Hewlett-Packard, perceptual and relative colorimetric
        "2b3aa1645779a9e634744faf9b01e9102b0c9b88fd6deced7934df86b949af7e",
        "3f6d674174f3804eb0dabdac90ae17486e898c5063a66f861c116ea033da8301",
        # the ICC's own: version 2 black scaled, version 4 preference
        "c4c1153168e817be61a676e403c370ce2c485a6bd54fbb59c3850845cfefad00",
        "83174717332326ddc198d9df188a4daec27b8979ba152cebbfc470c793d0bb11",
        # 596 bytes, as Android's camera writes it
        "2e2fd04e0c28295bdd854a04a640a2c95b9950e73d25b48d157f7e27fb6e8c6b",
        # Compact-ICC-Profiles: version 4; version 2 magic, micro and nano ("c2")
        "c56e1685d888f5edb92fe07f2750f387f8fe8e91b32ff8fb0b56bfbbb9458353",
        "af4efe28f6d311799865f325ba39184a2e978b113ca74124d60af7de22b105f4",
        "0a8a33aea66a6f154a5642ebe168ef287e73265d9f7b51c42a45e6eedbacda7a",
        "72c1355ac9fa7c7e626e1faa30bd4ef89e57a3d039df249f9ca3f0aed98b3c58",
    }
)
"""SHA-256 of profiles that need no trial. Other variants of sRGB are recognised by their effect."""

_HEADER_BYTES, _COUNT_BYTES, _TAG_BYTES = 128, 4, 12
_CLASSES = frozenset({b"scnr", b"mntr", b"prtr", b"spac"})
_CONNECTION_SPACES = frozenset({b"XYZ ", b"Lab "})
_NEWEST_VERSION, _MOST_TAGS = 4, 100
_SPACES = {"RGB": b"RGB ", "CMYK": b"CMYK"}
_FLOATING = frozenset({b"D2B0", b"D2B1", b"D2B2", b"D2B3"})
_MOST_FALL, _LEAST_RANGE, _LEAST_LIGHT = 4, 128, 32
_CACHED = 32


@dataclass(frozen=True, eq=False)
class Conversion:
    """The conversion of an image's colours.

    flag: for its record, or None.
    transform: of LittleCMS, usable by several threads at once; None if nothing is converted.
    """

    flag: str | None = None
    transform: ImageCms.ImageCmsTransform | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """The flag in the form of records."""
        return () if self.flag is None else (self.flag,)

    def convert(self, pixels: np.ndarray) -> np.ndarray:
        """Convert pixels, (h, w, 3), uint8, to sRGB; the same array if nothing is converted."""
        if self.transform is None:
            return pixels
        return np.asarray(self.transform.apply(Image.fromarray(pixels)))


UNCHANGED = Conversion()

_cache: OrderedDict[tuple[str, str], Conversion] = OrderedDict()
_lock = threading.Lock()


def conversion_to_srgb(profile: bytes | None, limits: Limits, mode: str = "RGB") -> Conversion:
    """The conversion for an image with this profile.

    Args:
        profile: as embedded; None without one, `INCOMPLETE` if parts of it are missing.
        limits: of the watched process.
        mode: Pillow's mode of the pixels, RGB or CMYK.


    Raises:
        ImageFailure: DECODER_TIMED_OUT or DECODER_CRASHED in the trial of the profile.
        DecoderNotStarted: no process could be started for that trial.
    """
    if profile is None:
        return UNCHANGED
    key = hashlib.sha256(profile).hexdigest(), mode
    if key[0] in WELL_KNOWN_SRGB and mode == "RGB":
        return UNCHANGED
    with _lock:
        if cached := _cache.get(key):
            _cache.move_to_end(key)
            return cached
    conversion = _new_conversion(profile, limits, mode)
    with _lock:
        _cache[key] = conversion
        while len(_cache) > _CACHED:
            _cache.popitem(last=False)
    return conversion


def examine(profile: bytes, mode: str) -> str | None:
    """Try a profile, and return its flag, or None for sRGB.

    The watched process calls it by its name, so it is public.
    """
    try:
        transform = _transform(profile, mode)
        probe = _probe(mode)
        converted = np.asarray(transform.apply(Image.fromarray(probe, mode)))[0].astype(int)
    except Exception:  # Pillow raises errors of several types if LittleCMS refuses a profile
        return BROKEN
    if mode == "RGB" and np.abs(converted - probe[0]).max() <= SAME_COLOURS:
        return None
    return APPLIED if _keeps_greys_in_order(converted[:256]) else BROKEN


def _new_conversion(profile: bytes, limits: Limits, mode: str) -> Conversion:
    flag = _fault_of_header(profile, mode)
    if flag is None and is_in_sandbox():
        flag = examine(profile, mode)
    elif flag is None:
        seconds, memory = limits.decode_seconds, limits.decoder_bytes
        flag = call_in_sandbox(examine, (profile, mode), seconds, memory)
    return Conversion(flag, _transform(profile, mode) if flag == APPLIED else None)


def _fault_of_header(profile: bytes, mode: str) -> str | None:
    """The flag of a profile with a bad header (ICC.1, 7.2 and 7.3); None if it can be tried."""
    if len(profile) > PROFILE_BYTES:
        return NOT_APPLIED
    count = int.from_bytes(profile[_HEADER_BYTES : _HEADER_BYTES + _COUNT_BYTES], "big")
    tags_end = _HEADER_BYTES + _COUNT_BYTES + count * _TAG_BYTES
    end = min(int.from_bytes(profile[:4], "big"), len(profile))
    if profile[36:40] != b"acsp" or count > _MOST_TAGS or tags_end > end:
        return BROKEN
    for at in range(_HEADER_BYTES + _COUNT_BYTES, tags_end, _TAG_BYTES):
        start, size = (int.from_bytes(profile[i : i + 4], "big") for i in (at + 4, at + 8))
        if start + size > end:  # LittleCMS would ignore such a tag
            return BROKEN
    is_usable = (
        profile[8] <= _NEWEST_VERSION
        and profile[12:16] in _CLASSES
        and profile[16:20] == _SPACES[mode]
        and profile[20:24] in _CONNECTION_SPACES
    )
    return None if is_usable else NOT_APPLIED


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    """Make a transform with relative colorimetric intent and black point compensation.

    It keeps colours as measured and white as white; a perceptual table would add the choices of
    the profile's maker. Black point compensation keeps dark colours different.
    """
    return ImageCms.ImageCmsTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(_without_floating_elements(profile))),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        # without its cache of one pixel, several threads can use a transform
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE,
    )


def _without_floating_elements(profile: bytes) -> bytes:
    """Remove floating-point elements from a profile.

    Tables or matrices beside them say the same (ICC.1, 8.2), but LittleCMS would prefer the
    elements, and 70 kB of them keep it busy for seconds, 1 MB for minutes.
    """
    renamed = bytearray(profile)
    count = int.from_bytes(profile[_HEADER_BYTES : _HEADER_BYTES + _COUNT_BYTES], "big")
    first = _HEADER_BYTES + _COUNT_BYTES
    for at in range(first, first + count * _TAG_BYTES, _TAG_BYTES):
        if profile[at : at + 4] in _FLOATING:
            renamed[at : at + 4] = b"none"
    return bytes(renamed)


def _probe(mode: str) -> np.ndarray:
    """Test colours, (1, n, channels), uint8: 256 greys from dark to light; for RGB also others."""
    ramp = np.arange(256, dtype=np.uint8)
    if mode == "CMYK":
        return np.stack([*[np.zeros_like(ramp)] * 3, ramp[::-1]], axis=1)[np.newaxis]
    channels = [np.outer(ramp, on).astype(np.uint8) for on in np.eye(3, dtype=np.uint8)]
    steps = [np.linspace(0, 255, 17).astype(np.uint8)] * 3
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.concatenate([np.repeat(ramp[:, None], 3, 1), *channels, grid])[np.newaxis]


def _keeps_greys_in_order(greys: np.ndarray) -> bool:
    """Whether converted greys, (256, 3), still go from dark to light.

    A damaged curve may make everything black, or exchange bright and dark, without an error.
    """
    brightness = greys.mean(axis=1)
    rises = np.diff(brightness).min() >= -_MOST_FALL
    is_wide = brightness[-1] - brightness[0] >= _LEAST_RANGE
    is_even = brightness[192] >= _LEAST_LIGHT and brightness[64] <= 255 - _LEAST_LIGHT
    return bool(rises and is_wide and is_even)
