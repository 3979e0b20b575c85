"""Options and handlers of the commands beside `score`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batch.commands.scoring import review_options as review_words
from batch.commands.settings import Command, Options
from batch.commands.shared import (
    DEFAULT_MODEL,
    PROGRAM,
    command,
    group,
    json_option,
    model_option,
    option,
    reports_argument,
)
from batch.commands.value_types import FILE, FOLDER, PLACE, TEXT, whole_number
from batch.core.errors import ExitCode, UsageError
from batch.core.location import ObjectUrl, whole_path
from batch.core.privacy import Identifiers
from batch.runtime.terminal import print_answer, say
from batch.storage.files import private_files

if TYPE_CHECKING:
    from batch.reports.local import LocalReports


@command(
    "current",
    "the newest prediction of every image still in the archive, over all nights",
    "",
    reports_argument("current"),
    group(
        "Options",
        option("--output", metavar="FILE", type=FILE,
               help="write it as one Parquet file (.parquet)"),
        json_option(),
    ),
)  # fmt: skip
def current(options: Options, beam: Sequence[str]) -> int:
    """Print counts by model, and write the rows if a file is given."""
    from batch.operations.current import count_current, describe_current, write_current

    reports = open_reports(options)
    counts = count_current(reports)
    if options.json:
        print_answer(json.dumps(counts.as_json(), indent=2) + "\n")
    else:
        print_answer(describe_current(counts))
    if options.output is not None:
        file = whole_path("--output", options.output)
        with private_files(is_private(reports)):
            rows = write_current(reports, file)
        say(f"{rows} rows written to {file}\n", sys.stderr if options.json else sys.stdout)
    return ExitCode.COMPLETE


@command(
    "runs",
    "the last nights in a table",
    "",
    reports_argument("runs"),
    group(
        "Options",
        option("--last", metavar="N", type=whole_number(1), default=14, show_default=True,
               help="nights"),
        json_option(),
    ),
)  # fmt: skip
def runs(options: Options, beam: Sequence[str]) -> int:
    """Print the last nights and attempts."""
    from batch.commands.job_config import reports_place
    from batch.operations.runs import last_runs, runs_json, runs_table
    from batch.reports.access import who_holds
    from batch.reports.attempts import fetch_attempts

    root, url = reports_place("REPORTS", options.reports)
    open_reports(options)
    if url is not None:
        fetch_attempts(root, url)
    lines = last_runs(root, options.last, who_holds(root, url))
    print_answer(
        (json.dumps(runs_json(lines), indent=2) if options.json else runs_table(lines)) + "\n"
    )
    return ExitCode.COMPLETE


@command(
    "worklist",
    "make the review worklist of the latest night anew, with today's marks",
    "Make the review worklist of the latest night anew from the published tables and the marks "
    "there are now. Scores nothing; the published night stays as it is.",
    reports_argument("worklist"),
    group(
        "Options",
        option("--output", metavar="FOLDER", type=FOLDER,
               help="folder for the worklist, replaced as a whole (default: REPORTS/worklist)"),
        option("--open", is_flag=True, help="open the page in the browser of this machine"),
    ),
    group(
        "The page",
        *review_words(),
        option("--archive", metavar="ARCHIVE", type=PLACE,
               help="where the images are, for pictures (default: where the night found them)"),
        model_option("the model that scored, for --explain (default: the night's)"),
    ),
)  # fmt: skip
def worklist(options: Options, beam: Sequence[str]) -> int:
    """Make the list and its page anew."""
    from batch.commands.job_config import review_options
    from batch.operations.rebuild_worklist import FOLDER as WORKLIST
    from batch.operations.rebuild_worklist import PAGE, rebuild, show, summary

    review = review_options(options)
    output = whole_path("--output", options.output) if options.output else None
    reports = open_reports(options)
    with private_files(is_private(reports)):
        rebuilt = rebuild(reports, output, review, options.archive, options.model)
    if output is None:
        reports.send(WORKLIST)
    say(summary(rebuilt), sys.stdout)
    if options.open and not show(rebuilt.folder / PAGE):
        say(f"{PROGRAM}: no browser was found; open the page by hand.\n", sys.stderr)
    return ExitCode.MARKS_NOT_UNDERSTOOD if _marks_lost(rebuilt.said) else ExitCode.COMPLETE


@command(
    "serve",
    "show the latest night's page from a small server that takes marks (extra [desk])",
    "Serve the page of the latest night. Marks are saved at once in REPORTS/reviewed-desk.csv, "
    "which the next night reads. Only this machine reaches it, unless --host says otherwise.",
    reports_argument("serve"),
    group(
        "Options",
        option("--archive", metavar="ARCHIVE", type=PLACE,
               help="where the images are, for originals (default: where the night found them)"),
        option("--read-only", is_flag=True, help="take no marks from anybody"),
        option("--open", is_flag=True, help="open the page in the browser of this machine"),
    ),
    group(
        "Who reaches it",
        option("--host", metavar="ADDRESS", type=TEXT, default="127.0.0.1", show_default=True,
               help="listen there; other machines need --url, and --users or --user-header"),
        option("--port", metavar="N", type=whole_number(0), default=8787, show_default=True,
               help="of this address"),
        option("--url", metavar="URL", type=TEXT,
               help="what people type in, where a reverse proxy stands in front (https://…)"),
        option("--users", metavar="FILE", type=FILE,
               help="names and passwords, as htpasswd -B writes them"),
        option("--user-header", metavar="NAME", type=TEXT,
               help="header in which a reverse proxy says who it is"),
        option("--proxy-secret-file", metavar="FILE", type=FILE,
               help="secret that this proxy sends along as X-Desk-Secret"),
        option("--viewer", metavar="NAME", type=TEXT, multiple=True,
               help="this person may look and not mark; may be repeated"),
    ),
)  # fmt: skip
def serve(options: Options, beam: Sequence[str]) -> int:
    """Run the desk until it is stopped."""
    from batch.desk.options import DeskOptions
    from batch.desk.server import serve as run_desk

    if isinstance(options.reports, ObjectUrl):
        raise UsageError(
            "REPORTS: the desk adds marks to a file, which an object store cannot; needed: a "
            "folder. For reports in object storage export the marks from the page."
        )
    run_desk(
        DeskOptions(
            reports=options.reports,
            archive=options.archive,
            host=options.host,
            port=options.port,
            url=options.url,
            users=options.users,
            user_header=options.user_header,
            proxy_secret=options.proxy_secret_file,
            viewers=tuple(options.viewer),
            read_only=options.read_only,
            opens_browser=options.open,
        )
    )
    return ExitCode.COMPLETE


@command(
    "prune",
    "free the disk of old nights' snapshots and pictures; predictions and ledgers stay",
    "",
    reports_argument("prune"),
    group(
        "Options",
        option("--keep", metavar="N", type=whole_number(1), default=30, show_default=True,
               help="nights whose snapshots and pictures stay; the latest always does"),
        option("--dry-run", is_flag=True, help="only say what would be removed"),
    ),
)  # fmt: skip
def prune(options: Options, beam: Sequence[str]) -> int:
    """Print a line for each night that loses its snapshots."""
    from batch.commands.job_config import reports_place
    from batch.operations.prune import prune as remove

    root, url = reports_place("REPORTS", options.reports)
    if url is not None:
        open_reports(options)  # the copy tells which nights there are
    freed = remove(root, options.keep, options.dry_run, url)
    verb = "would be removed" if options.dry_run else "removed"
    for night in freed.nights:
        say(f"{night.run_id}  {night.bytes / 1e6:.1f} MB of snapshots {verb}\n", sys.stdout)
    total = sum(night.bytes for night in freed.nights)
    say(f"{len(freed.nights)} nights, {total / 1e6:.1f} MB {verb}\n", sys.stdout)
    pictures = freed.pictures
    say(f"{pictures.files} pictures, {pictures.bytes / 1e6:.1f} MB {verb}\n", sys.stdout)
    return ExitCode.COMPLETE


@command(
    "doctor",
    "check libraries, decoders, model, disk and permissions",
    "",
    group(
        "Options",
        option("--archive", metavar="ARCHIVE", type=PLACE, help="check this archive, too"),
        option("--output", metavar="REPORTS", type=PLACE, help="check these reports, too"),
        model_option(default=DEFAULT_MODEL, show_default=True),
        json_option(),
    ),
)
def doctor(options: Options, beam: Sequence[str]) -> int:
    """Print all checks; the exit code is 1 if one failed."""
    from batch.operations.doctor import examine
    from batch.operations.doctor_checks import doctor_json, doctor_table, has_failed

    checks = examine(options.archive, options.output, options.model)
    shown = json.dumps(doctor_json(checks), indent=2) if options.json else doctor_table(checks)
    print_answer(shown + "\n")
    return ExitCode.FAILURE if has_failed(checks) else ExitCode.COMPLETE


def open_reports(options: Options) -> LocalReports:
    """Open the reports that a command names.

    Raises:
        BatchError: they cannot be opened.
    """
    from batch.commands.job_config import reports_place
    from batch.reports.access import open_reports as opened

    return opened(*reports_place("REPORTS", options.reports))


def is_private(reports: LocalReports) -> bool:
    """Whether the night that readers see holds patient IDs."""
    from batch.reports.run_reader import read_record

    run_id = reports.latest()
    record = read_record(reports.night(run_id)) if run_id else None
    options = record.options if record else None
    return options is not None and options.identifiers == Identifiers.FULL


def _marks_lost(review: Mapping[str, Any]) -> bool:
    """Whether marks were not understood; if so, print what to do about them."""
    from batch.run.summary import marks_complaint

    complaint = marks_complaint({"review": review})
    if complaint is not None:
        say(f"{PROGRAM}: {complaint}.\n", sys.stderr)
    return complaint is not None


OPERATIONS: tuple[Command, ...] = (current, runs, worklist, serve, prune, doctor)
