"""A trial: a recipe with changes, trained and judged source by source; no artifact.

    python -m batch.training.trial dermoscopy-lite2 --set network.smooth=false \\
        --hold-out milk10k --hold-out acral --data DATA --cache CACHE --weights NPZ --output FOLDER

FOLDER keeps the checkpoints, so the same command goes on where it stopped, and trial.json, which
`python -m batch.training.trial_table` makes a row of.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from batch.core.errors import UsageError
from batch.training.answers import answer
from batch.training.by_source import judged
from batch.training.fit import Fitted, fit
from batch.training.recipes import RECIPES, find_recipe, with_changes
from batch.training.sampling import MOST_IMAGES

RESULT = "trial.json"


def result(fitted: Fitted, changes: Sequence[str], most: int) -> dict[str, Any]:
    """What a trial found, for its file."""
    recipe, model = fitted.recipe, fitted.model
    melanoma = recipe.class_names.index(recipe.melanoma_class)

    def score(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict(pixels, batch_size=64, verbose=0))[:, melanoma]

    last = fitted.history[-1]
    return {
        "recipe": recipe.name,
        "changes": list(changes),
        "hold_out": list(recipe.hold_out),
        "seed": fitted.seed,
        "epochs": len(fitted.history),
        "images_drawn": len(fitted.history) * getattr(recipe.course, "images", 0),
        "seconds": round(sum(row.get("seconds", 0.0) for row in fitted.history)),
        "loss": last["loss"],
        "val_loss": last["val_loss"],
        "most_images_of_a_set": most,
        "sets": judged(fitted.dataset, score, recipe.melanoma_class, most),
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Train and judge, or read what an earlier run found.

    Raises:
        UsageError: an unusable recipe, change or folder.
    """
    recipe = with_changes(find_recipe(options.recipe, options.hold_out), options.set)
    if recipe.data != "described":
        allowed = [one.name for one in RECIPES.values() if one.data == "described"]
        raise UsageError(
            f"trial: {recipe.name} is not over described sources; allowed: {', '.join(allowed)}."
        )
    file = options.output / RESULT
    if file.exists():
        return dict(json.loads(file.read_text(encoding="utf-8")))
    fitted = fit(
        recipe,
        options.data,
        options.seed,
        options.epochs,
        2,
        options.weights,
        options.output / "checkpoints",
        options.cache,
    )
    found = result(fitted, options.set, options.most)
    file.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """One JSON object."""
    parser = argparse.ArgumentParser(prog="python -m batch.training.trial")
    parser.add_argument("recipe", metavar="RECIPE")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--cache", type=Path, metavar="FOLDER")
    parser.add_argument("--weights", type=Path, metavar="NPZ")
    parser.add_argument("--hold-out", action="append", default=[], metavar="SOURCE")
    parser.add_argument("--set", action="append", default=[], metavar="PART.FIELD=VALUE")
    parser.add_argument("--seed", type=int, default=17, metavar="N")
    parser.add_argument("--epochs", type=int, metavar="N")
    parser.add_argument(
        "--most", type=int, default=MOST_IMAGES, metavar="N", help="images of a set (%(default)s)"
    )
    options = parser.parse_args(words)
    return answer(lambda: json.dumps(run(options)))


if __name__ == "__main__":
    from batch.runtime.process import import_tensorflow

    import_tensorflow()
    raise SystemExit(main())
