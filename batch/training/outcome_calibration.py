"""From outcomes to an artifact with a local operating point; weights and scores stay.

The sensitivity and specificity in the manifest are those of lesions that did not choose the
threshold (cross-fitted), since an artifact must not promise a flattering figure.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from batch import __version__
from batch.core.records import OperatingPoint
from batch.evaluation.measures import auc_interval, melanoma_auc
from batch.evaluation.thresholds import PROVISIONAL_BELOW, alerts_per_thousand
from batch.model.artifact import ModelArtifact
from batch.model.manifest import ModelManifest
from batch.training.calibrate import write_artifact
from batch.training.calibration import ROUNDING, next_version, operating_point_name
from batch.training.calibration_card import calibrated_card
from batch.training.calibration_caution import caution
from batch.training.licences import licence_of

PREVALENCES = (0.01, 0.05, 0.2)


@dataclass(frozen=True, eq=False)
class OutcomeEvidence:
    """What outcomes say of a model.

    is_melanoma: (N,) bool, a lesion each.
    scores: (N,) float64, as their nights showed them.
    groups: N names of patients, or of lesions.
    point: of `evaluation.local_point.cross_fitted`, with the threshold.
    months: first and last month of the nights that showed them.
    trained, own, learned_names, by_mark: as in `operations.local_cases.LocalCases`.
    command: that made the artifact.
    """

    is_melanoma: np.ndarray
    scores: np.ndarray
    groups: list[str]
    point: dict[str, Any]
    months: tuple[str, str]
    trained: int
    own: int
    learned_names: int
    by_mark: int
    command: str


def calibrated_on_outcomes(manifest: ModelManifest, evidence: OutcomeEvidence) -> ModelManifest:
    """The manifest with one operating point, judged on lesions that did not choose it."""
    point, target = evidence.point, evidence.point["target_sensitivity"]
    melanomas, others = point["melanomas"], point["others"]
    first, last = evidence.months
    chosen = OperatingPoint(
        name=operating_point_name(target),
        threshold=point["threshold"] * (1 - ROUNDING),
        target_sensitivity=target,
        sensitivity=point["sensitivity"],
        sensitivity_interval=point["sensitivity_interval"],
        specificity=point["specificity"],
        specificity_interval=point["specificity_interval"],
        melanomas=melanomas,
        others=others,
        validation_set=f"outcomes of nights from {first} to {last}: {melanomas} melanomas and "
        f"{others} others, by lesion; {point['folds']} folds by patient, none judged by a "
        "threshold that it chose",
        model_sha256=manifest.model_sha256,
        provisional=melanomas < PROVISIONAL_BELOW,
    )
    entry = {
        "command": evidence.command,
        "labels": "outcomes",
        "split": None,
        "nights": [first, last],
        "images": len(evidence.scores),
        "melanomas": melanomas,
        "melanoma_auc": melanoma_auc(evidence.is_melanoma, evidence.scores),
        "melanoma_auc_interval": auc_interval(
            evidence.is_melanoma, evidence.scores, np.array(evidence.groups, object)
        ),
        "own_images": evidence.own,
        "names_of_trained": evidence.learned_names,
        "trained_left_out": evidence.trained,
        "by_mark": evidence.by_mark,
        "cross_fitted": point,
        "temperature": manifest.output.temperature,
        "alerts_per_1000": {
            f"{share:g}": alerts_per_thousand(share, chosen.sensitivity, chosen.specificity)
            for share in PREVALENCES
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
        caution=caution(entry, chosen.provisional, manifest.caution, _evidence(entry)),
        licence=licence_of(manifest),
        default_operating_point=chosen.name,
        operating_points=(chosen,),
        provenance={**manifest.provenance, "calibration": entry},
    )


def write_outcome_artifact(
    old: ModelArtifact, evidence: OutcomeEvidence, output: Path
) -> ModelArtifact:
    """Write the artifact with the local operating point, and check it as the job will.

    Raises:
        UsageError: the folder is not empty, or cannot be made. ArtifactRefused: the artifact is
            not what the job takes.
    """
    manifest = calibrated_on_outcomes(old.manifest, evidence)
    return write_artifact(manifest, old, output, _card)


def _evidence(entry: dict[str, Any]) -> str:
    low, high = entry["melanoma_auc_interval"]
    first, last = entry["nights"]
    return (
        f"Measured on {entry['images']} lesions with an outcome, of nights from {first} to {last}, "
        f"{entry['melanomas']} of them melanomas: it ranks melanoma with an AUC of "
        f"{entry['melanoma_auc']:.2f} ({low:.2f}–{high:.2f}; 0.5 is chance). A lesion without an "
        "alert is rarely excised, so its sensitivity is an upper bound in practice."
    )


def _card(manifest: ModelManifest, earlier: str) -> str:
    return calibrated_card(manifest, earlier, outcome_text(manifest), _LIMITS)


def outcome_text(manifest: ModelManifest) -> str:
    """The operating point, what it is worth, and what is missing: Markdown."""
    entry, point = manifest.provenance["calibration"], manifest.operating_point()
    fitted = entry["cross_fitted"]
    first, last = entry["nights"]
    lines = [
        "## Local operating point from outcomes",
        "",
        f"On {entry['images']} lesions with an outcome, of nights from {first} to {last}, "
        f"{entry['melanomas']} of them melanomas; scores as their nights showed them."
        + (f" {entry['by_mark']} rest on a mark's diagnosis alone." if entry["by_mark"] else "")
        + (
            f" {entry['trained_left_out']} lesions were left out, since the model was trained on "
            "their image."
            if entry["trained_left_out"]
            else ""
        ),
        "",
        "| operating point | alert from | sensitivity (95 %) | specificity (95 %) |",
        "|---|---|---|---|",
        f"| {point.name}, on lesions that did not choose it | {point.threshold:.4g} "
        f"| {_rate(point.sensitivity, point.sensitivity_interval)} "
        f"| {_rate(point.specificity, point.specificity_interval)} |",
        f"| the same, on the lesions that chose it: flatters | {point.threshold:.4g} "
        f"| {fitted['apparent']['sensitivity']:.3f} | {fitted['apparent']['specificity']:.3f} |",
        "",
        *(
            [f"**Provisional**: {point.melanomas} melanomas are too few for a narrow interval.", ""]
            if point.provisional
            else []
        ),
        f"For a lower bound of {fitted['bound']:g} there are missing: "
        f"{_count(fitted['missing_if_all_found'])} if each further melanoma has an alert, "
        f"{_count(fitted['missing_at_this_rate'])} if as many have one as now.",
        "",
        "| prevalence | alerts per 1,000 lesions |",
        "|---|---|",
        *(f"| {share} | {alerts:.0f} |" for share, alerts in entry["alerts_per_1000"].items()),
        "",
    ]
    return "\n".join(lines)


_LIMITS = (
    "## Limits of the operating point",
    "",
    "- Only lesions with an outcome chose it. Melanomas that nobody excised are not among them, so",
    "  the sensitivity is an upper bound in practice (verification bias).",
    "- Intervals are exact (Clopper-Pearson) and take lesions as independent.",
    "- Temperature and scores are those of the version before: nothing is scored again.",
    "",
)


def _rate(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"


def _count(number: int | None) -> str:
    return "more than can be said" if number is None else f"{number} melanomas"
