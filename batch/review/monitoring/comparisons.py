"""Compares tonight with the last nights and with the model's reference, quantity by quantity."""

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
    combine,
    empty_histogram,
)
from batch.review.monitoring.flag_changes import DOUBLED, FlagChange, flag_changes
from batch.review.monitoring.flag_counts import add_up
from batch.review.monitoring.history import NightRecord
from batch.review.monitoring.reference import Reference

LAST_NIGHTS, MODEL_REFERENCE = "last nights", "model's reference"


@dataclass(frozen=True)
class Drift:
    """The result of a comparison.

    name, label: of the quantity, for machines and for people.
    against: `LAST_NIGHTS` or `MODEL_REFERENCE`.
    value: of the statistic; None if there are too few images to judge.
    by_chance: value that equal populations exceed once in 1,000 times; None likewise.
    level: of the change.
    unusual: whether it makes the night an unusual one.
    tonight, reference: numbers of images.
    sentence: for a person.
    statistic: its name.
    threshold: value from which a change is unusual, if it also exceeds `by_chance`.
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
        """The form in run.json."""
        values = {**vars(self), "level": self.level.value}
        for key in ("value", "by_chance"):
            values[key] = None if values[key] is None else round(values[key], 6)
        return values


def all_drifts(
    tonight: NightRecord, earlier: Sequence[NightRecord], reference: Reference
) -> list[Drift]:
    """Make every comparison, also those with too few images to judge.

    The last nights decide whether a quantity is unusual. The model's reference decides only where
    the last nights have too few images. An archive always differs from a training set, and people
    stop reading a warning that comes every night.
    """
    figures = tonight.figures or NightFigures()
    before = pooled(tonight, earlier)
    drifts: list[Drift] = []
    for quantity in QUANTITIES:
        empty = empty_histogram(quantity)
        tonight_histogram = figures.histograms.get(quantity.name, empty)
        drifts.append(
            _of_quantity(
                quantity,
                LAST_NIGHTS,
                tonight_histogram,
                before.histograms.get(quantity.name, empty),
            )
        )
        reference_histogram = (
            reference.figures.histograms.get(quantity.name) if reference.figures else None
        )
        if reference_histogram is not None:
            drifts.append(
                _of_quantity(quantity, MODEL_REFERENCE, tonight_histogram, reference_histogram)
            )
    drifts.append(_of_categories(DEVICE, DEVICE_LABEL, figures.devices, before.devices))
    drifts += _shares(tonight, earlier)
    drifts += _flags(tonight, earlier)
    return _without_reference_where_judged(drifts)


def pooled(tonight: NightRecord, earlier: Sequence[NightRecord]) -> NightFigures:
    """Figures of all images of earlier nights; scores only of nights with tonight's model."""
    parts = []
    for night in earlier:
        if night.figures is None:
            continue
        histograms: Mapping[str, Histogram] = night.figures.histograms
        if night.scoring != tonight.scoring:
            histograms = {name: h for name, h in histograms.items() if name != "melanoma_score"}
        parts.append(NightFigures(histograms, night.figures.devices))
    return combine(parts)


def _without_reference_where_judged(found: Sequence[Drift]) -> list[Drift]:
    judged = {d.name for d in found if d.against == LAST_NIGHTS and d.value is not None}
    return [
        replace(d, unusual=False) if d.against == MODEL_REFERENCE and d.name in judged else d
        for d in found
    ]


def _of_quantity(quantity: Quantity, against: str, tonight: Histogram, other: Histogram) -> Drift:
    def means() -> str:
        digits = quantity.digits
        return f"mean {tonight.mean:.{digits}f}, there {other.mean:.{digits}f}"

    comparison = compare_bins(tonight.counts, other.counts)
    return _drift(quantity.name, quantity.label, against, comparison, means)


def _of_categories(
    name: str,
    label: str,
    tonight: Mapping[str, int],
    before: Mapping[str, int],
    named: str | None = None,
) -> Drift:
    """Compare counts by name. named: category in the sentence; None: the one that changed most."""
    comparison = compare_categories(tonight, before)
    sizes = max(comparison.tonight, 1), max(comparison.reference, 1)

    def shares() -> str:
        def change(category_name: str) -> tuple[float, bool, str]:
            difference = (
                tonight.get(category_name, 0) / sizes[0] - before.get(category_name, 0) / sizes[1]
            )
            return round(abs(difference), 9), difference > 0, category_name

        category = named or max({*tonight, *before}, key=change)
        now, then = tonight.get(category, 0) / sizes[0], before.get(category, 0) / sizes[1]
        return f"{category}: {now:.1%} of the images, there {then:.1%}"

    return _drift(name, label, LAST_NIGHTS, comparison, shares)


def _shares(tonight: NightRecord, earlier: Sequence[NightRecord]) -> Iterator[Drift]:
    same_scoring = [
        night
        for night in earlier
        if (night.scoring, night.threshold) == (tonight.scoring, tonight.threshold)
    ]
    for name, label, count_images, nights in (
        ("alerts", "share of alerts", _alerts, same_scoring),
        ("without a score", "share without a score", _unscored, earlier),
    ):
        before: Counter[str] = Counter()
        for counts in map(count_images, nights):
            before.update(counts)
        yield _of_categories(name, label, count_images(tonight), before, name)


def _flags(tonight: NightRecord, earlier: Sequence[NightRecord]) -> Iterator[Drift]:
    """Flags that can be judged, of the archive, and those of single devices that have doubled."""
    if tonight.flags is None:
        return
    before = add_up(night.flags for night in earlier if night.flags is not None)
    for change in flag_changes(tonight.flags, before):
        if change.ratio is not None:
            yield _of_flag(change)


def _of_flag(change: FlagChange) -> Drift:
    whose = "" if change.device is None else f" of {change.device}"
    return Drift(
        name=f"{change.flag}{whose}",
        label=f"share {change.flag}{whose}",
        against=LAST_NIGHTS,
        value=change.ratio,
        by_chance=None,
        level=Level.UNUSUAL if change.is_told else Level.STABLE,
        unusual=change.is_told,
        tonight=change.tonight.images,
        reference=change.before.images,
        sentence=change.sentence,
        statistic="ratio of shares",
        threshold=DOUBLED,
    )


def _alerts(night: NightRecord) -> dict[str, int]:
    if night.scored is None or night.alerts is None:
        return {}
    return {"alerts": night.alerts, "others": night.scored - night.alerts}


def _unscored(night: NightRecord) -> dict[str, int]:
    if night.scored is None or night.new_unscored is None:
        return {}
    return {"without a score": night.new_unscored, "scored": night.scored}


_JUDGEMENTS = {
    Level.STABLE: "as in the {against}",
    Level.SHIFTED: "somewhat different from the {against}",
    Level.UNUSUAL: "very different from the {against}",
}


def _judgement(comparison: Comparison) -> str:
    value, chance = comparison.value or 0.0, comparison.by_chance or 0.0
    if comparison.level == Level.STABLE and value >= SHIFTED:
        return f"no change from the {{against}} beyond what chance does to so few ({chance:.2f})"
    return _JUDGEMENTS[comparison.level]


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
        judgement = _judgement(comparison).format(against=against)
        sentence = f"{what}: {judgement} (PSI {comparison.value:.2f}; {detail()})."
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
