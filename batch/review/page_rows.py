"""The worklist's frames as the plain values that the page carries: JSON and nothing else. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from batch.core.times import local, offset_minutes, zero_offset
from batch.review.contract import MARK_COLUMNS, ReviewWorklist, Status, Tier

_FILE_KEYS = ("sha256:", "FILE:", "IMAGE:")
_LABEL_MOST, _PATIENT_MOST = 40, 14
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def plain(value: Any) -> Any:
    """A cell as JSON has it: None for what is missing, Python's own numbers, lists, dicts, text."""
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset) or hasattr(value, "tolist"):
        found = value.tolist() if hasattr(value, "tolist") else list(value)
        return [plain(each) for each in found] if isinstance(found, list) else plain(found)
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return value if abs(value) != float("inf") and value == value else None
    if isinstance(value, bool | int):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Every row, with plain values; bytes are left out."""
    columns = [name for name in frame.columns if name != "path_bytes"]
    return [{str(k): plain(v) for k, v in row.items()} for row in frame[columns].to_dict("records")]


def script_json(value: Any) -> str:
    """JSON that ends no script element and starts no comment in one: ASCII, without < > &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def lesion_label(key: str, paths: Iterable[str]) -> str:
    """What a person calls a lesion: its name or its file's; a UID by its end."""
    kind, _, rest = key.partition(":")
    if key.startswith(_FILE_KEYS):
        name = next(iter(paths), rest).rsplit("/", 1)[-1] or rest
    elif kind in ("TRACKING", "PATTERN"):
        name = rest.rsplit("/", 1)[-1] or rest
    else:
        return _end_of(key.split("@", 1)[0], _LABEL_MOST // 2)
    return _end_of(name, _LABEL_MOST)


def patient_label(key: str) -> str:
    """A patient's pseudonym by its start, an ID without its issuer."""
    if key.startswith("PATTERN:"):
        return _end_of(key.removeprefix("PATTERN:"), _LABEL_MOST)
    if "|" in key:
        return _end_of(key.split("|", 1)[1], _LABEL_MOST)
    return key if len(key) <= _PATIENT_MOST else key[: _PATIENT_MOST - 1] + _ELLIPSIS


def _patient_name(row: Mapping[str, Any]) -> str | None:
    """The hospital's own number where the reports carry it, else what the key shows."""
    key, patient_id = row["patient_key"], row["patient_id"]
    if patient_id:
        return _end_of(patient_id, _LABEL_MOST)
    return None if key is None else patient_label(key)


def page_data(
    worklist: ReviewWorklist, pictures: Mapping[str, int], attention: Mapping[str, int]
) -> dict[str, Any]:
    """Lesions with their images, and the marks that are known of others.

    Args:
        pictures, attention: image_id to the number of its picture on the page.
    """
    images: dict[str, list[dict[str, Any]]] = {}
    image_rows = rows(worklist.images)
    classes = list(dict.fromkeys(c for row in image_rows for c in row["class_scores"] or {}))
    for row in image_rows:
        image = _image(row, classes, pictures, attention)
        images.setdefault(row["lesion_key"], []).append(image)
    all_rows = rows(worklist.lesions)
    listed = [row for row in all_rows if row["tier"] != Tier.BELOW]
    unseen = [row for row in all_rows if row["tier"] == Tier.BELOW]
    if worklist.off_page is not None:
        unseen += rows(worklist.off_page)
    hidden = [row for row in unseen if row["decision"] is not None]
    return {
        "classes": classes,
        "melanoma_class": _melanoma_class(image_rows),
        "mark_columns": list(MARK_COLUMNS),
        "night": local(worklist.facts.night),
        "is_first_night": worklist.facts.previous_night is None,
        "offset_minutes": offset_minutes(worklist.facts.night),
        "zero_offset": zero_offset(worklist.facts.night),
        "has_pictures": bool(pictures),
        "lesions": [_lesion(row, images.get(row["lesion_key"], [])) for row in listed],
        "kept_marks": [{"key": row["lesion_key"], **_mark(row)} for row in hidden],
    }


def _lesion(row: Mapping[str, Any], images: list[dict[str, Any]]) -> dict[str, Any]:
    patient = row["patient_key"]
    return {
        "key": row["lesion_key"],
        "label": lesion_label(row["lesion_key"], row["paths"] or ()),
        "rank": row["rank"],
        "tier": row["tier"],
        "status": row["status"],
        "score": row["max_score"],
        "mean": _rounded(row["mean_score"]),
        "threshold": _rounded(row["threshold"]),
        "margin": _rounded(row["margin"]),
        "previous": _rounded(row["previous_score"]),
        "change": _rounded(row["score_change"]),
        "previous_model": row["previous_model_version"],
        "first_listed_at": local(row["first_listed_at"]),
        "first_alerted_at": local(row["first_alerted_at"]),
        "patient": patient,
        "patient_label": _patient_name(row),
        "patient_id": row["patient_id"],
        "issuer": row["issuer_of_patient_id"],
        "rank_in_patient": row["rank_in_patient"],
        "lesions_of_patient": row["lesions_of_patient"],
        "is_outlier": bool(row["is_outlier"]),
        "site": row["anatomic_site"],
        "side": row["laterality"],
        "acquired": row["acquisition_datetime"],
        "image_count": row["image_count"],
        "unreadable_count": row["unreadable_count"],
        "flags": row["flags"] or [],
        "reason": row["reason"],
        "accession": ", ".join(row["accession_numbers"] or ()) or None,
        "study_uids": row["study_instance_uids"] or [],
        "mark": None if row["decision"] is None else _mark(row),
        "images": sorted(images, key=lambda image: image["taken"] or "~"),  # left to right in time
    }


def _image(
    row: Mapping[str, Any],
    classes: list[str],
    pictures: Mapping[str, int],
    attention: Mapping[str, int],
) -> dict[str, Any]:
    scores = row["class_scores"] or {}
    return {
        "id": row["image_id"],
        "path": row["path"],
        "frame": row["frame_number"],
        "score": _rounded(row["melanoma_score"]),
        "threshold": _rounded(row["threshold"]),
        "predicted": row["predicted_class"],
        "classes": [_rounded(scores.get(name), 4) for name in classes] if scores else None,
        "taken": row["acquisition_datetime"],
        "scored_at": local(row["scored_at"]),
        "arrival": row.get("arrival"),
        "earlier": [
            [local(night), _rounded(score, 4), model]
            for night, score, model in row["earlier_scores"] or ()
        ],
        "flags": row["flags"] or [],
        "left": "left_archive" in (row["flags"] or []),
        "picture": pictures.get(row["image_id"]),
        "attention": attention.get(row["image_id"]),
    }


def _mark(row: Mapping[str, Any]) -> dict[str, Any]:
    """A mark that the run had read; it closes as much when it is exported again."""
    seen = row["reviewed_images"] or []
    return {
        "decision": row["decision"],
        "reviewer": row["reviewer"] or "",
        "reviewed_at": local(row["reviewed_at"]) or "",
        "score": row["reviewed_score"],
        "image_count": len(seen) or None,
        "closes": row["status"] == Status.REVIEWED,
    }


def _melanoma_class(image_rows: Iterable[Mapping[str, Any]]) -> str | None:
    """The class whose score every image's melanoma score is; its name is the manifest's."""
    names: set[str] | None = None
    for row in image_rows:
        scores, score = row["class_scores"], row["melanoma_score"]
        if scores and score is not None:
            same = {name for name, value in scores.items() if abs(value - score) < 1e-9}
            names = same if names is None else names & same
    return min(names) if names else None


def _rounded(value: float | None, digits: int = 6) -> float | None:
    return None if value is None else round(value, digits)


def _end_of(text: str, most: int) -> str:
    return text if len(text) <= most else _ELLIPSIS + text[-most + 1 :]
