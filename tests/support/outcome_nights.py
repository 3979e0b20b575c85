"""Nights made by the job's own parts with a run.json that names model and operating point."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batch.core.records import RunFacts
from batch.reports.local import LocalReports
from tests.support.stored_nights import Night, Result, at, facts, image, run_night, run_of

Archive = Mapping[str, tuple[float, object]]
"""Path to score and content of its image; other content has another `mtime_ns`."""


def night_of(
    reports: Path, number: int, archive: Archive, model: str = "m1", threshold: float = 0.5,
    pattern: str | None = None,
) -> Night:  # fmt: skip
    """Publish a night of an archive; a score is taken only where the job reads the file."""
    tonight: RunFacts = facts(number, model, threshold)

    def read(location: Any, known: frozenset[str]) -> Result:
        score, content = archive[location.path]
        return image(location, score, content=content)

    found = [at(path, mtime_ns=hash_of(content)) for path, (_, content) in archive.items()]
    night = run_night(reports, found, tonight, read)
    run = run_of(tonight, len(archive))
    run["options"] = {"lesion_pattern": pattern}
    (night.folder / "run.json").write_text(json.dumps(run))
    return night


def hash_of(content: object) -> int:
    """A number for a content, the same in every process."""
    return int.from_bytes(repr(content).encode()[:7], "big")


def opened(reports: Path) -> LocalReports:
    return LocalReports(reports)


def write_outcomes(reports: Path, text: str, name: str = "outcomes.csv") -> None:
    (reports / "outcomes").mkdir(exist_ok=True)
    (reports / "outcomes" / name).write_text(text, encoding="utf-8")
