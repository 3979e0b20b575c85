"""How many alerts a night brings, and how many of them are melanomas, where these are rare. Pure.

Among the images of a training set many are melanomas; in an archive few are. Sensitivity and
specificity carry over to another share of melanomas, the share of alerts that are right does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from batch.evaluation.thresholds import alerts_per_thousand
from batch.training.source_points import FEWEST_MELANOMAS

PREVALENCES = (0.01, 0.05, 0.2)
"""Shares of melanomas among the images of an archive."""


def melanomas_per_hundred_alerts(
    prevalence: float, sensitivity: float, specificity: float
) -> float | None:
    """Melanomas to expect among 100 alerts; None where no alert is to be expected.

    Args:
        prevalence: share of melanomas among the images, 0..1.
    """
    alerts = alerts_per_thousand(prevalence, sensitivity, specificity)
    return 100 * 1000 * prevalence * sensitivity / alerts if alerts else None


def worst(rates: Mapping[str, tuple[float, float]]) -> str | None:
    """Of which set an alert means least, whatever the prevalence: the least likelihood ratio.

    That is sensitivity / (1 − specificity); of equal ones the lower sensitivity counts as worse.

    Args:
        rates: (sensitivity, specificity) by set.
    """

    def ratio(name: str) -> tuple[float, float]:
        sensitivity, specificity = rates[name]
        if specificity < 1:
            return sensitivity / (1 - specificity), sensitivity
        return (float("inf") if sensitivity else 0.0), sensitivity

    return min(rates, key=ratio) if rates else None


def expected_alerts(
    rates: Mapping[str, tuple[float, float]],
    pooled: str,
    prevalences: Iterable[float] = PREVALENCES,
) -> list[dict[str, Any]]:
    """What to expect with the pooled rates, and with those of the worst set.

    Args:
        rates: (sensitivity, specificity) by set. pooled: the set of all sources together.

    Returns:
        for pooled and worst, in this order and only where they are there: set, sensitivity,
        specificity, and `at`, a list with prevalence, alerts_per_1000 and
        melanomas_per_100_alerts (None without alerts).
    """
    low = worst({name: pair for name, pair in rates.items() if name != pooled})
    shares = tuple(prevalences)
    return [
        {
            "set": name,
            "is_worst": name != pooled,
            "sensitivity": rates[name][0],
            "specificity": rates[name][1],
            "at": [
                {
                    "prevalence": share,
                    "alerts_per_1000": alerts_per_thousand(share, *rates[name]),
                    "melanomas_per_100_alerts": melanomas_per_hundred_alerts(share, *rates[name]),
                }
                for share in shares
            ],
        }
        for name in (pooled, low)
        if name is not None and name in rates
    ]


POOLED = "test"


def alerts_of_sets(
    pooled: Mapping[str, Any], sets: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """`expected_alerts` of every operating point, by its name.

    Args:
        pooled: measures of the test split, with `at_points`. sets: measures by set, of one source
            each; those with fewer than 30 melanomas or others, or without the point, are left out.
    """
    found = {}
    for point, rates in pooled["at_points"].items():
        by_set = {POOLED: (rates["sensitivity"], rates["specificity"])}
        for name, measures in sets.items():
            at = measures.get("at_points", {}).get(point)
            others = measures["images"] - measures["melanomas"]
            if at and min(measures["melanomas"], others) >= FEWEST_MELANOMAS:
                by_set[name] = (at["sensitivity"], at["specificity"])
        if None not in by_set[POOLED]:
            found[point] = expected_alerts(by_set, POOLED)
    return found
