"""Which charts a night's report has, and of what. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from batch.review.charts import Series, bars, histogram, time_line
from batch.review.comparisons import pooled
from batch.review.figures import Histogram, NightFigures
from batch.review.nights import NightRecord
from batch.review.quantities import QUANTITIES, Quantity
from batch.review.reference import Reference

MAX_BARS = 12


def draw(
    tonight: NightRecord,
    earlier: Sequence[NightRecord],
    reference: Reference,
    unscored_by_reason: Mapping[str, int],
) -> dict[str, str]:
    """Name to SVG, in the order of the page; a chart that would show nothing is left out.

    Args:
        earlier: newest first.
    """
    figures, before = tonight.figures or NightFigures(), pooled(tonight, earlier)
    model = reference.figures or NightFigures()
    charts: dict[str, str] = {}
    for quantity in QUANTITIES:
        sides = (
            ("tonight", "tonight", figures.histograms.get(quantity.name)),
            ("last nights", "before", before.histograms.get(quantity.name)),
            ("model's reference", "model", model.histograms.get(quantity.name)),
        )
        series = [
            Series(f"{label} ({side.images})", kind, shares(side, quantity))
            for label, kind, side in sides
            if side is not None and side.images
        ]
        if series and series[0].kind == "tonight":
            charts[quantity.name] = _histogram(quantity, series, tonight.threshold)
    if figures.devices:
        charts["devices"] = bars("devices", "Devices tonight (images)", most(figures.devices))
    if unscored_by_reason:
        charts["unscored"] = bars(
            "unscored", "Images of the archive without a score", most(unscored_by_reason)
        )
    return charts | _time_lines(tonight, earlier)


def shares(found: Histogram, quantity: Quantity) -> list[float]:
    """Share of images by the bins that a chart shows."""
    place = np.searchsorted(quantity.shown, quantity.edges, side="right") - 1
    counts = np.bincount(place, weights=found.counts, minlength=len(quantity.shown))
    return [float(count) / found.images for count in counts]


def most(items: Mapping[str, int]) -> list[tuple[str, int]]:
    """The largest counts, and the sum of all others."""
    ranked = sorted(items.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[MAX_BARS:])
    return [*ranked[:MAX_BARS], *([("all others", rest)] if rest else [])]


def _histogram(quantity: Quantity, series: Sequence[Series], threshold: float | None) -> str:
    title = f"{quantity.label[0].upper()}{quantity.label[1:]}: share of images"
    mark = None
    if quantity.name == "melanoma_score" and threshold is not None:
        mark = threshold, f"alerts from {threshold:.3g}"  # the shown bins divide 0..1 evenly
    return histogram(quantity.name, title, [f"{e:g}" for e in quantity.shown], series, mark)


def _time_lines(tonight: NightRecord, earlier: Sequence[NightRecord]) -> dict[str, str]:
    nights = [*reversed(earlier), tonight]
    dates = [night.night[:10] for night in nights]
    lines: tuple[tuple[str, str, str, Callable[[NightRecord], float | None]], ...] = (
        ("nights_scored", "Images scored, by night", "", lambda night: night.scored),
        (
            "nights_alerts", "Alerts, share of the images scored, by night", "%",
            lambda night: _share(night.alerts, night.scored),
        ),
        (
            "nights_without_score", "Images newly without a score, share, by night", "%",
            lambda night: _share(night.new_unscored, _tried(night)),
        ),
        ("nights_score", "Mean melanoma score, by night (same model)", "", _same_score(tonight)),
        ("nights_brightness", "Mean brightness, by night", "", lambda n: _mean(n, "brightness")),
    )  # fmt: skip
    return {
        name: time_line(name, title, dates, [value(night) for night in nights], unit)
        for name, title, unit, value in lines
        if len(nights) > 1
    }


def _tried(night: NightRecord) -> int | None:
    if night.scored is None or night.new_unscored is None:
        return None
    return night.scored + night.new_unscored


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def _mean(night: NightRecord, name: str) -> float | None:
    found = night.figures.histograms.get(name) if night.figures else None
    return found.mean if found else None


def _same_score(tonight: NightRecord) -> Callable[[NightRecord], float | None]:
    def of(night: NightRecord) -> float | None:
        return _mean(night, "melanoma_score") if night.scoring == tonight.scoring else None

    return of
