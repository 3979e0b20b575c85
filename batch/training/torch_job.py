"""What `torch_course` left of a job: how it was trained, and its weights.

A job is one training, or the mean of several trainings' weights; its line tells which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.training.recipes import Recipe, find_recipe, with_changes

RESULTS = "results.jsonl"
_ASKED = ("name", "recipe", "changes", "hold_out", "seed", "images", "batch", "shares", "sides")
"""What defines a training; the rest of a line was measured, or says where it ran."""


@dataclass(frozen=True)
class Job:
    """One job.

    recipe: with the job's changes and held-out sources. seed: of the course; of a mean of several,
    that of the first. course: facts for the provenance: device, torch, images_drawn, seconds and
    loss (None where nothing was trained), averaged_from (names), jobs (what each training was
    asked). curve: losses at equal distances; empty for a mean. counted: `SPLIT, SOURCE` to images
    and melanomas of the sets that judged it there.
    """

    name: str
    recipe: Recipe
    changes: tuple[str, ...]
    seed: int
    course: dict[str, Any]
    curve: tuple[float, ...]
    counted: dict[str, tuple[int, int]]


def check_split(job: Job, table: pd.DataFrame) -> None:
    """Refuse another split than the one that the job trained with: its images would judge.

    What the job counted in the sets that judged it is compared.

    Args:
        table: columns source, split, judges and label.

    Raises:
        UsageError: names the first set that differs.
    """
    for name, wanted in sorted(job.counted.items()):
        split, _, source = name.partition(", ")
        part = table[(table["split"] == split) & (table["source"] == source) & table["judges"]]
        found = len(part), int((part["label"] == job.recipe.melanoma_class).sum())
        if found != wanted:
            raise UsageError(
                f"--data, --split-seed: {name} has {found[0]} images, {found[1]} of them "
                f"melanomas; the job was judged on {wanted[0]} with {wanted[1]}. Its split is "
                "another one, so that images which trained would judge; give the data and the seed "
                "that `pack` had."
            )


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
        return _job(line, [lines[part] for part in line.get("average", ())])
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


def _job(line: Mapping[str, Any], parts: list[Mapping[str, Any]]) -> Job:
    trained = parts or [line]
    hold_out = _sources(line if "hold_out" in line else trained[0])
    changes = tuple(line.get("changes", ()))
    if others := [part["name"] for part in parts if _sources(part) != hold_out]:
        raise ValueError(f"hold_out: {', '.join(others)} left out other sources than the mean")
    course = {
        "device": line["device"],
        "torch": line["torch"],
        "images_drawn": sum(part["images_drawn"] for part in trained),
        "seconds": round(sum(part["seconds"] for part in trained), 1),
        "loss": None if parts else float(np.mean(line["loss"])),
        "changes": list(changes),
        "averaged_from": list(line.get("average", ())),
        "jobs": [{key: part[key] for key in _ASKED if key in part} for part in trained],
    }
    return Job(
        name=line["name"],
        recipe=with_changes(find_recipe(line["recipe"], hold_out), changes),
        changes=changes,
        seed=line.get("seed", trained[0]["seed"]),
        course=course,
        curve=tuple(line.get("curve", ())),
        counted={
            name: (int(found["images"]), int(found["melanomas"]))
            for name, found in line["sets"].items()
        },
    )


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
