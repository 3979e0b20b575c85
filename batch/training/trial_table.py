"""Trials as a table of Markdown: `python -m batch.training.trial_table FOLDER …`.

FOLDER: what a trial wrote to. One row a trial, one column a set that judged one of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batch.core.errors import UsageError
from batch.training.answers import answer
from batch.training.trial import RESULT

_SHORTCUTS = {
    "with_surround": "with surround",
    "without_surround": "without surround",
    "at_one_sharpness": "at one sharpness",
    "lesion_covered": "lesion covered",
    "size_alone": "size alone",
}


def trials_table(found: Sequence[dict[str, Any]]) -> str:
    """AUC (and sensitivity at specificity 0.8) of each trial on each set."""
    sets = sorted({name for one in found for name in one["sets"]})
    rows = [["trial", "held out", "images drawn", "minutes", "loss", *sets]]
    for one in found:
        changes = " ".join(one["changes"])
        cells = [
            f"`{one['recipe']}`{f' `{changes}`' if changes else ''}, seed {one['seed']}",
            ", ".join(one["hold_out"]) or "–",
            f"{one['images_drawn']:,}",
            f"{one['seconds'] / 60:.0f}",
            _number(one["loss"]),
        ]
        rows.append(cells + [_cell(one["sets"].get(name)) for name in sets])
    return _markdown(rows)


def shortcuts_table(one: dict[str, Any]) -> str:
    """The shortcut tests of one trial or artifact, a row a set."""
    rows = [["set", "images", "melanomas", "AUC", *_SHORTCUTS.values()]]
    for name, found in one["sets"].items():
        tests = [_number(found["shortcuts"][key]["auc"]) for key in _SHORTCUTS]
        auc = _number(found["melanoma_auc"])
        images = drawn(found["images"], found.get("drawn_of"))
        rows.append([name, images, str(found["melanomas"]), auc, *tests])
    return _markdown(rows)


def drawn(images: int, of: int | None) -> str:
    """How many images were looked at, and of how many where they are a part of the set."""
    return f"{images} of {of}" if of is not None and of > images else str(images)


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    return f"{_number(found['melanoma_auc'])} ({_number(found['sensitivity_at_specificity'])})"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _markdown(rows: list[list[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main(words: Sequence[str] | None = None) -> int:
    """The table; with --shortcuts, those of each trial."""
    parser = argparse.ArgumentParser(prog="python -m batch.training.trial_table")
    parser.add_argument("trials", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--shortcuts", action="store_true")
    options = parser.parse_args(words)
    return answer(lambda: _tables([_read(folder) for folder in options.trials], options.shortcuts))


def _tables(found: Sequence[dict[str, Any]], shortcuts: bool) -> str:
    tables = [shortcuts_table(one) for one in found] if shortcuts else [trials_table(found)]
    return "\n\n".join(tables)


def _read(folder: Path) -> dict[str, Any]:
    file = folder if folder.is_file() else folder / RESULT
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"trial_table: {file} cannot be read ({type(error).__name__}); allowed: what a trial "
            "or by_source wrote."
        ) from error


if __name__ == "__main__":
    raise SystemExit(main())
