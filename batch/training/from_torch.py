"""Weights that a GPU trained, as a Keras model: for an artifact, or for a trial's table.

    python -m batch.training.from_torch NAME --weights FOLDER --recipe dermoscopy-lite2 \
        --data DATA --cache CACHE --output ARTIFACT

FOLDER holds what `python -m batch.training.torch_course` left: NAME.*.npz and results.jsonl.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from batch.core.errors import UsageError
from batch.storage.files import new_folder
from batch.training import networks
from batch.training.answers import answer
from batch.training.by_source import judged
from batch.training.export import export
from batch.training.fit import Fitted, prepare_data
from batch.training.networks import set_backbone
from batch.training.parts import Recipe
from batch.training.recipes import find_recipe, with_changes

RESULTS = "results.jsonl"


def model_of(recipe: Recipe, arrays: dict[str, np.ndarray]) -> keras.Model:
    """The recipe's network with these weights, its normalisations folded in.

    Raises:
        UsageError: they are not of this network.
    """
    model = networks.build(recipe)
    kernel, bias = arrays["_fc.weight"], arrays["_fc.bias"]
    set_backbone(model, arrays, "the job")
    model.get_layer("scores").set_weights([kernel.T, bias])
    return networks.finished(recipe, model)


def read_weights(folder: Path, name: str) -> dict[str, np.ndarray]:
    """All arrays of a job, float32.

    Raises:
        UsageError: there are none.
    """
    files = sorted(folder.glob(f"{name}.*.npz"))
    if not files:
        raise UsageError(
            f"--weights: no {name}.*.npz in {folder}; needed: what `torch_course` kept of the job."
        )
    found: dict[str, np.ndarray] = {}
    for file in files:
        with np.load(file) as arrays:
            found |= {key: arrays[key].astype(np.float32) for key in arrays.files}
    return found


def read_job(folder: Path, name: str) -> dict[str, Any]:
    """The line that the job left.

    Raises:
        UsageError: it left none.
    """
    lines = (folder / RESULTS).read_text(encoding="utf-8").splitlines()
    for line in map(json.loads, lines):
        if line.get("name") == name and "sets" in line:
            return dict(line)
    raise UsageError(f"--weights: {RESULTS} in {folder} has no line of {name}.")


def fitted_of(options: argparse.Namespace) -> tuple[Fitted, dict[str, Any]]:
    """The trained model with its data, and the job's line.

    Raises:
        UsageError: weights, line or data are missing.
    """
    job = read_job(options.weights, options.name)
    hold_out = [source for source in job.get("hold_out", "").split(",") if source]
    recipe = with_changes(find_recipe(job["recipe"], hold_out), job.get("changes", ()))
    model = model_of(recipe, read_weights(options.weights, options.name))
    dataset = prepare_data(recipe, options.data, options.split_seed, options.cache)
    history = [{"loss": loss} for loss in job.get("curve", [])]
    return Fitted(recipe, job["seed"], model, dataset, history, len(history)), job


def trial_of(options: argparse.Namespace) -> dict[str, Any]:
    """The job as `trial` tells one: measured on the files themselves, by the Keras model."""
    fitted, job = fitted_of(options)
    melanoma = fitted.recipe.class_names.index(fitted.recipe.melanoma_class)

    def score(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(fitted.model.predict(pixels, batch_size=64, verbose=0))[:, melanoma]

    sets = judged(fitted.dataset, score, fitted.recipe.melanoma_class, options.most)
    told = {key: job[key] for key in ("recipe", "changes", "seed", "images_drawn", "seconds")}
    return {**told, "name": options.name, "hold_out": list(fitted.recipe.hold_out),
            "device": job["device"], "loss": float(np.mean(job["loss"])), "sets": sets}  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """An artifact in --output; or, with --trial, one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m batch.training.from_torch")
    parser.add_argument("name", metavar="NAME", help="of the job")
    parser.add_argument("--weights", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA")
    parser.add_argument("--cache", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, metavar="ARTIFACT")
    parser.add_argument("--trial", action="store_true", help="judge by source; no artifact")
    parser.add_argument("--split-seed", type=int, default=17, metavar="N", help="of `pack`")
    parser.add_argument("--most", type=int, default=1000, metavar="N", help="images of a set")
    options = parser.parse_args(words)

    def made() -> str:
        if options.trial:
            return json.dumps(trial_of(options))
        folder = new_folder(options.output)
        fitted, job = fitted_of(options)
        artifact = export(fitted, options.data, folder, job.get("command", ""))
        return json.dumps({"artifact": str(artifact.folder)})

    return answer(made)


if __name__ == "__main__":
    from batch.runtime.process import import_tensorflow

    import_tensorflow()
    raise SystemExit(main())
