"""Programs run and measured as a whole: wall seconds, CPU seconds, peak memory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Finished:
    """A program that ended well. seconds: wall. cpu_seconds: user and system, children included.

    peak_mb: resident memory of its largest process. until: seconds until what was watched for was
    there, if it was.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str
    until: float | None = None


def any_file(folder: Path, pattern: str) -> bool:
    """Whether a file below the folder matches."""
    return next(folder.glob(pattern), None) is not None


def run(
    words: Sequence[str], cores: int | None = None, watched: Callable[[], bool] | None = None
) -> Finished:
    """Run a program to its end, on the first `cores` cores of this machine.

    watched: asked every few milliseconds until it says yes.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
    """
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(
            words, stdout=output, stderr=errors,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        )  # fmt: skip
        until = None
        while watched and until is None and not _has_ended(process.pid):
            time.sleep(0.005)
            until = time.perf_counter() - begun if watched() else None
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            said = errors.read()[-2000:]
            raise RuntimeError(f"{' '.join(words[:6])} … ended with {process.returncode}: {said}")
        return Finished(
            seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output.read(), until
        )


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def score(
    archive: Path, model: str, *options: str, cores: int | None = None
) -> tuple[Finished, dict[str, Any]]:
    """`melanoma-batch score` into a new folder, and its run.json. What is compared with others'
    programs is scoring: without pictures, which have a suite of their own.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "batch", "score", str(archive), "--output", folder]
        done = run([*words, "--model", model, "--no-pictures", *options], cores)
        return done, json.loads((Path(folder) / "latest" / "run.json").read_text())


Rounds = dict[str, list[dict[str, float]]]
"""What each contender gave in each round."""


def rounds_of(contenders: dict[str, Callable[[], dict[str, float]]], repetitions: int) -> Rounds:
    """What the contenders give, one after the other, the order reversed each round."""
    found: Rounds = {name: [] for name in contenders}
    order = list(contenders)
    for _ in range(repetitions):
        for name in order:
            found[name].append(contenders[name]())
        order.reverse()
    return found


def medians(found: Rounds) -> dict[str, dict[str, float]]:
    """Of every figure of every contender."""
    return {
        name: {key: median(one[key] for one in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }


def ratio(found: Rounds, name: str, other: str, key: str) -> float:
    """Median over the rounds: what ran minutes apart had another machine, where others share it."""
    pairs = zip(found[name], found[other], strict=True)
    return median(one[key] / two[key] for one, two in pairs)


def in_turn(
    contenders: dict[str, Callable[[], dict[str, float]]], repetitions: int
) -> dict[str, dict[str, float]]:
    """Medians of what each contender gives."""
    return medians(rounds_of(contenders, repetitions))


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    names = (
        "tensorflow",
        "keras",
        "apache-beam",
        "Pillow",
        "simplejpeg",
        "cykooz.resizer",
        "pydicom",
        "pyarrow",
    )
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
