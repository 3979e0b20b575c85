"""The check at a start: the golden images must give the scores that training measured.

If they do not, the usual mistakes in a manifest are tried one by one. The one that gives the golden
scores tells which field is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from batch.archive.reader import read_image
from batch.core.errors import ArtifactRefused, ImageFailure
from batch.core.records import Canary
from batch.model.classifier import KerasClassifier
from batch.model.manifest import GoldenCase, ModelManifest

GOLDEN_FOLDER = "golden"
PIXEL_TOLERANCE = 2
"""Grey levels. JPEG decoders may differ by one; another rule of resizing differs by tens."""


def check_golden(folder: Path, classifier: KerasClassifier) -> Canary:
    """Compare pixels and scores of every golden case.

    Args:
        folder: of the artifact.
        classifier: its model.

    Returns:
        how much the scores differ from those that training measured.

    Raises:
        ArtifactRefused: they differ too much; the message names the field that explains it.
    """
    manifest = classifier.manifest
    pixels = np.stack([_golden_pixels(folder, case) for case in manifest.golden])
    expected = np.array([_expected(case, manifest) for case in manifest.golden])
    try:
        scores = classifier.scores(pixels)
    except Exception as error:  # TensorFlow raises errors of many types if the graph does not fit
        raise ArtifactRefused(
            "model.keras",
            type(error).__name__,
            "a model that can be called as the manifest says",
            "Check input, output and layers.",
        ) from error
    if _agree(scores, expected, manifest):
        largest = float(np.abs(scores - expected).max())
        return Canary(len(expected), largest, manifest.golden_tolerance)
    field, remedy = _diagnose(classifier, pixels, expected, scores)
    difference = float(np.nanmax(np.abs(scores - expected)))
    raise ArtifactRefused(
        field,
        f"golden scores that differ by up to {difference:.3g}",
        f"a difference of at most {manifest.golden_tolerance:g}",
        remedy,
    )


def _golden_pixels(folder: Path, case: GoldenCase) -> np.ndarray:
    try:
        pixels = read_image(folder / GOLDEN_FOLDER / case.file).pixels
        expected = read_image(folder / GOLDEN_FOLDER / case.input_file).pixels
    except (OSError, ImageFailure) as error:
        raise ArtifactRefused(
            "golden",
            f"{case.file} or {case.input_file} unreadable",
            "readable images",
            "Restore the artifact's golden folder.",
        ) from error
    difference = int(np.abs(pixels.astype(int) - expected).max())
    if difference > PIXEL_TOLERANCE:
        raise ArtifactRefused(
            "input.resize_rule",
            f"golden pixels of {case.file} that differ by {difference} grey levels",
            f"at most {PIXEL_TOLERANCE}",
            "The artifact was made with another preprocessing; train it again.",
        )
    return expected


def _expected(case: GoldenCase, manifest: ModelManifest) -> list[float]:
    names = manifest.output.class_names
    if set(case.scores) != set(names):
        raise ArtifactRefused(
            "output.class_names", list(names), sorted(case.scores), "Golden scores know others."
        )
    return [case.scores[name] for name in names]


def _agree(scores: np.ndarray, expected: np.ndarray, manifest: ModelManifest) -> bool:
    return bool(np.all(np.abs(scores - expected) <= manifest.golden_tolerance))


def _diagnose(
    classifier: KerasClassifier, pixels: np.ndarray, expected: np.ndarray, measured: np.ndarray
) -> tuple[str, str]:
    manifest = classifier.manifest
    if measured.min() < 0 or not np.allclose(measured.sum(axis=1), 1, atol=1e-3):
        return "output.kind", "The outputs are no probabilities; they look like logits."
    for field, changed, remedy in _other_readings(manifest):
        other_scores = KerasClassifier(classifier.model, changed, len(pixels)).scores(pixels)
        if _agree(other_scores, expected, manifest):
            return field, remedy
    if np.allclose(np.sort(measured), np.sort(expected), atol=manifest.golden_tolerance):
        return "output.class_names", "The same scores stand under other names: the order is wrong."
    return "golden", "Model file, manifest and golden scores do not belong together."


def _other_readings(manifest: ModelManifest) -> Iterator[tuple[str, ModelManifest, str]]:
    """Field, manifest with another value of it, and remedy; the most usual mistake first."""
    contract, output = manifest.input, manifest.output
    if contract.dtype == "float32":
        for value_range in ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)):
            changed = replace(contract, rescaling_in_model=False, value_range=value_range)
            yield (
                "input.value_range",
                replace(manifest, input=changed),
                f"The model takes values in {value_range}; scale once, in one place.",
            )
    order: Literal["RGB", "BGR"] = "BGR" if contract.colour_order == "RGB" else "RGB"
    yield (
        "input.colour_order",
        replace(manifest, input=replace(contract, colour_order=order)),
        f"The model takes {order}.",
    )
    for kind in ("softmax", "logits"):
        if output.kind != "sigmoid":
            yield (
                "output.kind",
                replace(manifest, output=replace(output, kind=kind)),
                f"The model gives {kind}.",
            )
    yield (
        "output.temperature",
        replace(manifest, output=replace(output, temperature=1.0)),
        "The golden scores were measured at temperature 1.",
    )
