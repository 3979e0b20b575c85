"""Measures how much the scores of listed lesions change when nothing about the lesion does.

For an alert or a lesion near the threshold, the image that carries its score is read again and
scored after turns, a mirror, a crop and a change of brightness (`model.stability`). The column
`score_spread` is the largest change. Tier, score and order do not depend on it. What was measured
in an earlier night is carried over as long as score and model are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from batch.archive.local import ArchiveStorage
from batch.archive.pictures import ImageAddress
from batch.archive.reader import read_file
from batch.core.errors import ImageFailure
from batch.core.records import ModelInput
from batch.core.rules import Limits
from batch.model.stability import score_spreads
from batch.review.page.pictures import addresses
from batch.review.page_pictures import Pictures
from batch.review.worklist.contract import ReviewWorklist, Status, Tier
from batch.review.worklist.previous_list import Row, same_score
from batch.runtime.process import available_cores
from batch.runtime.threads import work_in_order

SPREAD = "score_spread"
MOST_LESIONS = 100
"""Most lesions of a night, the first of the list first; the next night goes on."""
_AT_ONCE = 64
_TIERS = (Tier.ALERT, Tier.NEAR_THRESHOLD)


def with_spreads(
    worklist: ReviewWorklist, source: Pictures | None, most: int = MOST_LESIONS
) -> tuple[ReviewWorklist, dict[str, int]]:
    """The worklist with the spread of its first lesions that have none yet; and counts of it.

    Args:
        source: of pictures and of the model; None where nothing can be read.
        most: lesions to measure.
    """
    asked = _asked(worklist.lesions)
    carried = int(asked[SPREAD].notna().sum())
    missing = asked[asked[SPREAD].isna()]
    measured: dict[str, float] = {}
    if source is not None and len(missing) and most:
        measured = _measured(_carriers(missing.head(most), worklist.images), source)
    lesions = _filled(worklist.lesions, measured)
    left = len(missing) - len(measured)
    told = {"carried_over": carried, "measured": len(measured), "not_measured": left}
    return replace(worklist, lesions=lesions), told


def with_known_spreads(worklist: ReviewWorklist, rows: Iterable[Row]) -> ReviewWorklist:
    """The worklist with the spreads of another list of the same night.

    rows: of `LESION_COLUMNS`.
    """
    known = {row["lesion_key"]: row for row in rows}
    found = {
        key: known[key][SPREAD]
        for key, row in zip(worklist.lesions["lesion_key"], _dicts(worklist.lesions), strict=True)
        if pd.isna(row[SPREAD]) and key in known and same_score(known[key], row)
    }
    return replace(worklist, lesions=_filled(worklist.lesions, found))


def _asked(lesions: pd.DataFrame) -> pd.DataFrame:
    """Lesions of which the spread is wanted."""
    is_near = lesions["score_tier"].isin(_TIERS)
    return lesions[is_near & (lesions["status"] != Status.REVIEWED)]


def _dicts(frame: pd.DataFrame) -> list[dict[str, Any]]:
    columns = ["lesion_key", "model_version", "max_score", "image_scores", SPREAD]
    return [{str(name): row[name] for name in columns} for row in frame[columns].to_dict("records")]


def _carriers(lesions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The image of each lesion that has its score, in the order of the list."""
    there = images[images["file_format"].notna() & images["lesion_key"].isin(lesions["lesion_key"])]
    scores = there["lesion_key"].map(lesions.set_index("lesion_key")["max_score"])
    carrying = there[there["melanoma_score"].astype(float) == scores.astype(float)]
    return carrying.drop_duplicates("lesion_key")


def _measured(carriers: pd.DataFrame, source: Pictures) -> dict[str, float]:
    """lesion_key to spread; what cannot be read or scored is left out."""
    source.on_phase("score spread")
    classifier, melanoma = source.model()
    found: dict[str, float] = {}
    keys: list[str] = []
    pictures: list[np.ndarray] = []

    def score() -> None:
        if not keys:
            return
        spreads = score_spreads(classifier, np.stack(pictures), melanoma)
        found.update(zip(keys, (round(float(spread), 6) for spread in spreads), strict=True))
        keys.clear()
        pictures.clear()

    def read(item: tuple[str, ImageAddress]) -> np.ndarray | None:
        return _model_input(source.archive, item[1], source.limits)

    items = list(zip(carriers["lesion_key"], addresses(carriers), strict=True))
    threads = max(2, available_cores())
    for (key, _), picture in work_in_order(read, items, threads, source.goes_on):
        if picture is not None:
            keys.append(key)
            pictures.append(picture)
        if len(keys) == _AT_ONCE:
            score()
    score()
    return found


def _model_input(
    archive: ArchiveStorage, address: ImageAddress, limits: Limits
) -> np.ndarray | None:
    """What the model saw, (180, 180, 3) uint8; None when it cannot be read or is another image."""
    try:
        _, results = read_file(archive, archive.locate(address.path), address.rules(limits))
    except ImageFailure:
        return None
    for result in results:
        if isinstance(result, ModelInput) and result.record.image_id == address.image_id:
            return result.pixels
    return None


def _filled(lesions: pd.DataFrame, spreads: Mapping[str, float]) -> pd.DataFrame:
    new = lesions["lesion_key"].map(spreads).astype("float64")
    return lesions.assign(**{SPREAD: lesions[SPREAD].fillna(new)})
