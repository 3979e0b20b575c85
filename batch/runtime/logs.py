"""The log of a run, as lines for people or as JSON lines. It quotes no value of a file."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from batch.core.errors import ExitCode

logger = logging.getLogger(__name__)


_FIELDS_OF_LAST_LINE = ("exit_code", "reason")


class JsonFormatter(logging.Formatter):
    """Writes one JSON object a line, in ASCII: time, level, logger, message and run_id.

    A line about an exception also has its type as `exception`, without message and traceback,
    since these may quote values. The last line also has exit_code and reason.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, without its end."""
        line = {
            "time": _utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "run_id": self._run_id,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
        line |= {name: vars(record)[name] for name in _FIELDS_OF_LAST_LINE if name in vars(record)}
        return json.dumps(line)  # escapes line ends and everything that is not ASCII


def _utc(seconds: float) -> str:
    """ISO 8601 with microseconds and `Z`."""
    time = datetime.fromtimestamp(seconds, UTC)
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, the error that caused it, and so on to the first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def traceback_lines(error: BaseException) -> list[str]:
    """For the error and each cause a line with its type and the lines of code, without message."""
    lines = []
    for cause in causes(error):
        frames = traceback.extract_tb(cause.__traceback__)
        where = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
        lines.append(f"{type(cause).__name__} at {where}")
    return lines


_PUBLISHED = (
    ExitCode.COMPLETE,
    ExitCode.UNSCORED_RATE,
    ExitCode.STOPPED_EARLY,
    ExitCode.MARKS_NOT_UNDERSTOOD,
    ExitCode.NOT_STARTED,
)


_LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"
_followers: list[logging.Handler] = []


def show_on_stderr(is_wanted: bool) -> None:
    """Begin or end to show this program's log lines on standard error as well (`--verbose`)."""
    ours = logging.getLogger("batch")
    for handler in _followers:
        ours.removeHandler(handler)
    _followers.clear()
    if is_wanted:
        shown = logging.StreamHandler(sys.stderr)
        shown.setFormatter(logging.Formatter(_LINE))
        _followers.append(shown)
        ours.addHandler(shown)
        ours.setLevel(logging.INFO)


class _LogFile(logging.FileHandler):
    """A log file that remembers that a line could not be written, as on a full disk."""

    failure: OSError | None = None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Keep the error; print nothing."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self.failure = error


def log_problem() -> str | None:
    """Why lines of the log are missing, in the system's words; None if all were written."""
    for handler in logging.getLogger("batch").handlers:
        if isinstance(handler, _LogFile):
            try:
                handler.flush()
            except OSError as error:
                handler.failure = error
            if handler.failure is not None:
                return os.strerror(handler.failure.errno or 0)
    return None


def start_log(path: Path, json_run_id: str | None = None) -> None:
    """Send this program's log lines to a file, and silence the logs of libraries.

    Args:
        path: the file; its folder is made if it is missing.
        json_run_id: run id for JSON lines; None writes lines for people.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(path, encoding="utf-8")
    plain = logging.Formatter(_LINE)
    handler.setFormatter(JsonFormatter(json_run_id) if json_run_id else plain)
    ours = logging.getLogger("batch")
    ours.handlers = [handler, *_followers]
    ours.setLevel(logging.INFO)
    ours.propagate = False
    logging.raiseExceptions = False  # when the log's disk is full, print no traceback for each line
    # messages of libraries may quote file names and attributes
    for library in ("apache_beam", "tensorflow", "absl", "pydicom", "PIL", "root"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    logging.getLogger().handlers = [logging.NullHandler()]


def log_end(exit_code: int, reason: str) -> None:
    """Write the last line of a log: how the run ended.

    Args:
        reason: without values, such as paths.
    """
    level = logging.INFO if exit_code in _PUBLISHED else logging.ERROR
    fields = {"exit_code": int(exit_code), "reason": reason}
    logger.log(level, "ended with exit code %d: %s", exit_code, reason, extra=fields)


def log_failure(error: BaseException) -> None:
    """Log where an unexpected error came from, without its message, which may quote values."""
    for line in traceback_lines(error):
        logger.error("%s", line)
