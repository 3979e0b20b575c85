"""The worklist's frames as the plain values that the page carries: JSON and nothing else. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from batch.core.times import local, minute, offset_minutes, zero_offset, zone
from batch.review.monitoring.charts import checked_svg
from batch.review.monitoring.flag_counts import FLAGS, shown_groups
from batch.review.worklist.contract import MARK_COLUMNS, ReviewWorklist, Status, Tier
from batch.review.worklist.status import RISE

if TYPE_CHECKING:
    from batch.core.records import OperatingPoint
    from batch.review.monitoring.night_report import NightReport
    from batch.review.page.pictures import PagePictures

_PICTURE_NAME = re.compile(r"[0-9a-f]{32}\.jpg")
_PREFIX = re.compile(r"(\.\./)*pictures/")
_DATA_URI = re.compile(r"data:image/(jpeg|png);base64,[A-Za-z0-9+/]+={0,2}")
_FILE_KEYS = ("sha256:", "FILE:", "IMAGE:")
_LABEL_MOST, _PATIENT_MOST, _UID_END = 40, 14, 7
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
        return _end_of(key.split("@", 1)[0], _UID_END)
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


def page_data(worklist: ReviewWorklist, pictures: PagePictures) -> dict[str, Any]:
    """Lesions with their images, and the marks that are known of others."""
    images: dict[str, list[dict[str, Any]]] = {}
    image_rows = rows(worklist.images)
    classes = list(dict.fromkeys(c for row in image_rows for c in row["class_scores"] or {}))
    for row in image_rows:
        images.setdefault(row["lesion_key"], []).append(_image(row, classes, pictures))
    unread: dict[str, list[dict[str, Any]]] = {}
    for row in rows(worklist.unreadable):
        file = {"path": row["path"], "reason": row["reason"]}
        unread.setdefault(row["lesion_key"], []).append(file)
    all_rows = rows(worklist.lesions)
    listed = [row for row in all_rows if row["tier"] != Tier.BELOW]
    unseen = [row for row in all_rows if row["tier"] == Tier.BELOW]
    if worklist.off_page is not None:
        unseen += rows(worklist.off_page)
    hidden = [row for row in unseen if row["decision"] is not None]
    facts, point = worklist.facts, worklist.facts.operating_point
    return {
        "classes": classes,
        "melanoma_class": _melanoma_class(image_rows),
        "mark_columns": list(MARK_COLUMNS),
        "decisions": list(DECISIONS),
        "tiers": [tier.value for tier in LISTED],
        "night": local(facts.night),
        "offset_minutes": offset_minutes(facts.night),
        "zero_offset": zero_offset(facts.night),
        "below": facts.archive.get("below", 0),
        "caution": facts.caution,
        "of_100_alerts": melanomas_of_100_alerts(point),
        "missed_of_100": math.ceil(round(100 * (1 - point.sensitivity), 6)),
        "rise": RISE,
        "lesions": [
            _lesion(row, images.get(row["lesion_key"], []), unread.get(row["lesion_key"], []))
            for row in listed
        ],
        "kept_marks": [{"key": row["lesion_key"], **_mark(row)} for row in hidden],
    }


def melanomas_of_100_alerts(point: OperatingPoint) -> int | None:
    """How many of 100 alerts were melanoma on the validation set; None without alerts there."""
    hits = point.sensitivity * point.melanomas
    alerts = hits + (1 - point.specificity) * point.others
    return round(100 * hits / alerts) if alerts else None


def _lesion(
    row: Mapping[str, Any], images: list[dict[str, Any]], unread: list[dict[str, Any]]
) -> dict[str, Any]:
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
        "spread": _rounded(row["score_spread"]),
        "margin": _rounded(row["margin"]),
        "previous": _rounded(row["previous_score"]),
        "change": _rounded(row["score_change"]),
        "model": row["model_version"],
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
        "unread": unread,
    }


def _image(row: Mapping[str, Any], classes: list[str], pictures: PagePictures) -> dict[str, Any]:
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
        "model": row["model_version"],
        "scored_at": local(row["scored_at"]),
        "arrival": row.get("arrival"),
        "earlier": [
            [local(night), _rounded(score, 4), model]
            for night, score, model in row["earlier_scores"] or ()
        ],
        "flags": row["flags"] or [],
        "left": "left_archive" in (row["flags"] or []),
        "picture": _picture(pictures, row["image_id"]),
        "attention": pictures.attention.get(row["image_id"]),
        "withheld": row["image_id"] in pictures.withheld,
    }


def _picture(pictures: PagePictures, image_id: str) -> dict[str, Any] | None:
    """Where the picture is.

    Raises:
        ValueError: its name, the way to it or its address is none that the page may link.
    """
    found = pictures.by_image.get(image_id)
    if found is None:
        return None
    if found.uri:
        is_ours = not found.name and _DATA_URI.fullmatch(found.uri)
    else:
        is_ours = _PICTURE_NAME.fullmatch(found.name) and _PREFIX.fullmatch(pictures.prefix)
    if not is_ours:
        raise ValueError("a picture with another name or place than ours, or with no data: URI")
    source = found.uri or pictures.prefix + found.name
    return {"source": source, "width": found.width, "height": found.height}


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


DECISIONS = ("call_back", "follow_up", "no_action", "new_image")
"""What a mark can say, in the order of the keys 1 to 4; reviewed.csv may hold other words too."""


LISTED = (Tier.ALERT, Tier.NEAR_THRESHOLD, Tier.UNREADABLE, Tier.UNRELIABLE)


TIER_LABELS = {
    Tier.ALERT: "Alert",
    Tier.NEAR_THRESHOLD: "Near threshold",
    Tier.UNREADABLE: "Unreadable",
    Tier.UNRELIABLE: "Score not reliable",
    Tier.BELOW: "Below the band",
}


_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def summary(worklist: ReviewWorklist) -> dict[str, Any]:
    """The template's variables, except those of the night's report."""
    facts = worklist.facts
    unreadable, passed_over = rows(worklist.unreadable), worklist.not_looked_at
    return {
        "facts": facts,
        "point": facts.operating_point,
        "of_100_alerts": melanomas_of_100_alerts(facts.operating_point),
        "night": instant(facts.night),
        "zone": shown(zone(facts.night)),
        "archive_sentence": _archive_sentence(facts.archive),
        "below_sentence": _below_sentence(facts.archive.get("below", 0)),
        "unreadable": _by_reason(unreadable),
        "unreadable_total": len(unreadable),
        "not_looked_at": sorted(passed_over.items(), key=lambda item: (-item[1], item[0])),
        "not_looked_at_total": sum(passed_over.values()),
        "changes": [
            {**row, "before": _tier_label(row["tier_before"]), "now": _tier_label(row["tier"])}
            for row in rows(worklist.changes)
        ],
    }


def night(report: NightReport | None) -> dict[str, Any]:
    """The template's variables for the night's report.

    Raises:
        ValueError: a chart with other content than drawings.
    """
    if report is None:
        return {
            "report": None, "charts": (), "rates": (), "durations": (), "unusual": "",
            "flag_names": (), "flag_tables": (),
        }  # fmt: skip
    return {
        "report": report,
        "unusual": _unusual(report) if report.unusual else "",
        "charts": [Markup(checked_svg(chart)) for chart in report.charts.values()],
        "rates": [(name, _rate(name, value)) for name, value in report.rates.items()],
        "durations": [(name, f"{seconds:,.1f}") for name, seconds in report.durations.items()],
        "flag_names": FLAGS,
        "flag_tables": list(_flag_tables(report)),
    }


def _flag_tables(report: NightReport) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Heading and rows: name, images, shares by flag, and the least sharpness of a device."""
    for heading, groups in (("Device", report.flags.devices), ("Site", report.flags.sites)):
        found = []
        for name, group in shown_groups(groups):
            bound = report.bounds.of_device(name) if report.bounds and heading == "Device" else None
            shares = [f"{group.share(flag) or 0:.1%}" for flag in FLAGS]
            found.append({"name": name, "images": group.images, "shares": shares, "bound": bound})
        if found:
            yield heading, found


