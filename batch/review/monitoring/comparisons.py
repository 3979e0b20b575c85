"""Tonight against the last nights and against the model's reference, quantity by quantity. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from batch.review.monitoring.drift import (
    MIN_IMAGES,
    SHIFTED,
    UNUSUAL,
    Comparison,
    Level,
    compare_bins,
    compare_categories,
)
from batch.review.monitoring.figures import (
    DEVICE,
    DEVICE_LABEL,
    QUANTITIES,
    Histogram,
    NightFigures,
    Quantity,
    nothing,
    together,
)
from batch.review.monitoring.history import NightRecord
from batch.review.monitoring.reference import Reference

LAST_NIGHTS, MODEL_REFERENCE = "last nights", "model's reference"


@dataclass(frozen=True)
class Drift:
    """One comparison, as it is told.

    value: of the statistic; None when nothing is claimed. threshold: from which it is unusual;
    by_chance: what it must pass besides. unusual: makes the night an unusual one. tonight,
    reference: images. sentence: what a person reads.
    """

    name: str
    label: str
    against: str
    value: float | None
    by_chance: float | None
    level: Level
    unusual: bool
    tonight: int
    reference: int
    sentence: str
    statistic: str = "PSI"
    threshold: float = UNUSUAL

    def to_json(self) -> dict[str, Any]:
        """As it stands in run.json."""
        told = {**vars(self), "level": self.level.value}
        for key in ("value", "by_chance"):
            told[key] = None if told[key] is None else round(told[key], 6)
        return told


def all_drifts(
    tonight: NightRecord, earlier: Sequence[NightRecord], reference: Reference
) -> list[Drift]:
    """Every comparison that can be made, judged or not.

    The last nights decide whether a quantity is unusual. The model's reference decides where they
    are too few: an archive differs from any training set for good, and a word that is said
    every night is no longer heard.
    """
    figures = tonight.figures or NightFigures()
    before = pooled(tonight, earlier)
    found: list[Drift] = []
    for quantity in QUANTITIES:
        none = nothing(quantity)
        mine = figures.histograms.get(quantity.name, none)
        found.append(
            _of_quantity(quantity, LAST_NIGHTS, mine, before.histograms.get(quantity.name, none))
        )
        its = reference.figures.histograms.get(quantity.name) if reference.figures else None
        if its is not None:
            found.append(_of_quantity(quantity, MODEL_REFERENCE, mine, its))
    found.append(_of_categories(DEVICE, DEVICE_LABEL, figures.devices, before.devices))
    found += _shares(tonight, earlier)
    return _settled(found)


def pooled(tonight: NightRecord, earlier: Sequence[NightRecord]) -> NightFigures:
    """All images of earlier nights; scores only of nights under tonight's scoring contract."""
    parts = []
    for night in earlier:
        if night.figures is None:
            continue
        histograms: Mapping[str, Histogram] = night.figures.histograms
        if night.scoring != tonight.scoring:
            histograms = {name: h for name, h in histograms.items() if name != "melanoma_score"}
        parts.append(NightFigures(histograms, night.figures.devices))
    return together(parts)


def _settled(found: Sequence[Drift]) -> list[Drift]:
    judged = {d.name for d in found if d.against == LAST_NIGHTS and d.value is not None}
    return [
        replace(d, unusual=False) if d.against == MODEL_REFERENCE and d.name in judged else d
        for d in found
    ]


def _of_quantity(quantity: Quantity, against: str, mine: Histogram, its: Histogram) -> Drift:
    def means() -> str:
        digits = quantity.digits
        return f"mean {mine.mean:.{digits}f}, there {its.mean:.{digits}f}"

    comparison = compare_bins(mine.counts, its.counts)
    return _drift(quantity.name, quantity.label, against, comparison, means)


def _of_categories(
    name: str,
    label: str,
    mine: Mapping[str, int],
    before: Mapping[str, int],
    told: str | None = None,
) -> Drift:
    """Told is the category that the sentence names; None: the one that changed most."""
    comparison = compare_categories(mine, before)
    sizes = max(comparison.tonight, 1), max(comparison.reference, 1)

    def shares() -> str:
        def change(each: str) -> tuple[float, bool, str]:
            more = mine.get(each, 0) / sizes[0] - before.get(each, 0) / sizes[1]
            return round(abs(more), 9), more > 0, each

        most = told or max({*mine, *before}, key=change)
        now, then = mine.get(most, 0) / sizes[0], before.get(most, 0) / sizes[1]
        return f"{most}: {now:.1%} of the images, there {then:.1%}"

    return _drift(name, label, LAST_NIGHTS, comparison, shares)


def _shares(tonight: NightRecord, earlier: Sequence[NightRecord]) -> Iterator[Drift]:
    same = [
        night
        for night in earlier
        if (night.scoring, night.threshold) == (tonight.scoring, tonight.threshold)
    ]
    for name, label, of, nights in (
        ("alerts", "share of alerts", _alerts, same),
        ("without a score", "share without a score", _unscored, earlier),
    ):
        before: Counter[str] = Counter()
        for each in map(of, nights):
            before.update(each)
        yield _of_categories(name, label, of(tonight), before, name)


def _alerts(night: NightRecord) -> dict[str, int]:
    if night.scored is None or night.alerts is None:
        return {}
    return {"alerts": night.alerts, "others": night.scored - night.alerts}


def _unscored(night: NightRecord) -> dict[str, int]:
    if night.scored is None or night.new_unscored is None:
        return {}
    return {"without a score": night.new_unscored, "scored": night.scored}


_SAID = {
    Level.STABLE: "as in the {against}",
    Level.SHIFTED: "somewhat different from the {against}",
    Level.UNUSUAL: "very different from the {against}",
}


def _said(comparison: Comparison) -> str:
    value, chance = comparison.value or 0.0, comparison.by_chance or 0.0
    if comparison.level == Level.STABLE and value >= SHIFTED:
        return f"no change from the {{against}} beyond what chance does to so few ({chance:.2f})"
    return _SAID[comparison.level]


def _drift(
    name: str, label: str, against: str, comparison: Comparison, detail: Callable[[], str]
) -> Drift:
    what = label[0].upper() + label[1:]
    if comparison.value is None:
        sentence = (
            f"{what}: not judged against the {against}: {comparison.tonight} images tonight and "
            f"{comparison.reference} there; {MIN_IMAGES} on each side are needed."
        )
    else:
        said = _said(comparison).format(against=against)
        sentence = f"{what}: {said} (PSI {comparison.value:.2f}; {detail()})."
    return Drift(
        name=name,
        label=label,
        against=against,
        value=comparison.value,
        by_chance=comparison.by_chance,
        level=comparison.level,
        unusual=comparison.level == Level.UNUSUAL,
        tonight=comparison.tonight,
        reference=comparison.reference,
        sentence=sentence,
    )
