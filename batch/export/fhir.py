"""FHIR R4 resources of a night: Device, Observation, Task. Pure.

A score is a preliminary Observation with the security label of a statement made by software. What
asks for a look is a Task for a dermatologist; a mark completes it. There is no DiagnosticReport, no
RiskAssessment and no DetectedIssue: the first is the doctor's, the others claim what no score says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from batch import __version__
from batch.core.privacy import Identifiers
from batch.export.contract import (
    LAYOUT,
    MANUFACTURER,
    NO_DIAGNOSIS,
    RAISED,
    RAISED_MEANING,
    REVIEW,
    REVIEW_MEANING,
    SCORE,
    SCORE_MEANING,
    ModelContract,
    stable_uid,
    stable_uuid,
)
from batch.export.selection import ExportImage, ExportLesion
from batch.review.worklist.contract import Tier

Resource = dict[str, Any]

CODES = f"urn:oid:{stable_uid('coding scheme')}"
"""The code system of own codes, the same as in DICOM SR."""
DEVICES = f"urn:oid:{stable_uid('system', 'device')}"
OBSERVATIONS = f"urn:oid:{stable_uid('system', 'observation')}"
TASKS = f"urn:oid:{stable_uid('system', 'task')}"
PSEUDONYMS = f"urn:oid:{stable_uid('system', 'patient pseudonym')}"
CONTENTS = f"urn:oid:{stable_uid('system', 'sha-256 of a file')}"
REPLACES = "http://hl7.org/fhir/StructureDefinition/observation-replaces"
_TERMS = "http://terminology.hl7.org/CodeSystem"
_UCUM = "http://unitsofmeasure.org"
_DAY = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
_SIDES = {"R": "right", "L": "left", "B": "right and left", "U": "unilateral"}


@dataclass(frozen=True)
class Level:
    """How much identity the resources hold. identifiers: of the export."""

    identifiers: Identifiers

    @property
    def has_uids(self) -> bool:
        """Whether studies and instances may be named."""
        return self.identifiers != Identifiers.NONE

    @property
    def has_patients(self) -> bool:
        """Whether patients may be named by their number."""
        return self.identifiers == Identifiers.FULL

    def subject(self, image: ExportImage) -> Resource | None:
        """The patient: by number with full identifiers, else by pseudonym; None without one."""
        if self.has_patients and image.patient_id is not None:
            identifier: Resource = {"value": image.patient_id}
            if image.issuer_of_patient_id is not None:
                identifier["assigner"] = {"display": image.issuer_of_patient_id}
        elif image.patient_pseudonym is not None:
            identifier = {"system": PSEUDONYMS, "value": image.patient_pseudonym}
        else:
            return None
        return {"type": "Patient", "identifier": identifier}


def observation_value(image: ExportImage, after: str | None = None) -> str:
    """The identifier of the Observation of a score.

    Args:
        after: the Observation before it, only where the same score was exported before that one.
    """
    parts = (image.image_id, repr(image.score), image.contract.digest)
    return stable_uuid("observation", LAYOUT, *parts, *([] if after is None else [after])).hex


def absent_value(image_id: str, contract: ModelContract) -> str:
    """The identifier of the Observation of an image without a score."""
    return stable_uuid("observation", LAYOUT, image_id, "no score", contract.digest).hex


def reference(resource: Resource) -> Resource:
    """A reference to a resource of the same export."""
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def device(contract: ModelContract) -> Resource:
    """A model with its contract, as a device."""
    versions = {
        "model version": contract.model_version,
        "model SHA-256": contract.model_sha256,
        "preprocessing version": contract.preprocessing_version,
        "program version": __version__,
    }
    return {
        **_head("Device", DEVICES, contract.digest),
        "status": "active",
        "manufacturer": MANUFACTURER,
        "deviceName": [{"name": contract.model_id, "type": "model-name"}],
        "modelNumber": contract.model_id,
        "version": [
            {"type": {"text": name}, "value": value} for name, value in versions.items() if value
        ],
        "note": [{"text": f"{_point(contract)} {NO_DIAGNOSIS}"}],
    }


def observation(
    image: ExportImage, level: Level, value: str, replaces: str | None = None
) -> Resource:
    """The score of an image.

    Args:
        value: of its identifier. replaces: that of the Observation that it amends.
    """
    contract = image.contract
    components: list[Resource] = [
        _component("threshold", "Threshold of the operating point",
                   {"valueQuantity": _score(contract.threshold)}),
        _component("operating-point", "Operating point", {"valueString": contract.operating_point}),
    ]  # fmt: skip
    if image.is_alert:  # left out, not negated: no alert never means cleared
        yes = {"coding": [{"system": "http://snomed.info/sct", "code": "373066001"}], "text": "Yes"}
        components.append(_component(RAISED, RAISED_MEANING, {"valueCodeableConcept": yes}))
    found = _observation_head(value, replaces, contract, level.subject(image))
    found |= _when(image)
    found["issued"] = _instant(image.scored_at)
    found["valueQuantity"] = _score(round(image.score, 6))
    site = ", ".join(
        word for word in (image.anatomic_region, _SIDES.get(image.laterality or "")) if word
    )
    if site:
        found["bodySite"] = {"text": site}
    found["derivedFrom"] = [_origin(image, level)]
    if level.has_patients and image.accession_number:
        kind = {"coding": [{"system": f"{_TERMS}/v2-0203", "code": "ACSN"}]}
        identifier = {"type": kind, "value": image.accession_number}
        found["basedOn"] = [{"type": "ServiceRequest", "identifier": identifier}]
    found["component"] = components
    return found


def absent_observation(image_id: str, contract: ModelContract) -> Resource:
    """An image without a score: a person must look."""
    found = _observation_head(absent_value(image_id, contract), None, contract, None)
    found["dataAbsentReason"] = {
        "coding": [{"system": f"{_TERMS}/data-absent-reason", "code": "error"}],
        "text": "The image could not be scored; a person must look at it.",
    }
    return found


def task(
    lesion: ExportLesion,
    value: str,
    observations: Sequence[Resource],
    model: Resource,
    subject: Resource | None,
    level: Level,
    scored_at: datetime | None,
) -> Resource:
    """The review of a lesion: requested, or completed when a mark closes it.

    Args:
        value: of its identifier. observations: of its images, the highest score first.
        model: the Device that asks. scored_at: newest of its images.
    """
    changes = [lesion.first_listed_at, scored_at, lesion.reviewed_at if lesion.is_closed else None]
    found: Resource = {
        **_head("Task", TASKS, value),
        "status": "completed" if lesion.is_closed else "requested",
        "businessStatus": {"text": lesion.status},
        "intent": "proposal",
        "priority": "urgent" if lesion.tier == Tier.ALERT else "routine",
        "code": {"coding": [{"system": CODES, "code": REVIEW}], "text": REVIEW_MEANING},
        "description": f"Listed as {lesion.tier.replace('_', ' ')}. {NO_DIAGNOSIS}",
    }
    if observations:
        found["focus"] = reference(observations[0])
    if subject is not None:
        found["for"] = subject
    if lesion.is_closed and lesion.reviewed_at is not None:
        found["executionPeriod"] = {"end": _instant(lesion.reviewed_at)}
    found["authoredOn"] = _instant(lesion.first_listed_at)
    found["lastModified"] = _instant(max(at for at in changes if at is not None))
    found["requester"] = reference(model)
    found["performerType"] = [{"text": "Dermatologist"}]
    if len(observations) > 1:
        found["input"] = [
            {"type": {"text": "score of another image"}, "valueReference": reference(other)}
            for other in observations[1:]
        ]
    if lesion.is_closed and lesion.decision and level.has_patients:  # free words of a person
        found["output"] = [{"type": {"text": "decision"}, "valueString": lesion.decision}]
    return found


def cancelled(before: Mapping[str, Any], now: datetime) -> Resource:
    """A Task whose lesion is on the list no more, although no mark closed it."""
    kept = {name: value for name, value in before.items() if name not in ("focus", "input")}
    return {
        **kept,
        "status": "cancelled",
        "statusReason": {
            "text": "No longer on the list by the newest scores. This does not mean cleared."
        },
        "businessStatus": {"text": "not listed"},
        "lastModified": _instant(now),
    }


def bundle(resources: Sequence[Resource]) -> Resource:
    """A transaction that creates or updates each resource by its identifier."""
    urls = {f"{one['resourceType']}/{one['id']}": f"urn:uuid:{one['id']}" for one in resources}
    entries = []
    for one in resources:
        identifier = one["identifier"][0]
        query = f"{one['resourceType']}?identifier={identifier['system']}|{identifier['value']}"
        entries.append(
            {
                "fullUrl": f"urn:uuid:{one['id']}",
                "resource": _with_urls({k: v for k, v in one.items() if k != "id"}, urls),
                "request": {"method": "PUT", "url": query},
            }
        )
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _with_urls(value: Any, urls: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_with_urls(one, urls) for one in value]
    if isinstance(value, dict):
        return {
            name: urls.get(one, one) if name == "reference" else _with_urls(one, urls)
            for name, one in value.items()
        }
    return value


def _head(kind: str, system: str, value: str) -> Resource:
    return {
        "resourceType": kind,
        "id": str(stable_uuid("resource", kind, value)),
        "identifier": [{"system": system, "value": value}],
    }


def _observation_head(
    value: str, replaces: str | None, contract: ModelContract, subject: Resource | None
) -> Resource:
    found = _head("Observation", OBSERVATIONS, value)
    security = {
        "system": f"{_TERMS}/v3-ObservationValue",
        "code": "AIAST",
        "display": "Artificial Intelligence asserted",
    }
    found["meta"] = {"security": [security]}
    if replaces is not None:
        before = {
            "type": "Observation", "identifier": {"system": OBSERVATIONS, "value": replaces},
        }  # fmt: skip
        found["extension"] = [{"url": REPLACES, "valueReference": before}]
    found["status"] = "preliminary"
    category = {"system": f"{_TERMS}/observation-category", "code": "imaging"}
    found["category"] = [{"coding": [category]}]
    found["code"] = {"coding": [{"system": CODES, "code": SCORE}], "text": SCORE_MEANING}
    if subject is not None:
        found["subject"] = subject
    found["device"] = reference(device(contract))
    found["note"] = [{"text": NO_DIAGNOSIS}]
    return found


def _component(code: str, text: str, value: Resource) -> Resource:
    return {"code": {"coding": [{"system": CODES, "code": code}], "text": text}, **value}


def _score(value: float) -> Resource:
    return {"value": value, "system": _UCUM, "code": "1"}


def _point(contract: ModelContract) -> str:
    words = f"Operating point {contract.operating_point}: threshold {contract.threshold:.4f}"
    if contract.sensitivity is None or contract.specificity is None:
        return f"{words}."
    return (
        f"{words}, sensitivity {contract.sensitivity:.3f} and specificity "
        f"{contract.specificity:.3f} on {contract.validation_set}."
    )


def _origin(image: ExportImage, level: Level) -> Resource:
    """The study of a DICOM image; for others the file's digest."""
    if image.is_dicom and level.has_uids and image.study_instance_uid:
        frame = f", frame {image.frame_number}" if image.frame_number else ""
        return {
            "type": "ImagingStudy",
            "identifier": {
                "system": "urn:dicom:uid",
                "value": f"urn:oid:{image.study_instance_uid}",
            },
            "display": f"SOP instance {image.sop_instance_uid}{frame}",
        }
    return {"type": "Media", "identifier": {"system": CONTENTS, "value": image.content_sha256}}


def _when(image: ExportImage) -> Resource:
    """The time of the photograph; only its day where the source has no time zone."""
    told = image.acquisition_datetime or ""
    try:
        at = datetime.fromisoformat(told)
        if at.tzinfo is not None:
            return {"effectiveDateTime": _instant(at)}
    except ValueError:
        pass
    day = _DAY.match(told)
    return {"effectiveDateTime": day[0]} if day else {}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
