"""Splits that cannot leak: images that could be the same lesion stay on one side.

Two images belong together when they share a lesion id, their bytes, or nearly their look
(perceptual hash); and so does everything connected through such pairs.
"""

from __future__ import annotations

import imagehash
import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from batch.core.errors import UsageError

HASH_SIDE = 16
NEAR_DUPLICATE_BITS = 56
"""Of 256. Unrelated dermoscopy images differ by about 128 bits; the same photograph resampled or
recompressed by fewer than 50. Too high only joins groups, which costs nothing but balance."""

COPY_BITS = 24
PLAIN_BITS = 48
"""Where many images have a dark surround, it is most of what a hash sees: by the 56 bits that
suffice for the first three sources, chains of tubes join many unrelated images to one group. There
two images are near-duplicates by `COPY_BITS`, or by `PLAIN_BITS` where neither has a surround."""

FOLDS = 7
"""One fold tests, one validates, five train: about 14 %, 14 % and 72 %."""


def perceptual_hashes(pixels: np.ndarray) -> np.ndarray:
    """(N, 180, 180, 3) uint8 to (N, 256) bool: DCT hash of the grey image (ImageHash, phash)."""
    return np.stack(
        [imagehash.phash(Image.fromarray(image), HASH_SIDE).hash.ravel() for image in pixels]
    )


def dark_surrounds(pixels: np.ndarray) -> np.ndarray:
    """(N, 180, 180, 3) uint8 to (N,) bool: a corner is black, or two far darker than the middle."""
    found = np.empty(len(pixels), bool)
    for row, image in enumerate(pixels):  # one at a time: they may be a file
        corners = [image[y, x].mean() for y in _ENDS for x in _ENDS]
        middle = image[_MIDDLE, _MIDDLE].mean()
        found[row] = min(corners) < _BLACK or sorted(corners)[1] < _FAR_DARKER * middle
    return found


_ENDS, _MIDDLE = (slice(0, 24), slice(-24, None)), slice(60, 120)
_BLACK, _FAR_DARKER = 40, 0.4


def near_duplicates(hashes: np.ndarray, bits: int = NEAR_DUPLICATE_BITS) -> np.ndarray:
    """(M, 2) int: pairs of rows whose hashes differ by at most `bits`."""
    signs = np.where(hashes, 1, -1).astype(np.float32)
    pairs = []
    for start in range(0, len(signs), 1024):  # blocks bound the memory of the distance matrix
        block = (hashes.shape[1] - signs[start : start + 1024] @ signs.T) / 2
        first, second = np.nonzero(block <= bits)
        first = first + start
        pairs.append(np.stack([first, second], 1)[first < second])
    return np.concatenate(pairs) if pairs else np.empty((0, 2), int)


def group_ids(
    table: pd.DataFrame, hashes: np.ndarray, dark: np.ndarray | None = None
) -> np.ndarray:
    """(N,) int: the same number for images that could show the same lesion.

    Args:
        table: columns lesion_id (null where unknown) and content_sha256. hashes: its rows' hashes.
        dark: its rows' `dark_surrounds`, where those would join what does not belong together.
    """
    if dark is None:
        pairs = [near_duplicates(hashes)]
    else:
        plain = np.flatnonzero(~dark)
        pairs = [near_duplicates(hashes, COPY_BITS)]
        pairs.append(plain[near_duplicates(hashes[plain], PLAIN_BITS)])
    for column in ("lesion_id", "content_sha256"):
        known = table[column].notna().to_numpy()
        codes = pd.factorize(table[column])[0]
        first_row = pd.Series(np.arange(len(table))).groupby(codes).transform("first").to_numpy()
        pairs.append(np.stack([first_row, np.arange(len(table))], 1)[known])
    first, second = np.concatenate(pairs).T
    graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(table), len(table)))
    return connected_components(graph, directed=False)[1]


def split(table: pd.DataFrame, groups: np.ndarray, seed: int) -> np.ndarray:
    """(N,) of `train`, `validation`, `test`: stratified by label, whole groups, stable by seed.

    A group that holds a label which was only inferred trains; it judges nothing.

    Raises:
        UsageError: fewer groups than folds can judge.
    """
    barred = set(groups[(table["label_origin"] == "inferred").to_numpy()])
    if "judges" in table:  # a group that no judging source has trains, too
        barred |= set(groups) - set(groups[table["judges"].to_numpy(bool)])
    free = np.flatnonzero([group not in barred for group in groups])
    if len(set(groups[free])) < FOLDS:
        raise UsageError(
            f"--data: {len(set(groups[free]))} lesions are left that may validate or test; needed: "
            f"at least {FOLDS}."
        )
    result = np.full(len(table), "train", dtype=object)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    parts = folds.split(free, table["label"].to_numpy()[free], groups[free])
    for name, (_, rows) in zip(("test", "validation"), parts, strict=False):
        result[free[rows]] = name
    return result
