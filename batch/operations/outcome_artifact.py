"""`outcomes --write-artifact`: the local operating point as an artifact that `score` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from batch.core.errors import UsageError
from batch.model.artifact import ModelArtifact, bundled_model_ids, find_artifact
from batch.model.manifest import scoring_fingerprint
from batch.operations.local_cases import LocalCases
from batch.training.outcome_calibration import OutcomeEvidence, write_outcome_artifact


def artifact_of(model: str | None, cases: LocalCases) -> ModelArtifact:
    """The artifact whose scores the outcomes judge: the given one, else the bundled one.

    Raises:
        UsageError: it is not at hand, or its scores are not those of the newest night.
    """
    if model is None:
        for name in bundled_model_ids():
            artifact = find_artifact(name)
            if _fits(artifact, cases):
                return artifact
        raise UsageError(
            f"--model: needed, since the newest night was scored by {cases.name}, which is no "
            "bundled model. Give the folder that this night had as --model."
        )
    artifact = find_artifact(model)
    if not _fits(artifact, cases):
        found = artifact.manifest
        raise UsageError(
            f"--model: {found.model_id} {found.model_version} {found.model_sha256[:8]} gives other "
            f"scores than the newest night's model, {cases.name} (weights, temperature or "
            "preprocessing). Give the model that the newest night had."
        )
    return artifact


def _fits(artifact: ModelArtifact, cases: LocalCases) -> bool:
    same_weights = artifact.manifest.model_sha256 == cases.model_sha256
    fingerprint = scoring_fingerprint(artifact.manifest)
    return same_weights and cases.scoring in (None, fingerprint)


def write_local_artifact(
    old: ModelArtifact, cases: LocalCases, point: dict[str, Any], command: str, output: Path
) -> ModelArtifact:
    """Write a copy of the artifact whose threshold outcomes chose.

    Args:
        point: `local_point` of the figures.
        command: that is noted in the artifact.

    Raises:
        UsageError: the folder is not empty, or cannot be made. ArtifactRefused: the job would
            refuse the copy.
    """
    evidence = OutcomeEvidence(
        cases.is_melanoma, cases.scores, cases.groups, point, cases.months, cases.trained,
        cases.own, cases.learned_names, cases.by_mark, command,
    )  # fmt: skip
    return write_outcome_artifact(old, evidence, output)
