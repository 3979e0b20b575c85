"""Options and handler of `export`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from batch.commands.operations import open_reports
from batch.commands.settings import Command, Options
from batch.commands.shared import PROGRAM, command, group, json_option, option, reports_argument
from batch.commands.value_types import FILE, FOLDER, PLACE, TEXT, OneOf
from batch.core.errors import ExitCode
from batch.core.privacy import Identifiers
from batch.runtime.terminal import print_answer, say

_SHOWN = 20


@command(
    "export",
    "results into the PACS and the EHR: DICOM SR and FHIR (extra [dicom])",
    "Hand the latest night's results over: one preliminary DICOM SR document a study, and FHIR R4 "
    "resources. Documents hold the patient's name as the image has it; what was handed over "
    "before is not sent again. Passwords and tokens come from a file or the environment.",
    reports_argument("export"),
    group(
        "What",
        option("--tiers", metavar="TIERS", type=TEXT, default="alert", show_default=True,
               help="with commas: alert, near_threshold, unreadable, unreliable"),
        option("--identifiers", metavar="LEVEL", type=OneOf(*Identifiers),
               help="identity in FHIR resources: none, uids or full (default: the night's)"),
        option("--archive", metavar="ARCHIVE", type=PLACE,
               help="where the images are (default: where the night found them)"),
    ),
    group(
        "Into a PACS",
        option("--dicom-sr", metavar="FOLDER", type=FOLDER, help="write documents into a folder"),
        option("--stow", metavar="URL", type=TEXT, help="store them by DICOMweb (STOW-RS)"),
        option("--stow-credentials", metavar="FILE", type=FILE,
               help="TOML file with token, or user and password, or certificate, key and ca"),
        option("--c-store", metavar="HOST:PORT:AET", type=TEXT, help="store them by C-STORE"),
        option("--calling-aet", metavar="AET", type=TEXT, default="MELANOMABATCH",
               show_default=True, help="AE title of this program, for --c-store"),
    ),
    group(
        "Into an EHR",
        option("--fhir", metavar="FOLDER", type=FOLDER,
               help="write Device.ndjson, Observation.ndjson and Task.ndjson"),
        option("--fhir-server", metavar="URL", type=TEXT,
               help="send transactions to a FHIR R4 server, one a lesion"),
        option("--fhir-credentials", metavar="FILE", type=FILE, help="as --stow-credentials"),
    ),
    group("Output", json_option()),
)  # fmt: skip
def export(options: Options, beam: Sequence[str]) -> int:
    """Export, and print an account that adds up; the exit code is 1 if something failed."""
    from batch.export.export import ExportOptions, complaints, describe
    from batch.export.export import export as run

    asked = ExportOptions(
        **{name: getattr(options, name) for name in ExportOptions.__dataclass_fields__}
    )
    exported = run(open_reports(options), asked, datetime.now(UTC), os.environ)
    print_answer(
        json.dumps(exported.as_json(), indent=2) + "\n" if options.json else describe(exported)
    )
    failed = complaints(exported)
    for line in failed[:_SHOWN]:
        say(f"{PROGRAM}: not exported: {line}.\n", sys.stderr)
    if len(failed) > _SHOWN:
        say(
            f"{PROGRAM}: {len(failed) - _SHOWN} more; REPORTS/exports/not_exported.csv has all.\n",
            sys.stderr,
        )
    return ExitCode.FAILURE if exported.has_failed else ExitCode.COMPLETE


EXPORT_COMMANDS: tuple[Command, ...] = (export,)
