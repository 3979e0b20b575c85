"""The log of a run: lines without patient data, and a last one that says how it ended."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from batch.core.errors import BatchError, ExitCode
from batch.failures import STORE_REFUSED, causes, places
from batch.log_json import JsonFormatter
from batch.objects.store import store_code

logger = logging.getLogger(__name__)
_PUBLISHED = (
    ExitCode.COMPLETE,
    ExitCode.UNSCORED_RATE,
    ExitCode.STOPPED_EARLY,
    ExitCode.MARKS_NOT_UNDERSTOOD,
    ExitCode.NOT_STARTED,
)
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
_NO_THREAD = "can't start new thread"
"""CPython's word; the error has no number."""
_STORAGE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM}
)


def start_log(path: Path, json_run_id: str | None = None) -> None:
    """Send this program's log lines to a file, and nobody else's anywhere.

    Args:
        json_run_id: write JSON lines that name this run; None: lines for people.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(JsonFormatter(json_run_id) if json_run_id else plain)
    ours = logging.getLogger("batch")
    ours.handlers = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False
    logging.raiseExceptions = False  # a full disk of the log is no reason to shout
    # libraries may quote what they were working on, file names and attributes included
    for library in ("apache_beam", "tensorflow", "absl", "pydicom", "PIL", "root"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    logging.getLogger().handlers = [logging.NullHandler()]


def log_end(exit_code: int, reason: str) -> None:
    """The last line of every log: how the run ended.

    Args:
        reason: quotes nothing.
    """
    level = logging.INFO if exit_code in _PUBLISHED else logging.ERROR
    told = {"exit_code": int(exit_code), "reason": reason}
    logger.log(level, "ended with exit code %d: %s", exit_code, reason, extra=told)


def reason_of(error: BaseException) -> tuple[ExitCode, str]:
    """Exit code and reason of a run that published nothing; the reason quotes nothing."""
    if isinstance(error, BatchError):
        return error.exit_code, error.reason
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.FAILURE, "interrupted before anything could be published"
    return ExitCode.FAILURE, explain_failure(error).partition(";")[0]


def log_failure(error: BaseException) -> None:
    """Log where an unexpected error came from, without its message: messages quote values."""
    for line in places(error):
        logger.error("%s", line)


def explain_failure(error: BaseException) -> str:
    """One line for the person at the terminal: a failing disk by its name, the rest by the log.

    A storage error can only be of the reports: what fails in the archive is a row of the report.
    """
    for cause in causes(error):
        if isinstance(cause, OSError) and (code := store_code(cause)):
            return STORE_REFUSED.format(code)
        if isinstance(cause, OSError) and cause.errno in _STORAGE_ERRORS:
            return (
                f"the reports cannot be written ({os.strerror(cause.errno)}); nothing was "
                "published. Free space or check the disk, then start again."
            )
        is_exhausted = isinstance(cause, OSError) and cause.errno in _EXHAUSTED
        if is_exhausted or (isinstance(cause, RuntimeError) and str(cause) == _NO_THREAD):
            what = os.strerror(cause.errno or 0) if isinstance(cause, OSError) else _NO_THREAD
            return (
                f"this machine gave no more ({what}); nothing was published. Look at its limits "
                "(ulimit -a) and at what else runs there, then start again."
            )
    where = (
        "The log file says where."
        if logging.getLogger("batch").handlers
        else "MELANOMA_BATCH_DEBUG=1 shows where."
    )
    return f"unexpected failure ({type(error).__name__}); nothing was published. {where}"
