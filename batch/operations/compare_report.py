"""Shows a comparison of two models: a page without script and network, and a text."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from markupsafe import Markup

from batch.core.times import minute
from batch.operations.compare import Comparison
from batch.operations.outcome_report import environment, page_style

PAGE_NAME = "compare.html"
MOVE_WORDS = {
    "both_alert": "an alert of both",
    "only_ours": "an alert tonight, none of the silent model",
    "only_silent": "no alert tonight, one of the silent model",
    "no_alert": "an alert of neither; no alert does not mean cleared",
}


def compare_page(comparison: Comparison, made_at: str, to_reports: str) -> str:
    """The page as HTML, to be written as UTF-8.

    Args:
        made_at: ISO 8601 with a zone.
        to_reports: from the page to REPORTS, empty or ending in `/`.
    """
    style = page_style()
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return environment().get_template("compare.html.j2").render(
        f=comparison.figures,
        gallery=comparison.gallery,
        prefix=to_reports,
        words=MOVE_WORDS,
        digest=Markup(f"'sha256-{digest}'"),
        style=Markup(style),
        made_at=minute(made_at),
    )  # fmt: skip


def compare_text(comparison: Comparison) -> str:
    """The figures for a terminal; it holds no key of a lesion or image."""
    f = comparison.figures
    ours, silent = (_name(f[key]) for key in ("model", "silent_model"))
    lines = [
        f"night {f['run_id']}: {ours} beside {silent} in silence",
        f"{f['images_with_both']} of {f['images']} images have both scores, "
        f"{f['lesions_with_both']} of {f['lesions']} lesions wholly",
        f"rank correlation {_number(f['rank_correlation_lesions'])} of lesions, "
        f"{_number(f['rank_correlation_images'])} of images",
        *(f"{f['moves'][move]:>8} lesions: {words}" for move, words in MOVE_WORDS.items()),
    ]
    if (outcomes := f["outcomes"]) is None:
        lines.append(
            "no outcome of these lesions in REPORTS/outcomes: which is better is not known"
        )
        return "\n".join(lines) + "\n"
    lines.append(
        f"{outcomes['lesions']} lesions with an outcome, {outcomes['melanomas']} melanomas:"
    )
    for name, model in (("score", ours), ("silent_score", silent)):
        figures = outcomes[name]
        said = ", ".join(
            f"{word} {_number(figures[key])}{_range(figures[f'{key}_interval'])}"
            for word, key in (("AUC", "auc"), ("sensitivity", "sensitivity"),
                              ("specificity", "specificity"), ("PPV", "ppv"))
        )  # fmt: skip
        lines.append(f"  {model}: {said}")
    lines.append(
        f"difference of the AUC {_number(outcomes['auc_difference'])}"
        f"{_range(outcomes['auc_difference_interval'])}"
    )
    return "\n".join(lines) + "\n"


def _name(model: dict[str, Any]) -> str:
    return f"{model['model_id']} {model['model_version']}"


def _number(value: float | None) -> str:
    return "not given" if value is None else f"{value:.3f}"


def _range(interval: Any) -> str:
    return f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else ""
