"""What a recipe does on sources that it never saw: figures of runs that left a source out.

A model that was trained on every source has no stranger left to judge it. Runs of the same recipe
that left a source out stand for that; their figures belong beside the shipped model's, and are not
its own. A run is an artifact, or a line of JSON that `from_torch --trial` printed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batch.core.errors import UsageError
from batch.evaluation.measures import MIN_SPECIFICITY
from batch.model.manifest import read_manifest
from batch.training.recipes import Recipe, find_recipe, with_changes

HELD_OUT = ", held out"
"""Ends the name of a set whose source did not train."""

OWN_SPLITS = ("train", "validation", "test")
_OWN_TEST = "test, "


def unseen_sets(provenance: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Measures of melanoma on sources that the weights had not seen: own sets, then runs'.

    A name that comes again gets a number, so that none hides another.
    """
    found: dict[str, dict[str, Any]] = {}
    own = {
        name: measures["melanoma"]
        for name, measures in provenance.get("metrics", {}).items()
        if name not in OWN_SPLITS and not name.startswith(_OWN_TEST)
    }
    for metrics in (own, *(run["metrics"] for run in provenance.get("held_out_runs", ()))):
        for name, measures in metrics.items():
            numbered = [name, *(f"{name} ({number})" for number in range(2, len(found) + 2))]
            found[next(one for one in numbered if one not in found)] = measures
    return found


def held_out_runs(
    recipe: Recipe, seed: int, paths: Sequence[Path], jobs: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """What sibling runs measured on the sources that they had not seen.

    A run that the shipped weights began from needs no such recipe and seed: it is a part of them.

    Args:
        paths: folders of artifacts; files with lines of JSON of `from_torch --trial`. jobs: of the
            shipped weights (`Job.course`), where a GPU trained them.

    Returns:
        for each run: command, held_out (sources), model_sha256 (None without an artifact),
        preprocessing_version, is_start (whether the shipped weights began from it), of a GPU's
        course images_drawn and jobs (`Job.course`), and metrics (set to melanoma measures) of the
        sources that it left out.

    Raises:
        UsageError: not a run of this recipe and seed with a source held out.
        ArtifactRefused: the manifest breaks its contract.
    """
    found: list[dict[str, Any]] = []
    for path in paths:
        for where, made_by, run in _lines(path) if path.is_file() else [_artifact(path)]:
            theirs = run.get("jobs", ())
            is_start = bool(theirs) and all(job in jobs for job in theirs)
            if not is_start:
                _check_same(recipe, seed, made_by, where)
            _check_held_out(recipe, run["metrics"], where)
            found.append({**run, "is_start": is_start})
    return found


_Read = tuple[str, dict[str, Any], dict[str, Any]]
"""Of a run: where it stands, its recipe's fields with `seed`, and what is told of it."""


def _artifact(folder: Path) -> _Read:
    manifest = read_manifest(folder)
    facts = manifest.provenance
    made_by = {**facts.get("recipe", {}), "seed": facts.get("seed")}
    metrics = {
        name: measures["melanoma"]
        for name, measures in facts["metrics"].items()
        if name.endswith(HELD_OUT)
    }
    course = facts.get("course", {})
    run = {
        "command": facts["command"],
        "held_out": facts["data"]["held_out"],
        "model_sha256": manifest.model_sha256,
        "preprocessing_version": manifest.input.preprocessing_version,
        **{name: course[name] for name in ("images_drawn", "jobs") if name in course},
        "metrics": metrics,
    }
    return str(folder), made_by, run


def _lines(file: Path) -> list[_Read]:
    try:
        texts = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--held-out-run: {file} cannot be read ({type(error).__name__}); allowed: an "
            "artifact, or lines of JSON of `from_torch --trial`."
        ) from error
    named = [(f"{file}, line {number}", text) for number, text in enumerate(texts, 1) if text]
    if not named:
        raise UsageError(
            f"--held-out-run: {file} is empty; needed: a line of JSON of `from_torch --trial`."
        )
    return [_line(where, text) for where, text in named]


def _line(where: str, text: str) -> _Read:
    try:
        told = json.loads(text)
        made_by = with_changes(find_recipe(told["recipe"]), told["changes"])
        # images of other sources may be left out beside it; their clinics did train
        names = [f"{source}{HELD_OUT}" for source in told["hold_out"]]
        metrics = {name: _measures(told["sets"][name]) for name in names if name in told["sets"]}
        run = {
            "command": told["command"],
            "held_out": told["hold_out"],
            "model_sha256": None,
            "preprocessing_version": told["preprocessing_version"],
            "images_drawn": told["images_drawn"],
            "jobs": told["jobs"],
            "metrics": metrics,
        }
        found = {**dataclasses.asdict(made_by), "seed": told["seed"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"--held-out-run: {where} is not what `from_torch --trial` prints "
            f"({type(error).__name__}: {error}); print it again with this version."
        ) from error
    return where, json.loads(json.dumps(found)), run


def _measures(found: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's figures of a set, in the form of an artifact's."""
    at_points = found["at_points"]
    return {
        **{name: found[name] for name in ("images", "drawn_of", "melanomas", "melanoma_auc",
                                          "melanoma_auc_interval", "expected_calibration_error")},
        "sensitivity_at_specificity": {
            "specificity_at_least": MIN_SPECIFICITY,
            "sensitivity": found["sensitivity_at_specificity"],
            "interval": found["sensitivity_at_specificity_interval"],
        },
        "at_points": at_points,
        **({"at_operating_point": next(iter(at_points.values()))} if at_points else {}),
    }  # fmt: skip


def _check_same(recipe: Recipe, seed: int, found: Mapping[str, Any], where: str) -> None:
    wanted = dataclasses.asdict(dataclasses.replace(recipe, hold_out=()))
    del wanted["description"]
    wanted = json.loads(json.dumps({**wanted, "seed": seed}))
    without = {**found, "hold_out": []}
    if different := sorted(name for name in wanted if without.get(name) != wanted[name]):
        raise UsageError(
            f"--held-out-run: {where} was made by another recipe or seed (different: "
            f"{', '.join(different)}); allowed: artifacts of the same `train {recipe.name} "
            f"--seed {seed}` with --hold-out, or trials of a job like that."
        )


def _check_held_out(recipe: Recipe, metrics: Mapping[str, Any], where: str) -> None:
    if not metrics:
        raise UsageError(
            f"--held-out-run: {where} was trained on every source; allowed: artifacts of "
            f"`train {recipe.name} --hold-out SOURCE`, or trials of a job that left one out."
        )
