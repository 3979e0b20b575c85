"""A manifest against itself and against this program's preprocessing: what needs no model."""

from __future__ import annotations

from batch.core.errors import ArtifactRefused
from batch.images import preprocess as shared
from batch.model.manifest import ModelManifest

MAX_GOLDEN_TOLERANCE = 1e-3
TRAIN_AGAIN = "Train the artifact again with this version, or use the version it was made with."


def check_manifest(manifest: ModelManifest) -> None:
    """Check the manifest against itself and against this program's preprocessing.

    Raises:
        ArtifactRefused: names the field.
    """
    rules = (
        ("input.resize_rule", manifest.input.resize_rule, shared.RESIZE_RULE),
        (
            "input.preprocessing_version",
            manifest.input.preprocessing_version,
            shared.PREPROCESSING_VERSION,
        ),
        ("input.channels", manifest.input.channels, shared.CHANNELS),
    )
    for field, found, allowed in rules:
        if found != allowed:
            raise ArtifactRefused(field, repr(found), repr(allowed), TRAIN_AGAIN)
    _check_input(manifest)
    _check_classes(manifest)
    _check_operating_points(manifest)
    if not 0 < manifest.golden_tolerance <= MAX_GOLDEN_TOLERANCE:
        raise ArtifactRefused(
            "golden_tolerance",
            manifest.golden_tolerance,
            f"up to {MAX_GOLDEN_TOLERANCE:g}",
            "A wider tolerance would let another model pass.",
        )
    if not manifest.golden:
        raise ArtifactRefused("golden", "none", "at least one golden case", TRAIN_AGAIN)


def _check_input(manifest: ModelManifest) -> None:
    contract = manifest.input
    if contract.value_range[0] >= contract.value_range[1]:
        raise ArtifactRefused(
            "input.value_range", contract.value_range, "low below high", "Correct the manifest."
        )
    takes_raw = contract.rescaling_in_model or contract.dtype == "uint8"
    if takes_raw and contract.value_range != (0.0, 255.0):
        raise ArtifactRefused(
            "input.value_range",
            contract.value_range,
            "(0.0, 255.0) for a model that rescales by itself or takes uint8",
            "Correct the manifest: scaling happens in one place only.",
        )


def _check_classes(manifest: ModelManifest) -> None:
    output = manifest.output
    names = output.class_names
    if len(set(names)) != len(names) or len(names) < 2:
        raise ArtifactRefused(
            "output.class_names", names, "two or more different names", "Correct the manifest."
        )
    if output.kind == "sigmoid" and len(names) != 2:
        raise ArtifactRefused(
            "output.class_names", names, "two names for a sigmoid", "Correct the manifest."
        )
    for field, wanted in (
        ("output.melanoma_class", (output.melanoma_class,)),
        ("output.malignant_classes", output.malignant_classes),
    ):
        if unknown := set(wanted) - set(names):
            raise ArtifactRefused(field, sorted(unknown), list(names), "Use the class names.")
    if output.melanoma_class not in output.malignant_classes:
        raise ArtifactRefused(
            "output.malignant_classes",
            list(output.malignant_classes),
            "melanoma_class among them",
            "Correct the manifest.",
        )
    if not 0 < output.temperature < float("inf"):
        raise ArtifactRefused(
            "output.temperature", output.temperature, "a positive number", "Calibrate again."
        )


def _check_operating_points(manifest: ModelManifest) -> None:
    manifest.operating_point()
    for index, point in enumerate(manifest.operating_points):
        if point.model_sha256 != manifest.model_sha256:
            raise ArtifactRefused(
                f"operating_points.{index}.model_sha256",
                point.model_sha256,
                manifest.model_sha256,
                "It was measured with another model; choose the operating point again.",
            )
        if not 0 <= point.threshold <= 1:
            raise ArtifactRefused(
                f"operating_points.{index}.threshold", point.threshold, "0..1", "Choose it again."
            )
