"""Which images an epoch of a long course draws, and what their labels allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from batch.training.parts import LongCourse


def allowed_matrix(table: pd.DataFrame, class_names: tuple[str, ...]) -> np.ndarray:
    """(N, K) float32 of 0 and 1: the classes that each image's label leaves open."""
    return np.array(
        [[name in allowed for name in class_names] for allowed in table["allowed"]], np.float32
    )


def shared_weights(
    table: pd.DataFrame, shares: Mapping[str, float], melanoma_class: str, melanoma_share: float
) -> np.ndarray:
    """(N,) probabilities of drawing each image: shares by source, one melanoma share in all.

    A source without melanoma, or with nothing else, is drawn evenly.

    Args:
        table: columns source and label. shares: by source, of any sum.
    """
    is_melanoma = (table["label"] == melanoma_class).to_numpy()
    known = pd.Series(is_melanoma).groupby(table["source"].to_numpy()).transform("mean").to_numpy()
    both = (known > 0) & (known < 1)
    wanted = np.where(is_melanoma, melanoma_share, 1 - melanoma_share)
    found = np.where(is_melanoma, known, 1 - known)
    within = np.where(both, wanted / np.where(both, found, 1.0), 1.0)
    images = table.groupby("source")["source"].transform("size").to_numpy()
    weights = table["source"].map(shares).to_numpy(float) / images * within
    return weights / weights.sum()


def draws(
    weights: np.ndarray, course: LongCourse, seed: int, first_epoch: int
) -> Iterator[np.ndarray]:
    """Row numbers of batch after batch, without end; an epoch's follow from seed and epoch alone.

    Args:
        weights: (M,) probabilities of the rows.
    """
    epoch = first_epoch
    while True:
        rng = np.random.default_rng((seed, epoch))
        count = course.images // course.batch_size
        drawn = rng.choice(len(weights), (count, course.batch_size), p=weights)
        yield from drawn
        epoch += 1
