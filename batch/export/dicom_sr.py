"""Makes the result document of a study: Comprehensive 3D SR by TID 1500. Pure but for highdicom.

The document is preliminary and unverified. A measurement group stands for one image (frame) of a
lesion; the lesion's tracking UID is the image's. "Raised for review" is left out, not negated,
where a score is below the threshold, because no alert never means cleared.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from highdicom import ContributingEquipment
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage
from pydicom.valuerep import DT

from batch import __version__
from batch.export.contract import (
    LAYOUT,
    MANUFACTURER,
    RAISED,
    RAISED_MEANING,
    SCHEME,
    SCHEME_NAME,
    SCORE,
    SCORE_MEANING,
    ModelContract,
    stable_uid,
)
from batch.export.selection import ExportImage
from batch.export.source import SourceImage

logging.getLogger("highdicom").setLevel(logging.CRITICAL + 1)  # it quotes names of patients

SERIES_NUMBER = 9501
"""Unlikely to be another series' number; only the UID names a series."""
SERIES_DESCRIPTION = "Melanoma scores, preliminary, not a diagnosis"
_SIDES = {
    "R": ("24028007", "Right"),
    "L": ("7771000", "Left"),
    "B": ("51440002", "Right and left"),
    "U": ("66459002", "Unilateral"),
}


@dataclass(frozen=True)
class Scored:
    """A score of an image (frame): what a document's UID is made of."""

    instance_uid: str
    frame_number: int | None
    score: float
    contract_digest: str


def document_uid(study_uid: str, scores: Sequence[Scored], after: str | None = None) -> str:
    """The SOP Instance UID of the document with these scores.

    Args:
        after: the predecessor, only where the same scores were exported before it: scores that went
            back to what they were are another document.
    """
    parts = sorted(
        (one.instance_uid, one.frame_number or 0, repr(one.score), one.contract_digest)
        for one in scores
    )
    more = [] if after is None else [after]
    return stable_uid("document", LAYOUT, study_uid, *parts, *more)


def series_uid(study_uid: str) -> str:
    """The Series Instance UID of all our documents in a study."""
    return stable_uid("series", study_uid)


@dataclass(frozen=True)
class Version:
    """uid: SOP Instance UID. number: of the version, from 1. predecessor: UID of the one before."""

    uid: str
    number: int
    predecessor: str | None


def result_document(
    images: Sequence[tuple[ExportImage, SourceImage]], version: Version
) -> Comprehensive3DSR:
    """Make the document of a study.

    Args:
        images: of one study, at least one, each with what was read from its file.
    """
    ordered = sorted(images, key=lambda pair: (pair[1].instance_uid, pair[0].frame_number or 0))
    contracts = list({image.contract.digest: image.contract for image, _ in ordered}.values())
    newest = max(image.scored_at for image, _ in ordered).astimezone()
    study_uid = ordered[0][1].study_uid
    headers = list({source.instance_uid: source.header for _, source in ordered}.values())
    device = _newest(ordered)
    document = Comprehensive3DSR(
        evidence=headers,
        content=_report(ordered, device)[0],
        series_instance_uid=series_uid(study_uid),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=version.uid,
        instance_number=version.number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=device.model_id[:64],
        software_versions=__version__,
        device_serial_number=device.model_sha256[:16],
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=_predecessors(study_uid, version),
        coding_schemes=[
            CodingSchemeIdentificationItem(SCHEME, SCHEME_NAME, uid=stable_uid("coding scheme"))
        ],
        contributing_equipment=[_equipment(contract, newest) for contract in contracts],
        content_date=newest.date(),
        content_time=newest.time(),
        specific_character_set=_character_set(headers),
    )
    document.InstanceCreationDate, document.InstanceCreationTime = (
        document.ContentDate, document.ContentTime,
    )  # fmt: skip
    for item in document.ContributingEquipmentSequence:
        # highdicom's own has the time of the call; a document is the same every time
        item.ContributionDateTime = DT(newest.replace(tzinfo=None))
    return document


