"""What was handed over before, to each receiver: `REPORTS/exports/<kind>-<receiver>.jsonl`.

A line is added, and on the disk, after the receiver has taken something. So a killed export goes on
where it stopped; at most one document is sent again, under the same identifier. Delete the file to
send everything again. It holds no name and no birth date.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batch.core.errors import UsageError
from batch.storage.files import private_files
from batch.storage.locks import exclusive

FOLDER = "exports"


@contextmanager
def only_exporter(reports: Path) -> Iterator[Path]:
    """Be the only export of these reports inside the block; gives the folder of the logs.

    Raises:
        ReportsLocked: another one runs. UsageError: the folder cannot be written.
    """
    with private_files(), exclusive(reports / FOLDER, "export"):
        yield reports / FOLDER


class ExportLog:
    """The lines of one receiver. A line is a JSON object with `key`; a later one replaces it.

    earlier: all lines of a key, oldest first.
    """

    def __init__(self, folder: Path, kind: str, receiver: str) -> None:
        """Read what there is. A line that a crash cut off does not count.

        Args:
            kind: first part of the file's name. receiver: a URL or path without credentials.
        """
        digest = hashlib.sha256(receiver.encode()).hexdigest()[:16]
        self.path = folder / f"{kind}-{digest}.jsonl"
        self._lines: dict[str, list[dict[str, Any]]] = {}
        self._all: list[dict[str, Any]] = []
        self._is_torn = False
        try:
            data = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise UsageError(
                f"REPORTS: cannot read {self.path} ({error.strerror}). Check its permissions."
            ) from error
        self._is_torn = bool(data) and not data.endswith(b"\n")
        for line in data.splitlines():
            try:
                found = json.loads(line)
                self._lines.setdefault(str(found["key"]), []).append(found)
                self._all.append(found)
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
        if not data:
            self._append({"receiver": receiver})

    def earlier(self, key: str) -> list[dict[str, Any]]:
        """All lines of a key, oldest first."""
        return self._lines.get(key, [])

    def latest(self, key: str) -> dict[str, Any] | None:
        """The last line of a key; None without one."""
        lines = self.earlier(key)
        return lines[-1] if lines else None

    def all_latest(self) -> dict[str, dict[str, Any]]:
        """The last line of every key."""
        return {key: lines[-1] for key, lines in self._lines.items()}

    def every(self) -> list[dict[str, Any]]:
        """All lines in their order."""
        return list(self._all)

    def add(self, key: str, **facts: Any) -> None:
        """Add a line; when this returns it is on the disk."""
        line = {"key": key, **facts}
        self._append(line)
        self._lines.setdefault(key, []).append(line)
        self._all.append(line)

    def _append(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, sort_keys=True).encode() + b"\n"
        if self._is_torn:
            data, self._is_torn = b"\n" + data, False
        descriptor = os.open(
            self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        with open(descriptor, "ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
