"""What a score hangs on, as the page draws it: a grid of shares over the upright picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from batch.archive.local import ArchiveStorage
from batch.archive.pictures import ImageAddress, read_picture, upright
from batch.archive.reader import read_file
from batch.core.errors import ImageFailure
from batch.core.records import ModelInput
from batch.core.rules import Limits
from batch.model.attention import occlusion_map
from batch.model.classifier import Classifier

CELLS = 12
"""Along each side: the map has no finer detail (`batch.model.attention.STRIDE`)."""
LEAST_FALL = 0.2
"""A fall of the log odds that is drawn in full colour, even when the picture's largest is smaller:
otherwise noise would be drawn as strongly as a finding. At a score of 0.5 it is one of 0.05."""

_SIDE = 180
_TURNED = "exif_orientation_ignored"


def attention_grids(
    archive: ArchiveStorage,
    addresses: Iterable[ImageAddress],
    limits: Limits,
    classifier: Classifier,
    melanoma: int,
) -> Iterator[tuple[str, list[list[float]]]]:
    """(image_id, grid) of images: where covering the image lowers its melanoma score.

    It tells about the model, and is no evidence. Cost: `attention.image_count()` scored images
    each. What cannot be read or scored is left out.

    Args:
        classifier: the one that scored them. melanoma: column of its scores, from 0.
    """
    for address in dict.fromkeys(addresses):
        try:
            pixels, orientation = _model_input(archive, address, limits)
            falls = occlusion_map(classifier, pixels, melanoma)
        except ImageFailure:
            continue
        yield address.image_id, grid(falls, orientation)


def grid(falls: np.ndarray, orientation: int = 1) -> list[list[float]]:
    """Shares of the largest fall, 0..1 with two decimals, 12 rows of 12 from the upper left.

    Args:
        falls: (180, 180) float, log odds: the `occlusion_map` of the image before it was turned
            upright. orientation: EXIF's, 1..8.
    """
    cell = falls.shape[0] // CELLS
    means = falls.reshape(CELLS, cell, CELLS, cell).mean(axis=(1, 3))
    shares = np.clip(means / max(float(means.max()), LEAST_FALL), 0, 1).astype(np.float32)
    return [[round(float(share), 2) for share in row] for row in upright(shares, orientation)]


def _model_input(
    archive: ArchiveStorage, address: ImageAddress, limits: Limits
) -> tuple[np.ndarray, int]:
    """The pixels that the model saw, (180, 180, 3) uint8, and the orientation of the image; no
    pixels when it is another image now.

    Raises:
        ImageFailure: it cannot be read.
    """
    _, results = read_file(archive, archive.locate(address.path), address.rules(limits))
    for result in results:
        if isinstance(result, ModelInput) and result.record.image_id == address.image_id:
            is_turned = _TURNED in result.record.flags
            turned = read_picture(archive, address, limits, _SIDE).orientation if is_turned else 1
            return result.pixels, turned
    return np.empty((0, 0, 3), np.uint8), 1