def as_file(document: Dataset) -> bytes:
    """The document as a Part 10 file."""
    buffer = io.BytesIO()
    document.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _newest(pairs: Sequence[tuple[ExportImage, SourceImage]]) -> ModelContract:
    return max(pairs, key=lambda pair: pair[0].scored_at)[0].contract


def _report(
    pairs: Sequence[tuple[ExportImage, SourceImage]], device: ModelContract
) -> MeasurementReport:
    attributes = DeviceObserverIdentifyingAttributes(
        uid=device.device_uid,
        name=f"{device.model_id} {device.model_version}",
        manufacturer_name=MANUFACTURER,
        model_name=device.model_id,
        serial_number=device.model_sha256,
    )
    observer = ObserverContext(CodedConcept("121007", "DCM", "Device"), attributes)
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        title=CodedConcept("126000", "DCM", "Imaging Measurement Report"),
        imaging_measurements=[_group(image, source) for image, source in pairs],
    )


def _group(image: ExportImage, source: SourceImage) -> MeasurementsAndQualitativeEvaluations:
    contract = image.contract
    raised = QualitativeEvaluation(
        CodedConcept(RAISED, SCHEME, RAISED_MEANING), CodedConcept("373066001", "SCT", "Yes")
    )
    frames = [image.frame_number] if source.frames > 1 and image.frame_number else None
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(image, source),
        finding_type=CodedConcept("95324001", "SCT", "Skin lesion"),
        finding_sites=_sites(source),
        algorithm_id=AlgorithmIdentification(
            name=contract.model_id,
            version=contract.model_version,
            family=CodedConcept("123110", "DCM", "Artificial Intelligence"),
            parameters=contract.parameters(),
        ),
        measurements=[
            Measurement(
                name=CodedConcept(SCORE, SCHEME, SCORE_MEANING),
                value=round(image.score, 6),
                unit=CodedConcept("1", "UCUM", "no units"),
            )
        ],
        qualitative_evaluations=[raised] if image.is_alert else [],
        source_images=[
            SourceImageForMeasurementGroup(source.header.SOPClassUID, source.instance_uid, frames)
        ],
    )


def _tracking(image: ExportImage, source: SourceImage) -> TrackingIdentifier:
    """The image's own; else one that is the same for all images of the lesion, and names nobody."""
    uid = source.tracking_uid or stable_uid("lesion", image.lesion_id or image.image_id)
    return TrackingIdentifier(uid=uid, identifier=source.tracking_id or uid)


def _sites(source: SourceImage) -> list[FindingSite] | None:
    if source.site is None:
        return None
    value, scheme, meaning = source.site
    side = _SIDES.get(source.laterality or "")
    laterality = CodedConcept(side[0], "SCT", side[1]) if side else None
    return [FindingSite(CodedConcept(value, scheme, meaning), laterality)]


def _equipment(contract: ModelContract, when: datetime) -> ContributingEquipment:
    item = ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=CodedConcept("109102", "DCM", "Processing Equipment"),
        manufacturer_model_name=contract.model_id[:64],
        software_versions=[contract.model_version[:64], __version__],
        device_serial_number=contract.model_sha256[:16],
        contribution_datetime=when.replace(tzinfo=None),
        contribution_description=f"melanoma score, model sha256 {contract.model_sha256}",
    )
    item.DeviceUID = contract.device_uid
    return item


def _predecessors(study_uid: str, version: Version) -> list[Dataset] | None:
    if version.predecessor is None:
        return None
    before = Dataset()
    before.SOPClassUID = Comprehensive3DSRStorage
    before.SOPInstanceUID = version.predecessor
    before.StudyInstanceUID = study_uid
    before.SeriesInstanceUID = series_uid(study_uid)
    return [before]


def _character_set(headers: Sequence[Dataset]) -> str | None:
    """None for ASCII, which every reader knows; else UTF-8."""
    words = (str(element.value) for header in headers for element in header)
    return None if all(word.isascii() for word in words) else "ISO_IR 192"
