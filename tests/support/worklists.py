"""Worklists made up for the page's tests: any number of lesions, hostile words where asked."""

from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd
from PIL import Image

from batch.demo.lesions import lesion_image
from batch.review.page.pictures import PagePicture, PagePictures
from batch.review.worklist.contract import (
    CHANGE_COLUMNS,
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    UNREADABLE_COLUMNS,
    ReviewFacts,
    ReviewWorklist,
)
from tests.support.archives import POINT

NIGHT = "2026-11-21T02:00:00+00:00"
BEFORE = "2026-11-20T02:00:00+00:00"
SITES = ("back", "upper arm", "scalp", "trunk", "lower leg", None)
CLASSES = (
    "actinic keratosis", "basal cell carcinoma", "dermatofibroma", "melanoma", "nevus",
    "pigmented benign keratosis", "seborrheic keratosis", "squamous cell carcinoma",
    "vascular lesion",
)  # fmt: skip
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "'><svg onload=document.title='owned'>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:document.title='owned'//",
    "<!--<script>",
    '=HYPERLINK("http://example.org","x")',
    "invoice\u202egpj.exe",
    "a\x00b\nc\td",
    "&lt;b&gt;&amp;",
    "]]></style><style>*{display:none}",
)


def worklist(
    lesions: int = 50,
    words: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    caution: str | None = "A reference, not fit to guide review.",
    unreadable: int = 3,
    not_looked_at: dict[str, int] | None = None,
) -> ReviewWorklist:
    """A worklist of so many lesions, the same for the same arguments.

    Args:
        words: put into every text of the archive, one after the other.
    """
    random = np.random.default_rng(lesions)
    rows = [_lesion(number, lesions, random) for number in range(lesions)]
    images = [_image(row, at, random) for row in rows for at in range(_readable(row))]
    stuck = [_unreadable(number) for number in range(unreadable)]
    changes = [
        {"lesion_key": row["lesion_key"], "tier_before": "near_threshold", "tier": "alert",
         "why": "score rose"}
        for row in rows[:2]
    ]  # fmt: skip
    for number, word in enumerate(words):
        _spoil(rows, images, stuck, number, word)
    return ReviewWorklist(
        lesions=_frame(rows, LESION_COLUMNS),
        images=_frame(images, IMAGE_COLUMNS),
        unreadable=_frame(stuck, UNREADABLE_COLUMNS),
        not_looked_at={"non_image: other_file_type": 12, "pending: not_settled": 4}
        if not_looked_at is None
        else not_looked_at,
        changes=_frame(changes, CHANGE_COLUMNS),
        facts=ReviewFacts(
            run_id="20261121T020000Z-1f3a",
            night=NIGHT,
            model_id="isic9-dropout",
            model_version="1.0.0",
            model_sha256="fbaf09264f32d93d" * 4,
            caution=words[0] if words else caution,
            operating_point=POINT,
            near_from=1 / 3,
            archive={"files": 1000, "images": 900, "unreadable": 3, "lesions": 800, "patients": 90,
                     "below": 512},
            previous_night=BEFORE,
            notes=tuple(words) + notes,
            changed=tuple(words),
        ),
    )  # fmt: skip


