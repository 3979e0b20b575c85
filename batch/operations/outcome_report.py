"""Shows outcomes: a page without network and script, a text for a terminal, and metrics."""

from __future__ import annotations

import base64
import hashlib
import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from prometheus_client import CollectorRegistry

from batch.core.errors import UsageError
from batch.core.times import minute
from batch.evaluation.coverage import share_sentence
from batch.evaluation.local_point import MOST
from batch.operations.metrics_file import set_each, set_one, write_registry
from batch.operations.outcomes import Outcomes

STATES = {
    "judged": "judged: the row that speaks for its lesion",
    "repeated": "repeated: says the same of a lesion again",
    "revised": "revised: a newer outcome of the lesion says otherwise",
    "contradicting": "contradicting: of the same day as a melanoma, and says otherwise",
    "scored_later": "scored later: no night had shown the lesion before its outcome",
    "ambiguous": "ambiguous: the key names several lesions",
    "without_score": "without score: the image could not be scored, and nothing is known of it",
    "not_found": "not found: no night scored such an image",
    "without_key": "without key: the row names no image, lesion, study or patient",
    "without_label": "without label: the row has no diagnosis",
    "left_out": "left out: the diagnosis counts as none, such as NA",
    "outranked": "outranked: a mark's diagnosis of a lesion that a file of outcomes names",
    "unclear_mark": "unclear mark: free text that is no plain diagnosis",
    "not_understood": "not understood: files and rows named in the list of problems",
}
MOST_PROBLEMS = 50
PAGE_NAME = "outcomes.html"


def outcomes_page(outcomes: Outcomes, made_at: str) -> str:
    """The page as HTML, to be written as UTF-8. made_at: ISO 8601 with a zone."""
    style = page_style()
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    figures = outcomes.figures
    return environment().get_template("outcomes.html.j2").render(
        **{name: figures[name] for name in (
            "rows", "files", "nights", "lesions_by_mark", "figures", "verification", "by_month",
            "by_subgroup", "min_cell", "coverage",
        )},
        digest=Markup(f"'sha256-{digest}'"),
        style=Markup(style),
        made_at=minute(made_at),
        missed=outcomes.missed,
        problems=outcomes.problems,
        most=MOST_PROBLEMS,
        covered=[
            share_sentence(figures["coverage"][unit], unit)
            for unit in ("lesions", "patients")
            if figures["coverage"][unit]["known"]
        ],
        states=STATES,
        point=point_sentences(figures["local_point"]) if figures["local_point"] else [],
    )  # fmt: skip


