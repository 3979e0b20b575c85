"""`manifest.json`: the contract between the training that made a model and the job that runs it.

Strict: a missing, unknown or mistyped field refuses the artifact and is named. README describes
every field for those who bring their own model.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from batch.core.errors import ArtifactRefused, UsageError
from batch.core.records import OperatingPoint
from batch.core.text import did_you_mean
from batch.images import preprocess as shared
from batch.images.preprocess import PREPROCESSING_VERSION

MANIFEST_FILE = "manifest.json"


MODEL_FILE = "model.keras"


@dataclass(frozen=True)
class InputContract:
    """What the model takes. The job hands over (N, 180, 180, 3) uint8 RGB; the rest is adaptation.

    height, width: of the model's own input layer. value_range: of the numbers that the model
    expects at its input. rescaling_in_model: the model holds its own scaling from 0..255, so the
    job must not scale; then value_range is [0, 255].
    """

    height: int
    width: int
    channels: int
    dtype: Literal["uint8", "float32"]
    value_range: tuple[float, float]
    colour_order: Literal["RGB", "BGR"]
    rescaling_in_model: bool
    resize_rule: str
    preprocessing_version: str


@dataclass(frozen=True)
class OutputContract:
    """What the model gives. class_names: in output order.

    kind: `softmax` (K values that add up to 1), `logits` (K values, softmax to be applied),
    `sigmoid` (one value: the score of the second of two classes).
    temperature: divides the logits; 1 leaves the scores as they are.
    """

    kind: Literal["softmax", "logits", "sigmoid"]
    class_names: tuple[str, ...]
    melanoma_class: str
    malignant_classes: tuple[str, ...]
    temperature: float
    calibrated: bool


@dataclass(frozen=True)
class GoldenCase:
    """A generated image beside the manifest, and what training measured on it.

    file: a source image in `golden/`. input_file: the (180, 180, 3) input as a lossless image.
    scores: class name to score.
    """

    file: str
    input_file: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Licence:
    """Under which terms the weights may be used.

    weights: an SPDX identifier where there is one. non_commercial: whether commercial use is
    excluded; None where nobody said. training_data: source of images to its licence.
    """

    weights: str
    non_commercial: bool | None
    training_data: dict[str, str]


@dataclass(frozen=True)
class ModelManifest:
    """The whole contract.

    contract_sha256: digest of everything that decides a score or an alert (`contract_digest`),
    as it was when the golden scores and the operating points were measured. caution: what a
    reader of the scores must be told every time, from the measurements; empty when there is
    nothing. licence: of the weights; None in manifests older than the field. It decides no score
    and is not part of the digest. provenance: data, split, recipe, seed, versions, metrics; free
    in form.
    """

    manifest_version: Literal[1]
    model_id: str
    model_version: str
    description: str
    caution: str
    licence: Licence | None = field(default=None, kw_only=True)
    model_sha256: str
    input: InputContract
    output: OutputContract
    default_operating_point: str
    operating_points: tuple[OperatingPoint, ...]
    golden_tolerance: float
    golden: tuple[GoldenCase, ...]
    contract_sha256: str
    provenance: dict[str, Any]

    def operating_point(self, name: str | None = None) -> OperatingPoint:
        """The operating point of this name, or the default one.

        Raises:
            UsageError: there is none of this name. ArtifactRefused: the default is none of them.
        """
        wanted = self.default_operating_point if name is None else name
        for point in self.operating_points:
            if point.name == wanted:
                return point
        if name is not None:
            names = [point.name for point in self.operating_points]
            raise UsageError(
                f"--operating-point: found {name!r}; allowed: {', '.join(map(repr, names))}."
                f"{did_you_mean(name, names)}"
            )
        raise ArtifactRefused(
            "operating_points",
            f"none named {wanted!r}",
            sorted(point.name for point in self.operating_points),
            "Correct the manifest.",
        )


# every part, also the one whose module knows nothing of manifests, is read strictly
for _part in (InputContract, OutputContract, GoldenCase, Licence, ModelManifest, OperatingPoint):
    setattr(_part, "__pydantic_config__", ConfigDict(strict=True, extra="forbid"))  # noqa: B010


_ADAPTER = TypeAdapter(ModelManifest)


def contract_digest(manifest: ModelManifest) -> str:
    """SHA-256 over model digest, input, output, operating points and golden cases.

    Golden scores cannot tell two classes apart that the model never predicts, and no score tells a
    threshold: an edit of these shows here.
    """
    parts = (
        "model_sha256",
        "input",
        "output",
        "default_operating_point",
        "operating_points",
        "golden_tolerance",
        "golden",
    )
    whole = dataclasses.asdict(manifest)
    text = json.dumps({part: whole[part] for part in parts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def scoring_fingerprint(manifest: ModelManifest) -> str:
    """16 hex digits that change when an image's scores would: model, input, output, resize rule.

    Operating points are not part of it: another threshold needs no scoring.
    """
    parts = [manifest.model_sha256, dataclasses.asdict(manifest.input)]
    parts += [dataclasses.asdict(manifest.output), PREPROCESSING_VERSION]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read_manifest(folder: Path) -> ModelManifest:
    """Read and check `manifest.json` of an artifact folder.

    Raises:
        ArtifactRefused: absent, not JSON, or a field missing, unknown or of another type.
    """
    path = folder / MANIFEST_FILE
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ArtifactRefused(
            MANIFEST_FILE,
            "no readable file",
            "a folder that `melanoma-batch train` made",
            f"Give an artifact folder or a bundled model id; looked in {folder}.",
        ) from error
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or MANIFEST_FILE
        raise ArtifactRefused(
            field,
            repr(first["input"])[:80] if first["type"] != "missing" else "nothing",
            first["msg"],
            "Train the artifact again, or correct its manifest.",
        ) from error


def write_manifest(manifest: ModelManifest, folder: Path) -> None:
    """Write `manifest.json`, sealed with its contract's digest, in a stable order of fields."""
    manifest = dataclasses.replace(manifest, contract_sha256=contract_digest(manifest))
    text = json.dumps(dataclasses.asdict(manifest), indent=2, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


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
    for name, found, allowed in rules:
        if found != allowed:
            raise ArtifactRefused(name, repr(found), repr(allowed), TRAIN_AGAIN)
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
    for name, wanted in (
        ("output.melanoma_class", (output.melanoma_class,)),
        ("output.malignant_classes", output.malignant_classes),
    ):
        if unknown := set(wanted) - set(names):
            raise ArtifactRefused(name, sorted(unknown), list(names), "Use the class names.")
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
