"""The records that travel through the pipeline, all frozen.

A DICOM attribute has the standard's keyword (PS3.6) in snake_case. An optional attribute is None if
the source does not have it.
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
    """What became of a file. Every file of the archive ends in exactly one state."""

    SCORED = "scored"
    UNCHANGED = "unchanged"
    REUSED = "reused"
    UNSCORED = "unscored"
    NON_IMAGE = "non_image"
    PENDING = "pending"


@dataclass(frozen=True)
class ImageLocation:
    """A file as the inventory lists it, before it is opened.

    path: relative to the archive root, `/` between parts; bytes that are not UTF-8 are kept as
        surrogate escapes (PEP 383).
    size: bytes.
    mtime_ns: time of the last change, nanoseconds since 1970.
    attempts: earlier runs in a row that read this file unchanged and left an image in it without
        a score.
    """

    path: str
    size: int
    mtime_ns: int
    attempts: int = 0


@dataclass(frozen=True)
class QueuedFile:
    """A file to be read tonight, as it travels to a worker.

    known: digests (hex SHA-256) of contents of this size that earlier nights scored; a file with
        one of them is not scored again.
    """

    location: ImageLocation
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageRecord:
    """Identity and provenance of one image (a file, or one frame of it), without its pixels.

    image_id: SOP Instance UID, with `#n` for frame n of a multi-frame object; `sha256:<hex>` for
        a photograph, or an object without a UID.
    path: as in `ImageLocation`.
    content_sha256: hex digest of the file.
    file_format: word of the format, e.g. `jpeg`.
    rows, columns: pixels of the source before preprocessing.
    mean_red, mean_green, mean_blue: of the model's input, 0..255.
    sharpness, noise, bright_level, dark_surround_share, saturated_share, white_share: as in
        `images.quality.Quality`.
    is_reliable: whether no flag says that the picture cannot be judged; of quality or domain.
    frame_number: from 1; None for a file with one image.
    flags: what a reader of the score should know, e.g. `lossy`; sorted.
    exif_datetime_original: of a photograph, ISO 8601; its acquisition_datetime, too.
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
    sharpness: float | None = None
    noise: float | None = None
    bright_level: float | None = None
    dark_surround_share: float | None = None
    saturated_share: float | None = None
    white_share: float | None = None
    is_reliable: bool | None = None
    frame_number: int | None = None
    flags: tuple[str, ...] = ()
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    sop_class_uid: str | None = None
    modality: str | None = None
    acquisition_datetime: str | None = None
    exif_datetime_original: str | None = None
    anatomic_region: str | None = None
    laterality: str | None = None
    lesion_id: str | None = None
    manufacturer: str | None = None
    manufacturer_model_name: str | None = None
    patient_pseudonym: str | None = None
    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    accession_number: str | None = None


MAX_DEVICE_NAME = 64
"""Letters of a device's name."""
_DICOM_WITHOUT_DEVICE, _FILE = "DICOM without a device", " file"


def device_name(manufacturer: str | None, model: str | None, file_format: str) -> str:
    """A name of the device that took an image; if it is unknown, the kind of the file."""
    named = " ".join(part.strip() for part in (manufacturer, model) if part and part.strip())
    if not named:
        return _DICOM_WITHOUT_DEVICE if file_format == "dicom" else f"{file_format}{_FILE}"
    printable = "".join(letter if letter.isprintable() else "?" for letter in named)
    return printable[:MAX_DEVICE_NAME]


def is_device(name: str) -> bool:
    """Whether `device_name` gave the name of a device, not the kind of a file."""
    return name != _DICOM_WITHOUT_DEVICE and not name.endswith(_FILE)


@dataclass(frozen=True, eq=False)
class ModelInput:
    """An image ready for the model. pixels: (180, 180, 3), uint8, RGB."""

    record: ImageRecord
    pixels: np.ndarray


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image: a score, not a diagnosis.

    class_scores: (class name, score) in the model's output order; the scores add up to 1.
    predicted_class: the class with the highest score.
    melanoma_score: the score of the manifest's melanoma class, 0..1.
    domain_percentile, dermoscopy_score: as in `model.domain.Domain`; None where the artifact has
        no domain reference.
    """

    record: ImageRecord
    class_scores: tuple[tuple[str, float], ...]
    predicted_class: str
    melanoma_score: float
    domain_percentile: float | None = None
    dermoscopy_score: float | None = None


KEPT_ATTRIBUTES = (
    "study_instance_uid", "lesion_id", "patient_pseudonym", "patient_id", "issuer_of_patient_id",
)  # fmt: skip
"""Attributes of an `ImageRecord` that an image without a score keeps, so that it is listed with its
lesion and its patient."""


@dataclass(frozen=True)
class Unscored:
    """An image that has no score, or a whole file (then frame_number and image_id are None).

    stage, reason, detail: as in `ImageFailure`.
    The other fields are as in `ImageRecord`; None if they could not be read.
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
    """The result of reading a file, before any of its frames is scored.

    frames: images in the file; each must end as a prediction or an unscored row. 1 for a file that
        failed as a whole; 0 for a file that is non-image, pending or reused.
    state: NON_IMAGE, PENDING or REUSED if reading decided it; else None.
    reason, detail: why the file is in this state; None and empty if there is nothing to say.
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
    """Digests of what tonight's results depend on besides the files.

    program_version: how files are recognised.
    failure: limits and decoders.
    identity: include and exclude rules, and identifiers (DICOM only).
    scoring: model, its output contract, and preprocessing.
    """

    program_version: str
    failure: str
    identity: str
    scoring: str


@dataclass(frozen=True)
class FileOutcome:
    """A file of the archive and what became of it: a row of `files/`.

    frames, frames_scored, frames_unscored: numbers of images in the file.
    attempts: as in `ImageLocation`, tonight included.
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
    """A threshold with the evidence that justifies it.

    threshold: a melanoma_score at or above it raises an alert.
    target_sensitivity: the sensitivity, 0..1, for which the threshold was chosen.
    sensitivity, specificity: measured on validation_set, 0..1; their intervals: 95 %, (low, high).
    melanomas, others: images of the validation set.
    model_sha256: hex digest of the model file with which it was measured.
    provisional: whether the evidence is too small to rely on.
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
    """The check at a start: the golden images are scored again.

    largest_difference: between any class score and the one recorded in training.
    tolerance: the largest difference allowed.
    """

    images: int
    largest_difference: float
    tolerance: float


@dataclass(frozen=True)
class Alert:
    """A prediction at or above the operating point: a person should look. It is no diagnosis."""

    prediction: Prediction
    operating_point: OperatingPoint
    review_status: str = "UNVERIFIED"


def is_alert(melanoma_score: float, operating_point: OperatingPoint) -> bool:
    """Whether a score, 0..1, is at or above the threshold."""
    return melanoma_score >= operating_point.threshold


def alert_for(prediction: Prediction, operating_point: OperatingPoint) -> Alert | None:
    """The alert that a prediction raises, if any. None says nothing about the lesion."""
    if is_alert(prediction.melanoma_score, operating_point):
        return Alert(prediction, operating_point)
    return None


@dataclass(frozen=True)
class RunFacts:
    """What every row of a run repeats. started_at: UTC."""

    run_id: str
    started_at: datetime
    model_id: str
    model_version: str
    model_sha256: str
    preprocessing_version: str
    operating_point: OperatingPoint
    fingerprints: Fingerprints
