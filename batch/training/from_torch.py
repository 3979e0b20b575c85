"""Weights that a GPU trained, as a Keras model: for an artifact, or for a trial's table.

    python -m batch.training.from_torch NAME --weights FOLDER --data DATA --cache CACHE \
        --held-out-run PATH --output ARTIFACT
    python -m batch.training.from_torch NAME --weights FOLDER --data DATA --trial >> held_out.jsonl

FOLDER holds what `python -m batch.training.torch_course` left: NAME.*.npz and results.jsonl, which
say the recipe. PATH is an artifact of a job that left a source out, or a file of lines of --trial.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.images.preprocess import PREPROCESSING_VERSION
from batch.storage.files import new_folder
from batch.training import networks
from batch.training.answers import answer
from batch.training.by_source import Scorer, judged
from batch.training.datasets import Dataset
from batch.training.export import export
from batch.training.fit import Fitted, prepare_data
from batch.training.held_out_runs import held_out_runs
from batch.training.judge import validation_cases
from batch.training.networks import set_backbone
from batch.training.parts import Recipe
from batch.training.sampling import MOST_IMAGES, stratified_rows
from batch.training.score_calibration import calibration_facts, fit_calibration
from batch.training.source_points import TARGETS, choose_points
from batch.training.torch_job import Job, read_job, read_weights
from batch.training.torch_split import judging_split


def model_of(recipe: Recipe, arrays: dict[str, np.ndarray]) -> keras.Model:
    """The recipe's network with these weights, its normalisations folded in.

    Raises:
        UsageError: they are not of this network.
    """
    model = networks.build(recipe)
    set_backbone(model, arrays, "the job")
    try:
        kernel, bias = arrays["_fc.weight"], arrays["_fc.bias"]
        model.get_layer("scores").set_weights([kernel.T, bias])
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"--weights: the job's output layer is not the recipe's ({error}); needed: _fc.weight "
            f"and _fc.bias of {len(recipe.class_names)} classes. Train the job with this version."
        ) from error
    return networks.finished(recipe, model)


def fitted_of(job: Job, options: argparse.Namespace) -> Fitted:
    """The trained model with its data.

    Raises:
        UsageError: weights or data are missing, or the split is not the job's.
    """
    model = model_of(job.recipe, read_weights(options.weights, options.name))
    dataset = prepare_data(job.recipe, options.data, options.split_seed, options.cache)
    split = judging_split(job, dataset.table, options.split_seed)
    moved = int((split != dataset.table["split"].to_numpy()).sum())
    dataset = Dataset(dataset.table.assign(split=split), dataset.pixels, dataset.report)
    course = {**job.course, "images_that_trained_before": moved}
    if calibration := calibrate_output(model, dataset, job.recipe):
        course["score_calibration"] = calibration
    history = [{"loss": loss} for loss in job.curve]
    return Fitted(job.recipe, job.seed, model, dataset, history, 0, options.split_seed, course)


def calibrate_output(model: keras.Model, dataset: Dataset, recipe: Recipe) -> dict[str, Any] | None:
    """Calibrate the network's output layer on the validation split, each image once a source.

    Returns:
        facts for the provenance; None where the split has not both kinds.
    """
    table = dataset.table
    rows = np.flatnonzero((table["split"] == "validation").to_numpy())
    labels = table["label"].to_numpy().astype(str)[rows]
    is_melanoma = labels == recipe.melanoma_class
    if is_melanoma.all() or not is_melanoma.any():
        return None
    melanoma = recipe.class_names.index(recipe.melanoma_class)
    pixels = np.ascontiguousarray(dataset.pixels[rows])
    scores = np.asarray(model.predict(pixels, batch_size=64, verbose=0))
    sources = table["source"].to_numpy().astype(str)[rows]
    calibration = fit_calibration(scores, is_melanoma, sources, melanoma)
    calibration.set_output(model.get_layer("scores"), melanoma)
    return calibration_facts(calibration, scores, is_melanoma, sources, melanoma)


def artifact_of(options: argparse.Namespace) -> Path:
    """Write the artifact.

    Raises:
        UsageError: weights, line, data or a held-out run cannot be used.
    """
    if options.output is None:
        raise UsageError("--output: missing; needed: a new folder for the artifact, or --trial.")
    job = read_job(options.weights, options.name)
    runs = held_out_runs(job.recipe, job.seed, options.held_out_run, job.course["jobs"])
    folder = new_folder(options.output)
    fitted = fitted_of(job, options)
    made = export(
        fitted, options.data, folder, _command(options), runs, model_version=options.model_version
    )
    return made.folder


def _command(options: argparse.Namespace) -> str:
    """What makes the artifact or trial again; folders by what they are, not where they lie."""
    words = f"python -m batch.training.from_torch {options.name} --weights FOLDER --data DATA"
    words += f" --split-seed {options.split_seed}"
    words += "".join(f" --held-out-run {path.name}" for path in options.held_out_run)
    if not options.trial and options.model_version != "1.0.0":
        words += f" --model-version {options.model_version}"
    return words + (f" --trial --most {options.most}" if options.trial else " --output ARTIFACT")


def trial_of(options: argparse.Namespace) -> dict[str, Any]:
    """The job as `trial` tells one: measured on the files themselves, by the Keras model.

    Returns:
        facts of the job; `operating_points`, thresholds by name, chosen on the validation split as
        for an artifact, but on what was drawn of it; and `sets`, as `judged` gives them.
    """
    job = read_job(options.weights, options.name)
    fitted = fitted_of(job, options)
    recipe = fitted.recipe
    melanoma = recipe.class_names.index(recipe.melanoma_class)

    def score(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(fitted.model.predict(pixels, batch_size=64, verbose=0))[:, melanoma]

    thresholds = _thresholds(fitted.dataset, recipe, score, options.most)
    course = job.course
    return {
        "name": job.name,
        "command": _command(options),
        "recipe": recipe.name,
        "changes": list(job.changes),
        "hold_out": list(recipe.hold_out),
        "seed": job.seed,
        "split_seed": options.split_seed,
        "preprocessing_version": PREPROCESSING_VERSION,
        **{name: course[name] for name in ("images_drawn", "seconds", "device", "loss", "jobs")},
        "most_images_of_a_set": options.most,
        "operating_points": thresholds,
        "sets": judged(fitted.dataset, score, recipe.melanoma_class, options.most, thresholds),
    }


def _thresholds(dataset: Dataset, recipe: Recipe, score: Scorer, most: int) -> dict[str, float]:
    """By the name of the operating point; none where no melanoma validates."""
    table = dataset.table
    labels = table["label"].to_numpy().astype(str)
    parts = [np.empty(0, int)]
    for source in sorted(table["source"].unique()):
        validates = (table["source"] == source) & (table["split"] == "validation")
        rows = np.flatnonzero(validates.to_numpy())
        parts.append(rows[stratified_rows(labels[rows], most)])
    drawn = np.sort(np.concatenate(parts))
    if not (labels[drawn] == recipe.melanoma_class).any():
        return {}
    scores = score(np.ascontiguousarray(dataset.pixels[drawn])).astype(float)
    rows_with_scores: pd.DataFrame = table.iloc[drawn].assign(melanoma_score=scores)
    points, _ = choose_points(validation_cases(rows_with_scores, recipe), "", "", TARGETS)
    return {point.name: point.threshold for point in points}


def main(words: Sequence[str] | None = None) -> int:
    """An artifact in --output; or, with --trial, one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m batch.training.from_torch")
    parser.add_argument("name", metavar="NAME", help="of the job")
    parser.add_argument("--weights", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA")
    parser.add_argument("--cache", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, metavar="ARTIFACT")
    parser.add_argument(
        "--held-out-run", type=Path, action="append", default=[], metavar="PATH",
        help="an artifact of this recipe and seed that left a source out, or a file of lines of "
        "--trial, whose figures go on the card; may be repeated",
    )  # fmt: skip
    parser.add_argument("--trial", action="store_true", help="judge by source; no artifact")
    parser.add_argument(
        "--model-version", default="1.0.0", metavar="VERSION", help="of the artifact (%(default)s)"
    )
    parser.add_argument("--split-seed", type=int, default=17, metavar="N", help="of `pack`")
    parser.add_argument(
        "--most", type=int, default=MOST_IMAGES, metavar="N",
        help="images of a set that a trial looks at (%(default)s)",
    )  # fmt: skip
    options = parser.parse_args(words)
    if options.trial:
        return answer(lambda: json.dumps(trial_of(options)))
    return answer(lambda: json.dumps({"artifact": str(artifact_of(options))}))


if __name__ == "__main__":
    from batch.runtime.process import import_tensorflow

    import_tensorflow()
    raise SystemExit(main())
