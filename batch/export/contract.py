"""What both exports share: identifiers that are the same every time, own codes, and the model.

Identifiers are made of what they name (UUID version 5), so that an export that is repeated stores
nothing twice. A DICOM UID is the same UUID as a number below 2.25 (PS3.5 B.2).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from batch import __version__

_NAMESPACE = uuid.UUID("6f1d6c3e-5a0b-5f0e-9c55-2f6f0f8f7d11")
LAYOUT = "1"
"""Version of what the exports look like; a new one gives every document a new identifier."""

SCHEME, SCHEME_NAME = "99MELBATCH", "melanoma-batch codes"
SCORE, SCORE_MEANING = "melanoma-score", "Melanoma score"
RAISED, RAISED_MEANING = "raised-review", "Raised for review at operating point"
REVIEW, REVIEW_MEANING = "dermatologist-review", "Dermatologist review of a lesion"
MANUFACTURER = "melanoma-batch"
NO_DIAGNOSIS = "Ranks images for a person's review. No diagnosis; no alert does not mean cleared."


def stable_uuid(*parts: object) -> uuid.UUID:
    """A UUID that is the same for the same parts."""
    return uuid.uuid5(_NAMESPACE, json.dumps([str(part) for part in parts]))


def stable_uid(*parts: object) -> str:
    """A DICOM UID that is the same for the same parts."""
    return f"2.25.{stable_uuid(*parts).int}"


@dataclass(frozen=True)
class ModelContract:
    """A model, how its input is made, and the operating point that was applied.

    sensitivity, specificity: 0..1, measured on validation_set; None where no run.json tells them
        any more, as for scores of a night that was made with another model.
    """

    model_id: str
    model_version: str
    model_sha256: str
    preprocessing_version: str
    operating_point: str
    threshold: float
    sensitivity: float | None = None
    specificity: float | None = None
    validation_set: str | None = None

    @property
    def digest(self) -> str:
        """Names the contract: 32 hex digits. What was measured is left out: it names nothing."""
        named = (self.model_sha256, self.preprocessing_version, self.operating_point)
        return stable_uuid("contract", LAYOUT, *named, repr(self.threshold)).hex

    @property
    def device_uid(self) -> str:
        """UID of this model, with its contract, as a device."""
        return stable_uid("device", self.digest)

    def parameters(self) -> list[str]:
        """The parameters of the algorithm as `name=value`."""
        known = asdict(self)
        names = ("model_sha256", "preprocessing_version", "operating_point")
        words = [f"{name}={known[name]}" for name in names]
        words.append(f"threshold={self.threshold!r}")
        if self.validation_set is not None:
            words.append(f"validation_set={self.validation_set}")
        for name in ("sensitivity", "specificity"):
            if known[name] is not None:
                words.append(f"{name}_on_validation_set={known[name]:.3f}")
        return [*words, f"program_version={__version__}"]


def contract_of(row: Mapping[str, Any], run: Mapping[str, Any] | None) -> ModelContract:
    """The contract of a row of `current`.

    Args:
        run: run.json of a night that may have measured figures of its operating point.
    """
    return ModelContract(
        model_id=row["model_id"],
        model_version=row["model_version"],
        model_sha256=row["model_sha256"],
        preprocessing_version=row["preprocessing_version"],
        operating_point=row["operating_point"],
        threshold=row["threshold"],
        **_measured(row, run or {}),
    )


def _measured(row: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    model = run.get("model")
    point = model.get("operating_point") if isinstance(model, Mapping) else None
    if not isinstance(model, Mapping) or not isinstance(point, Mapping):
        return {}
    is_same = (
        model.get("model_sha256") == row["model_sha256"]
        and point.get("name") == row["operating_point"]
        and point.get("threshold") == row["threshold"]
    )
    names = ("sensitivity", "specificity", "validation_set")
    return {name: point.get(name) for name in names} if is_same else {}
