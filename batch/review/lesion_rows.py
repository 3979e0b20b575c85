"""One lesion, with its images and its past, to a row of the list. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from batch.review.closing import Assigned
from batch.review.contract import Tier
from batch.review.image_changes import image_changes
from batch.review.lesion_images import Lesion
from batch.review.marks import Mark
from batch.review.remembered import Links, Remembered, Row, before_of
from batch.review.standing import Before, Review, SeenImage, Standing, review_of, stand
from batch.review.tiers import TIERS
from batch.review.wording import flags, reason


def lesion_row(
    lesion: Lesion,
    numbers: Mapping[str, Any] | None,
    links: Links,
    assigned: Assigned,
    remembered: Remembered,
    night: str,
) -> dict[str, Any] | None:
    """A row of `LESION_COLUMNS`, but for its rank; None: not on the list.

    Args:
        numbers: of `lesion_scores` and `among_patients`; None when no image is readable.
    """
    paths = lesion.paths()
    score_tier = Tier.UNREADABLE if numbers is None else TIERS[numbers["code"]]
    mark = assigned.mark(lesion.key, lesion.asking())
    review = _review_of(mark, lesion, links, remembered, night)
    before = links.before(lesion.key, paths)
    alerts = [since for i in paths if (since := remembered.alerted.get(i))]
    score = None if numbers is None else numbers["max_score"]
    standing = stand(
        score_tier, score, paths.keys(), before, min(alerts, default=None), review, night
    )
    if standing is None:
        return None
    images = [image.row for image in lesion.images]
    both = [*images, *lesion.unreadable]
    scored = numbers or _NO_NUMBERS
    was, was_by = _previous(lesion, links.by_key.get(lesion.key), night)
    changed = image_changes(lesion, links, datetime.fromisoformat(night))
    scored_ids = {image["image_id"] for image in images}
    copies = [row for row in lesion.unreadable if row["image_id"] in scored_ids]
    facts = {
        "score_tier": score_tier,
        "readable": bool(images),
        "unreadable_count": len({row["image_id"] for row in lesion.unreadable} - scored_ids),
        "unreadable_copies": len(copies),
        "models": scored["models"],
        "copies": max((image["copies"] for image in images), default=1),
        "patients": scored["patients"],
        "shared": any(image["shared"] for image in both),
        "mark_without_effect": mark is not None
        and (standing.review is None or standing.review.reviewed_at < mark.reviewed_at),
    }
    row: dict[str, Any] = {
        "lesion_key": lesion.key,
        "score_tier": score_tier,
        **{name: scored[name] for name in _NUMBERS},
        "previous_score": was,
        "score_change": scored["max_score"] - was,
        "previous_model_version": was_by,
        "patient_key": scored["patient_key"] or _first(lesion.unreadable, "patient_key"),
        "is_outlier": bool(scored["is_outlier"]),
        "anatomic_site": _words(images, "anatomic_region"),
        "laterality": _words(images, "laterality"),
        "acquisition_datetime": max(_known(images, "acquisition_datetime"), default=None),
        "image_count": len(paths),
        "unreadable_count": facts["unreadable_count"],
        "flags": flags(facts, standing, [changed.flags(), *(image["flags"] for image in images)]),
        "image_ids": list(paths),
        "image_scores": {
            image["image_id"]: image["melanoma_score"]
            for image in sorted(images, key=lambda image: image["image_id"])
        },
        "paths": list(paths.values()),
        "study_instance_uids": _known(both, "study_instance_uid"),
        "patient_id": _first(both, "patient_id"),
        "issuer_of_patient_id": _first(both, "issuer_of_patient_id"),
        "accession_numbers": _known(images, "accession_number"),
        **_standing_columns(standing),
    }
    why_unreadable = [each["reason"] for each in lesion.unreadable]
    row["reason"] = reason(row, standing, why_unreadable, changed, len(copies))
    return row


def left_row(row: Row, assigned: Assigned, night: str) -> dict[str, Any] | None:
    """The row of a lesion whose images left the archive; None: nothing is left to remember."""
    before = before_of(row)
    ids, scores = row["image_ids"], row["image_scores"]
    review = _review_of_left(row, assigned)
    score = row["max_score"] if scores else None
    standing = stand(None, score, ids, before, None, review, night)
    if standing is None:
        return None
    kept = {**row, "score_tier": None, **_standing_columns(standing)}
    kept |= {
        "previous_score": row["max_score"],
        "score_change": math.nan,
        "previous_model_version": row["model_version"],
        "rank_in_patient": None,
        "lesions_of_patient": None,
        "is_outlier": False,
        "flags": sorted({*row["flags"], "left_archive"} - _OF_THAT_NIGHT),
    }
    kept["reason"] = reason(kept, standing, ())
    return kept


_OF_THAT_NIGHT = {"below_threshold_now", "image_added", "image_gone", "image_replaced"}
"""Flags that say nothing any more once every image has left."""


def _review_of(
    mark: Mark | None, lesion: Lesion, links: Links, remembered: Remembered, night: str
) -> Review | None:
    if mark is None:
        return None
    own = links.by_key.get(lesion.key)
    others = links.by_image.get(lesion.key, ())  # under the key that the mark names, it may be
    named = [row for row in others if row["lesion_key"] == mark.lesion_key]
    rows = named if own is None else [own]
    tonight = datetime.fromisoformat(night)
    listed = datetime.fromisoformat(remembered.night) if remembered.night else tonight
    return review_of(mark, lesion.seen(rows, listed, tonight))


def _review_of_left(row: Row, assigned: Assigned) -> Review | None:
    ids, scores = row["image_ids"], row["image_scores"]
    since = datetime.fromisoformat(row["first_listed_at"])
    mark = assigned.mark(row["lesion_key"], ids)
    seen = [SeenImage(i, since, [(since, scores[i])] if i in scores else []) for i in ids]
    return review_of(mark, seen) if mark else None


def marks_taken(
    assigned: Assigned,
    lesions: Mapping[str, Lesion],
    left: Mapping[str, Row],
    links: Links,
    remembered: Remembered,
    night: str,
) -> set[Mark]:
    """The marks of lesions on which a mark acts, tonight or since an earlier night; all others are
    without effect.

    Args:
        lesions, left: by lesion_key, those with a mark among them.
    """
    taken: set[Mark] = set()
    for key in sorted(assigned.keys()):
        before: Before | None
        if key in left:
            review, before = _review_of_left(left[key], assigned), before_of(left[key])
        else:
            mark = assigned.mark(key, lesions[key].asking())
            review = _review_of(mark, lesions[key], links, remembered, night)
            before = links.before(key, lesions[key].paths())
        review = review or (before.review if before else None)
        named = {*assigned.of_lesions.get(key, ()), *assigned.of_images.get(key, ())}
        if review is not None:
            taken |= {each for each in named if each.reviewed_at <= review.reviewed_at}
    return taken


_NUMBERS = (
    "model_version", "max_score", "mean_score", "threshold", "margin", "rank_in_patient",
    "lesions_of_patient",
)  # fmt: skip
_NO_NUMBERS: Mapping[str, Any] = {
    "model_version": None, "max_score": math.nan, "mean_score": math.nan, "threshold": math.nan,
    "margin": math.nan, "rank_in_patient": None, "lesions_of_patient": None, "models": 0,
    "patients": 0, "patient_key": None, "is_outlier": False,
}  # fmt: skip


def _standing_columns(standing: Standing) -> dict[str, Any]:
    review: Review | None = standing.review
    return {
        "tier": standing.tier,
        "status": standing.status,
        "first_listed_at": standing.first_listed_at,
        "first_alerted_at": standing.first_alerted_at,
        "decision": review.decision if review else None,
        "reviewer": review.reviewer if review else None,
        "reviewed_at": review.reviewed_at.isoformat() if review else None,
        "reviewed_score": review.score if review and review.score is not None else math.nan,
        "reviewed_images": sorted(review.images) if review else [],
    }


def _previous(lesion: Lesion, row: Row | None, night: str) -> tuple[float, str | None]:
    """Score and model version of the night before: the list's own, else from its images."""
    if row is not None:
        return row["max_score"], row["model_version"]
    return lesion.before(datetime.fromisoformat(night)) or (math.nan, None)


def _known(images: Collection[Mapping[str, Any]], column: str) -> list[str]:
    """The values there are, each once, sorted."""
    return sorted({image[column] for image in images if _is_there(image[column])})


def _words(images: Collection[Mapping[str, Any]], column: str) -> str | None:
    return "; ".join(_known(images, column)) or None


def _first(images: Collection[Mapping[str, Any]], column: str) -> str | None:
    return next(iter(_known(images, column)), None)


def _is_there(value: object) -> bool:
    return isinstance(value, str) and value != ""
