"""Runs of the same recipe that left a source out: the evidence for a model trained on all of them.

A model that was trained on every source has no stranger left to judge it. The same recipe, trained
without one of them, was judged by that one; its figures belong beside the shipped model's, and are
not the shipped model's own.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batch.core.errors import UsageError
from batch.model.manifest import read_manifest
from batch.training.recipes import Recipe

HELD_OUT = ", held out"


def held_out_runs(recipe: Recipe, seed: int, folders: Sequence[Path]) -> list[dict[str, Any]]:
    """What sibling artifacts measured on the sources that they had not seen.

    Returns:
        for each folder: command, held_out (sources), model_sha256, preprocessing_version, and
        metrics (set to melanoma measures), held-out sets only.

    Raises:
        UsageError: not an artifact of this recipe and seed with a source held out.
        ArtifactRefused: the manifest breaks its contract.
    """
    return [_run(recipe, seed, folder) for folder in folders]


def _run(recipe: Recipe, seed: int, folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    facts = manifest.provenance
    wanted = dataclasses.asdict(dataclasses.replace(recipe, hold_out=()))
    del wanted["description"]
    wanted = json.loads(json.dumps({**wanted, "seed": seed}))
    found = {**facts.get("recipe", {}), "hold_out": [], "seed": facts.get("seed")}
    if different := sorted(name for name in wanted if found.get(name) != wanted[name]):
        raise UsageError(
            f"--held-out-run: {folder} was made by another recipe or seed (different: "
            f"{', '.join(different)}); allowed: artifacts of the same `train {recipe.name} "
            f"--seed {seed}` with --hold-out."
        )
    metrics = {
        name: measures["melanoma"]
        for name, measures in facts["metrics"].items()
        if name.endswith(HELD_OUT)
    }
    if not metrics:
        raise UsageError(
            f"--held-out-run: {folder} was trained on every source; allowed: artifacts of "
            f"`train {recipe.name} --hold-out SOURCE`."
        )
    return {
        "command": facts["command"],
        "held_out": facts["data"]["held_out"],
        "model_sha256": manifest.model_sha256,
        "preprocessing_version": manifest.input.preprocessing_version,
        "metrics": metrics,
    }
