"""Measures by subgroup: site, sex, age, source, device.

A cell with few melanomas or few others has no measures: their intervals would be very wide, and
small counts could identify a person. Such counts are shown as `<10`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.evaluation.measures import at_threshold, auc_interval, melanoma_auc

MIN_CELL = 10
NOT_STATED = "not stated"
LABEL_COLUMNS = ("site", "sex", "age", "source")
"""Columns that labels may have; the device comes from the predictions."""

BY = "by:"
"""What stands before the name of a column of `--by`."""

_AGES = (f"{BY}age", f"{BY}age_approx", f"{BY}alter")
_OLDEST = 120


def check_columns(names: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse columns of `--by` that neither labels nor predictions have.

    Raises:
        UsageError: names the first of them.
    """
    for name in names:
        if f"{BY}{name}" not in columns:
            raise UsageError(
                f"--by: found {name!r}; allowed: a column of the labels or of the predictions. "
                "Correct the name, or leave the option out."
            )


def age_band(age: str) -> str:
    """The decade of an age in years, as `50-59`; impossible ages count as not stated."""
    try:
        years = float(age.replace(",", "."))  # as a spreadsheet may write it
    except ValueError:
        return NOT_STATED
    if not 0 <= years < _OLDEST:  # NaN is not, either
        return NOT_STATED
    decade = int(years // 10 * 10)
    return f"{decade}-{decade + 9}"


def device(manufacturer: object, model: object) -> str:
    """Maker and model of the camera, as far as known."""
    words = [word.strip() for word in (manufacturer, model) if isinstance(word, str)]
    return " ".join(word for word in words if word) or NOT_STATED


def subgroup_values(judged: pd.DataFrame) -> dict[str, np.ndarray]:
    """The value of each judged image in each subgroup column; columns without values are left out.

    Args:
        judged: a row for each image, with those of LABEL_COLUMNS that the labels have, and
            `manufacturer` and `manufacturer_model_name` of the prediction.
    """
    values = {name: judged[name] for name in LABEL_COLUMNS if name in judged}
    words_of = {
        name: [word.strip() or NOT_STATED for word in column] for name, column in values.items()
    }
    if "age" in words_of:
        words_of["age"] = [age_band(age) for age in words_of["age"]]
    for name in (name for name in judged if str(name).startswith(BY)):
        texts = ["" if pd.isna(value) else str(value).strip() for value in judged[name]]
        words = [age_band(text) for text in texts] if name in _AGES else texts
        words_of[str(name).removeprefix(BY)] = [word or NOT_STATED for word in words]
    pairs = zip(judged["manufacturer"], judged["manufacturer_model_name"], strict=True)
    words_of["device"] = [device(maker, model) for maker, model in pairs]
    return {
        name: np.array(words, dtype=object)
        for name, words in words_of.items()
        if any(word != NOT_STATED for word in words)
    }


def cell(
    is_melanoma: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray,
    thresholds: Sequence[float],
    min_cell: int = MIN_CELL,
) -> dict[str, Any]:
    """Measures of one subgroup.

    Args:
        is_melanoma, scores, groups: (N,), of its images.
        thresholds: of the operating points.
        min_cell: with fewer melanomas or others there are no measures, and `suppressed` is true.
    """
    melanomas = int(is_melanoma.sum())
    others = len(is_melanoma) - melanomas
    suppressed = min(melanomas, others) < min_cell
    measures: dict[str, Any] = {
        "melanomas": melanomas if melanomas >= min_cell else f"<{min_cell}",
        "others": others if others >= min_cell else f"<{min_cell}",
        "suppressed": suppressed,
    }
    if not suppressed:
        measures["melanoma_auc"] = melanoma_auc(is_melanoma, scores)
        measures["melanoma_auc_interval"] = auc_interval(is_melanoma, scores, groups)
        measures["operating_points"] = [
            {"threshold": threshold, **at_threshold(is_melanoma, scores, threshold)}
            for threshold in thresholds
        ]
    return measures


def by_subgroup(
    values: dict[str, np.ndarray],
    is_melanoma: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray,
    thresholds: Sequence[float],
    min_cell: int = MIN_CELL,
) -> dict[str, dict[str, Any]]:
    """Measures by column and value; values in order, "not stated" last.

    Args:
        values: of `subgroup_values`, (N,) each.
        is_melanoma, scores, groups: (N,).
        thresholds, min_cell: as in `cell`.
    """
    return {
        column: {
            value: cell(is_melanoma[here], scores[here], groups[here], thresholds, min_cell)
            for value in sorted(set(of_images), key=_order)
            for here in [of_images == value]
        }
        for column, of_images in values.items()
    }


def _order(value: str) -> tuple[bool, int, str]:
    """A key that sorts age bands by age (100-109 after 90-99) and other values by name."""
    first = value.split("-")[0]
    return value == NOT_STATED, int(first) if first.isdecimal() else 0, value
