"""The figures of an artifact, measured again: its weights stay, all that was measured is made anew.

A new preprocessing version gives other pixels, so the figures, thresholds and golden scores of the
old one are not those of what will run. Which image stands in which split is read from the
artifact's own split.csv: it says what the weights have seen.

    python -m batch.training.remeasure ARTIFACT --data DATA --output FOLDER
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from batch.core.errors import BatchError, UsageError
from batch.model.artifact import ModelArtifact, open_model
from batch.model.manifest import MODEL_FILE, ModelManifest, read_manifest
from batch.runtime.terminal import say
from batch.storage.files import new_folder
from batch.training.calibration import next_version
from batch.training.datasets import Dataset
from batch.training.export import judge
from batch.training.fit import Fitted, load
from batch.training.model_card import REMEASURED
from batch.training.recipes import Recipe, find_recipe, with_changes

COMMAND = "python -m batch.training.remeasure ARTIFACT --data DATA --output FOLDER"
_IMAGE = ["source", "image", "content_sha256"]
_PLACE = ["group", "split"]


def remeasure(folder: Path, data: Path, output: Path) -> ModelArtifact:
    """Write an artifact with the same model.keras and everything else measured now.

    Raises:
        UsageError: not an artifact of a recipe of this version, or of other images than these.
        ArtifactRefused: its manifest or its model breaks the contract.
    """
    old = ModelArtifact(folder, read_manifest(folder))
    facts = old.manifest.provenance
    recipe = _recipe(old.manifest)
    model = open_model(old.read_file, old.manifest)
    dataset = _placed(load(recipe, data), _table(folder, "split.csv"))
    history = _table(folder, "history.csv").set_index("epoch").to_dict("records")
    rounds = [{str(name): float(value) for name, value in row.items()} for row in history]
    fitted = Fitted(
        recipe, facts["seed"], model, dataset, rounds, facts["best_epoch"],
        facts.get("split_seed"), facts.get("course"),
    )  # fmt: skip
    version = old.manifest.input.preprocessing_version
    new = {
        "command": facts["command"],
        "held_out_runs": [
            {"preprocessing_version": version, **run} for run in facts["held_out_runs"]
        ],
        REMEASURED: {
            "command": COMMAND,
            "replaces": old.manifest.model_version,
            "trained_under": facts.get(REMEASURED, {}).get("trained_under", version),
        },
    }
    written = new_folder(output)  # what is refused above leaves nothing behind
    shutil.copyfile(folder / MODEL_FILE, written / MODEL_FILE)
    raised = next_version(old.manifest.model_version)
    return judge(fitted, data, written, new, raised, old.manifest.licence)


def _recipe(manifest: ModelManifest) -> Recipe:
    facts = manifest.provenance
    if "recipe" not in facts or "calibration" in facts:
        raise UsageError(
            f"remeasure: {manifest.model_id} {manifest.model_version} was not made by `train`; "
            "wrap or calibrate it again instead."
        )
    recipe = with_changes(
        find_recipe(facts["recipe"]["name"], facts["recipe"]["hold_out"]),
        facts.get("course", {}).get("changes", ()),
    )
    wanted = json.loads(json.dumps(_comparable(recipe)))
    if different := sorted(name for name in wanted if facts["recipe"].get(name) != wanted[name]):
        raise UsageError(
            f"remeasure: {recipe.name} is another recipe in this version (different: "
            f"{', '.join(different)}); train it again."
        )
    return recipe


def _comparable(recipe: Recipe) -> dict[str, Any]:
    fields = dataclasses.asdict(recipe)
    del fields["description"]
    return fields


def _placed(dataset: Dataset, split: pd.DataFrame) -> Dataset:
    """The images, each with the group and split that it had when the weights were trained."""
    table = dataset.table.merge(split[[*_IMAGE, *_PLACE]], "left", _IMAGE, validate="one_to_one")
    missing = int(table["split"].isna().sum())
    if missing or len(table) != len(split):
        raise UsageError(
            f"remeasure: {missing} of {len(table)} images below --data are not in the artifact's "
            f"split.csv, which has {len(split)}; give the data that it was trained on."
        )
    return Dataset(table, dataset.pixels, dataset.report)


def _table(folder: Path, name: str) -> pd.DataFrame:
    try:
        return pd.read_csv(folder / name)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"remeasure: {folder / name} cannot be read ({type(error).__name__}); restore it."
        ) from error


def main(words: Sequence[str] | None = None) -> int:
    """Print the new model card."""
    parser = argparse.ArgumentParser(prog="python -m batch.training.remeasure")
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT", help="folder of an artifact")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args(words)
    try:
        artifact = remeasure(options.artifact, options.data, options.output)
    except BatchError as error:
        say(f"{error}\n", sys.stderr)
        return int(error.exit_code)
    say((artifact.folder / "MODEL_CARD.md").read_text(encoding="utf-8"), sys.stdout)
    return 0


if __name__ == "__main__":
    from batch.runtime.process import import_tensorflow

    import_tensorflow()
    raise SystemExit(main())
