"""argv to options, and failures to exit codes. The only place that reads argv or a clock."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch.arenas import few_arenas
from batch.arguments import parser
from batch.config import JobConfig, whole_path
from batch.errors import BatchError, ExitCode, UsageError
from batch.interrupt import stop_on_signals
from batch.job_arguments import PROGRAM
from batch.options import job_config, reports_place, review_options
from batch.permanent import permanent
from batch.terminal import say as _say
from batch.training_commands import _calibrate, _evaluate, _train, _wrap

if TYPE_CHECKING:
    from batch.reports.storage import LocalReports


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, beam = _split_at_dashes(given)
    options = parser().parse_args(own)
    if beam and options.command not in ("score", "inventory"):
        print(f"{PROGRAM}: Beam options after `--` belong to `score`.", file=sys.stderr)
        return ExitCode.USAGE
    _quiet_libraries()
    try:
        return _COMMANDS[options.command](options, beam)
    except BatchError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            f"{PROGRAM}: interrupted; nothing was published. The next run goes on from the last "
            "complete segment.",
            file=sys.stderr,
        )
        return ExitCode.FAILURE
    except Exception as error:  # no traceback for a user; the log has the places
        from batch.console import explain_failure, log_failure

        log_failure(error)
        print(f"{PROGRAM}: {explain_failure(error)}", file=sys.stderr)
        if os.environ.get("MELANOMA_BATCH_DEBUG"):
            raise
        return ExitCode.FAILURE


def _score(options: argparse.Namespace, beam: Sequence[str]) -> int:
    config = job_config(options, beam, datetime.now(UTC), datetime.now())
    try:
        code, run = _run(config, options)
    except BatchError as error:
        _leave_metrics(options, config, error.exit_code, None)
        raise
    except BaseException:
        _leave_metrics(options, config, ExitCode.FAILURE, None)
        raise
    finally:
        _send_log(options, config)
    _leave_metrics(options, config, code, run)
    return code


def _run(config: JobConfig, options: argparse.Namespace) -> tuple[ExitCode, dict[str, Any]]:
    few_arenas()
    with permanent():
        from batch.console import Progress, summary
        from batch.night import run_night

    _start_log(config, options)
    with stop_on_signals(), Progress() as progress:
        night = run_night(config, progress, time.monotonic)
    _say(summary(night), sys.stdout)
    if night.counts.unscored_rate > config.max_unscored_rate:
        _say(
            f"{PROGRAM}: {night.counts.unscored_rate:.1%} of tonight's images have no score; "
            f"allowed: {config.max_unscored_rate:.1%} (--max-unscored-rate). "
            "The night is published.\n",
            sys.stderr,
        )
        return ExitCode.UNSCORED_RATE, night.run
    if _marks_lost(night.run["review"]):
        return ExitCode.MARKS_NOT_UNDERSTOOD, night.run
    return (ExitCode.STOPPED_EARLY if night.stopped else ExitCode.COMPLETE), night.run


def _marks_lost(review: Mapping[str, Any]) -> bool:
    """Say that somebody's decisions do not count; the list is there, and asks again."""
    from batch.reports.review_said import marks_not_understood

    lost = marks_not_understood({"review": review})
    if lost:
        rows = "1 row" if lost == 1 else f"{lost} rows"
        _say(
            f"{PROGRAM}: {rows} of the files with marks cannot be understood, and closed nothing; "
            "the summary and the page name file and row. Mend them and run `worklist`. The list is "
            "there.\n",
            sys.stderr,
        )
    return bool(lost)


def _start_log(config: JobConfig, options: argparse.Namespace) -> None:
    from batch.console import start_log

    option = "--log-file" if options.log_file else "--output"
    file = whole_path(option, options.log_file or config.reports / "logs" / f"{config.run_id}.log")
    if config.archive in file.parents:
        raise UsageError(f"--log-file: {file} is in the archive, which is only read.")
    try:
        start_log(file, config.run_id if options.log_format == "json" else None)
    except OSError as error:
        raise UsageError(f"{option}: cannot write {file} ({error.strerror}).") from error


