"""`manifest.json`: the contract between the training of a model and the job that uses it.

A missing or unknown field, or one of the wrong type, refuses the artifact, and the message names
it. model_artifacts/README.md describes every field.
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
from batch.model.domain import DOMAIN_FILE

MANIFEST_FILE = "manifest.json"


MODEL_FILE = "model.keras"


@dataclass(frozen=True)
class InputContract:
    """The input of the model, to which the job adapts pixels (N, 180, 180, 3), uint8, RGB.

    height, width, channels: of the model's input layer.
    dtype: of its values.
    value_range: of its values.
    colour_order: of its channels.
    rescaling_in_model: whether the model itself scales from 0..255; then the job does not scale,
        and value_range is [0, 255].
    resize_rule, preprocessing_version: of the preprocessing with which it was trained.
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
    """The output of the model.

    kind: `softmax` (K values that add up to 1), `logits` (K values before a softmax) or `sigmoid`
        (one value: the score of the second of two classes).
    class_names: in output order.
    melanoma_class: the class whose score raises alerts.
    malignant_classes: melanoma_class, and perhaps others.
    temperature: divides the logits; 1 leaves the scores as they are.
    calibrated: whether the temperature was fitted.
    """

    kind: Literal["softmax", "logits", "sigmoid"]
    class_names: tuple[str, ...]
    melanoma_class: str
    malignant_classes: tuple[str, ...]
    temperature: float
    calibrated: bool


@dataclass(frozen=True)
class GoldenCase:
    """A golden image, and the scores that training measured for it.

    file: source image in `golden/`.
    input_file: the model's input, (180, 180, 3), as a lossless image in `golden/`.
    scores: class name to score.
    """

    file: str
    input_file: str
    scores: dict[str, float]


@dataclass(frozen=True)
class DomainContract:
    """The domain reference, `domain.npz`: what the features of training images look like.

    layers: of the model, in their order, whose outputs give the features.
    features: how many they are.
    sha256: hex digest of the file.
    """

    layers: tuple[str, ...]
    features: int
    sha256: str


@dataclass(frozen=True)
class Licence:
    """The licence of the weights.

    weights: an SPDX identifier if there is one.
    non_commercial: whether commercial use is excluded; None if unknown.
    training_data: source of training images to its licence.
    """

    weights: str
    non_commercial: bool | None
    training_data: dict[str, str]


@dataclass(frozen=True)
class ModelManifest:
    """The manifest of an artifact.

    caution: a warning for every reader of the scores, based on measurements; may be empty.
    licence: None in manifests older than this field. It is not part of contract_sha256.
    model_sha256: hex digest of the model file.
    default_operating_point: name of one of operating_points.
    domain: None where no reference was fitted; then no image is compared with it.
    golden_tolerance: largest allowed difference of a golden score.
    contract_sha256: `contract_digest` at the time when golden scores and operating points were
        measured.
    provenance: data, split, recipe, seed, versions, metrics; in free form.
    """

    manifest_version: Literal[1]
    model_id: str
    model_version: str
    description: str
    caution: str
    licence: Licence | None = field(default=None, kw_only=True)
    domain: DomainContract | None = field(default=None, kw_only=True)
    model_sha256: str
    input: InputContract
    output: OutputContract
    default_operating_point: str
    operating_points: tuple[OperatingPoint, ...]
    golden_tolerance: float
    golden: tuple[GoldenCase, ...]
    contract_sha256: str
    provenance: dict[str, Any]

    @property
    def model_files(self) -> tuple[str, ...]:
        """Names of the files that a classifier is made of."""
        return (MODEL_FILE,) if self.domain is None else (MODEL_FILE, DOMAIN_FILE)

    def operating_point(self, name: str | None = None) -> OperatingPoint:
        """The operating point with this name; None for the default one.

        Raises:
            UsageError: there is none with this name. ArtifactRefused: there is no default.
        """
        point_name = self.default_operating_point if name is None else name
        for point in self.operating_points:
            if point.name == point_name:
                return point
        if name is not None:
            names = [point.name for point in self.operating_points]
            raise UsageError(
                f"--operating-point: found {name!r}; allowed: {', '.join(map(repr, names))}."
                f"{did_you_mean(name, names)}"
            )
        raise ArtifactRefused(
            "operating_points",
            f"none named {point_name!r}",
            sorted(point.name for point in self.operating_points),
            "Correct the manifest.",
        )


# every part is read strictly, also OperatingPoint, whose module does not import pydantic
_PARTS = (
    InputContract, OutputContract, GoldenCase, DomainContract, Licence, ModelManifest,
    OperatingPoint,
)  # fmt: skip
for _part in _PARTS:
    setattr(_part, "__pydantic_config__", ConfigDict(strict=True, extra="forbid"))  # noqa: B010


_ADAPTER = TypeAdapter(ModelManifest)


def contract_digest(manifest: ModelManifest) -> str:
    """SHA-256 of model digest, input, output, operating points, golden cases and domain.

    It reveals edits that golden scores cannot reveal, such as exchanged names of classes that the
    model never predicts, or another threshold.
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
    fields = dataclasses.asdict(manifest)
    sealed = {part: fields[part] for part in parts} | _domain_part(manifest)
    text = json.dumps(sealed, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _domain_part(manifest: ModelManifest) -> dict[str, Any]:
    """Empty where there is no reference, so that the digests of older artifacts stay."""
    return {} if manifest.domain is None else {"domain": dataclasses.asdict(manifest.domain)}


def scoring_fingerprint(manifest: ModelManifest) -> str:
    """16 hex digits that change with what changes scores or their flags: model, input, output,
    resizing, domain reference.

    Operating points are not part of it, because another threshold changes no score.
    """
    parts: list[object] = [manifest.model_sha256, dataclasses.asdict(manifest.input)]
    parts += [dataclasses.asdict(manifest.output), PREPROCESSING_VERSION]
    if manifest.domain is not None:
        parts.append(manifest.domain.sha256)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read_manifest(folder: Path) -> ModelManifest:
    """Read `manifest.json` of an artifact folder.

    Raises:
        ArtifactRefused: it is missing or no JSON, or a field is missing, unknown or of the wrong
            type.
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
    """Write `manifest.json` with the digest of its contract, in a stable order of fields."""
    manifest = dataclasses.replace(manifest, contract_sha256=contract_digest(manifest))
    text = json.dumps(dataclasses.asdict(manifest), indent=2, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


MAX_GOLDEN_TOLERANCE = 1e-3


TRAIN_AGAIN = "Train the artifact again with this version, or use the version it was made with."


def check_manifest(manifest: ModelManifest) -> None:
    """Check that the fields agree with each other and with this program's preprocessing.

    Raises:
        ArtifactRefused: a field is wrong; the message names it.
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
