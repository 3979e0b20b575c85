"""Options and handler of `outcomes`."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch.commands.operations import is_private, open_reports
from batch.commands.settings import Command, Options
from batch.commands.shared import (
    PROGRAM,
    command,
    group,
    json_option,
    map_label_option,
    map_option,
    model_option,
    option,
    positive_option,
    reports_argument,
)
from batch.commands.value_types import FILE, FOLDER, share, whole_number
from batch.core.errors import ExitCode, UsageError
from batch.core.location import whole_path
from batch.runtime.process import import_tensorflow
from batch.runtime.terminal import print_answer, say
from batch.storage.files import private_files

if TYPE_CHECKING:
    from batch.model.artifact import ModelArtifact
    from batch.operations.outcomes import Outcomes

TARGET_SENSITIVITY = 0.95


@command(
    "outcomes",
    "histology of years against the scores as they were shown",
    "Join REPORTS/outcomes/ (CSV, Excel, Parquet) and marks with a diagnosis to the score that "
    "each night showed, and measure sensitivity, PPV, missed melanomas and missing outcomes.",
    reports_argument("outcomes"),
    group(
        "Options",
        map_option(),
        map_label_option(),
        positive_option(),
        option("--min-cell", metavar="N", type=whole_number(1), default=10, show_default=True,
               help="no rate of months and subgroups with fewer cases"),
        option("--target-sensitivity", metavar="S", type=share(False),
               help="choose a local operating point for this sensitivity, too, and judge it on "
               "lesions that did not choose it (default with --write-artifact: 0.95)"),
        option("--lower-bound", metavar="S", type=share(False),
               help="say how many melanomas are missing until the 95 % interval of this "
               "sensitivity begins at S (default: the target)"),
        model_option("the newest night's model, where it is not bundled: a folder"),
    ),
    group(
        "What is written",
        option("--output", metavar="FILE", type=FILE,
               help="the page (default: REPORTS/outcomes.html)"),
        option("--write-artifact", metavar="FOLDER", type=FOLDER,
               help="write the newest night's model with the local operating point to a new "
               "folder, for `score --model`"),
        json_option(),
        option("--metrics-file", metavar="FILE", type=FILE,
               help="write metrics for node_exporter's textfile collector"),
    ),
)  # fmt: skip
def outcomes(options: Options, beam: Sequence[str]) -> int:
    """Write page and metrics, and print the figures."""
    from batch.operations.outcome_files import OUTCOMES
    from batch.operations.outcome_report import (
        PAGE_NAME,
        outcomes_page,
        outcomes_text,
        write_outcome_metrics,
        write_page,
    )
    from batch.operations.outcomes import judge_outcomes

    output = whole_path("--output", options.output) if options.output else None
    reports = open_reports(options)
    reports.fetch(OUTCOMES)
    target = options.target_sensitivity
    if target is None and options.write_artifact is not None:
        target = TARGET_SENSITIVITY
    if target is None and options.lower_bound is not None:
        raise UsageError(
            "--lower-bound: it needs --target-sensitivity, which chooses the operating point."
        )
    found = judge_outcomes(
        reports,
        list(options.map_label),
        list(options.map),
        list(options.positive),
        options.min_cell,
        target,
        options.lower_bound,
        options.model,
    )
    written = _write_artifact(options, found) if options.write_artifact is not None else None
    page = outcomes_page(found, datetime.now(UTC).isoformat())
    with private_files(is_private(reports)):
        write_page(output or reports.root / PAGE_NAME, page)
    if output is None:
        reports.send(PAGE_NAME)
    if options.metrics_file is not None:
        metrics = whole_path("--metrics-file", options.metrics_file)
        write_outcome_metrics(metrics, found, time.time())
    print_answer(
        json.dumps({**found.figures, "missed": found.missed}, indent=2, allow_nan=False) + "\n"
        if options.json
        else outcomes_text(found)
    )
    where = output or f"{reports.place}/{PAGE_NAME}"
    say(f"page: {where}\n", sys.stderr if options.json else sys.stdout)
    if written is not None:
        manifest = written.manifest
        say(
            f"{manifest.model_id} {manifest.model_version} stands in {written.folder} and passed "
            f"its start-up checks. Use it with: {PROGRAM} score ... --model {written.folder}; "
            "nothing is scored again.\n",
            sys.stderr if options.json else sys.stdout,
        )
    for problem in found.problems[:20]:
        say(f"{PROGRAM}: {problem}.\n", sys.stderr)
    if len(found.problems) > 20:
        say(f"{PROGRAM}: {len(found.problems) - 20} more; the page has 50.\n", sys.stderr)
    if found.is_damaged:
        say(f"{PROGRAM}: nights are damaged, see left_out; their scores are missing.\n", sys.stderr)
        return ExitCode.FAILURE
    return ExitCode.MARKS_NOT_UNDERSTOOD if found.problems else ExitCode.COMPLETE


def _write_artifact(options: Options, found: Outcomes) -> ModelArtifact:
    from batch.operations.outcome_artifact import artifact_of, write_local_artifact

    cases = found.local
    if cases is None:
        raise ValueError("an artifact needs a local operating point")
    point = found.figures["local_point"]
    words = ["--target-sensitivity", f"{point['target_sensitivity']:g}"]
    words += [word for mapping in options.map for word in ("--map", mapping)]
    words += [word for mapping in options.map_label for word in ("--map-label", mapping)]
    words += [word for value in options.positive for word in ("--positive", value)]
    words += ["--model", "MODEL"] if options.model else []
    words += ["--write-artifact", "FOLDER"]
    command = f"{PROGRAM} outcomes REPORTS {shlex.join(words)}"
    import_tensorflow()
    old = artifact_of(options.model, cases)
    return write_local_artifact(old, cases, point, command, options.write_artifact)


OUTCOMES_COMMANDS: tuple[Command, ...] = (outcomes,)
