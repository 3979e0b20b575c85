"""Figures of the images that judged a model, for its manifest: what later nights compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from batch.images.preprocess import mean_colour
from batch.model.manifest import ModelManifest, scoring_fingerprint
from batch.review.monitoring.figures import QUANTITIES, NightFigures, histogram_of, values
from batch.review.monitoring.reference import provenance_entry

JUDGING = ("validation", "test")
"""Scores of images that the weights were fitted to are too sure of themselves."""

_OF_PIXELS = ("melanoma_score", "brightness", "red_share", "blue_share")
"""Sizes and devices are left out: the public sets are distributed resized and without device."""


def reference(rows: pd.DataFrame, pixels: np.ndarray, manifest: ModelManifest) -> dict[str, Any]:
    """What the manifest's provenance stores under `reference`.

    Args:
        rows: (N,) columns image, split, melanoma_score. pixels: (N, 180, 180, 3) uint8, in the
            same order. manifest: with model digest, input and output as they will be.
    """
    judging = rows["split"].isin(JUDGING)
    # an image that stands in several sources counts once
    taken = (judging & ~rows["image"].where(judging).duplicated()).to_numpy()
    colours = np.array([mean_colour(pixels[at]) for at in np.flatnonzero(taken)]).reshape(-1, 3)
    unknown = np.full(len(colours), np.nan)
    measured = values(
        {
            "melanoma_score": rows["melanoma_score"].to_numpy()[taken],
            "mean_red": colours[:, 0],
            "mean_green": colours[:, 1],
            "mean_blue": colours[:, 2],
            "rows": unknown,
            "columns": unknown,
        }
    )
    histograms = {
        each.name: histogram_of(measured[each.name], each)
        for each in QUANTITIES
        if each.name in _OF_PIXELS
    }
    images = f"the {len(colours)} validation and test images of its training data"
    return provenance_entry(NightFigures(histograms), images, scoring_fingerprint(manifest))
