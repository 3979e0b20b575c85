"""Options and handler of `compare`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from batch.commands.operations import is_private, open_reports
from batch.commands.settings import Command, Options
from batch.commands.shared import command, group, json_option, option, reports_argument
from batch.commands.value_types import FILE
from batch.core.errors import ExitCode
from batch.core.location import whole_path
from batch.runtime.terminal import print_answer, say
from batch.storage.files import private_files


@command(
    "compare",
    "the silent model beside the night's own: who would move, who is right",
    "Compare the two models of the latest night (`score --silent-model`): rank correlation, "
    "lesions that would move over a threshold, pictures on which they differ most, and figures on "
    "lesions with an outcome.",
    reports_argument("compare"),
    group(
        "What is written",
        option("--output", metavar="FILE", type=FILE,
               help="the page (default: REPORTS/compare.html)"),
        json_option(),
    ),
)  # fmt: skip
def compare(options: Options, beam: Sequence[str]) -> int:
    """Write the page, and print the figures."""
    from batch.operations.compare import compare as judged
    from batch.operations.compare_report import PAGE_NAME, compare_page, compare_text
    from batch.operations.outcome_files import OUTCOMES
    from batch.operations.outcome_report import write_page

    output = whole_path("--output", options.output) if options.output else None
    reports = open_reports(options)
    reports.fetch(OUTCOMES)
    found = judged(reports)
    to_reports = f"{os.path.relpath(reports.root, output.parent)}/" if output else ""
    page = compare_page(found, datetime.now(UTC).isoformat(), to_reports)
    with private_files(is_private(reports)):
        write_page(output or reports.root / PAGE_NAME, page)
    if output is None:
        reports.send(PAGE_NAME)
    shown = {**found.figures, "gallery": found.gallery}
    print_answer(
        json.dumps(shown, indent=2, allow_nan=False) + "\n" if options.json else compare_text(found)
    )
    where = output or f"{reports.place}/{PAGE_NAME}"
    say(f"page: {where}\n", sys.stderr if options.json else sys.stdout)
    return ExitCode.COMPLETE


COMPARE_COMMANDS: tuple[Command, ...] = (compare,)
