"""The report of an evaluation as one HTML file: tables, curves as SVG, no script, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from batch.evaluation.coverage import share_sentence
from batch.evaluation.measures import curves

_LEFT, _BOTTOM, _WIDTH, _HEIGHT = 45, 255, 260, 240
_MOST_POINTS = 400
"""Points of a drawn curve; more cannot be told apart on 260 units."""

_BINS = 10


def evaluation_page(
    measures: Mapping[str, Any],
    is_melanoma: np.ndarray,
    scores: np.ndarray,
    promised: Mapping[str, tuple[float, float]],
) -> str:
    """The page, to be written as UTF-8.

    Args:
        measures: of `Evaluation`.
        is_melanoma: (N,) bool, of the judged images; there are melanomas and others.
        scores: (N,) melanoma score.
        promised: operating point to the sensitivity and specificity in the manifest.
    """
    environment = Environment(
        loader=PackageLoader("batch.evaluation"), autoescape=True, undefined=StrictUndefined
    )
    template = environment.get_template("evaluation.html.j2")
    cells = [cell for group in measures["subgroups"].values() for cell in group.values()]
    return template.render(
        m=measures,
        counts=measures["counts"],
        verdicts=verdicts(measures, promised),
        units=_units(measures),
        coverage=[
            share_sentence(measures["coverage"][unit], unit)
            for unit in ("images", "lesions", "patients")
            if measures["coverage"][unit]["known"]
        ],
        plots=_plots(measures, is_melanoma, scores),
        suppressed=sum(cell["suppressed"] for cell in cells),
        interval=_interval,
    )


def verdicts(measures: Mapping[str, Any], promised: Mapping[str, tuple[float, float]]) -> list[str]:
    """A sentence for each operating point: what its manifest promised, and what was found here."""
    lines = []
    for point in measures["operating_points"]:
        here = (
            f"here {_interval(point, 'sensitivity')} and {_interval(point, 'specificity')} of "
            f"{measures['melanoma']['melanomas']} melanomas and {measures['melanoma']['others']} "
            "others"
        )
        if point["name"] not in promised:
            lines.append(
                f"{point['name']}: {here} (sensitivity, specificity). What was promised is not "
                "known: give the model with --model."
            )
            continue
        sensitivity, specificity = promised[point["name"]]
        lines.append(
            f"{point['name']}: promised sensitivity {sensitivity:.3f} and specificity "
            f"{specificity:.3f}, {here}. {_judgement(point, sensitivity)}"
        )
    return lines


def _judgement(point: Mapping[str, Any], sensitivity: float) -> str:
    low, high = point["sensitivity_interval"]
    if high < sensitivity:
        return "The sensitivity is lower here than promised."
    if low > sensitivity:
        return "The sensitivity is higher here than promised."
    return "The interval holds the promised sensitivity: these labels do not refute it."


def _interval(measures: Mapping[str, Any], name: str) -> str:
    value, interval = measures[name], measures[f"{name}_interval"]
    if value is None:
        return "n/a"
    return f"{value:.3f}" + (f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else "")


def _units(measures: Mapping[str, Any]) -> list[dict[str, Any]]:
    by_image = {**measures["melanoma"], "operating_points": measures["operating_points"]}
    by_image["units"] = by_image["images"]
    rows = []
    for name, found in (
        ("image", by_image), ("lesion", measures["by_lesion"]), ("patient", measures["by_patient"])
    ):  # fmt: skip
        if found is None:
            count = f"no figure, as no judged image names its {name}"
        else:
            count = (
                f"{found['units']}, {found['melanomas']} with melanoma; ROC-AUC "
                f"{_interval(found, 'melanoma_auc')}"
            )
        rows.append({"name": name, "count": count,
                     "points": found["operating_points"] if found else []})  # fmt: skip
    return rows


def _plots(
    measures: Mapping[str, Any], is_melanoma: np.ndarray, scores: np.ndarray
) -> list[dict[str, Any]]:
    caught, alarmed = curves(is_melanoma, scores)(np.ones(len(scores)))
    recall = caught / caught[-1]
    precision = caught[1:] / (caught[1:] + alarmed[1:])
    points = measures["operating_points"]
    at_points = [(1 - p["specificity"], p["sensitivity"]) for p in points]
    with_ppv = [(p["sensitivity"], p["ppv"]) for p in points if p["ppv"] is not None]
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    used = sorted(set(bins.tolist()))
    reliability = [(scores[bins == b].mean(), is_melanoma[bins == b].mean()) for b in used]
    melanoma = measures["melanoma"]
    return [
        _plot("ROC", "1 − specificity", "sensitivity", alarmed / alarmed[-1], recall, at_points,
              f"Area {_interval(melanoma, 'melanoma_auc')}; dots are operating points.", True),
        _plot("Precision and recall", "sensitivity", "PPV", recall[1:], precision, with_ppv,
              f"Average precision {_interval(melanoma, 'average_precision')}.", False),
        _plot("Calibration", "mean score", "share of melanomas", [], [], reliability,
              "Tenths of the score; on the line the score is a probability here.", True),
    ]  # fmt: skip


def _plot(
    title: str, x: str, y: str, xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray,
    points: Sequence[tuple[float, float]], says: str, diagonal: bool,
) -> dict[str, Any]:  # fmt: skip
    chosen = np.unique(np.linspace(0, len(xs) - 1, min(len(xs), _MOST_POINTS)).astype(int))
    line = " ".join(
        ",".join(f"{value:.1f}" for value in _at(xs[index], ys[index])) for index in chosen
    )
    return {"title": title, "x": x, "y": y, "line": line, "says": says, "diagonal": diagonal,
            "points": [tuple(round(value, 1) for value in _at(*p)) for p in points]}  # fmt: skip


def _at(x: float, y: float) -> tuple[float, float]:
    """The place of a pair of shares in the drawing."""
    return _LEFT + _WIDTH * float(x), _BOTTOM - _HEIGHT * float(y)
