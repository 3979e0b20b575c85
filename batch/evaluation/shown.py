"""The score of a lesion as a night showed it, found again from what every night published. Pure.

A night adds the images that it scored. An image counts until its path is scored again; a lesion
counts by its most urgent image, as on the worklist. A later operating point moves the threshold of
the images that were scored under the same contract (scoring fingerprint), as in the night itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

UNDATED = np.iinfo(np.int64).max
"""Instant of an outcome without a date: the first night that showed the lesion counts."""


@dataclass(frozen=True, eq=False)
class Nights:
    """Published nights, oldest first.

    starts: (N,) int64, microseconds since 1970, ascending.
    scoring: (N,) int64, a number for each scoring fingerprint; -1 if unknown.
    thresholds: (N,) float64, of the operating point; NaN if unknown.
    """

    starts: np.ndarray
    scoring: np.ndarray
    thresholds: np.ndarray


def ends_of(paths: np.ndarray, nights: np.ndarray, total: int) -> np.ndarray:
    """The night from which an image no longer counts, since its path was scored again.

    Args:
        paths: (N,) int64, a number for each path.
        nights: (N,) int64, the night that scored the image.
        total: number of nights, the end of what was never scored again.

    Returns:
        (N,) int64.
    """
    pairs = pd.DataFrame({"path": paths, "night": nights})
    times = pairs.drop_duplicates().sort_values(["path", "night"])
    times["end"] = times.groupby("path")["night"].shift(-1, fill_value=total)
    return pairs.merge(times, on=["path", "night"], how="left")["end"].to_numpy(np.int64)


def shown_scores(images: pd.DataFrame, nights: Nights, before: pd.Series) -> pd.DataFrame:
    """What the night that counts showed of lesions.

    The night that counts is the last that began before the instant and had the lesion. Without an
    instant it is the first that had it.

    Args:
        images: lesion, night, end (`ends_of`), score, threshold, scoring; a row for each image and
            the night that scored it.
        before: lesion to int64 microseconds since 1970, or UNDATED.

    Returns:
        by lesion: night, score, threshold, is_alert, image (row label of `images`). Lesions that no
        such night had are left out.
    """
    rows = images[images["lesion"].isin(before.index)].rename_axis("image").reset_index()
    first = rows.groupby("lesion")["night"].min()
    last = np.searchsorted(nights.starts, before.to_numpy(np.int64), "left") - 1
    last = np.where(
        before == UNDATED, first.reindex(before.index).fillna(-1).astype(np.int64), last
    )
    rows["last"] = rows["lesion"].map(pd.Series(last, before.index)).astype(np.int64)
    rows = rows[rows["night"] <= rows["last"]]
    reach = rows.groupby("lesion")["end"].transform("max") - 1
    rows = rows.assign(counting=np.minimum(rows["last"], reach))
    rows = rows[rows["end"] > rows["counting"]]
    thresholds = applied_thresholds(
        rows["scoring"].to_numpy(np.int64), rows["threshold"].to_numpy(float),
        rows["night"].to_numpy(np.int64), rows["counting"].to_numpy(np.int64), nights,
    )  # fmt: skip
    rows = rows.assign(threshold=thresholds, is_alert=rows["score"].to_numpy(float) >= thresholds)
    order = ["lesion", "is_alert", "score", "image"]
    rows = rows.sort_values(order, ascending=[True, False, False, True])
    deciding = rows.drop_duplicates("lesion").set_index("lesion")
    return deciding[["counting", "score", "threshold", "is_alert", "image"]].rename(
        columns={"counting": "night"}
    )


def applied_thresholds(
    scoring: np.ndarray,
    own: np.ndarray,
    scored_in: np.ndarray,
    counting: np.ndarray,
    nights: Nights,
) -> np.ndarray:
    """The threshold of images in the nights that count: (N,) float64.

    It is that of the newest night up to there with the image's scoring fingerprint, or the image's
    own where none after its own night had it.

    Args:
        scoring, own, scored_in: (N,), fingerprint, threshold and night of the scored image.
        counting: (N,), the night that counts.
    """
    applied = own.copy()
    for code in np.unique(scoring[scoring >= 0]):
        same = np.flatnonzero((nights.scoring == code) & np.isfinite(nights.thresholds))
        here = np.flatnonzero(scoring == code)
        place = np.searchsorted(same, counting[here], "right") - 1
        found = place >= 0
        newest = same[np.maximum(place, 0)] if len(same) else place
        later = found & (newest > scored_in[here])
        applied[here[later]] = nights.thresholds[newest[later]]
    return applied
