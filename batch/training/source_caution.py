"""What must be said with every score: how well melanoma is ranked on sources left out. Pure.

The sentence goes on every night's page, so it is short, names the best and the worst source, and
ends with what to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from batch.training.source_points import FEWEST_MELANOMAS

AUC_FOR_UNSEEN_SOURCES = 0.8
"""Below it, at the worst source that was left out, a model does not guide review."""

MOST_CHARACTERS = 240
_MOST_OF_NAME = 14

_NOT_MEASURED = (
    "This model was measured on no source that its training left out: how well it ranks melanoma "
    "in another archive is not known."
)
_WHAT_TO_DO = "Compare with local histology."


def caution(unseen: Mapping[str, Mapping[str, Any]], target: float | None) -> str:
    """One or two sentences, at most 240 characters.

    Sets with fewer than 30 melanomas count only where there are no others.

    Args:
        unseen: measures of melanoma by set, of sources that the weights had not seen: melanomas,
            melanoma_auc with its interval, and where a threshold was at hand
            `at_operating_point`. target: sensitivity that the threshold was chosen for.
    """
    known = {name: one for name, one in unseen.items() if one["melanoma_auc"] is not None}
    many = {name: one for name, one in known.items() if one["melanomas"] >= FEWEST_MELANOMAS}
    judging = many or known
    if not judging:
        return f"{_NOT_MEASURED} {_WHAT_TO_DO}"
    ordered = sorted(judging, key=lambda name: judging[name]["melanoma_auc"])
    worst, best = ordered[0], ordered[-1]
    low = f"{_two_digits(judging[worst]['melanoma_auc'])} ({_short(worst)})"
    high = f"{_two_digits(judging[best]['melanoma_auc'])} ({_short(best)})"
    sources, reach = ("a source", low) if best == worst else ("sources", f"{low} to {high}")
    return (
        f"On {sources} left out of training its melanoma AUC is {reach}"
        f"{_verdict(judging[worst])}{_missed(judging, target)}. {_WHAT_TO_DO}"
    )


def _verdict(worst: Mapping[str, Any]) -> str:
    least = f"{AUC_FOR_UNSEEN_SOURCES:.2f}"
    if worst["melanoma_auc"] < AUC_FOR_UNSEEN_SOURCES:
        return f": at worst below {least}, not fit to guide review"
    if (worst["melanoma_auc_interval"] or (0,))[0] < AUC_FOR_UNSEEN_SOURCES:
        return f": at worst not surely {least}"
    return ""


def _missed(judging: Mapping[str, Mapping[str, Any]], target: float | None) -> str:
    """A clause where the threshold finds less than it was chosen for."""
    found = {
        name: at["sensitivity"]
        for name, one in judging.items()
        if (at := one.get("at_operating_point")) and at["sensitivity"] is not None
    }
    if target is None or not found or min(found.values()) >= target:
        return ""
    worst = min(found, key=lambda name: found[name])
    return (
        f"; the {100 * target:g} % threshold finds {_floored(100 * found[worst])} % of melanomas "
        f"on {_short(worst)}"
    )


def _two_digits(value: float) -> str:
    """Rounded down, so that 0.799 does not read as 0.80."""
    return f"{_floored(100 * value) / 100:.2f}"


def _floored(value: float) -> int:
    return math.floor(value + 1e-9)


def _short(name: str) -> str:
    """The source of a set's name, cut where it is long."""
    source = name.partition(", ")[0].partition(" without ")[0]
    return source if len(source) <= _MOST_OF_NAME else source[: _MOST_OF_NAME - 1] + "…"
