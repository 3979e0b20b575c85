"""A small upright picture of one image for a person's eyes; scoring never sees it.

Unlike the model's input it keeps the aspect ratio, and the EXIF orientation is applied. Colours are
converted to sRGB by the embedded profile, as for the model. Every file is decoded in the watched
process: few pictures are wanted, and none may hang or end the command.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from batch.archive.local import ArchiveStorage
from batch.archive.reader import as_failure
from batch.core.errors import FailureReason, ImageFailure, NotAnImage, Stage
from batch.core.privacy import IdentifierPolicy, Identifiers
from batch.core.rules import Limits, ReadingRules
from batch.images import dicom_image, formats, raster
from batch.images.colour_profiles import conversion_to_srgb
from batch.images.dicom_frames import decode_frame, frame_profile
from batch.images.formats import FileFormat
from batch.images.preprocess import resize
from batch.images.sandbox import call_in_sandbox


@dataclass(frozen=True)
class ImageAddress:
    """Which image of the archive.

    path: as the inventory has it. image_id: as the reports have it; what is read must be that
    image. frame_number: from 1, or None.
    """

    path: str
    image_id: str
    frame_number: int | None = None

    def rules(self, limits: Limits) -> ReadingRules:
        """Rules under which the image has this id: without identifiers it is the digest's."""
        level = Identifiers.NONE if self.image_id.startswith("sha256:") else Identifiers.UIDS
        return ReadingRules(limits, identifiers=IdentifierPolicy(level))


@dataclass(frozen=True, eq=False)
class Picture:
    """pixels: (h, w, 3) uint8, RGB, upright. orientation: EXIF's, 1..8, already applied."""

    pixels: np.ndarray
    orientation: int


def read_picture(
    archive: ArchiveStorage, address: ImageAddress, limits: Limits, side: int
) -> Picture:
    """Read an image again, as a picture whose longer side has at most `side` pixels.

    Raises:
        ImageFailure: it cannot be read, or another image lies in its place (VANISHED).
    """
    location = archive.locate(address.path)
    data = archive.read(location, limits.file_bytes)
    if data is None:
        raise changed()
    arguments = (data, address, limits, side)
    return call_in_sandbox(decode_picture, arguments, limits.decode_seconds, limits.decoder_bytes)


def decode_picture(
    data: bytes, address: ImageAddress, limits: Limits, side: int, eighths: int | None = None
) -> Picture:
    """What the watched process does; public because it is found by name.

    Args:
        eighths: of its size, at which a JPEG file may be decoded; None: by `side`.

    Raises:
        ImageFailure.
    """
    try:
        pixels, orientation, profile = _frame(data, address, limits, side, eighths)
        picture = conversion_to_srgb(profile, limits).convert(_shrunk(pixels, side))
    except NotAnImage as stated:
        raise changed() from stated
    except Exception as error:  # whatever a codec raises, without its words
        raise as_failure(error) from None
    return Picture(upright(picture, orientation), orientation)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror as EXIF's orientation says.

    Args:
        pixels: (h, w, c) uint8, or (h, w) uint8 or float32; the result is of the same kind.
    """
    if orientation not in raster.UPRIGHT:
        return pixels
    return np.asarray(Image.fromarray(pixels).transpose(raster.UPRIGHT[orientation]))


def jpeg(
    pixels: np.ndarray, max_bytes: int, qualities: Sequence[int] = (85, 70, 50, 30, 10)
) -> bytes:
    """Encode (h, w, 3) uint8 RGB without any metadata, as well as max_bytes allow.

    Args:
        qualities: 1 to 95, tried in this order.

    Raises:
        ImageFailure: TOO_MANY_PIXELS when even the coarsest is larger.
    """
    for quality in qualities:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= max_bytes:
            return buffer.getvalue()
    raise ImageFailure(
        Stage.DECODE, FailureReason.TOO_MANY_PIXELS, f"no JPEG within {max_bytes} bytes"
    )


def _frame(
    data: bytes, address: ImageAddress, limits: Limits, side: int, eighths: int | None
) -> tuple[np.ndarray, int, bytes | None]:
    """Pixels as stored, the orientation, and the colour profile."""
    file_format = formats.sniff(data[: formats.HEAD_BYTES])
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if file_format in formats.RASTER_FORMATS:
        _check_same(address, digest)
        raster.check_before_opening(data, file_format, limits)
        decoded = raster.decode(data, file_format, limits, side, eighths=eighths)
        return decoded.pixels, decoded.orientation, decoded.icc_profile
    image = dicom_image.identify(data, address.rules(limits), file_format == FileFormat.DICOM)
    found = image.attributes["sop_instance_uid"] or digest
    number = address.frame_number if image.frames > 1 else 1
    if number is None or not 1 <= number <= image.frames:
        raise changed()
    _check_same(address, found if image.frames == 1 else f"{found}#{number}")
    pixels, _ = decode_frame(image, number - 1, limits, side)
    return pixels, 1, frame_profile(image, number - 1)[0]


def _check_same(address: ImageAddress, image_id: str) -> None:
    if address.image_id != image_id:
        raise changed()


def changed() -> ImageFailure:
    """What is said where another file lies in an image's place."""
    return ImageFailure(Stage.READ, FailureReason.VANISHED, "another file lies in its place")


def _shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    rows, columns = pixels.shape[:2]
    scale = min(1.0, side / max(rows, columns))
    if scale == 1.0:
        return pixels
    return resize(pixels, max(1, round(rows * scale)), max(1, round(columns * scale)))