def pictures(
    worklist: ReviewWorklist, different: int = 12, side: int = 320, attention: bool = False
) -> PagePictures:
    """A picture within the page for every image; of so many different ones."""
    uris = []
    for seed in range(different):
        buffer = io.BytesIO()
        pixels = lesion_image(seed, side * 3 // 4, side)
        Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
        uris.append("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())
    ids = list(worklist.images["image_id"])
    shares = [[round(max(0.0, 1 - abs(x - 6) / 4 - abs(y - 5) / 4), 2) for x in range(12)]
              for y in range(12)]  # fmt: skip
    return PagePictures(
        prefix="",
        by_image={
            image_id: PagePicture("", uris[number % different], side, side * 3 // 4)
            for number, image_id in enumerate(ids)
        },
        attention=dict.fromkeys(ids, shares) if attention else {},
        withheld=frozenset(),
    )


def _frame(rows: list[dict], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def _readable(row: dict) -> int:
    return row["image_count"] - row["unreadable_count"]


def _lesion(number: int, of: int, random: np.random.Generator) -> dict:
    """Alerts first, then those near the threshold, a few unreadable, at the end some reviewed."""
    part = number / max(of, 1)
    tier = "alert" if part < 0.4 else "near_threshold" if part < 0.86 else "unreadable"
    reviewed = part >= 0.94
    if reviewed:
        tier = "alert"
    score = None
    if tier == "alert":
        score = 0.98 - 0.45 * part
    elif tier == "near_threshold":
        score = 0.499 - 0.16 * part
    patient = number % max(1, of // 4)
    images = 1 if tier == "unreadable" else int(random.integers(1, 4))
    status = "reviewed" if reviewed else ("new", "open", "reopened")[number % 3]
    closed = status in ("reviewed", "reopened")
    previous = (
        None if score is None or number % 4 == 0 else round(score - 0.05 + number % 7 / 50, 4)
    )
    alerted = tier == "alert"
    said = {
        "alert": "Score at or above the threshold 0.500.",
        "near_threshold": "Score in the band below the threshold 0.500 (from 0.333).",
        "unreadable": "No image of it could be read (decode_failed).",
    }[tier]
    return {
        "rank": number + 1,
        "lesion_key": f"PATTERN:patient-{patient:04d}/lesion-{number:05d}",
        "tier": tier,
        "score_tier": tier,
        "status": status,
        "model_version": "isic9-dropout 1.0.0",
        "max_score": score,
        "mean_score": None if score is None else score - 0.01,
        "threshold": None if score is None else 0.5,
        "score_spread": None if score is None or number % 5 else 0.12,
        "margin": None if score is None else score - 0.5,
        "previous_score": previous,
        "score_change": None if previous is None else round(score - previous, 4),
        "previous_model_version": None if previous is None else "isic9-dropout 1.0.0",
        "first_listed_at": BEFORE if status != "new" else NIGHT,
        "first_alerted_at": NIGHT if alerted else None,
        "patient_key": None if number % 11 == 10 else f"PATTERN:patient-{patient:04d}",
        "rank_in_patient": None if score is None else 1 + number % 5,
        "lesions_of_patient": None if score is None else 5,
        "is_outlier": number % 9 == 1,
        "anatomic_site": SITES[number % len(SITES)],
        "laterality": ("L", "R", None)[number % 3],
        "acquisition_datetime": f"2026-{1 + number % 11:02d}-{1 + number % 28:02d}T10:11:12",
        "image_count": images + (number % 13 == 5 and tier != "unreadable"),
        "unreadable_count": images if tier == "unreadable" else int(number % 13 == 5),
        "flags": ["lossy"] if number % 2 else [],
        "reason": said,
        "image_ids": [f"sha256:{number:060x}{at:04x}" for at in range(images)],
        "image_scores": {},
        "paths": [f"patient-{patient:04d}/lesion-{number:05d}-{at}.jpg" for at in range(images)],
        "study_instance_uids": [f"1.2.826.0.1.{number}"],
        "patient_id": None,
        "issuer_of_patient_id": None,
        "accession_numbers": [],
        "decision": "follow_up" if closed else None,
        "reviewer": "Dr. A" if closed else None,
        "reviewed_at": "2026-11-19T08:30:00+00:00" if closed else None,
        "reviewed_score": None if score is None or not closed else score - 0.02,
        "reviewed_images": [f"sha256:{number:060x}{0:04x}"] if closed else [],
    }


def _image(row: dict, at: int, random: np.random.Generator) -> dict:
    number, melanoma = row["rank"] - 1, row["max_score"] - 0.01 * at
    others = random.dirichlet(np.ones(len(CLASSES) - 1)) * (1 - melanoma)
    named = iter(others.tolist())
    scores = {name: melanoma if name == "melanoma" else next(named) for name in CLASSES}
    earlier = [(BEFORE, row["previous_score"], "isic9-dropout 1.0.0")]
    return {
        "lesion_key": row["lesion_key"],
        "image_id": f"sha256:{number:060x}{at:04x}",
        "path": row["paths"][0].replace("-0.jpg", f"-{at}.jpg"),
        "path_bytes": None,
        "frame_number": None,
        "file_format": "jpeg",
        "rows": 480,
        "columns": 640,
        "melanoma_score": melanoma,
        "threshold": 0.5,
        "predicted_class": max(scores, key=scores.__getitem__),
        "class_scores": scores,
        "scored_at": NIGHT,
        "model_version": "isic9-dropout 1.0.0",
        "acquisition_datetime": f"202{3 + at}-05-0{1 + at}T10:00:00",
        "study_instance_uid": None,
        "sop_instance_uid": None,
        "earlier_scores": [] if row["previous_score"] is None else earlier,
        "flags": ["lossy"],
    }


def _unreadable(number: int) -> dict:
    return {
        "path": f"inbox/broken-{number}.jpg",
        "path_bytes": None,
        "image_id": None,
        "frame_number": None if number % 2 else 2,
        "reason": ("decode_failed", "empty_file")[number % 2],
        "detail": "jpeg: truncated or damaged",
        "stage": "decode",
        "first_seen": NIGHT,
        "lesion_key": f"FILE:inbox/broken-{number}.jpg",
        "patient_key": None,
        "status": "new",
    }


def _spoil(rows: list, images: list, stuck: list, number: int, word: str) -> None:
    """A word into every text that an archive, a reviewer or another program can choose."""
    row = rows[number]
    key, patient = f"{word}#{number}", f"PATTERN:{word}"
    for image in images:
        if image["lesion_key"] == row["lesion_key"]:
            image |= {
                "lesion_key": key, "path": f"{word}/{word}.jpg", "flags": [word],
                "predicted_class": word, "acquisition_datetime": word, "model_version": word,
                "class_scores": {**image["class_scores"], word: 0.0},
                "earlier_scores": [(word, 0.5, word)],
            }  # fmt: skip
    row |= {
        "lesion_key": key, "patient_key": patient, "anatomic_site": word, "laterality": word,
        "acquisition_datetime": word, "flags": [word], "reason": word, "paths": [f"{word}/a.jpg"],
        "study_instance_uids": [word], "patient_id": word, "issuer_of_patient_id": word,
        "accession_numbers": [word], "decision": word, "reviewer": word,
        "reviewed_at": "2026-11-19T08:30:00+00:00", "status": "reopened",
        "previous_model_version": word,
    }  # fmt: skip
    stuck.append(
        {**_unreadable(number), "path": word, "detail": word, "reason": word, "stage": word,
         "first_seen": word, "patient_key": word, "lesion_key": word}
    )  # fmt: skip
