"""Figures of outcomes against what the nights showed. Pure."""

from __future__ import annotations

from typing import Any

import pandas as pd

from batch.evaluation.subgroups import MIN_CELL, NOT_STATED
from batch.evaluation.thresholds import rate


def counted(is_melanoma: pd.Series, is_alert: pd.Series) -> dict[str, Any]:
    """Sensitivity and PPV of alerts with exact 95 % intervals, and the four counts.

    Args:
        is_melanoma, is_alert: (N,) bool, a lesion each. A rate without cases is None.
    """
    counts = {
        "true_positive": int((is_melanoma & is_alert).sum()),
        "false_negative": int((is_melanoma & ~is_alert).sum()),
        "false_positive": int((~is_melanoma & is_alert).sum()),
        "true_negative": int((~is_melanoma & ~is_alert).sum()),
    }
    melanomas = counts["true_positive"] + counts["false_negative"]
    alerts = counts["true_positive"] + counts["false_positive"]
    sensitivity, ppv = (
        rate(counts["true_positive"], melanomas),
        rate(counts["true_positive"], alerts),
    )
    return {
        "lesions": len(is_melanoma),
        "melanomas": melanomas,
        "alerts": alerts,
        "sensitivity": sensitivity[0],
        "sensitivity_interval": sensitivity[1],
        "ppv": ppv[0],
        "ppv_interval": ppv[1],
        **counts,
    }


def small_cell(lesions: pd.DataFrame, min_cell: int) -> dict[str, Any]:
    """Figures of a month or subgroup; a rate of fewer than `min_cell` cases is not given.

    Counts below it read `<N`, as in `evaluate`.
    """
    whole = counted(lesions["is_melanoma"], lesions["is_alert"])
    lesions_told = whole["lesions"] if whole["lesions"] >= min_cell else f"<{min_cell}"
    cell: dict[str, Any] = {"lesions": lesions_told}
    for rate_name, base in (("sensitivity", "melanomas"), ("ppv", "alerts")):
        enough = whole[base] >= min_cell
        cell[base] = whole[base] if enough else f"<{min_cell}"
        cell[rate_name] = whole[rate_name] if enough else None
        cell[f"{rate_name}_interval"] = whole[f"{rate_name}_interval"] if enough else None
    return cell


def by_column(
    lesions: pd.DataFrame, column: str, min_cell: int = MIN_CELL
) -> dict[str, dict[str, Any]]:
    """Figures of each value of a column, in order, "not stated" last."""
    values = lesions[column].astype(object).where(lesions[column].notna(), NOT_STATED)
    values = values.where(values != "", NOT_STATED)
    names = sorted(set(values), key=lambda value: (value == NOT_STATED, str(value)))
    verdicts = lesions[["is_melanoma", "is_alert"]]
    parts = dict(iter(verdicts.groupby(values.to_numpy(object), sort=False)))
    return {str(name): small_cell(parts[name], min_cell) for name in names}


def verification(
    figures: dict[str, Any], alerted: int, alerted_with_outcome: int, silent_without_outcome: int
) -> dict[str, Any]:
    """What lesions without an outcome could change: bounds of sensitivity and PPV.

    Sensitivity is lowest if every lesion that had no alert and no outcome is a melanoma and no
    alert without an outcome is one; it is highest the other way round. PPV lies between no alert
    without an outcome being a melanoma and all of them.

    Args:
        figures: of `counted`, all lesions.
        alerted: lesions that ever had an alert.
        alerted_with_outcome: those of them with an outcome.
        silent_without_outcome: lesions with a score that never had an alert and have no outcome.
    """
    open_alerts = alerted - alerted_with_outcome
    hits, missed = figures["true_positive"], figures["false_negative"]
    low = rate(hits, hits + missed + silent_without_outcome)[0]
    high = rate(hits + open_alerts, hits + open_alerts + missed)[0]
    all_alerts = figures["alerts"] + open_alerts
    return {
        "alerted_lesions": alerted,
        "alerted_with_outcome": alerted_with_outcome,
        "share_of_alerts_with_outcome": rate(alerted_with_outcome, alerted)[0],
        "silent_without_outcome": silent_without_outcome,
        "sensitivity_bounds": None if low is None or high is None else [low, high],
        "ppv_bounds": [hits / all_alerts, (hits + open_alerts) / all_alerts]
        if all_alerts
        else None,
    }