def write_page(path: Path, page: str) -> None:
    """Replace the file by the page, in one step.

    Raises:
        UsageError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if os.path.lexists(path) and not path.is_file():
            raise UsageError(
                f"--output: {path} is no regular file; allowed: a new name, or a file."
            )
        temporary.write_text(page, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise UsageError(
            f"--output: cannot write {path} ({error.strerror}). Check its folder and the "
            "permissions there."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def outcomes_text(outcomes: Outcomes) -> str:
    """The figures for a terminal; it holds no key of a lesion or image."""
    figures = outcomes.figures
    whole, checked = figures["figures"], figures["verification"]
    rows = figures["rows"]
    found = ", ".join(f"{rows[state]} {state.replace('_', ' ')}" for state in STATES if rows[state])
    lines = [
        f"{rows['rows']} rows of outcomes: {found or 'none'}",
        f"{figures['nights']['read']} nights, {figures['nights']['first']} to "
        f"{figures['nights']['last']}"
        + "".join(
            f"; {number} {why.replace('_', ' ')}"
            for why, number in figures["nights"]["left_out"].items()
        ),
        f"sensitivity {_rate(whole, 'sensitivity')}: {whole['true_positive']} of "
        f"{whole['melanomas']} melanomas had an alert in the night that counts",
        f"PPV {_rate(whole, 'ppv')}: {whole['true_positive']} of {whole['alerts']} alerts with an "
        "outcome were melanoma",
        f"{checked['alerted_with_outcome']} of {checked['alerted_lesions']} lesions with an alert "
        f"have an outcome; {checked['silent_without_outcome']} without alert have none",
    ]
    covered = figures["coverage"]
    parts = [share_sentence(covered[u], u) for u in ("lesions", "patients") if covered[u]["known"]]
    lines.append(f"coverage: {' and '.join(parts)} have an outcome; the figures speak for these")
    if checked["sensitivity_bounds"]:
        low, high = checked["sensitivity_bounds"]
        lines.append(
            "lesions without an alert are rarely excised, so in practice this sensitivity is an "
            f"upper bound; with the missing outcomes it lies between {low:.3f} and {high:.3f}"
        )
    lines.append(f"{len(outcomes.missed)} melanomas had no alert; the page names them")
    if figures["local_point"]:
        lines += point_sentences(figures["local_point"])
    return "\n".join(lines) + "\n"


def point_sentences(point: dict[str, Any]) -> list[str]:
    """What a local operating point is worth, a sentence each."""
    return [
        f"Of {point['model']}, an alert from {point['threshold']:.4g} would reach a sensitivity of "
        f"{point['target_sensitivity']:g} on these {point['melanomas']} melanomas and "
        f"{point['others']} others.",
        f"On lesions that did not choose it ({point['folds']} folds by patient): sensitivity "
        f"{_rate(point, 'sensitivity')}, specificity {_rate(point, 'specificity')}. On the lesions "
        f"that chose it: {point['apparent']['sensitivity']:.3f} and "
        f"{point['apparent']['specificity']:.3f}, which flatters.",
        f"With {point['melanomas']} melanomas the lower bound of 95 % is "
        f"{point['lower_bound']:.3f}. For a lower bound of {point['bound']:g} there are missing: "
        f"{_missing(point['missing_if_all_found'])} if each further one has an alert, "
        f"{_missing(point['missing_at_this_rate'])} if as many have one as now.",
        "Only lesions with an outcome chose it: melanomas that nobody excised are not among them."
        + (
            f" {point['trained_left_out']} lesions were left out, since the model was trained on "
            "their image."
            if point["trained_left_out"]
            else ""
        ),
    ]


def write_outcome_metrics(path: Path, outcomes: Outcomes, finished_at: float) -> None:
    """Write metrics for node_exporter's textfile collector. finished_at: seconds since 1970.

    Raises:
        UsageError: the file cannot be written.
    """
    registry = CollectorRegistry()
    figures = outcomes.figures
    set_one(registry, "outcomes_timestamp_seconds", "when outcomes were judged", finished_at)
    rows = {state: figures["rows"][state] for state in STATES}
    set_each(registry, "outcome_rows", "rows of outcomes by state", "state", rows)
    cells = {name: figures["figures"][name] for name in (
        "true_positive", "false_negative", "false_positive", "true_negative",
    )}  # fmt: skip
    set_each(registry, "outcome_lesions", "judged lesions by outcome", "kind", cells)
    for name, text in (("sensitivity", "of alerts"), ("ppv", "of alerts with an outcome")):
        if figures["figures"][name] is not None:
            value = figures["figures"][name]
            set_one(registry, f"outcome_{name}", f"{name} {text}, 0 to 1", value)
    checked = figures["verification"]
    text = "lesions that ever had an alert, by whether they have an outcome"
    done = checked["alerted_with_outcome"]
    by_outcome = {"yes": done, "no": checked["alerted_lesions"] - done}
    set_each(registry, "outcome_alerted_lesions", text, "outcome", by_outcome)
    write_registry(path, registry)


def _rate(figures: dict[str, Any], name: str) -> str:
    value, interval = figures[name], figures[f"{name}_interval"]
    if value is None:
        return "n/a"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _missing(number: int | None) -> str:
    return f"no number up to {MOST} is enough" if number is None else f"{number} melanomas"


@cache
def environment() -> Environment:
    """Jinja for the pages of this room."""
    return Environment(
        loader=PackageLoader("batch.operations"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


@cache
def page_style() -> str:
    """The style sheet of these pages."""
    return resources.files("batch.operations").joinpath("templates/outcomes.css").read_text("utf-8")
