"""Options and handlers of `evaluate`, `stress` and `calibrate`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batch.commands.settings import Command, Options
from batch.commands.shared import (
    PROGRAM,
    argument,
    command,
    group,
    map_label_option,
    map_option,
    model_option,
    option,
    positive_option,
)
from batch.commands.value_types import FILE, FOLDER, READABLE, TEXT, OneOf, share, whole_number
from batch.core.errors import ExitCode, UsageError
from batch.core.location import whole_path
from batch.core.rules import lesion_pattern
from batch.runtime.terminal import print_answer, say

PREVALENCES = (0.01, 0.05, 0.2)
TARGET_SENSITIVITY = 0.95


def _labels_options() -> tuple[Any, ...]:
    return (
        option("--labels", metavar="FILE", type=FILE, required=True,
               help="CSV, Excel or Parquet: label (or diagnosis, dx, icd10, melanoma, ISIC's MEL, "
               "NV, ...), and image, path, a UID, accession, lesion or patient; group, split, "
               "site, sex, age, source where known"),
        map_option(),
        map_label_option(),
        positive_option(),
        option("--lesion-pattern", metavar="REGEX", type=TEXT,
               help="finds lesion and patient in the paths of photographs, for figures by lesion "
               "(default: the night's own)"),
        option("--split", metavar="NAME", type=TEXT, help="take only these rows of the labels"),
    )  # fmt: skip


@command(
    "evaluate",
    "measure a published night against labels",
    "",
    argument("predictions", "PREDICTIONS",
             "reports folder, one night, or a file of `current --output`", READABLE, "evaluate"),
    group("Labels", *_labels_options()),
    group(
        "What is measured",
        model_option("measure at the operating points of this model's manifest, too; it must be "
                     "the one that made the predictions"),
        option("--by", metavar="COLUMN", type=TEXT, multiple=True,
               help="subgroups by this column of the labels or predictions, too; may be repeated"),
        option("--min-cell", metavar="N", type=whole_number(1), default=10, show_default=True,
               help="no figure of subgroups with fewer melanomas or others"),
    ),
    group(
        "What is written",
        option("--missed", metavar="FILE", type=FILE, help="list the missed melanomas in a CSV"),
        option("--isic-csv", metavar="FILE", type=FILE,
               help="write the predictions of the judged images as the ISIC challenges take them"),
        option("--isic-format", type=OneOf("2018", "2019"), default="2019", show_default=True,
               help="whose columns --isic-csv has"),
        option("--html", metavar="FILE", type=FILE,
               help="write the report as one HTML file: tables, curves, calibration"),
        option("--json", metavar="FILE", type=TEXT,
               help="write the figures for a machine; - for standard output"),
    ),
)  # fmt: skip
def evaluate(options: Options, beam: Sequence[str]) -> int:
    """Print the measures, and write the files that were asked for."""
    from batch.evaluation.evaluate import evaluate_predictions
    from batch.evaluation.outputs import STDOUT, Outputs, json_text
    from batch.evaluation.report_text import evaluation_text

    predictions = whole_path("PREDICTIONS", options.predictions)
    labels = whole_path("--labels", options.labels)
    outputs = Outputs(options.json, options.missed, options.isic_csv, options.isic_format,
                      options.html)  # fmt: skip
    outputs.check(predictions, labels)
    evaluation = evaluate_predictions(
        predictions, labels, options.split, options.model, options.min_cell,
        list(options.map_label), list(options.positive), list(options.map),
        list(options.by),
        lesion_pattern(options.lesion_pattern) if options.lesion_pattern else None,
    )  # fmt: skip
    outputs.write(evaluation)
    to_json = options.json == STDOUT
    print_answer(json_text(evaluation) if to_json else evaluation_text(evaluation.measures))
    return ExitCode.COMPLETE


@command(
    "calibrate",
    "fit temperature and thresholds to your own labels",
    "From labelled predictions of a model, fit a temperature and choose an operating point for "
    "each target sensitivity; write the artifact with both to a new folder.",
    argument("predictions", "PREDICTIONS",
             "reports folder, one night, a folder of Parquet, or a file of `current --output`",
             FILE, "calibrate"),
    group("Labels", *_labels_options()),
    group(
        "The artifact",
        model_option("the model that made the predictions: bundled, or an artifact folder",
                     required=True),
        option("--output", metavar="FOLDER", type=FOLDER, required=True,
               help="new folder of the artifact"),
        option("--target-sensitivity", metavar="S", type=share(False), multiple=True,
               help="of an operating point; may be repeated, the first is the default one "
               f"(default: {TARGET_SENSITIVITY})"),
        option("--prevalence", metavar="P", type=share(True), multiple=True,
               help="share of melanomas to tell the alerts for; may be repeated "
               f"(default: {', '.join(f'{one:g}' for one in PREVALENCES)})"),
        option("--no-temperature", is_flag=True, help="choose thresholds only; keep the scores"),
    ),
)  # fmt: skip
def calibrate(options: Options, beam: Sequence[str]) -> int:
    """Write a calibrated copy of an artifact."""
    from batch.training.calibrate import calibrate as fit
    from batch.training.calibration import Wanted
    from batch.training.calibration_card import calibration_text

    targets = tuple(options.target_sensitivity or (TARGET_SENSITIVITY,))
    prevalences = tuple(options.prevalence or PREVALENCES)
    words = ["--labels", options.labels.name, "--model", "MODEL", "--output", "FOLDER"]
    words += ["--split", options.split] if options.split else []
    words += [word for target in targets for word in ("--target-sensitivity", f"{target:g}")]
    words += [word for prevalence in prevalences for word in ("--prevalence", f"{prevalence:g}")]
    words += [word for mapping in options.map_label for word in ("--map-label", mapping)]
    words += [word for value in options.positive for word in ("--positive", value)]
    words += [word for mapping in options.map for word in ("--map", mapping)]
    words += ["--lesion-pattern", options.lesion_pattern] if options.lesion_pattern else []
    words += ["--no-temperature"] if options.no_temperature else []
    calibration_options = Wanted(
        labels=options.labels,
        split=options.split,
        targets=targets,
        prevalences=prevalences,
        fits_temperature=not options.no_temperature,
        command=f"{PROGRAM} calibrate PREDICTIONS {shlex.join(words)}",
        map_labels=tuple(options.map_label),
        positive=tuple(options.positive),
        maps=tuple(options.map),
        pattern=lesion_pattern(options.lesion_pattern) if options.lesion_pattern else None,
    )
    artifact = fit(options.model, options.predictions, calibration_options, options.output)
    manifest = artifact.manifest
    say(
        f"{calibration_text(manifest)}\nCaution, with every score from now on: "
        f"{manifest.caution}\n\n"
        f"{manifest.model_id} {manifest.model_version} stands in {artifact.folder} and passed its "
        f"start-up checks. Use it with: {PROGRAM} score ... --model {artifact.folder}\n",
        sys.stdout,
    )
    return ExitCode.COMPLETE


@command(
    "stress",
    "measure how far a model's figures hold when pictures get worse",
    "Score labelled photographs again after blur, compression, other light, a colour cast, crops, "
    "turns and ink, and measure AUC, sensitivity and flipped alerts.",
    argument("model", "ARTIFACT", "the model: bundled, or an artifact folder", TEXT, "stress"),
    group(
        "Pictures",
        option("--data", metavar="FOLDER", type=FOLDER, required=True,
               help="folder with the photographs that the labels name"),
    ),
    group("Labels", *_labels_options()),
    group(
        "What is measured",
        option("--most", metavar="N", type=whole_number(2), default=300, show_default=True,
               help="photographs, drawn by a fixed seed; half of them melanomas where there are "
               "enough"),
        option("--operating-point", metavar="NAME", type=TEXT,
               help="of the artifact (default: its first)"),
    ),
    group(
        "What is written",
        option("--json", metavar="FILE", type=TEXT,
               help="write the figures for a machine; - for standard output"),
        option("--card", is_flag=True,
               help="put the table into MODEL_CARD.md of the artifact, in place of an earlier one"),
    ),
)  # fmt: skip
def stress(options: Options, beam: Sequence[str]) -> int:
    """Print the report, and write what was asked for."""
    from batch.evaluation.outputs import STDOUT, write_text
    from batch.evaluation.stress import StressOptions
    from batch.evaluation.stress import stress as measure
    from batch.evaluation.stress_report import json_text, stress_text, write_card
    from batch.model.artifact import find_artifact

    data = whole_path("--data", options.data)
    if not data.is_dir():
        raise UsageError(f"--data: no folder {data}; needed: the folder with the photographs.")
    artifact = find_artifact(options.model)
    wanted = StressOptions(
        data, whole_path("--labels", options.labels), options.split, options.most,
        options.operating_point, tuple(options.map), tuple(options.map_label),
        tuple(options.positive),
    )  # fmt: skip
    measures = measure(artifact, wanted)
    if options.json not in (None, STDOUT):
        write_text("--json", whole_path("--json", Path(options.json)), json_text(measures))
    if options.card:
        words = [artifact.manifest.model_id, "--data", data.name, "--labels", options.labels.name]
        words += ["--most", str(options.most)]
        words += ["--split", options.split] if options.split else []
        write_card(artifact.folder, measures, f"{PROGRAM} stress {shlex.join(words)}")
    print_answer(json_text(measures) if options.json == STDOUT else stress_text(measures))
    return ExitCode.COMPLETE


EVALUATION: tuple[Command, ...] = (evaluate, stress, calibrate)
