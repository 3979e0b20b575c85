"""README's table of recipes: `python -m tests.tools.recipe_table ARTIFACT … --literature FILE …`.

ARTIFACT: folders that `train` wrote. FILE: what `python -m batch.training.literature` printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from batch.model.manifest import read_manifest

REPORTED = {
    "isic9-plain": "30 % [1], 45 % [2]",
    "isic9-dropout": "33 % [1], 50 % [2]",
    "isic9-rebalanced": "77 % (test 43 %) [1], 50 % [2], 81 % [3]",
    "isic9-batchnorm": "60–64 % [3], 84 % [4]",
}
"""Validation accuracy as public projects of this kind write of it; README names them by number."""

COLUMNS = (
    "recipe", "reported by projects", "accuracy by their protocol",
    "validation images seen in training", "accuracy, test", "balanced",
    "melanoma AUC, test", "sensitivity at the operating point",
    "melanoma AUC on isic2017", "on ham10000",
)  # fmt: skip


def _interval(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "n/a"
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"


def _auc(found: dict[str, Any] | None) -> str:
    return _interval(found["melanoma_auc"], found["melanoma_auc_interval"]) if found else "–"


def row(folder: Path, literature: dict[str, dict[str, Any]]) -> list[str]:
    """One line: what the projects would report, and what holds on images that judge."""
    facts = read_manifest(folder).provenance
    name, metrics = facts["recipe"]["name"], facts["metrics"]
    strangers = {
        key: measures
        for run in facts.get("held_out_runs", ())
        for key, measures in run["metrics"].items()
    } | {key: measures["melanoma"] for key, measures in metrics.items()}
    theirs, test = literature.get(name), metrics["test"]
    at = test["melanoma"]["at_operating_point"]
    return [
        f"`{name}`",
        REPORTED.get(name, "–"),
        f"{theirs['accuracy']['validation']:.1%}" if theirs else "–",
        f"{theirs['validation_known']:.1%}" if theirs else "–",
        f"{test['classes']['accuracy']:.1%}",
        f"{test['classes']['balanced_accuracy']:.1%}",
        _auc(test["melanoma"]),
        _interval(at["sensitivity"], at["sensitivity_interval"]),
        *(
            _auc(strangers.get(f"{source} without isic9") or strangers.get(f"{source}, held out"))
            for source in ("isic2017", "ham10000")
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.recipe_table")
    parser.add_argument("artifacts", nargs="+", type=Path)
    parser.add_argument("--literature", nargs="*", type=Path, default=[])
    options = parser.parse_args()
    lines = [line for path in options.literature for line in path.read_text().splitlines()]
    literature = {found["recipe"]: found for found in map(json.loads, lines)}
    rows = [COLUMNS, ["---"] * len(COLUMNS), *(row(one, literature) for one in options.artifacts)]
    print("\n".join("| " + " | ".join(cells) + " |" for cells in rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
