"""Nights through the command line on some runner, and the comparison of two of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from tests.support.archives import REPOSITORY
from tests.support.small_model import SCORE

DIFFERENT_OPTIONS = {"reports", "segment_size", "beam_options", "listing"}
ALLOWED = 1e-5
"""Between two runners' scores of one image: a worker may have another processor."""

TIMES = ["run_id", "scored_at", "recorded_at"]
SCORES = ["melanoma_score", "class_scores"]
DIFFERENT_IN_RUN_JSON = {
    "run_id", "started_at", "finished_at", "seconds", "images_per_second", "options", "parts",
    "review",
}  # fmt: skip


def words(
    archive: Path, reports: Path, *beam: str, own: Sequence[str] = (), start: Sequence[str] = SCORE
) -> list[str]:
    """A command line of `score` with these Beam options."""
    found = [*start, str(archive), "--output", str(reports), "--max-unscored-rate", "1", *own]
    return [
        *found,
        "--decode-threads",
        "2",
        *(["--segment-size", "0", "--", *beam] if beam else []),
    ]


def score(archive: Path, reports: Path, *beam: str) -> subprocess.Popen:
    """Start `melanoma-batch score` with these Beam options; its words go to `reports`.log."""
    with reports.with_suffix(".log").open("wb") as log:
        command = [sys.executable, "-m", "batch", *words(archive, reports, *beam)]
        return subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)


def finish(run: subprocess.Popen, reports: Path, seconds: float = 1200) -> Path:
    """Wait for a started night; the folder that it published."""
    try:
        code = run.wait(seconds)
    except subprocess.TimeoutExpired:
        run.kill()
        code = f"none within {seconds} s"
    log = reports.with_suffix(".log").read_text()
    assert code == 0, f"exit code {code}\n{log}"
    return reports / "latest"


def worker_command(folder: Path, **environment: str) -> str:
    """A shell script that an engine starts as a worker, with this checkout and this Python.

    Args:
        environment: for the worker only. PYTHONPATH is extended, not replaced.
    """
    paths = [environment.pop("PYTHONPATH", ""), str(REPOSITORY)]
    set_ = {"PYTHONPATH": ":".join(filter(None, paths)), "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    script = folder / "worker.sh"
    exports = "".join(f"export {name}='{value}'\n" for name, value in set_.items())
    script.write_text(f'#!/bin/sh\n{exports}exec {sys.executable} -m batch.worker "$@"\n')
    script.chmod(0o755)
    return str(script)


def process_workers(command: str) -> list[str]:
    """Beam options: workers are processes that the engine starts with this command."""
    return [
        "--environment_type",
        "PROCESS",
        "--environment_config",
        json.dumps({"command": command}),
    ]


def assert_same_night(one: Path, other: Path, other_store: Sequence[str] = ()) -> None:
    """Row by row: everything equal but times and names of runs, scores within 1e-5.

    Args:
        other_store: columns and options that differ where the other archive lies elsewhere.
    """
    assert len(_rows(one / "alerts.parquet")), "no alert: the comparison says less than it should"
    for table in ("predictions", "current", "unscored", "files", "alerts.parquet"):
        a, b = (_rows(night / table) for night in (one, other))
        plain = [name for name in a if name not in (*SCORES, *other_store)]
        pd.testing.assert_frame_equal(a[plain], b[plain])
        if "melanoma_score" in a:
            assert (a["melanoma_score"] - b["melanoma_score"]).abs().le(ALLOWED).all()
            for left, right in zip(a["class_scores"], b["class_scores"], strict=True):
                assert dict(left) == pytest.approx(dict(right), abs=ALLOWED)
    a, b = (json.loads((night / "run.json").read_text()) for night in (one, other))
    assert a.keys() == b.keys()
    for name in a.keys() - DIFFERENT_IN_RUN_JSON:
        assert a[name] == b[name], name
    for name in a["options"].keys() - {*DIFFERENT_OPTIONS, *other_store}:
        assert a["options"][name] == b["options"][name], name
    assert a["review"]["worklist"] == b["review"]["worklist"]
    assert not a["review"]["failed"]
    assert not b["review"]["failed"]


def _rows(dataset: Path) -> pd.DataFrame:
    found = pd.read_parquet(dataset)
    keys = [name for name in ("path", "frame_number") if name in found]
    found = found.drop(columns=TIMES, errors="ignore")
    return found.sort_values(keys).reset_index(drop=True)


def reads(log: Path) -> list[str]:
    """Names of files, in hex, in the order in which workers opened them."""
    return [line.split()[1] for line in log.read_text().splitlines()] if log.exists() else []
