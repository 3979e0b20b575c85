"""The stress report as text, as JSON, and as the section of MODEL_CARD.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from batch.core.errors import UsageError
from batch.evaluation.outputs import write_text

CARD_FILE = "MODEL_CARD.md"
HEADING = "## Under stress"
_COLUMNS = {
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "flip_rate": "flipped",
    "lost_alerts": "melanomas' alerts lost",
}


def json_text(measures: dict[str, Any]) -> str:
    """The measures as JSON; a measure that is not defined is null."""
    return json.dumps(measures, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def stress_text(measures: dict[str, Any]) -> str:
    """The report for a terminal."""
    rows = [["change", *_COLUMNS.values()], *_rows(measures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"Model        {measures['model']['model_id']} {measures['model']['model_version']}",
        f"Pictures     {_what(measures)}",
        *(f"             {told}" for told in _left_out(measures)),
        "",
        *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
          for row in rows),
        "",
        _EXPLAINED,
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def card_section(measures: dict[str, Any], command: str) -> str:
    """Markdown, from its heading on. command: what a reader runs for these figures."""
    head = ["change", *_COLUMNS.values()]
    lines = [
        HEADING,
        "",
        f"{_what(measures)}. {_EXPLAINED}",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        *(f"| {' | '.join(row)} |" for row in _rows(measures)),
        "",
        f"Made by `{command}`.",
        "",
    ]
    return "\n".join(lines)


def with_section(card: str, section: str) -> str:
    """A card with the section: in the place of an earlier one, else before the licence or last."""
    earlier = re.compile(rf"^{HEADING}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if earlier.search(card):
        return earlier.sub(lambda _: f"{section}\n", card, count=1).rstrip() + "\n"
    before, licence, after = card.partition("\n## Licence\n")
    return f"{before.rstrip()}\n\n{section}{licence}{after}".rstrip() + "\n"


def write_card(folder: Path, measures: dict[str, Any], command: str) -> Path:
    """Put the section into MODEL_CARD.md of an artifact; a card is made where there is none.

    Raises:
        UsageError: the card cannot be read or written.
    """
    file = folder / CARD_FILE
    try:
        card = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        model = measures["model"]
        card = f"# Model card: {model['model_id']} {model['model_version']}\n"
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--card: cannot read {file} ({type(error).__name__}). Check the permissions there."
        ) from error
    write_text("--card", file, with_section(card, card_section(measures, command)))
    return file


_EXPLAINED = (
    "Flipped: share of pictures whose alert came or went. Alerts lost: share of the melanomas with "
    "an alert before the change that have none after it. 95 % intervals by lesion."
)


def _rows(measures: dict[str, Any]) -> list[list[str]]:
    return [
        [change["change"], *(_cell(change, name) for name in _COLUMNS)]
        for change in measures["changes"]
    ]


def _cell(change: dict[str, Any], name: str) -> str:
    value, interval = change[name], change[f"{name}_interval"]
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else "")


def _what(measures: dict[str, Any]) -> str:
    point = measures["operating_point"]
    return (
        f"{measures['images']} pictures of {measures['data']}, {measures['melanomas']} of "
        f"melanoma, {measures['lesions']} lesions; operating point {point['name']} "
        f"({point['threshold']:.4f})"
    )


def _left_out(measures: dict[str, Any]) -> list[str]:
    counts = measures["counts"]
    words = {
        "without_picture": "labels without a picture",
        "trained_on": "left out, since the model was trained on them",
        "unreadable": "cannot be read",
    }
    return [f"{counts[name]} {told}" for name, told in words.items() if counts[name]]
