"""From labelled scores to a manifest with new temperature and operating points. Pure."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from batch import __version__
from batch.core.errors import UsageError
from batch.core.records import OperatingPoint
from batch.evaluation import thresholds
from batch.evaluation.labelled import Labelled
from batch.evaluation.measures import auc_interval, calibration_error, melanoma_auc
from batch.evaluation.thresholds import (
    BOUND,
    alerts_per_thousand,
    brier_score,
    fit_factor,
    negative_log_likelihood,
    rescaled,
)
from batch.model.manifest import ModelManifest
from batch.training.calibration_caution import caution
from batch.training.licences import licence_of

FEWEST = 20
"""Of melanomas, and of others. Of 20 all caught, the 95 % interval still begins at 0.83."""

ROUNDING = 1e-5
"""A threshold stands on a melanoma's score, which the job computes in float32 and perhaps on
another processor: so much of itself lower, it keeps that melanoma."""


@dataclass(frozen=True)
class Wanted:
    """What the caller asks for. targets: sensitivities, the first is the default point's.

    map_labels, positive: as `Vocabulary.of` takes them.
    maps: `THEIRS=OURS`, names of columns, as `read_labels` takes them.
    pattern: finds lesions in paths; None for that of the night.
    """

    labels: Path
    split: str | None
    targets: tuple[float, ...]
    prevalences: tuple[float, ...]
    fits_temperature: bool
    command: str
    map_labels: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None


def check_targets(targets: tuple[float, ...]) -> None:
    """Refuse two operating points of one name.

    Raises:
        UsageError: names the option.
    """
    names = [operating_point_name(target) for target in targets]
    if len(set(names)) < len(names):
        raise UsageError(
            f"--target-sensitivity: found {list(targets)}; allowed: each once, as they become "
            f"the names {sorted(set(names))}."
        )


def operating_point_name(target: float) -> str:
    """As `evaluation.thresholds.point_at` names it."""
    return f"sensitivity-{target:g}"


def check_counts(labelled: Labelled) -> None:
    """Refuse what is too little to mean anything.

    Raises:
        UsageError: fewer than 20 melanomas or others.
    """
    melanomas = int(labelled.is_melanoma.sum())
    others = len(labelled.is_melanoma) - melanomas
    if melanomas < FEWEST or others < FEWEST:
        raise UsageError(
            f"--labels: {melanomas} melanomas and {others} others have a score; needed: {FEWEST} "
            f"of each, and {thresholds.PROVISIONAL_BELOW} melanomas for figures that are not "
            "provisional. Label more images."
        )


def calibrated(manifest: ModelManifest, labelled: Labelled, wanted: Wanted) -> ModelManifest:
    """The manifest with new temperature and operating points; its golden scores are still old.

    Raises:
        UsageError: no temperature fits.
    """
    before = manifest.output.temperature
    temperature = _temperature(manifest, labelled) if wanted.fits_temperature else before
    scores = rescaled(labelled.scores, temperature / before)
    melanoma = manifest.output.class_names.index(manifest.output.melanoma_class)
    is_melanoma, of_melanoma = labelled.is_melanoma, scores[:, melanoma]
    points = tuple(
        choose_point(is_melanoma, of_melanoma, manifest, target, wanted)
        for target in wanted.targets
    )
    entry = {
        "command": wanted.command,
        "labels": wanted.labels.name,
        "split": wanted.split,
        "counts": labelled.counts,
        "images": len(scores),
        "melanomas": int(is_melanoma.sum()),
        "melanoma_auc": melanoma_auc(is_melanoma, of_melanoma),
        "melanoma_auc_interval": auc_interval(is_melanoma, of_melanoma, labelled.groups),
        "own_images": labelled.own,
        "names_of_trained": labelled.learned_names,
        "temperature_before": before,
        "temperature": temperature,
        "fitted_temperature": wanted.fits_temperature,
        "before": _figures(manifest, labelled, labelled.scores),
        "after": _figures(manifest, labelled, scores),
        "alerts_per_1000": {
            point.name: {
                f"{prevalence:g}": alerts_per_thousand(
                    prevalence, point.sensitivity, point.specificity
                )
                for prevalence in wanted.prevalences
            }
            for point in points
        },
        "replaces": {
            "model_version": manifest.model_version,
            "contract_sha256": manifest.contract_sha256,
            "caution": manifest.caution,
            "calibration": manifest.provenance.get("calibration"),
        },
        "version": __version__,
    }
    return dataclasses.replace(
        manifest,
        model_version=next_version(manifest.model_version),
        caution=caution(entry, any(point.provisional for point in points), manifest.caution),
        licence=licence_of(manifest),
        output=dataclasses.replace(
            manifest.output,
            temperature=temperature,
            calibrated=manifest.output.calibrated or wanted.fits_temperature,
        ),
        default_operating_point=points[0].name,
        operating_points=points,
        provenance={**manifest.provenance, "calibration": entry},
    )


def _temperature(manifest: ModelManifest, labelled: Labelled) -> float:
    truth = _truth(manifest, labelled)
    if truth is None:
        none = ~np.isin(labelled.labels, manifest.output.class_names)
        unknown = sorted(set(labelled.found[none].tolist()))
        raise UsageError(
            f"--labels: found {unknown[:12]}; a temperature is fitted on labels that are all "
            f"classes of the model, {list(manifest.output.class_names)}. Say what they mean with "
            "--map-label, or give --no-temperature: thresholds need only know what is melanoma."
        )
    factor = fit_factor(labelled.scores, truth)
    if factor is None:
        raise UsageError(
            f"--labels: no temperature between 1/{BOUND:g} and {BOUND:g} times the present one "
            "fits: the model's classes have no error on these images, or tell nothing of them. "
            "Label more images, or give --no-temperature."
        )
    return round(manifest.output.temperature * factor, 6)


def _truth(manifest: ModelManifest, labelled: Labelled) -> np.ndarray | None:
    """(N,) int, index of each label among the classes; None when one is no class of the model."""
    index = {name: number for number, name in enumerate(manifest.output.class_names)}
    if not set(labelled.labels.tolist()) <= set(index):
        return None
    return np.array([index[label] for label in labelled.labels])


def choose_point(
    is_melanoma: np.ndarray,
    scores: np.ndarray,
    manifest: ModelManifest,
    target: float,
    wanted: Wanted,
) -> OperatingPoint:
    """The operating point of a target, at a threshold that the job's rounding cannot lift.

    Args:
        is_melanoma: (N,) bool. scores: (N,) calibrated melanoma score.
    """
    where = f"{wanted.labels.name}{f', split {wanted.split}' if wanted.split else ''}"
    melanomas = int(is_melanoma.sum())
    text = f"{where}: {melanomas} melanomas and {len(scores) - melanomas} others, which chose it"
    threshold = thresholds.choose_threshold(is_melanoma, scores, target) * (1 - ROUNDING)
    return thresholds.point_at(threshold, is_melanoma, scores, manifest.model_sha256, text, target)


def _figures(
    manifest: ModelManifest, labelled: Labelled, scores: np.ndarray
) -> dict[str, float | None]:
    truth = _truth(manifest, labelled)
    melanoma = manifest.output.class_names.index(manifest.output.melanoma_class)
    return {
        "negative_log_likelihood": None
        if truth is None
        else negative_log_likelihood(scores, truth),
        "brier": brier_score(labelled.is_melanoma, scores[:, melanoma]),
        "expected_calibration_error": calibration_error(labelled.is_melanoma, scores[:, melanoma]),
    }


def next_version(version: str) -> str:
    """The patch number raised by one; `.1` is added to what has no patch number."""
    if found := re.fullmatch(r"(\d+\.\d+\.)(\d+)", version):
        return f"{found[1]}{int(found[2]) + 1}"
    return f"{version}.1"
