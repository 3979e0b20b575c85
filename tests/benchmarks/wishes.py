"""What the suites share: what is wished for, an archive for a while, and the job's rates."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.processes import score

Table = list[dict[str, Any]]


@dataclass(frozen=True)
class Wish:
    """models: bundled ids or artifact folders; the first is the reference. images: an archive."""

    models: tuple[str, ...]
    images: int
    repetitions: int
    cores: int | None


@contextmanager
def archive_of(make: Callable[[Path, int], Path], count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield make(Path(folder) / "archive", count)


def score_rates(archive: Path, model: str, cores: int | None, *options: str) -> dict[str, float]:
    done, ledger = score(archive, model, *options, cores=cores)
    images = ledger["frames"]["found"]
    return {
        "whole": images / done.seconds,
        "steady": images / ledger["seconds"]["segments"],
        "cores_used": done.cpu_seconds / done.seconds,
        "peak_mb": done.peak_mb,
    }