def _send_log(options: argparse.Namespace, config: JobConfig) -> None:
    """The log's default place is with the reports; it cannot undo a published night."""
    if config.reports_url is None or options.log_file is not None:
        return
    from batch.objects.store import ObjectStore
    from batch.reports.object_reports import ObjectReports

    try:
        reports = ObjectReports(config.reports, store=ObjectStore(config.reports_url))
        reports.send(f"logs/{config.run_id}.log")
    except (OSError, BatchError) as error:
        _say(
            f"{PROGRAM}: the log stays in {config.reports} ({type(error).__name__}).\n", sys.stderr
        )


def _leave_metrics(
    options: argparse.Namespace, config: JobConfig, code: int, run: dict[str, Any] | None
) -> None:
    """What a monitoring system asks for, after failures too. It cannot undo a published night."""
    if options.metrics_file is None:
        return
    from batch.operations.metrics import write_metrics

    try:
        path = whole_path("--metrics-file", options.metrics_file)
        write_metrics(path, config.reports, code, time.time(), run)
    except UsageError as error:
        _say(f"{PROGRAM}: {error}\n", sys.stderr)


def _inventory(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.operations.forecast import forecast

    config = job_config(options, beam, datetime.now(UTC), datetime.now())
    _say(forecast(config), sys.stdout)
    return ExitCode.COMPLETE


def _current(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.operations.current import describe_current, write_current

    reports = _reports(options)
    _say(describe_current(reports), sys.stdout)
    if options.output is not None:
        file = whole_path("--output", options.output)
        _say(f"{write_current(reports, file)} rows written to {file}\n", sys.stdout)
    return ExitCode.COMPLETE


def _runs(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.operations.runs import last_runs, runs_table

    lines = last_runs(_reports(options).root, options.last)
    _say(runs_table(lines) + "\n", sys.stdout)
    return ExitCode.COMPLETE


def _worklist(options: argparse.Namespace, beam: Sequence[str]) -> int:
    review = review_options(options)
    from batch.operations.worklist import FOLDER, PAGE, rebuild, show, summary

    output = whole_path("--output", options.output) if options.output else None
    reports = _reports(options)
    rebuilt = rebuild(reports, output, review, options.archive, options.model)
    if output is None:
        reports.send(FOLDER)
    _say(summary(rebuilt), sys.stdout)
    if options.open and not show(rebuilt.folder / PAGE):
        _say(f"{PROGRAM}: no browser was found; open the page by hand.\n", sys.stderr)
    return ExitCode.MARKS_NOT_UNDERSTOOD if _marks_lost(rebuilt.said) else ExitCode.COMPLETE


def _reports(options: argparse.Namespace) -> LocalReports:
    from batch.reports.places import open_reports

    return open_reports(*reports_place("REPORTS", options.reports))


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
    from batch.operations.doctor import doctor_table, examine, has_failed

    archive, reports = (
        whole_path(option, given) if isinstance(given, Path) else given
        for option, given in (("--archive", options.archive), ("--output", options.output))
    )
    checks = examine(archive, reports, options.model)
    _say(doctor_table(checks) + "\n", sys.stdout)
    return ExitCode.FAILURE if has_failed(checks) else ExitCode.COMPLETE


def _demo(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.demo.archive import prepare_folder, write_archive

    archive = prepare_folder(options.folder)
    write_archive(archive, options.seed)
    reports = options.folder / "reports"
    arguments = ["score", str(archive), "--output", str(reports), "--max-unscored-rate", "0.5"]
    print(f"A generated archive stands in {archive}. Now running:\n")
    print(f"  {PROGRAM} {' '.join(arguments)}")
    code = _score(parser().parse_args(arguments), beam)
    print(
        "Open next:\n"
        f"  {reports / 'latest' / 'review_worklist.html'}  the morning's page\n"
        f"  {reports / 'latest' / 'alerts.parquet'}      highest melanoma score first\n"
        f"  {reports / 'latest' / 'unscored'}            what a person must look at\n"
        f"  {reports / 'latest' / 'run.json'}            the ledger of this run\n"
        'for example with: python -c "import pandas; '
        f"print(pandas.read_parquet('{reports / 'latest' / 'alerts.parquet'}').T)\""
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
    "prune": _prune,
    "doctor": _doctor,
    "demo": _demo,
    "train": _train,
    "evaluate": _evaluate,
    "calibrate": _calibrate,
    "wrap": _wrap,
}
