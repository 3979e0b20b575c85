"""`melanoma-batch calibrate`: temperature and thresholds of a model from one's own labels.

The weights stay what they are; the artifact that is written differs in temperature, operating
points and golden scores, and says where these come from.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from batch.evaluation.labelled import read_labelled
from batch.model.artifact import ModelArtifact, find_artifact, verify_artifact
from batch.model.classifier import KerasClassifier
from batch.model.golden import GOLDEN_FOLDER
from batch.model.manifest import (
    MANIFEST_FILE,
    ModelManifest,
    check_manifest,
    read_manifest,
    write_manifest,
)
from batch.storage.files import new_folder
from batch.training.calibration import Wanted, calibrated, check_counts, check_targets
from batch.training.calibration_card import CARD_FILE, calibrated_card
from batch.training.golden_cases import rescore_golden


def calibrate(model: str, predictions: Path, wanted: Wanted, output: Path) -> ModelArtifact:
    """Fit temperature and operating points, write the new artifact, check it as the job will.

    Raises:
        UsageError: labels, predictions or an option cannot be used. ArtifactRefused: the model's
            artifact was refused.
    """
    check_targets(wanted.targets)
    old = find_artifact(model)
    labelled = read_labelled(
        predictions, wanted.labels, wanted.split, old, wanted.map_labels, wanted.positive,
        wanted.maps, wanted.pattern,
    )  # fmt: skip
    check_counts(labelled)
    manifest = calibrated(old.manifest, labelled, wanted)
    classifier = verify_artifact(old)
    golden = rescore_golden(
        old.folder, manifest.golden, KerasClassifier(classifier.model, manifest)
    )
    manifest = dataclasses.replace(manifest, golden=golden)
    check_manifest(manifest)
    return write_artifact(manifest, old, output)


def write_artifact(
    manifest: ModelManifest,
    old: ModelArtifact,
    output: Path,
    card_of: Callable[[ModelManifest, str], str] = calibrated_card,
) -> ModelArtifact:
    """Write a copy of an artifact with another manifest and card, and check it as the job will.

    Args:
        card_of: makes the card from the new manifest and the earlier card.

    Raises:
        UsageError: the folder is not empty, or cannot be made. ArtifactRefused: the job would
            refuse the copy.
    """
    folder = new_folder(output)
    for path in sorted(old.folder.iterdir()):
        if path.is_file() and path.name not in (MANIFEST_FILE, CARD_FILE):
            shutil.copyfile(path, folder / path.name)
    for name in (GOLDEN_FOLDER, "plots"):  # the plots belong to the card that is quoted
        if (old.folder / name).is_dir():
            shutil.copytree(old.folder / name, folder / name)
    card = old.folder / CARD_FILE
    earlier = card.read_text(encoding="utf-8") if card.is_file() else ""
    (folder / CARD_FILE).write_text(card_of(manifest, earlier), encoding="utf-8")
    write_manifest(manifest, folder)
    artifact = ModelArtifact(folder, read_manifest(folder))
    verify_artifact(artifact)
    return artifact
