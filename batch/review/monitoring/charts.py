"""Draws charts as inline SVG: histogram, time line, bars. Every text is escaped here.

A chart has a title and a description for screen readers (`role="img"`). It is drawn in
`currentColor`, so that it follows the page's light or dark mode, and its parts differ without
colour: filled, line, dashes. CSS classes: `chart`, and inside it `tonight`, `before`, `model`,
`axis`, `mark`, `label`.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from batch.review.monitoring.comparisons import pooled
from batch.review.monitoring.figures import QUANTITIES, Histogram, NightFigures, Quantity
from batch.review.monitoring.history import NightRecord
from batch.review.monitoring.reference import Reference

WIDTH, HEIGHT = 380, 200


_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 44, 158


_ROW, _LABEL_WIDTH = 20, 150


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Series:
    """A series of a histogram.

    label: for the legend.
    kind: CSS class, `tonight`, `before` or `model`.
    shares: of the bins, 0..1.
    """

    label: str
    kind: str
    shares: Sequence[float]


def escaped(text: object) -> str:
    """Make a text safe in content and attributes of XML and HTML."""
    return html.escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", str(text)), quote=True)


def histogram(
    name: str,
    title: str,
    bins: Sequence[str],
    series: Sequence[Series],
    mark: tuple[float, str] | None = None,
) -> str:
    """Draw shares by bin: tonight as filled bars, other series as stepped lines.

    Args:
        name: unique on the page; letters, digits, `_`.
        title: of the chart.
        bins: names of the lower edges.
        series: with a share for each bin.
        mark: position (0..1 of the axis) and label of a vertical line, or None.
    """
    top = _round_up(max((max(side.shares, default=0) for side in series), default=0))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(bins), 1)

    def y(share: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * share / top

    parts = [_axes(f"{top:.0%}")]
    for side in series:
        if side.kind == "tonight":
            parts += [
                f'<rect class="tonight" x="{_LEFT + step * at + 1:.1f}" y="{y(share):.1f}" '
                f'width="{max(step - 2, 0.5):.1f}" height="{_BOTTOM - y(share):.1f}" '
                'fill="currentColor" fill-opacity="0.35"/>'
                for at, share in enumerate(side.shares)
                if share > 0
            ]
            continue
        path = "".join(
            f"{'L' if at else 'M'}{_LEFT + step * at:.1f} {y(share):.1f}H"
            f"{_LEFT + step * (at + 1):.1f}"
            for at, share in enumerate(side.shares)
        )
        dashes = ' stroke-dasharray="4 3"' if side.kind == "model" else ""
        parts.append(
            f'<path class="{escaped(side.kind)}" d="{path or "M0 0"}" fill="none" '
            f'stroke="currentColor" stroke-width="1.5"{dashes}/>'
        )
    label_step = math.ceil(len(bins) / 10)
    parts += [
        _text(_LEFT + step * at, _BOTTOM + 14, label, "middle")
        for at, label in enumerate(bins)
        if at % label_step == 0
    ]
    if mark:
        parts.append(_mark(mark))
    parts.append(_legend(series))
    descriptions = [f"{side.label}: {_shares_in_words(bins, side.shares)}" for side in series]
    return _chart(name, title, "; ".join(descriptions) + (f"; {mark[1]}" if mark else ""), parts)


def time_line(
    name: str, title: str, nights: Sequence[str], values: Sequence[float | None], unit: str = ""
) -> str:
    """Draw a value for each night, oldest first; the last is tonight.

    Args:
        name, title: as in `histogram`.
        nights: labels.
        values: None leaves a gap.
        unit: `%` for shares 0..1, else written after the number.
    """
    top = _round_up(max((value for value in values if value is not None), default=0))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(values) - 1, 1)

    def point(at: int, value: float) -> tuple[float, float]:
        return _LEFT + step * at, _BOTTOM - (_BOTTOM - _TOP) * value / top

    parts, path, drawing = [_axes(_number(top, unit))], "", False
    for at, value in enumerate(values):
        if value is None:
            drawing = False
            continue
        x, y = point(at, value)
        path += f"{'L' if drawing else 'M'}{x:.1f} {y:.1f}"
        drawing = True
        last = at == len(values) - 1
        parts.append(
            f'<circle class="{"tonight" if last else "before"}" cx="{x:.1f}" cy="{y:.1f}" '
            f'r="{4 if last else 2}" fill="currentColor"/>'
        )
    if path:
        line = f'<path class="before" d="{path}" fill="none" stroke="currentColor"/>'
        parts.insert(1, line)
    if nights:
        parts.append(_text(_LEFT, _BOTTOM + 14, nights[0], "start"))
        parts.append(_text(WIDTH - _RIGHT, _BOTTOM + 14, nights[-1], "end"))
    descriptions = [
        f"{night}: {_number(value, unit) if value is not None else 'not known'}"
        for night, value in zip(nights, values, strict=True)
    ]
    return _chart(name, title, "; ".join(descriptions), parts)


def bars(name: str, title: str, items: Sequence[tuple[str, int]]) -> str:
    """Draw counts by name as horizontal bars, in the order given."""
    top, space = max((count for _, count in items), default=0) or 1, WIDTH - _LABEL_WIDTH - 60
    parts = []
    for at, (label, count) in enumerate(items):
        y = 32 + _ROW * at
        short = label if len(label) <= 24 else label[:23] + "\N{HORIZONTAL ELLIPSIS}"
        parts.append(_text(_LABEL_WIDTH, y + 12, short, "end"))
        parts.append(
            f'<rect class="tonight" x="{_LABEL_WIDTH + 6}" y="{y + 2}" '
            f'width="{max(space * count / top, 1 if count else 0):.1f}" height="{_ROW - 7}" '
            'fill="currentColor" fill-opacity="0.35"/>'
        )
        end = _LABEL_WIDTH + 12 + space * count / top
        parts.append(_text(end, y + 12, str(count), "start"))
    description = "; ".join(f"{label}: {count}" for label, count in items) or "none"
    return _chart(name, title, description, parts, height=40 + _ROW * len(items))


def _chart(
    name: str, title: str, description: str, parts: Sequence[str], height: int = HEIGHT
) -> str:
    key = "chart-" + re.sub(r"[^A-Za-z0-9_-]", "_", name)
    heading = _text(0, 14, title, "start", 13)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" '
        f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'aria-labelledby="{key}-title {key}-description">'
        f'<title id="{key}-title">{escaped(title)}</title>'
        f'<desc id="{key}-description">{escaped(description)}</desc>'
        f'<g aria-hidden="true">{heading}{"".join(parts)}</g></svg>'
    )


def _axes(top: str) -> str:
    right = WIDTH - _RIGHT
    return (
        f'<path class="axis" d="M{_LEFT} {_TOP}V{_BOTTOM}H{right}" fill="none" '
        'stroke="currentColor" stroke-opacity="0.5"/>'
        + _text(_LEFT - 4, _TOP + 4, top, "end")
        + _text(_LEFT - 4, _BOTTOM + 3, "0", "end")
    )


def _mark(mark: tuple[float, str]) -> str:
    x = _LEFT + (WIDTH - _LEFT - _RIGHT) * min(max(mark[0], 0.0), 1.0)
    anchor = "end" if mark[0] > 0.5 else "start"
    return (
        f'<path class="mark" d="M{x:.1f} {_TOP - 4}V{_BOTTOM}" stroke="currentColor" '
        'stroke-width="2"/>' + _text(x + (-4 if anchor == "end" else 4), _TOP + 6, mark[1], anchor)
    )


def _legend(series: Sequence[Series]) -> str:
    signs = {"tonight": "\N{BLACK SQUARE}", "before": "\N{EM DASH}", "model": "- -"}
    words = (f"{signs.get(side.kind, '')} {side.label}" for side in series)
    return _text(_LEFT, HEIGHT - 6, "   ".join(words), "start")


def _text(x: float, y: float, text: str, anchor: str, size: int = 10) -> str:
    return (
        f'<text class="label" x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="currentColor" '
        f'text-anchor="{anchor}">{escaped(text)}</text>'
    )


def _shares_in_words(bins: Sequence[str], shares: Sequence[float]) -> str:
    filled = [f"from {b} {share:.0%}" for b, share in zip(bins, shares, strict=True) if share > 0]
    return ", ".join(filled) or "none"


def _round_up(value: float) -> float:
    """The top of an axis: 1, 2 or 5 times a power of ten, at least `value`; 1 for no value."""
    if not 1e-12 < value < math.inf:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 5, 10) if value <= power * step * (1 + 1e-9))


def _number(value: float, unit: str) -> str:
    return f"{value:.1%}" if unit == "%" else f"{value:.6g}{unit}"


MAX_BARS = 12


def draw(
    tonight: NightRecord,
    earlier: Sequence[NightRecord],
    reference: Reference,
    unscored_by_reason: Mapping[str, int],
) -> dict[str, str]:
    """Draw the charts of a night: name to SVG, in the order of the page, without empty charts.

    Args:
        tonight: with figures.
        earlier: nights, newest first.
        reference: of the model.
        unscored_by_reason: images of the archive without a score.
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
        charts["devices"] = bars(
            "devices", "Devices tonight (images)", largest_counts(figures.devices)
        )
    if unscored_by_reason:
        charts["unscored"] = bars(
            "unscored", "Images of the archive without a score", largest_counts(unscored_by_reason)
        )
    return charts | _time_lines(tonight, earlier)


