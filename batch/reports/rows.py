"""Makes the rows of the tables from records."""

from __future__ import annotations

import dataclasses
import os
import re

from batch.core.fingerprints import digest_of
from batch.core.records import (
    KEPT_ATTRIBUTES,
    Alert,
    FileOutcome,
    Fingerprints,
    Prediction,
    RunFacts,
    Unscored,
    is_alert,
)
from batch.reports.schema import FROM_MANIFEST, MANIFEST_ONLY, SCHEMA_VERSION

Row = dict[str, object]


ESCAPED_BYTE = re.compile(r"\\x[0-9a-f]{2}")


def segment_facts(facts: RunFacts) -> dict[str, object]:
    """Schema version and digest of what a segment's rows depend on.

    A later run takes up only segments with equal facts.
    """
    point = facts.operating_point
    parts = [vars(facts.fingerprints), facts.model_id, facts.model_version, vars(point)]
    return {"schema_version": SCHEMA_VERSION, "made_with": digest_of(parts)}


def path_columns(path: str) -> Row:
    r"""The columns `path`, for people, and `path_bytes`, which is null unless `path` is escaped.

    A name is escaped if it is not UTF-8 or holds `\xNN` itself: a backslash is doubled, and a byte
    that is not UTF-8 becomes `\xNN`. So two names never have the same `path`.

    Args:
        path: with surrogate escapes for bytes that are not UTF-8 (PEP 383).
    """
    raw = os.fsencode(path)
    try:
        text = raw.decode("utf-8")
        if not ESCAPED_BYTE.search(text):
            return {"path": text, "path_bytes": None}
    except UnicodeDecodeError:
        pass
    escaped = raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return {"path": escaped, "path_bytes": raw}


def prediction_row(prediction: Prediction, facts: RunFacts) -> Row:
    """A row of `predictions`."""
    record = {
        field.name: getattr(prediction.record, field.name)
        for field in dataclasses.fields(prediction.record)
    }
    return {
        **record,
        **path_columns(prediction.record.path),
        **dict.fromkeys(MANIFEST_ONLY),
        "flags": list(prediction.record.flags),
        "class_scores": list(prediction.class_scores),
        "predicted_class": prediction.predicted_class,
        "melanoma_score": prediction.melanoma_score,
        "domain_percentile": prediction.domain_percentile,
        "dermoscopy_score": prediction.dermoscopy_score,
        "is_alert": is_alert(prediction.melanoma_score, facts.operating_point),
        "operating_point": facts.operating_point.name,
        "threshold": facts.operating_point.threshold,
        "model_id": facts.model_id,
        "model_version": facts.model_version,
        "model_sha256": facts.model_sha256,
        "preprocessing_version": facts.preprocessing_version,
        "run_id": facts.run_id,
        "scored_at": facts.started_at,
    }


def silent_row(result: Prediction | Unscored, facts: RunFacts) -> Row:
    """A row of `silent_predictions`. facts: of the silent model."""
    record = result if isinstance(result, Unscored) else result.record
    row: Row = {
        **path_columns(record.path),
        "image_id": record.image_id,
        "frame_number": record.frame_number,
        "content_sha256": record.content_sha256,
        "operating_point": facts.operating_point.name,
        "threshold": facts.operating_point.threshold,
        "model_id": facts.model_id,
        "model_version": facts.model_version,
        "model_sha256": facts.model_sha256,
        "scoring_fingerprint": facts.fingerprints.scoring,
        "preprocessing_version": facts.preprocessing_version,
        "run_id": facts.run_id,
        "scored_at": facts.started_at,
    }
    if isinstance(result, Unscored):
        empty = dict.fromkeys(("class_scores", "predicted_class", "melanoma_score", "would_alert"))
        return {**row, **empty, "reason": result.reason.value, "detail": result.detail}
    return {
        **row,
        "class_scores": list(result.class_scores),
        "predicted_class": result.predicted_class,
        "melanoma_score": result.melanoma_score,
        "would_alert": is_alert(result.melanoma_score, facts.operating_point),
        "reason": None,
        "detail": "",
    }


def alert_row(alert: Alert, facts: RunFacts) -> Row:
    """A row of `alerts`."""
    return {
        **prediction_row(alert.prediction, facts),
        "sensitivity": alert.operating_point.sensitivity,
        "specificity": alert.operating_point.specificity,
        "validation_set": alert.operating_point.validation_set,
        "review_status": alert.review_status,
    }


def unscored_row(unscored: Unscored, facts: RunFacts) -> Row:
    """A row of `unscored`."""
    return {
        **path_columns(unscored.path),
        "image_id": unscored.image_id,
        "frame_number": unscored.frame_number,
        "content_sha256": unscored.content_sha256,
        **{name: getattr(unscored, name) for name in KEPT_ATTRIBUTES},
        FROM_MANIFEST: None,
        "stage": unscored.stage.value,
        "reason": unscored.reason.value,
        "detail": unscored.detail,
        "run_id": facts.run_id,
        "recorded_at": facts.started_at,
    }


def file_row(outcome: FileOutcome, facts: RunFacts) -> Row:
    """A row of `files`."""
    return {
        **path_columns(outcome.location.path),
        "size": outcome.location.size,
        "mtime_ns": outcome.location.mtime_ns,
        "content_sha256": outcome.content_sha256,
        "file_format": outcome.file_format,
        "state": outcome.state.value,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "frames": outcome.frames,
        "frames_scored": outcome.frames_scored,
        "frames_unscored": outcome.frames_unscored,
        "attempts": outcome.attempts,
        **fingerprint_columns(facts.fingerprints),
        "run_id": facts.run_id,
    }


def fingerprint_columns(fingerprints: Fingerprints) -> Row:
    """The columns of `files` that say what a file's result depended on."""
    return {
        "program_version": fingerprints.program_version,
        "failure_fingerprint": fingerprints.failure,
        "identity_fingerprint": fingerprints.identity,
        "scoring_fingerprint": fingerprints.scoring,
    }
