"""What `torch_course` left of a job: how it was trained, and its weights.

A job is one training, which may have begun from the weights of another, or the mean of several
trainings' weights; its line tells which. All of them had a part in the weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from batch.core.errors import UsageError
from batch.training.recipes import Recipe, find_recipe, with_changes

RESULTS = "results.jsonl"
_ASKED = ("name", "recipe", "changes", "hold_out", "seed", "images", "batch", "shares", "sides")
"""What defines a training; the rest of a line was measured, or says where it ran."""


Counts = dict[str, tuple[int, int]]
"""`SPLIT, SOURCE` to images and melanomas of a set that judged a job where it was trained."""


@dataclass(frozen=True)
class Job:
    """One job.

    recipe: with the job's changes and held-out sources. seed: of the course; of a mean of several,
    that of the first. course: facts for the provenance: device, torch, images_drawn and seconds (of
    all trainings), loss (None for a mean), changes, averaged_from and began_from (names), jobs
    (what each training was asked, the earliest first), counted (by name of a training: images
    drawn, seconds, and how many images and melanomas each of its sets had). curve: losses at equal
    distances; empty for a mean. counted: of the job itself. earlier: held-out sources and counts of
    trainings with another split that had a part in the weights.
    """

    name: str
    recipe: Recipe
    changes: tuple[str, ...]
    seed: int
    course: dict[str, Any]
    curve: tuple[float, ...]
    counted: Counts
    earlier: tuple[tuple[tuple[str, ...], Counts], ...]


def read_job(folder: Path, name: str) -> Job:
    """The job of this name.

    Raises:
        UsageError: there is none, or its line cannot be used.
    """
    lines = _lines(folder)
    if name not in lines:
        raise UsageError(
            f"--weights: {RESULTS} in {folder} has no job {name}; allowed: "
            f"{', '.join(lines) or 'none is there'}."
        )
    line = lines[name]
    try:
        return _job(line, [lines[part] for part in line.get("average", ())], lines)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"--weights: the line of {name} in {RESULTS} lacks or mistypes {error}; run the job "
            "again with `torch_course`."
        ) from error


def read_weights(folder: Path, name: str) -> dict[str, np.ndarray]:
    """All arrays of a job, float32.

    Raises:
        UsageError: there are none, or a file cannot be read.
    """
    named = re.compile(rf"{re.escape(name)}\.\d+\.npz")
    files = sorted(file for file in folder.glob("*.npz") if named.fullmatch(file.name))
    if not files:
        raise UsageError(
            f"--weights: no {name}.*.npz in {folder}; needed: what `torch_course` kept of the job."
        )
    found: dict[str, np.ndarray] = {}
    for file in files:
        try:
            with np.load(file) as arrays:
                found |= {key: arrays[key].astype(np.float32) for key in arrays.files}
        except (OSError, ValueError) as error:
            raise UsageError(
                f"--weights: {file} cannot be read ({type(error).__name__}); needed: what "
                "`torch_course` kept of the job. Copy it again."
            ) from error
    return found


def _job(
    line: Mapping[str, Any],
    parts: list[Mapping[str, Any]],
    lines: Mapping[str, Mapping[str, Any]],
) -> Job:
    trained = parts or [line]
    chain: dict[str, Mapping[str, Any]] = {}
    for part in trained:
        _add_with_starts(chain, part, lines)
    hold_out = _sources(line if "hold_out" in line else trained[0])
    changes = tuple(line.get("changes", ()))
    if others := [part["name"] for part in parts if _sources(part) != hold_out]:
        raise ValueError(f"hold_out: {', '.join(others)} left out other sources than the mean")
    course = {
        "device": line["device"],
        "torch": line["torch"],
        "images_drawn": sum(part["images_drawn"] for part in chain.values()),
        "seconds": round(sum(part["seconds"] for part in chain.values()), 1),
        "loss": None if parts else float(np.mean(line["loss"])),
        "changes": list(changes),
        "averaged_from": list(line.get("average", ())),
        "began_from": sorted({_start(part) for part in trained} - {""}),
        "jobs": [_asked(part) for part in chain.values()],
        "counted": {name: _told(part) for name, part in chain.items()},
    }
    earlier = {
        tuple(_sources(part)): _counts(part)
        for part in chain.values()
        if _sources(part) != hold_out
    }
    return Job(
        name=line["name"],
        recipe=with_changes(find_recipe(line["recipe"], hold_out), changes),
        changes=changes,
        seed=line.get("seed", trained[0]["seed"]),
        course=course,
        curve=tuple(line.get("curve", ())),
        counted=_counts(line),
        earlier=tuple(earlier.items()),
    )


def _add_with_starts(
    chain: dict[str, Mapping[str, Any]],
    line: Mapping[str, Any],
    lines: Mapping[str, Mapping[str, Any]],
) -> None:
    """Add a training after the one that it began from, and so on; each once."""
    path = [line]
    while start := _start(path[-1]):
        if start not in lines:
            raise ValueError(f"start: {path[-1]['name']} began from {start}, whose line is missing")
        if start in [one["name"] for one in path]:
            raise ValueError(f"start: {start} began from itself")
        path.append(lines[start])
    for one in reversed(path):
        chain[one["name"]] = one


def _start(line: Mapping[str, Any]) -> str:
    return str(line["start"]["name"]) if line.get("start") else ""


def _asked(line: Mapping[str, Any]) -> dict[str, Any]:
    start = {"start": _start(line)} if line.get("start") else {}
    return {**{key: line[key] for key in _ASKED if key in line}, **start}


def _told(line: Mapping[str, Any]) -> dict[str, Any]:
    """What `torch_start` needs of a training to write its line again."""
    sets = {
        name: {"images": images, "melanomas": melanomas}
        for name, (images, melanomas) in _counts(line).items()
    }
    return {"images_drawn": line["images_drawn"], "seconds": line["seconds"], "sets": sets}


def _counts(line: Mapping[str, Any]) -> Counts:
    return {
        name: (int(found["images"]), int(found["melanomas"]))
        for name, found in line["sets"].items()
    }


def _sources(line: Mapping[str, Any]) -> list[str]:
    return sorted(source for source in line.get("hold_out", "").split(",") if source)


def _lines(folder: Path) -> dict[str, dict[str, Any]]:
    """Lines of jobs that ended, by name; a later line of a name replaces an earlier one."""
    try:
        texts = (folder / RESULTS).read_text(encoding="utf-8").splitlines()
        lines = [json.loads(text) for text in texts if text]
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--weights: {folder / RESULTS} cannot be read ({type(error).__name__}); needed: the "
            "lines of JSON that `torch_course` wrote."
        ) from error
    return {line["name"]: line for line in lines if "name" in line and "sets" in line}
