"""Pictures of the listed images for the page: read again from the archive, as data: URIs.

Each is upright, at most `SIDE` pixels long, a JPEG without metadata; all together stay below
`PAGE_BYTES`, the highest-ranked images first. An image that cannot be read has no picture, and its
row stays.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from batch.archive.local import ArchiveStorage
from batch.archive.pictures import ImageAddress, Picture, jpeg, read_picture, upright
from batch.archive.reader import read_file
from batch.core.errors import ImageFailure
from batch.core.records import ModelInput
from batch.core.rules import Limits
from batch.images.preprocess import resize
from batch.model.attention import occlusion_map
from batch.model.classifier import Classifier

if TYPE_CHECKING:
    import pandas as pd

SIDE = 480
"""Pixels of a picture's longer side: sharp at the width at which the page shows two or three."""
PICTURE_BYTES = 96 * 1024
"""Of one JPEG; a dermoscopic photograph of this size has about 25 kB."""
PAGE_BYTES = 64 * 1024**2
"""Of all pictures of a page: about 2,000 of them. Browsers open such a page within seconds."""
THREADS = 2

LEAST_FALL = 0.2
"""A fall of the log odds that is drawn in full colour, even when the picture's largest is smaller:
otherwise noise would be drawn as strongly as a finding. At a score of 0.5 it is one of 0.05."""
_ATTENTION_COLOUR = np.array([255, 122, 0], np.float64)


def pictures(
    archive: ArchiveStorage,
    images: pd.DataFrame,
    limits: Limits | None = None,
    page_bytes: int = PAGE_BYTES,
) -> dict[str, str]:
    """Pictures of images, in the frame's order until `page_bytes` are used up.

    Args:
        images: with image_id, path, path_bytes and frame_number of `IMAGE_COLUMNS`.

    Returns:
        image_id to data: URI. What cannot be read is left out.
    """
    bounds = limits or Limits()

    def draw(address: ImageAddress) -> np.ndarray:
        return read_picture(archive, address, bounds, SIDE).pixels

    return dict(_drawn(_addresses(images), draw, page_bytes, THREADS))


def attention_pictures(
    archive: ArchiveStorage,
    images: pd.DataFrame,
    limits: Limits | None,
    classifier: Classifier,
    melanoma: int,
    page_bytes: int = PAGE_BYTES,
) -> dict[str, str]:
    """The model's attention over images: where covering the image lowers its melanoma score.

    The picture in grey, orange where it is so. It tells about the model, and is no evidence.
    Cost: `attention.image_count()` scored images each.

    Args:
        images: as for `pictures`. classifier: the one that scored them. melanoma: column of its
            scores, from 0.

    Returns:
        image_id to data: URI. What cannot be read or scored is left out.
    """
    bounds = limits or Limits()

    def draw(address: ImageAddress) -> np.ndarray:
        falls = occlusion_map(classifier, _model_input(archive, address, bounds), melanoma)
        return overlay(read_picture(archive, address, bounds, SIDE), falls)

    return dict(_drawn(_addresses(images), draw, page_bytes, threads=1))  # one model, one thread


def overlay(picture: Picture, falls: np.ndarray) -> np.ndarray:
    """A grey picture, orange where the score falls.

    Args:
        falls: (180, 180) float, log odds: the `occlusion_map` of the image before it was turned
            upright.

    Returns:
        (h, w, 3) uint8 RGB of the picture's size.
    """
    strength = np.clip(falls / max(float(falls.max()), LEAST_FALL), 0, 1)
    levels = np.repeat(np.round(255 * strength)[..., None], 3, axis=2).astype(np.uint8)
    rows, columns = picture.pixels.shape[:2]
    mask = resize(upright(levels, picture.orientation), rows, columns)[..., :1] / 255
    grey = np.repeat(picture.pixels.mean(axis=2, keepdims=True), 3, axis=2)
    weight = 0.65 * mask
    return np.round(grey * (1 - weight) + _ATTENTION_COLOUR * weight).astype(np.uint8)


def _model_input(archive: ArchiveStorage, address: ImageAddress, limits: Limits) -> np.ndarray:
    """The pixels that the model saw, (180, 180, 3) uint8; empty when it is another image now."""
    location = archive.locate(address.path)
    _, results = read_file(archive, location, address.rules(limits))
    for result in results:
        if isinstance(result, ModelInput) and result.record.image_id == address.image_id:
            return result.pixels
    return np.empty((0, 0, 3), np.uint8)


def _addresses(images: pd.DataFrame) -> list[ImageAddress]:
    """One address for each image, in order of first mention."""
    found: dict[str, ImageAddress] = {}
    numbered = images["frame_number"].notna()
    columns = (images[name] for name in ("image_id", "path", "path_bytes", "frame_number"))
    for image_id, path, raw, frame, has_number in zip(*columns, numbered, strict=True):
        name = os.fsdecode(raw) if isinstance(raw, bytes) else path
        number = int(frame) if has_number else None
        found.setdefault(image_id, ImageAddress(name, image_id, number))
    return list(found.values())


def _drawn(
    addresses: list[ImageAddress],
    draw: Callable[[ImageAddress], np.ndarray],
    page_bytes: int,
    threads: int,
) -> Iterator[tuple[str, str]]:
    """(image_id, data: URI) of what can be drawn, until the page is full."""

    def encode(address: ImageAddress) -> str | None:
        try:
            data = jpeg(draw(address), PICTURE_BYTES)
        except ImageFailure:
            return None
        return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")

    used = 0
    with ThreadPoolExecutor(threads) as pool:
        for address, uri in zip(addresses, pool.map(encode, addresses), strict=True):
            used += len(uri or "")
            if used > page_bytes:
                pool.shutdown(cancel_futures=True)
                return
            if uri is not None:
                yield address.image_id, uri
