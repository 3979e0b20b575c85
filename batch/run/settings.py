"""Model, operating point and fingerprints of a run, resolved before the first file is read.

This needs no TensorFlow, so a night with nothing to score does not load it.
"""

from __future__ import annotations

from dataclasses import dataclass

from batch import __version__
from batch.core.config import JobConfig
from batch.core.fingerprints import failure_fingerprint, identity_fingerprint
from batch.core.records import Fingerprints, RunFacts
from batch.images.preprocess import PREPROCESSING_VERSION
from batch.model.artifact import ModelArtifact, check_files, find_artifact
from batch.model.manifest import scoring_fingerprint


@dataclass(frozen=True)
class Settings:
    """The model artifact of a run, and the facts that its rows repeat."""

    artifact: ModelArtifact
    facts: RunFacts


def resolve_model(config: JobConfig) -> Settings:
    """Find the artifact and its operating point, and check the artifact's files.

    The model itself is opened later, if it is needed.

    Raises:
        UsageError: there is no such model or operating point. ArtifactRefused: the artifact breaks
            its contract; the message names the field.
    """
    artifact = find_artifact(config.model)
    manifest = artifact.manifest
    operating_point = manifest.operating_point(config.operating_point)
    check_files(artifact)
    facts = RunFacts(
        run_id=config.run_id,
        started_at=config.started_at,
        model_id=manifest.model_id,
        model_version=manifest.model_version,
        model_sha256=manifest.model_sha256,
        preprocessing_version=PREPROCESSING_VERSION,
        operating_point=operating_point,
        fingerprints=Fingerprints(
            program_version=__version__,
            failure=failure_fingerprint(config.rules.limits),
            identity=identity_fingerprint(config.rules),
            scoring=scoring_fingerprint(manifest),
        ),
    )
    return Settings(artifact, facts)
