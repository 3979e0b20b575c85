"""`melanoma-batch score`: runs a night, and reports it by exit code, log, metrics and summary.

The exit code says what happened to the night. A failure to write log, metrics or summary does not
change it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from batch.commands.job_config import job_config, new_run_id, reports_place
from batch.commands.shared import PROGRAM
from batch.core.config import JobConfig
from batch.core.errors import BatchError, ExitCode, UsageError
from batch.core.location import ObjectUrl, whole_path
from batch.core.privacy import Identifiers
from batch.reports.attempts import AttemptFile
from batch.run.run_files import LOGS, RunFiles, run_files, usual_files
from batch.runtime.logs import log_end, log_failure, log_problem, start_log
from batch.runtime.process import freeze_imports, limit_malloc_arenas
from batch.runtime.signals import finishing, stop_on_signals
from batch.runtime.terminal import say
from batch.storage.failures import reason_of
from batch.storage.files import private_files

if TYPE_CHECKING:
    from batch.run.score_run import Night

logger = logging.getLogger(__name__)


def score(options: SimpleNamespace, beam: Sequence[str]) -> int:
    """Run a night and return its exit code.

    Raises:
        BatchError, KeyboardInterrupt, or any other error that ended it; nothing was published.
    """
    started_at = datetime.now(UTC)
    with stop_on_signals():
        try:
            config = job_config(options, beam, started_at, datetime.now())
            files = run_files(options, config.archive, config.reports, config.run_id)
        except BaseException as error:
            _record_refusal(options, started_at, error)
            raise
        _leave_missing_folder()
        night: Night | None = None
        failure: BaseException | None = None
        with private_files(config.rules.identifiers.level == Identifiers.FULL):
            record = AttemptFile(config.reports, config.reports_url, config.run_id)
            try:
                _begin(record, files, options.log_format, started_at)
                night, code, reason = _run(config)
            except BaseException as error:
                code, reason = reason_of(error)
                failure = error
            with finishing():
                _end(record, files, code, reason, failure)
        with finishing():
            _write_metrics(files.metrics, config.reports, code, night.run if night else None)
        if failure is not None:
            raise failure
        if night is not None:  # without a failure there is one
            _print_summary(night, code, reason)
        return code


def _begin(record: AttemptFile, files: RunFiles, log_format: str, started_at: datetime) -> None:
    try:
        start_log(files.log, record.run_id if log_format == "json" else None)
    except OSError as error:
        raise UsageError(
            f"{files.log_option}: cannot write {files.log} ({error.strerror}). Check the folder "
            "and its permissions."
        ) from error
    record.begin(started_at)


def _run(config: JobConfig) -> tuple[Night, ExitCode, str]:
    limit_malloc_arenas()
    with freeze_imports():
        from batch.reports.run_record import record_of
        from batch.run.score_run import run_night
        from batch.run.summary import outcome_of
        from batch.runtime.terminal import Progress
    with Progress() as progress:
        night = run_night(config, progress, time.monotonic)
    if (what := record_of(night.run).unusual_by) is not None:
        logger.warning("unusual night: %s", what)
    return night, *outcome_of(night, config.max_unscored_rate)


def _end(
    record: AttemptFile, files: RunFiles, code: int, reason: str, failure: BaseException | None
) -> None:
    """Write the last lines of log and attempt, and send the log to object storage if needed."""
    if failure is not None and not isinstance(failure, BatchError | KeyboardInterrupt):
        log_failure(failure)
    log_end(code, reason)
    if (problem := log_problem()) is not None:
        say(f"{PROGRAM}: {files.log_option}: lines are missing in {files.log} ({problem}).\n",
            sys.stderr)  # fmt: skip
    record.end(datetime.now(UTC), code, reason)
    if record.url is None or files.log != usual_files(record.root, record.run_id).log:
        return
    from batch.storage.object_store import ObjectStore

    try:
        ObjectStore(record.url).put(f"{LOGS}/{files.log.name}", files.log.read_bytes())
    except (OSError, BatchError) as error:
        say(f"{PROGRAM}: the log stays in {record.root} ({type(error).__name__}).\n", sys.stderr)


def _record_refusal(options: SimpleNamespace, started_at: datetime, error: BaseException) -> None:
    """Write log, attempt and metrics of a run that was refused before it began.

    So an archive that is not mounted does not look like a night without a run. Log and attempt are
    written only if the reports folder exists already.
    """
    code, reason = reason_of(error)
    with suppress(BatchError, OSError), finishing():
        reports, url = reports_place("--output", options.output)
        run_id = new_run_id(started_at)
        files = usual_files(reports, run_id)
        archive = options.archive
        with suppress(BatchError):
            where = archive if isinstance(archive, ObjectUrl) else whole_path("ARCHIVE", archive)
            files = run_files(options, where, reports, run_id)
        if any((reports / name).is_dir() for name in ("runs", LOGS)):
            record = AttemptFile(reports, url, run_id)
            with private_files(options.identifiers == Identifiers.FULL):
                _begin(record, files, options.log_format, started_at)
                _end(record, files, code, reason, error)
        _write_metrics(files.metrics, reports, code, None)


def _leave_missing_folder() -> None:
    """Leave a working directory that was deleted, because no process can be started in it.

    All paths are absolute by now.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        os.chdir("/")


def _write_metrics(
    path: Path | None, reports: Path, code: int, run: Mapping[str, Any] | None
) -> None:
    """Write the metrics file, also after a failure."""
    if path is None:
        return
    try:
        from batch.operations.metrics_file import write_metrics

        write_metrics(path, reports, code, time.time(), run)
    except UsageError as error:
        say(f"{PROGRAM}: {error}\n", sys.stderr)
    except Exception as error:  # this does not change the exit code
        say(f"{PROGRAM}: --metrics-file: not written ({type(error).__name__}).\n", sys.stderr)


def _print_summary(night: Night, code: int, reason: str) -> None:
    """Print the summary of a published night."""
    try:
        from batch.run.summary import summary

        say(summary(night), sys.stdout)
    except Exception as error:  # this does not change the exit code
        say(f"{PROGRAM}: no summary ({type(error).__name__}); see run.json.\n", sys.stderr)
    if code not in (ExitCode.COMPLETE, ExitCode.STOPPED_EARLY):
        say(f"{PROGRAM}: {reason}.\n", sys.stderr)
