"""argv to options, and failures to exit codes. The only place that reads argv."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batch.arguments import parser
from batch.core.errors import BatchError, ExitCode, UsageError
from batch.core.location import whole_path
from batch.core.privacy import Identifiers
from batch.job_arguments import PROGRAM
from batch.options import job_config, reports_place, review_options
from batch.runtime.terminal import open_streams, settle_streams, tell
from batch.runtime.terminal import say as _say
from batch.storage.files import private_files
from batch.training_commands import _calibrate, _evaluate, _train, _wrap

if TYPE_CHECKING:
    from batch.reports.local import LocalReports


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    open_streams()
    try:
        return _main(list(sys.argv[1:] if arguments is None else arguments))
    finally:
        settle_streams()


def _main(given: list[str]) -> int:
    own, beam = _split_at_dashes(given)
    options = parser().parse_args(own)
    if beam and options.command not in ("score", "inventory"):
        _complain("Beam options after `--` belong to `score`.")
        return ExitCode.USAGE
    _quiet_libraries()
    try:
        return _COMMANDS[options.command](options, beam)
    except BatchError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain(
            "interrupted; nothing was published. The next run goes on from the last complete "
            "segment."
        )
        return ExitCode.FAILURE
    except Exception as error:  # no traceback for a user; the log has the places
        from batch.storage.failures import explain_failure

        _complain(explain_failure(error))
        if os.environ.get("MELANOMA_BATCH_DEBUG"):
            raise
        return ExitCode.FAILURE


def _complain(text: str) -> None:
    _say(f"{PROGRAM}: {text}\n", sys.stderr)


def _score(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.score_command import score

    return score(options, beam)


def _marks_lost(review: Mapping[str, Any]) -> bool:
    """Say that somebody's decisions do not count; the list is there, and asks again."""
    from batch.run.summary import marks_complaint

    if (complaint := marks_complaint({"review": review})) is not None:
        _complain(f"{complaint}.")
    return complaint is not None


def _inventory(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.operations.inventory import forecast

    config = job_config(options, beam, datetime.now(UTC), datetime.now())
    tell(forecast(config))
    return ExitCode.COMPLETE


def _current(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.operations.current import describe_current, write_current

    reports = _reports(options)
    tell(describe_current(reports))
    if options.output is not None:
        file = whole_path("--output", options.output)
        with private_files(_is_private(reports)):
            rows = write_current(reports, file)
        _say(f"{rows} rows written to {file}\n", sys.stdout)
    return ExitCode.COMPLETE


def _runs(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.operations.runs import last_runs, runs_table
    from batch.reports.access import who_holds
    from batch.reports.attempts import fetch_attempts

    root, url = reports_place("REPORTS", options.reports)
    _reports(options)
    if url is not None:
        fetch_attempts(root, url)
    tell(runs_table(last_runs(root, options.last, who_holds(root, url))) + "\n")
    return ExitCode.COMPLETE


def _worklist(options: argparse.Namespace, beam: Sequence[str]) -> int:
    review = review_options(options)
    from batch.operations.rebuild_worklist import FOLDER, PAGE, rebuild, show, summary

    output = whole_path("--output", options.output) if options.output else None
    reports = _reports(options)
    with private_files(_is_private(reports)):
        rebuilt = rebuild(reports, output, review, options.archive, options.model)
    if output is None:
        reports.send(FOLDER)
    _say(summary(rebuilt), sys.stdout)
    if options.open and not show(rebuilt.folder / PAGE):
        _say(f"{PROGRAM}: no browser was found; open the page by hand.\n", sys.stderr)
    return ExitCode.MARKS_NOT_UNDERSTOOD if _marks_lost(rebuilt.said) else ExitCode.COMPLETE


def _serve(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.core.location import ObjectUrl
    from batch.desk.options import DeskOptions
    from batch.desk.server import serve

    if isinstance(options.reports, ObjectUrl):
        raise UsageError(
            "REPORTS: the desk adds marks to a file, which an object store cannot; needed: a "
            "folder. For reports in object storage export the marks from the page."
        )
    serve(
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


def _reports(options: argparse.Namespace) -> LocalReports:
    from batch.reports.access import open_reports

    return open_reports(*reports_place("REPORTS", options.reports))


def _is_private(reports: LocalReports) -> bool:
    """Whether the night that readers see holds patient IDs."""
    from batch.reports.run_reader import read_ledger, words

    run_id = reports.latest()
    ledger = read_ledger(reports.night(run_id)) if run_id else None
    return words(ledger or {}, "options", "identifiers") == Identifiers.FULL


def _prune(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.operations.prune import prune

    root, url = reports_place("REPORTS", options.reports)
    if url is not None:
        _reports(options)  # the copy tells which nights there are
    pruned = prune(root, options.keep, options.dry_run, url)
    verb = "would be removed" if options.dry_run else "removed"
    for night in pruned:
        _say(f"{night.run_id}  {night.bytes / 1e6:.1f} MB of snapshots {verb}\n", sys.stdout)
    total = sum(night.bytes for night in pruned)
    _say(f"{len(pruned)} nights, {total / 1e6:.1f} MB {verb}\n", sys.stdout)
    return ExitCode.COMPLETE


def _doctor(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.operations.doctor import examine
    from batch.operations.doctor_checks import doctor_table, has_failed

    checks = examine(options.archive, options.output, options.model)
    tell(doctor_table(checks) + "\n")
    return ExitCode.FAILURE if has_failed(checks) else ExitCode.COMPLETE


def _demo(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.demo.archive import prepare_folder, write_archive

    archive = prepare_folder(options.folder)
    write_archive(archive, options.seed)
    reports = options.folder / "reports"
    arguments = ["score", str(archive), "--output", str(reports), "--max-unscored-rate", "0.5"]
    _say(
        f"A generated archive stands in {archive}. Now running:\n\n"
        f"  {PROGRAM} {' '.join(arguments)}\n",
        sys.stdout,
    )
    code = _score(parser().parse_args(arguments), beam)
    _say(
        "Open next:\n"
        f"  {reports / 'latest' / 'review_worklist.html'}  the morning's page\n"
        f"  {reports / 'latest' / 'alerts.parquet'}      highest melanoma score first\n"
        f"  {reports / 'latest' / 'unscored'}            what a person must look at\n"
        f"  {reports / 'latest' / 'run.json'}            the ledger of this run\n"
        'for example with: python -c "import pandas; '
        f"print(pandas.read_parquet('{reports / 'latest' / 'alerts.parquet'}').T)\"\n",
        sys.stdout,
    )
    return code


def _split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _quiet_libraries() -> None:
    """What libraries say may quote what they read, and would stand in every cron mail."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())


_COMMANDS = {
    "score": _score,
    "inventory": _inventory,
    "current": _current,
    "runs": _runs,
    "worklist": _worklist,
    "serve": _serve,
    "prune": _prune,
    "doctor": _doctor,
    "demo": _demo,
    "train": _train,
    "evaluate": _evaluate,
    "calibrate": _calibrate,
    "wrap": _wrap,
}