def shares(histogram: Histogram, quantity: Quantity) -> list[float]:
    """Shares of images in the bins that a chart shows."""
    shown_bin = np.searchsorted(quantity.shown, quantity.edges, side="right") - 1
    counts = np.bincount(shown_bin, weights=histogram.counts, minlength=len(quantity.shown))
    return [float(count) / histogram.images for count in counts]


def largest_counts(items: Mapping[str, int]) -> list[tuple[str, int]]:
    """The `MAX_BARS` largest counts, and the sum of all others."""
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
    histogram = night.figures.histograms.get(name) if night.figures else None
    return histogram.mean if histogram else None


def _same_score(tonight: NightRecord) -> Callable[[NightRecord], float | None]:
    def mean_score(night: NightRecord) -> float | None:
        return _mean(night, "melanoma_score") if night.scoring == tonight.scoring else None

    return mean_score


_NAMESPACE = "{http://www.w3.org/2000/svg}"


_ELEMENTS = frozenset(
    {"svg", "g", "title", "desc", "rect", "circle", "line", "path", "polyline", "text", "tspan"}
)


_ATTRIBUTES = frozenset(
    {
        "class", "id", "role", "viewBox", "width", "height", "x", "y", "x1", "y1", "x2", "y2", "cx",
        "cy", "r", "rx", "ry", "d", "points", "dx", "dy", "transform", "fill", "fill-opacity",
        "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity", "font-size",
        "font-weight", "text-anchor", "aria-label", "aria-labelledby", "aria-hidden",
    }
)  # fmt: skip


_REFERENCE = re.compile(r"url\s*\(", re.IGNORECASE)


def checked_svg(chart: str) -> str:
    """Return the chart if it holds only drawings and text.

    Raises:
        ValueError: it is not well formed, or has an element or attribute that no chart needs, such
            as scripts, styles, links, event handlers or foreign content.
    """
    if "<!" in chart or "<?" in chart:
        raise ValueError("chart: allowed is SVG without declarations, comments and instructions")
    try:
        root = ElementTree.fromstring(chart)
    except ElementTree.ParseError as error:
        raise ValueError("chart: not well formed") from error
    if root.tag != f"{_NAMESPACE}svg":
        raise ValueError("chart: allowed is an svg element in SVG's namespace")
    for element in root.iter():
        name = element.tag.removeprefix(_NAMESPACE)
        if name not in _ELEMENTS:
            raise ValueError(
                f"chart: element {name[:40]!r}; allowed: {', '.join(sorted(_ELEMENTS))}"
            )
        for attribute, value in element.attrib.items():
            if attribute not in _ATTRIBUTES or _REFERENCE.search(value):
                raise ValueError(f"chart: attribute {attribute[:40]!r} of {name}")
    return chart
