"""What the fault tests share: small archives, runs in this process and in others, nights compared.

A night in this process shares the loaded model with the nights before it and costs less than a
second; a process of its own costs five.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from batch.cli import main
from tests.support.archives import REPOSITORY
from tests.support.small_model import SCORE

WRITTEN_AT = 1_735_689_600
"""2025-01-01: what is modified less than ten minutes ago is not called unreadable yet."""

TABLES = ("predictions", "current", "unscored", "files", "alerts")
OF_THE_RUN = ("run_id", "scored_at", "recorded_at")
"""Columns in which two nights over the same archive differ."""

SEGMENT_SIZE = 5
NEW, KNOWN = 9, 5
"""Images of `World`: new in the second night, and scored in the first."""

COMMITTED, AT_WORK = "new/02.png", "new/07.png"
"""Files of the second night's two segments."""


@dataclass(frozen=True)
class World:
    """An archive after its first night, with a second night to come.

    The first night knows old/00.png to old/04.png and old/broken.jpg, which it could not read and
    which is tried again; new/00.png to new/08.png came after it. In the order of their paths the
    second night has two segments: new 0-4, and new 5-8 with old/broken.jpg.
    """

    archive: Path
    reports: Path

    def words(self, *more: str) -> list[str]:
        """The command line of a night."""
        words = [*SCORE, str(self.archive), "--output", str(self.reports), "--order", "path"]
        words += ["--segment-size", str(SEGMENT_SIZE), "--max-unscored-rate", "1"]
        return [*words, *more]

    def score(self, *more: str) -> int:
        """A night in this process; the exit code."""
        return main(self.words(*more))

    def copy(self, folder: Path) -> World:
        """The same once more, to be broken."""
        archive = shutil.copytree(self.archive, folder / "archive")
        reports = shutil.copytree(self.reports, folder / "reports", symlinks=True)
        return World(Path(archive), Path(reports))

    @property
    def latest(self) -> Path:
        """The night that readers see."""
        return self.reports / os.readlink(self.reports / "latest")

    @property
    def run(self) -> dict[str, Any]:
        """run.json of the night that readers see."""
        return json.loads((self.latest / "run.json").read_text())

    def committed(self) -> list[Path]:
        """The committed segments of runs that did not publish."""
        return committed(self.reports)


def make_world(folder: Path) -> World:
    """A world whose first night is over."""
    world = World(folder / "archive", folder / "reports")
    for number in range(KNOWN):
        write_image(world.archive / "old" / f"{number:02d}.png", number)
    write_file(world.archive / "old" / "broken.jpg", b"\xff\xd8\xff" + bytes(200))
    assert world.score() == 0
    for number in range(NEW):
        write_image(world.archive / "new" / f"{number:02d}.png", 100 + number)
    return world


def write_image(path: Path, seed: int, side: int = 60, quality: int | None = None) -> None:
    """Noise of a tint, different for every seed. quality: of a JPEG; None for a PNG."""
    random = np.random.default_rng(seed)
    tint = random.integers(40, 216, 3)
    pixels = np.clip(tint + random.normal(0, 20, (side, side, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    if quality is None:
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    else:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    write_file(path, buffer.getvalue())


def write_file(path: Path, data: bytes, mtime: float = WRITTEN_AT) -> None:
    """A file of the archive, old enough to be judged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (mtime, mtime))


def start(words: Sequence[str], errors: Path, **how: Any) -> subprocess.Popen[bytes]:
    """A run in a process group of its own. errors: file that takes what it says."""
    with errors.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "batch", *words],
            cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            start_new_session=True, **how,
        )  # fmt: skip


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the whole process group, decoders in processes of their own included."""
    with suppress(ProcessLookupError):  # it has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> None:
    """Wait for what another process does; the limit only ends a test that failed."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def committed(reports: Path) -> list[Path]:
    """The committed segments of runs that did not publish."""
    return [
        segment
        for work in sorted((reports / ".in-progress").glob("*"))
        for segment in sorted((work / "segments").glob("[0-9]*"))
    ]


def damages(night: Path) -> list[str]:
    """What is not whole about a published night; empty for a good one."""
    found = []
    if not (night / "_SUCCESS").exists():
        found.append(f"{night.name}: no _SUCCESS")
    try:
        run = json.loads((night / "run.json").read_bytes())
    except (OSError, ValueError):
        return [*found, f"{night.name}: run.json cannot be read"]
    on_disk = {
        str(path.relative_to(night)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in night.rglob("*.parquet")
    }
    if on_disk != run["parts"]:
        found.append(f"{night.name}: other parts than run.json tells of")
    equation = dict(run["equation"])
    total = equation.pop("files_found")
    files = read_table(night, "files")
    if not total == sum(equation.values()) == len(files) == files["path"].nunique():
        found.append(f"{night.name}: the equation does not hold")
    if len(read_table(night, "current")) != files["frames_scored"].sum():
        found.append(f"{night.name}: current and files disagree")
    return found


def read_table(night: Path, table: str) -> pd.DataFrame:
    """A table of a night, in an order of its own."""
    path = night / (f"{table}.parquet" if table == "alerts" else table)
    frame = pd.read_parquet(path)
    keys = [name for name in ("path", "frame_number") if name in frame]
    return frame.sort_values(keys, kind="stable").reset_index(drop=True)


def differences(night: Path, reference: Path, tables: Sequence[str] = TABLES) -> list[str]:
    """Where a night differs from another one over the same archive; scores may by 1e-6."""
    return [
        f"{table}: {difference}"
        for table in tables
        for difference in _differences(read_table(night, table), read_table(reference, table))
    ]


def _differences(found: pd.DataFrame, wanted: pd.DataFrame) -> list[str]:
    if list(found) != list(wanted):
        return [f"columns {list(found)}, not {list(wanted)}"]
    if len(found) != len(wanted):
        only = set(found["path"]) ^ set(wanted["path"])
        return [f"{len(found)} rows, not {len(wanted)}; in one only: {sorted(only)[:5]}"]
    return [
        f"column {column}: {different} rows of {len(found)}"
        for column in found
        if column not in OF_THE_RUN
        and (different := sum(not _equal(*pair) for pair in zip(found[column], wanted[column],
                                                                strict=True)))
    ]  # fmt: skip


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-6 or (one != one and other != other)
    if isinstance(one, list) and one and isinstance(one[0], tuple):  # class_scores
        return len(one) == len(other) and all(
            a[0] == b[0] and _equal(a[1], b[1]) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, np.ndarray):
        return list(one) == list(other)
    return one is other or one == other or (pd.isna(one) and pd.isna(other))


def largest_score_difference(night: Path, reference: Path) -> float:
    """Of the melanoma scores in `current`."""
    found, wanted = (read_table(n, "current")["melanoma_score"] for n in (night, reference))
    return float((found - wanted).abs().max()) if len(found) else 0.0


def files_to_read(log: Path) -> int | None:
    """How many files the plan of a run had to read, by its log; None before there was a plan."""
    found = re.search(r"files found, (\d+) to be read", log.read_text() if log.exists() else "")
    return int(found[1]) if found else None
