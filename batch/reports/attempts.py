"""Every start of `score` on these reports, also if it published nothing.

    REPORTS/logs/<run_id>.attempt    two lines of JSON: the start; the end, with code and reason

The end is appended to the file, which works even on most full disks. If it is missing, the run is
still at work or was killed. The lines name no image file and no person.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batch import __version__
from batch.core.errors import BatchError
from batch.core.location import ObjectUrl
from batch.storage.object_store import ObjectStore, call_in_parallel

LOGS, SUFFIX = "logs", ".attempt"
_MOST_BYTES = 64 * 1024
_MOST_FETCHED = 400


@dataclass(frozen=True)
class Attempt:
    """A start of `score`. Times are in UTC; finished_at and exit_code are None without an end."""

    run_id: str
    started_at: datetime | None
    finished_at: datetime | None = None
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class AttemptFile:
    """The file in which an attempt is noted. A failure to write it does not end the run.

    root: of the reports, or of their copy on this machine.
    url: of reports in object storage, or None.
    """

    root: Path
    url: ObjectUrl | None
    run_id: str

    def begin(self, started_at: datetime) -> None:
        """Note the start."""
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
        start = {"run_id": self.run_id, "started_at": started_at.isoformat()}
        self._append(start | {"host": os.uname().nodename, "process": os.getpid(),
                             "version": __version__})  # fmt: skip

    def end(self, finished_at: datetime, exit_code: int, reason: str) -> None:
        """Note the end.

        Args:
            reason: a few words without values.
        """
        self._append(
            {"finished_at": finished_at.isoformat(), "exit_code": exit_code, "reason": reason}
        )

    @property
    def _file(self) -> Path:
        return self.root / LOGS / f"{self.run_id}{SUFFIX}"

    def _append(self, line: dict[str, Any]) -> None:
        with suppress(OSError, BatchError):
            with self._file.open("ab", buffering=0) as file:
                file.write(json.dumps(line).encode() + b"\n")
            if self.url is not None:
                name = f"{LOGS}/{self._file.name}"
                ObjectStore(self.url).put(name, self._file.read_bytes())


def attempts(root: Path) -> list[Attempt]:
    """All attempts that are noted, in no order; fields that are damaged are None or empty."""
    with suppress(OSError):
        return [_attempt(path) for path in (root / LOGS).glob(f"*{SUFFIX}") if path.is_file()]
    return []


def fetch_attempts(root: Path, url: ObjectUrl) -> None:
    """Fetch the newest attempts from object storage, except those whose end is here already.

    Raises:
        OSError: the store does not answer, or the copy's folder cannot be written.
    """
    store = ObjectStore(url)
    listed = store.objects(f"{LOGS}/")
    names = sorted(entry.name for entry in listed if entry.name.endswith(SUFFIX))
    ended = {attempt.run_id for attempt in attempts(root) if attempt.exit_code is not None}
    missing = [name for name in names[-_MOST_FETCHED:] if Path(name).stem not in ended]
    (root / LOGS).mkdir(exist_ok=True)

    def fetch(name: str) -> None:
        if Path(name).name == name.removeprefix(f"{LOGS}/"):
            (root / name).write_bytes(store.get(name).data)

    call_in_parallel(fetch, missing)


def _attempt(path: Path) -> Attempt:
    values: dict[str, Any] = {}
    for line in _json_lines(path):
        values |= line
    code = values.get("exit_code")
    return Attempt(
        run_id=path.name.removesuffix(SUFFIX),
        started_at=_time(values.get("started_at")),
        finished_at=_time(values.get("finished_at")),
        exit_code=code if type(code) is int and 0 <= code < 256 else None,
        reason=str(values.get("reason") or ""),
    )


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with suppress(OSError):
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES)
        for line in text.splitlines():
            with suppress(ValueError, RecursionError):
                if isinstance(value := json.loads(line), dict):
                    yield value


def _time(value: object) -> datetime | None:
    with suppress(TypeError, ValueError, OverflowError):
        time = datetime.fromisoformat(value)  # type: ignore[arg-type]
        return time.astimezone(UTC) if time.tzinfo else None
    return None
