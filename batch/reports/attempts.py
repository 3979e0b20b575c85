"""Every start of `score` on these reports, also of those that published nothing.

    REPORTS/logs/<run_id>.attempt    two lines of JSON: the start; the end, with code and reason

The end is appended, so that it needs no new block of a disk that is full. Where it is missing the
run is still at work, or was killed. Nothing in them names a file or a person.
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
    """One start. Times in UTC; finished_at, exit_code: None where no end was written."""

    run_id: str
    started_at: datetime | None
    finished_at: datetime | None = None
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Record:
    """Where an attempt is noted. What cannot be written costs the note, never the night."""

    root: Path
    url: ObjectUrl | None
    run_id: str

    def begin(self, started_at: datetime) -> None:
        """Note the start."""
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
        told = {"run_id": self.run_id, "started_at": started_at.isoformat()}
        self._append(told | {"host": os.uname().nodename, "process": os.getpid(),
                             "version": __version__})  # fmt: skip

    def end(self, finished_at: datetime, exit_code: int, reason: str) -> None:
        """Note the end.

        Args:
            reason: a few words that quote nothing.
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
    """All attempts that are noted, in no order; what is damaged tells less."""
    with suppress(OSError):
        return [_attempt(path) for path in (root / LOGS).glob(f"*{SUFFIX}") if path.is_file()]
    return []


def fetch_attempts(root: Path, url: ObjectUrl) -> None:
    """Bring the newest attempts from object storage, but for those whose end is here.

    Raises:
        OSError: the store, or the copy's folder.
    """
    store = ObjectStore(url)
    names = sorted(each.name for each in store.objects(f"{LOGS}/") if each.name.endswith(SUFFIX))
    ended = {one.run_id for one in attempts(root) if one.exit_code is not None}
    wanted = [name for name in names[-_MOST_FETCHED:] if Path(name).stem not in ended]
    (root / LOGS).mkdir(exist_ok=True)

    def fetch(name: str) -> None:
        if Path(name).name == name.removeprefix(f"{LOGS}/"):
            (root / name).write_bytes(store.get(name).data)

    call_in_parallel(fetch, wanted)


def _attempt(path: Path) -> Attempt:
    told: dict[str, Any] = {}
    for line in _lines(path):
        told |= line
    code = told.get("exit_code")
    return Attempt(
        run_id=path.name.removesuffix(SUFFIX),
        started_at=_time(told.get("started_at")),
        finished_at=_time(told.get("finished_at")),
        exit_code=code if type(code) is int and 0 <= code < 256 else None,
        reason=str(told.get("reason") or ""),
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
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
