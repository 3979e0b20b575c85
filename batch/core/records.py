"""The nouns that travel through the pipeline: frozen, without knowledge of any library but numpy.

DICOM attributes carry the standard's keyword in snake_case (PS3.6). Every optional attribute is
None where the source has none: nothing is invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from batch.core.errors import FailureReason, Stage

if TYPE_CHECKING:
    import numpy as np
from datetime import datetime


class FileState(StrEnum):
    """What became of a file. Every file found ends in exactly one."""

    SCORED = "scored"
    UNCHANGED = "unchanged"
    REUSED = "reused"
    UNSCORED = "unscored"
    NON_IMAGE = "non_image"
    PENDING = "pending"


@dataclass(frozen=True)
class ImageLocation:
    """A file as the inventory found it, before it is opened.

    path: relative to the archive root, `/` between parts; bytes that are not UTF-8 are kept as
        surrogate escapes (PEP 383).
    size: bytes. mtime_ns: nanoseconds since 1970.
    attempts: runs in which this very file was read before and something in it had no score.
    """

    path: str
    size: int
    mtime_ns: int
    attempts: int = 0


@dataclass(frozen=True)
class QueuedFile:
    """A file to be read tonight, as it travels to a worker.

    known: digests (hex SHA-256) of content of this very size that needs no scoring again.
    """

    location: ImageLocation
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageRecord:
    """Identity and provenance of one image (a file, or one frame of it), without its pixels.

    image_id: SOP Instance UID, with `#n` for frame n of a multi-frame object; `sha256:<hex>` for
        a plain file or an object without a UID.
    rows, columns: pixels of the source before preprocessing.
    mean_red, mean_green, mean_blue: of the model's input, 0..255.
    flags: what a reader of the score should know, e.g. `lossy`; sorted.
    """

    image_id: str
    path: str
    content_sha256: str
    file_format: str
    rows: int
    columns: int
    mean_red: float | None = None
    mean_green: float | None = None
    mean_blue: float | None = None
    frame_number: int | None = None
    flags: tuple[str, ...] = ()
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    sop_class_uid: str | None = None
    modality: str | None = None
    acquisition_datetime: str | None = None
    anatomic_region: str | None = None
    laterality: str | None = None
    lesion_id: str | None = None
    manufacturer: str | None = None
    manufacturer_model_name: str | None = None
    patient_pseudonym: str | None = None
    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    accession_number: str | None = None


@dataclass(frozen=True, eq=False)
class ModelInput:
    """An image ready for the model. pixels: (180, 180, 3) uint8, RGB."""

    record: ImageRecord
    pixels: np.ndarray


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image: a score, not a diagnosis.

    class_scores: (class name, score) in the model's output order; they add up to 1.
    melanoma_score: the score of the manifest's melanoma class, 0..1.
    """

    record: ImageRecord
    class_scores: tuple[tuple[str, float], ...]
    predicted_class: str
    melanoma_score: float


KEPT_ATTRIBUTES = (
    "study_instance_uid", "lesion_id", "patient_pseudonym", "patient_id", "issuer_of_patient_id",
)  # fmt: skip
"""Of an `ImageRecord`: what an image without a score keeps of it, so that it stands with its lesion
and its patient."""


@dataclass(frozen=True)
class Unscored:
    """An image, or a file as a whole (frame_number and image_id None), that has no score.

    The last five are as in `ImageRecord`; None where the file could not tell them.
    """

    path: str
    stage: Stage
    reason: FailureReason
    detail: str = ""
    image_id: str | None = None
    frame_number: int | None = None
    content_sha256: str | None = None
    study_instance_uid: str | None = None
    lesion_id: str | None = None
    patient_pseudonym: str | None = None
    patient_id: str | None = None
    issuer_of_patient_id: str | None = None


@dataclass(frozen=True)
class FileReading:
    """What reading a file gave, before any of its frames is scored.

    frames: images in the file that must each end as a prediction or an unscored row; 1 for a file
        that failed as a whole; 0 for a non-image, a pending file, and one whose content is known.
    state: NON_IMAGE, PENDING or REUSED when reading already decided; else None.
    """

    location: ImageLocation
    frames: int
    content_sha256: str | None = None
    file_format: str | None = None
    state: FileState | None = None
    reason: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class Fingerprints:
    """What tonight's results depend on besides the files; each names one part of it.

    program_version: what is recognised, and as what. failure: limits and decoders. identity:
    include and exclude rules and identifiers (DICOM only). scoring: model, its output contract,
    and preprocessing.
    """

    program_version: str
    failure: str
    identity: str
    scoring: str


@dataclass(frozen=True)
class FileOutcome:
    """One file found, and what became of it: a row of `files/`.

    attempts: runs in a row that read this very file and left something in it without a score.
    """

    location: ImageLocation
    state: FileState
    reason: str | None
    detail: str
    content_sha256: str | None
    file_format: str | None
    frames: int
    frames_scored: int
    frames_unscored: int
    attempts: int


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold with the evidence that justifies it; a bare float is not allowed.

    threshold: alert when melanoma_score >= threshold.
    sensitivity, specificity: measured on validation_set; *_interval: 95 %, (low, high).
    model_sha256: the digest of the model file that it was measured with.
    """

    name: str
    threshold: float
    target_sensitivity: float
    sensitivity: float
    sensitivity_interval: tuple[float, float]
    specificity: float
    specificity_interval: tuple[float, float]
    melanomas: int
    others: int
    validation_set: str
    model_sha256: str
    provisional: bool


@dataclass(frozen=True)
class Canary:
    """The golden images, scored again at a start.

    largest_difference: of any class score to the one measured in training, at most tolerance.
    """

    images: int
    largest_difference: float
    tolerance: float


@dataclass(frozen=True)
class Alert:
    """A prediction at or above the operating point: asks a person to look, claims no diagnosis."""

    prediction: Prediction
    operating_point: OperatingPoint
    review_status: str = "UNVERIFIED"


def is_alert(melanoma_score: float, operating_point: OperatingPoint) -> bool:
    """Whether a score, 0..1, asks for a look: at the threshold itself, it does."""
    return melanoma_score >= operating_point.threshold


def alert_for(prediction: Prediction, operating_point: OperatingPoint) -> Alert | None:
    """The alert that a prediction raises, if any. None says nothing about the lesion."""
    if is_alert(prediction.melanoma_score, operating_point):
        return Alert(prediction, operating_point)
    return None


@dataclass(frozen=True)
class RunFacts:
    """What every row of a run repeats."""

    run_id: str
    started_at: datetime
    model_id: str
    model_version: str
    model_sha256: str
    preprocessing_version: str
    operating_point: OperatingPoint
    fingerprints: Fingerprints
