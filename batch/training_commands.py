"""The commands that make and judge artifacts, as `cli` calls them; prints, as it does.

Each takes the parsed options and what stands after `--`, and gives the exit code.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from batch.artifact_arguments import PREVALENCES, TARGET_SENSITIVITY
from batch.core.errors import ExitCode
from batch.core.location import whole_path
from batch.job_arguments import PROGRAM
from batch.runtime.process import import_tensorflow
from batch.runtime.terminal import say as _say
from batch.runtime.terminal import tell


def _train(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.training.extra import need_train_extra

    need_train_extra()
    import_tensorflow()
    from batch.storage.files import new_folder
    from batch.training.export import export
    from batch.training.fit import fit
    from batch.training.recipes import find_recipe
    from batch.training.siblings import held_out_runs

    recipe = find_recipe(options.recipe, options.hold_out)
    siblings = held_out_runs(recipe, options.seed, options.held_out_run)
    folder = new_folder(options.output)
    verbose = 1 if sys.stderr.isatty() else 2
    fitted = fit(
        recipe,
        options.data,
        options.seed,
        options.epochs,
        verbose,
        options.weights,
        options.resume,
        options.cache,
    )
    command = f"{PROGRAM} train {recipe.name} --data DATA --output FOLDER --seed {options.seed}"
    if options.weights:
        command += f" --weights {options.weights.name}"
    command += "".join(f" --hold-out {source}" for source in recipe.hold_out)
    command += "".join(f" --held-out-run {run.name}" for run in options.held_out_run)
    if options.epochs:
        command += f" --epochs {options.epochs}"
    artifact = export(fitted, options.data, folder, command, siblings)
    _say(
        f"{(artifact.folder / 'MODEL_CARD.md').read_text(encoding='utf-8')}\n"
        f"The artifact stands in {artifact.folder} and passed its start-up checks.\n",
        sys.stdout,
    )
    return ExitCode.COMPLETE


def _evaluate(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.evaluation.evaluate import evaluate_predictions
    from batch.evaluation.outputs import STDOUT, Outputs, json_text
    from batch.evaluation.report_text import evaluation_text

    predictions = whole_path("PREDICTIONS", options.predictions)
    labels = whole_path("--labels", options.labels)
    outputs = Outputs(options.json, options.missed, options.isic_csv, options.isic_format)
    outputs.check(predictions, labels)
    evaluation = evaluate_predictions(
        predictions, labels, options.split, options.model, options.min_cell, options.map_label
    )
    outputs.write(evaluation)
    to_json = options.json == STDOUT
    tell(json_text(evaluation) if to_json else evaluation_text(evaluation.measures))
    return ExitCode.COMPLETE


def _calibrate(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.training.calibrate import calibrate
    from batch.training.calibration import Wanted
    from batch.training.calibration_card import calibration_text

    targets = tuple(options.target_sensitivity or (TARGET_SENSITIVITY,))
    prevalences = tuple(options.prevalence or PREVALENCES)
    words = ["--labels", options.labels.name, "--model", "MODEL", "--output", "FOLDER"]
    words += ["--split", options.split] if options.split else []
    words += [word for one in targets for word in ("--target-sensitivity", f"{one:g}")]
    words += [word for one in prevalences for word in ("--prevalence", f"{one:g}")]
    words += [word for one in options.map_label for word in ("--map-label", one)]
    words += ["--no-temperature"] if options.no_temperature else []
    command = f"{PROGRAM} calibrate PREDICTIONS {shlex.join(words)}"
    wanted = Wanted(
        labels=options.labels,
        split=options.split,
        targets=targets,
        prevalences=prevalences,
        fits_temperature=not options.no_temperature,
        command=command,
        map_labels=tuple(options.map_label),
    )
    artifact = calibrate(options.model, options.predictions, wanted, options.output)
    manifest = artifact.manifest
    _say(
        f"{calibration_text(manifest)}\nCaution, with every score from now on: "
        f"{manifest.caution}\n\n"
        f"{manifest.model_id} {manifest.model_version} stands in {artifact.folder} and passed its "
        f"start-up checks. Use it with: {PROGRAM} score ... --model {artifact.folder}\n",
        sys.stdout,
    )
    return ExitCode.COMPLETE


def _wrap(options: argparse.Namespace, beam: Sequence[str]) -> int:
    import_tensorflow()
    from batch.training.wish import Wish, names_of
    from batch.training.wrap import wrap

    melanoma = options.melanoma.strip()
    words = ["--classes", options.classes, "--melanoma", melanoma]
    words += ["--threshold", f"{options.threshold:g}", "--output", "FOLDER"]
    for name in ("malignant", "kind", "input_dtype", "id", "description", "licence"):
        if given := getattr(options, name):
            words += [f"--{name.replace('_', '-')}", given]
    if options.value_range is not None:
        words += ["--value-range", "{:g},{:g}".format(*options.value_range)]
    words += ["--colour-order", options.colour_order, "--version", options.version]
    command = f"{PROGRAM} wrap {shlex.join([options.model_file.name, *words])}"
    wish = Wish(
        classes=names_of(options.classes),
        melanoma=melanoma,
        malignant=(melanoma,) if options.malignant is None else names_of(options.malignant),
        threshold=options.threshold,
        kind=options.kind,
        value_range=options.value_range,
        colour_order=options.colour_order,
        input_dtype=options.input_dtype,
        model_id=options.id if options.id is not None else options.model_file.stem,
        model_version=options.version,
        description=options.description,
        command=command,
        licence=options.licence,
    )
    artifact = wrap(options.model_file, wish, options.output)
    _say(
        f"{(artifact.folder / 'MODEL_CARD.md').read_text(encoding='utf-8')}\n"
        f"The artifact stands in {artifact.folder} and passed its start-up checks. Nothing was "
        f"measured; next: {PROGRAM} score ... --model {artifact.folder}, then {PROGRAM} "
        "calibrate.\n",
        sys.stdout,
    )
    return ExitCode.COMPLETE
