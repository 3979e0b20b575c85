"""Log lines as JSON, one object a line, for collectors that parse them."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

_OF_THE_END = ("exit_code", "reason")


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: time, level, logger, message, run_id, and exception. The
    last line has exit_code and reason, too.

    Of an exception only the type is told: its message and its traceback quote values.
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
        line |= {name: vars(record)[name] for name in _OF_THE_END if name in vars(record)}
        return json.dumps(line)  # escapes line ends and everything that is not ASCII


def _utc(seconds: float) -> str:
    """ISO 8601 with microseconds and `Z`."""
    time = datetime.fromtimestamp(seconds, UTC)
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
