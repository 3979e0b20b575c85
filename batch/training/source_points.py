"""Thresholds that hold at every source: the one that is hardest to please decides. Pure.

A threshold that is chosen on all images together suits the source that has most of them. Here the
rule of `evaluation.thresholds` (the highest threshold whose measured sensitivity is at least the
target) is asked of every source by itself, and of all images together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from batch.core.records import OperatingPoint
from batch.evaluation import thresholds

TARGETS = (0.95, 0.9)
"""Sensitivities; the first is that of the default operating point."""

FEWEST_MELANOMAS = 30
"""Of a source that decides. Of 30, one melanoma is 3 % of the sensitivity; of fewer, chance
decides the threshold for everybody."""

TOGETHER = "all sources together"


@dataclass(frozen=True)
class Cases:
    """Scores of images that chose no weights.

    is_melanoma: (N,) bool. scores: (N,) float, of melanoma. sources: (N,) text.
    counts_once: (N,) bool, which rows stand for `all sources together`: an image may stand in
    several sources.
    """

    is_melanoma: np.ndarray
    scores: np.ndarray
    sources: np.ndarray
    counts_once: np.ndarray


@dataclass(frozen=True)
class Choice:
    """A threshold, and why it is that one.

    threshold: the lowest of `allowed`. decided_by: whose that is; of several, the first by name,
    a source before all together. allowed: source, or all together, to the highest threshold that
    keeps the target there. too_few: sources that were not asked.
    """

    threshold: float
    decided_by: str
    allowed: dict[str, float]
    too_few: tuple[str, ...]


def parts(cases: Cases) -> dict[str, np.ndarray]:
    """(N,) bool of the rows of each source, by name, and last of all together."""
    names = sorted(set(cases.sources.tolist()))
    return {**{name: cases.sources == name for name in names}, TOGETHER: cases.counts_once}


def choose_threshold(cases: Cases, target: float) -> Choice:
    """The highest threshold whose sensitivity is at least the target in every part.

    Args:
        cases: with a melanoma among the rows that count once. target: 0..1.
    """
    allowed, too_few = {}, []
    for name, rows in parts(cases).items():
        if name != TOGETHER and np.sum(cases.is_melanoma[rows]) < FEWEST_MELANOMAS:
            too_few.append(name)
        else:
            allowed[name] = thresholds.choose_threshold(
                cases.is_melanoma[rows], cases.scores[rows], target
            )
    decided_by = min(allowed, key=lambda name: allowed[name])
    return Choice(allowed[decided_by], decided_by, allowed, tuple(too_few))


def choose_points(
    cases: Cases, model_sha256: str, validation_set: str, targets: Sequence[float] = TARGETS
) -> tuple[tuple[OperatingPoint, ...], dict[str, Any]]:
    """Operating points of the targets, and the evidence of each source.

    Args:
        validation_set: what the cases are, in words; who decided is added.

    Returns:
        points, whose rates are of all sources together; and by a point's name `decided_by`,
        `fewest_melanomas`, `too_few` (sources) and `sources`: of each source and of all together
        its counts, the threshold that it would allow (None where it was not asked), and both rates
        with 95 % intervals at the threshold that was chosen.
    """
    once = cases.counts_once
    points, evidence = [], {}
    for target in targets:
        choice = choose_threshold(cases, target)
        point = thresholds.point_at(
            choice.threshold,
            cases.is_melanoma[once],
            cases.scores[once],
            model_sha256,
            f"{validation_set}; {choice.decided_by} decided",
            target,
        )
        points.append(point)
        evidence[point.name] = {
            "decided_by": choice.decided_by,
            "fewest_melanomas": FEWEST_MELANOMAS,
            "too_few": list(choice.too_few),
            "sources": {
                name: _figures(cases, rows, choice, name) for name, rows in parts(cases).items()
            },
        }
    return tuple(points), evidence


_RATES = ("sensitivity", "sensitivity_interval", "specificity", "specificity_interval")


def _figures(cases: Cases, rows: np.ndarray, choice: Choice, name: str) -> dict[str, Any]:
    is_melanoma = cases.is_melanoma[rows]
    rates = thresholds.sensitivity_and_specificity(
        is_melanoma, cases.scores[rows], choice.threshold
    )
    return {
        "melanomas": int(is_melanoma.sum()),
        "others": int((~is_melanoma).sum()),
        "allowed_threshold": choice.allowed.get(name),
        **{rate: rates[rate] for rate in _RATES},
    }