def _unusual(report: NightReport) -> str:
    """One line, since the list begins below it: the only thing that is unusual, or all by name."""
    drifts = [each.sentence for each in report.drift if each.unusual]
    if len(drifts) == 1:
        return drifts[0]
    named = report.sentences[0].removeprefix("Unusual night: ")
    return named[:1].upper() + named[1:]


def shown(value: object) -> str:
    """Text for people: what would hide, or turn round what follows, is shown by its number."""
    text = "" if value is None else str(value)
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def words(value: object) -> str:
    """A name of ours, such as a reason, as words."""
    return shown(value).replace("_", " ")


def instant(text: str | None) -> str:
    """ISO 8601 as `2026-11-21 03:00 +01:00`, of this machine's zone; other text as it is."""
    return shown(minute(text or ""))


def percent(share: float) -> str:
    """A share 0..1 in percent, without decimals that its interval would not bear."""
    return f"{100 * share:.0f} %"


def _archive_sentence(counts: Mapping[str, int]) -> str:
    named = {"files": "files", "images": "images with a score", "lesions": "lesions",
             "patients": "patients"}  # fmt: skip
    told = [f"{counts[key]:,} {name}" for key, name in named.items() if key in counts]
    return f"In the archive: {', '.join(told)}. " if told else ""


def _below_sentence(below: int) -> str:
    lie, are = ("lesion lies", "is") if below == 1 else ("lesions lie", "are")
    return f"{below:,} {lie} below the band and {are} not listed; none of them is called clear."


def _by_reason(unreadable: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in unreadable:
        groups.setdefault(row["reason"], []).append(row)
    return [
        {"reason": reason, "rows": found}
        for reason, found in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _rate(name: str, value: float | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,.1f}" if name.endswith("per_second") else f"{value:.1%}"


def _tier_label(tier: str | None) -> str:
    return "\N{EN DASH}" if tier is None else TIER_LABELS[Tier(tier)]
