"""Makes a row of the list from a lesion, its images and its earlier state."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from batch.core.times import day, minute
from batch.images.quality import BLURRY, OVEREXPOSED, UNDEREXPOSED
from batch.images.uniform import NEARLY_UNIFORM
from batch.model.domain import NOT_DERMOSCOPY, OUTSIDE_DOMAIN
from batch.review.worklist.contract import Status, Tier
from batch.review.worklist.image_changes import ImageChanges, image_changes
from batch.review.worklist.lesion_images import Lesion
from batch.review.worklist.mark_assignment import MarkAssignment
from batch.review.worklist.marks import Mark
from batch.review.worklist.previous_list import (
    LesionLinks,
    PreviousList,
    Row,
    carried_spread,
    state_of_row,
)
from batch.review.worklist.status import (
    LesionState,
    PreviousState,
    Review,
    SeenImage,
    next_status,
    review_of,
)
from batch.review.worklist.tiers import TIERS, near_from

FLAGS = {
    "left_archive": "none of its images is in the archive any more",
    "below_threshold_now": "an alert of an earlier night; tonight's score is below the threshold",
    "no_longer_readable": "an alert of an earlier night; tonight none of its images can be read",
    "unreadable_images": "some of its images, or copies of them, could not be read",
    "mixed_models": "its images were scored by several models, which do not compare",
    "copies": "the same image lies in several files; it counts once, with its highest score",
    "several_patients": "its images name several patients",
    "shared_tracking_uid": "several patients have its tracking UID; each has a lesion of its own",
    "mark_without_effect": "a mark is older than every image of it, and closes nothing",
    "image_added": "it has an image that it did not have the night before",
    "image_gone": "an image that it had the night before is gone",
    "image_replaced": "an image at the same path is another than the night before",
}
"""Flags of a lesion, which come in addition to the flags of its images."""


def flags(
    facts: Mapping[str, Any], state: LesionState, of_images: Sequence[Sequence[str]]
) -> list[str]:
    """A lesion's flags, sorted.

    Args:
        facts: score_tier, readable (bool), unreadable_count, unreadable_copies, models, copies,
            patients, shared, mark_without_effect.
        state: of the lesion tonight.
        of_images: flags of its images, and of changes of images.
    """
    is_open_alert = state.tier == Tier.ALERT and state.status != Status.REVIEWED
    score_tier = facts["score_tier"]
    some_unreadable = facts["unreadable_count"] + facts["unreadable_copies"]
    names = {flag for image_flags in of_images for flag in image_flags}
    names |= {
        flag
        for flag, is_so in (
            ("left_archive", score_tier is None),
            ("below_threshold_now", is_open_alert and score_tier in _BELOW_ALERT),
            ("no_longer_readable", is_open_alert and score_tier == Tier.UNREADABLE),
            ("unreadable_images", some_unreadable > 0 and facts["readable"]),
            ("mixed_models", facts["models"] > 1),
            ("copies", facts["copies"] > 1),
            ("several_patients", facts["patients"] > 1),
            ("shared_tracking_uid", facts["shared"]),
            ("mark_without_effect", facts["mark_without_effect"]),
        )
        if is_so
    }
    return sorted(names)


_BELOW_ALERT = (Tier.NEAR_THRESHOLD, Tier.UNRELIABLE, Tier.BELOW)


def reason(
    row: Mapping[str, Any],
    state: LesionState,
    why_unreadable: Sequence[str],
    images_changed: ImageChanges | None = None,
    unreadable_copies: int = 0,
) -> str:
    """Sentences that say why a lesion is on the list.

    Args:
        row: a row of `LESION_COLUMNS` without reason.
        state: of the lesion tonight.
        why_unreadable: reasons of its images without a score.
        images_changed: since the night before; None if nothing is to be said.
        unreadable_copies: files that could not be read, of images that another file also holds.
    """
    changed = [*(images_changed or ImageChanges()).sentences()]
    if state.status == Status.REVIEWED and state.review is not None:
        marked = f"Marked as reviewed on {minute(state.review.reviewed_at.isoformat())}."
        return " ".join([marked, *changed])
    sentences = [_tier_sentence(row, state, why_unreadable)]
    if state.status == Status.REOPENED:
        sentences.append(f"Reopened: {state.why}.")
    change = row["score_change"]
    if not math.isnan(change) and abs(change) >= _LEAST_CHANGE and row["score_tier"] is not None:
        other = row["previous_model_version"] != row["model_version"]
        sentences.append(f"{change:+.3f} since the night before{_ANOTHER_MODEL if other else ''}.")
    sentences += changed
    if row["is_outlier"]:
        sentences.append(
            f"Stands out among the {row['lesions_of_patient']} lesions of its patient."
        )
    if row["unreadable_count"] and row["image_scores"] and row["score_tier"] is not None:
        images = "1 image" if row["unreadable_count"] == 1 else f"{row['unreadable_count']} images"
        sentences.append(f"{images} of {row['image_count']} could not be read.")
    if unreadable_copies:
        copies = "1 copy of an image" if unreadable_copies == 1 else f"{unreadable_copies} copies"
        sentences.append(f"{copies} could not be read; another file of the image was scored.")
    if row["score_tier"] != Tier.UNRELIABLE and (doubts := quality_words(row["flags"])):
        sentences.append(f"Its score is not reliable: {doubts}.")
    return " ".join(sentences)


QUALITY_WORDS = {
    BLURRY: "a picture is out of focus, photograph again",
    OVEREXPOSED: "a picture is overexposed, photograph again with less light",
    UNDEREXPOSED: "a picture is too dark, photograph again with more light",
    NEARLY_UNIFORM: "a picture is nearly one colour, or filler over much of it",
    NOT_DERMOSCOPY: "a picture is not dermoscopic, photograph with the dermatoscope",
    OUTSIDE_DOMAIN: "a picture is unlike those that the model learned from, look at the lesion",
}


def quality_words(flags: Collection[str]) -> str:
    """What is wrong with a lesion's pictures, and what to do; empty where nothing is."""
    return "; ".join(words for flag, words in QUALITY_WORDS.items() if flag in flags)


_LEAST_CHANGE = 0.01


_ANOTHER_MODEL = ", by another model"


def _tier_sentence(
    row: Mapping[str, Any], state: LesionState, why_unreadable: Sequence[str]
) -> str:
    score, threshold, score_tier = row["max_score"], row["threshold"], row["score_tier"]
    if score_tier is None:
        last = "" if math.isnan(score) else f" Its last score was {score:.3f}."
        return f"{_since_alert(state)} its images are no longer in the archive.{last}"
    if state.tier == Tier.ALERT and score_tier == Tier.UNREADABLE:
        return f"{_since_alert(state)} tonight none of its images can be read."
    if state.tier == Tier.ALERT and score_tier != Tier.ALERT:
        return (
            f"{_since_alert(state)} tonight's score {score:.3f} is below the threshold "
            f"{threshold:.3f}."
        )
    readable = row["image_count"] - row["unreadable_count"]
    highest = "Score" if readable == 1 else f"Highest score of {readable} images"
    if score_tier == Tier.ALERT:
        return f"{highest} {score:.3f}, at or above the threshold {threshold:.3f}."
    if score_tier == Tier.NEAR_THRESHOLD:
        return (
            f"{highest} {score:.3f}, in the band below the threshold {threshold:.3f} "
            f"(from {near_from(threshold):.3f})."
        )
    if score_tier == Tier.UNRELIABLE:
        return f"{highest} {score:.3f} says little: {quality_words(row['flags'])}."
    if score_tier == Tier.UNREADABLE:
        return f"No image of it could be read ({', '.join(sorted(set(why_unreadable)))})."
    return f"{highest} {score:.3f}."


def _since_alert(state: LesionState) -> str:
    since = day(state.first_alerted_at or state.first_listed_at)
    return f"Alert of {since}, not reviewed;"


def lesion_row(
    lesion: Lesion,
    numbers: Mapping[str, Any] | None,
    links: LesionLinks,
    assigned: MarkAssignment,
    remembered: PreviousList,
    night: str,
) -> dict[str, Any] | None:
    """A row of `LESION_COLUMNS` without its rank; None if the lesion is not on the list.

    Args:
        lesion: with its images.
        numbers: its row of `lesion_scores` and `among_patients`; None if no image is readable.
        links: to the last list.
        assigned: marks by lesion.
        remembered: the last list.
        night: start of tonight, ISO 8601.
    """
    paths = lesion.paths()
    score_tier = Tier.UNREADABLE if numbers is None else TIERS[numbers["code"]]
    mark = assigned.mark(lesion.key, lesion.asking())
    review = _review_of(mark, lesion, links, remembered, night)
    before = links.before(lesion.key, paths)
    alerts = [since for i in paths if (since := remembered.alerted.get(i))]
    score = None if numbers is None else numbers["max_score"]
    state = next_status(
        score_tier, score, paths.keys(), before, min(alerts, default=None), review, night
    )
    if state is None:
        return None
    images = [image.row for image in lesion.images]
    all_images = [*images, *lesion.unreadable]
    scored = numbers or _NO_NUMBERS
    previous, previous_by = _previous_score(lesion, links.by_key.get(lesion.key), night)
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
        "shared": any(image["shared"] for image in all_images),
        "mark_without_effect": mark is not None
        and (state.review is None or state.review.reviewed_at < mark.reviewed_at),
    }
    row: dict[str, Any] = {
        "lesion_key": lesion.key,
        "score_tier": score_tier,
        **{name: scored[name] for name in _NUMBERS},
        "previous_score": previous,
        "score_change": scored["max_score"] - previous,
        "previous_model_version": previous_by,
        "patient_key": scored["patient_key"] or _first(lesion.unreadable, "patient_key"),
        "is_outlier": bool(scored["is_outlier"]),
        "anatomic_site": _joined(images, "anatomic_region"),
        "laterality": _joined(images, "laterality"),
        "acquisition_datetime": max(_distinct_values(images, "acquisition_datetime"), default=None),
        "image_count": len(paths),
        "unreadable_count": facts["unreadable_count"],
        "flags": flags(facts, state, [changed.flags(), *(image["flags"] for image in images)]),
        "image_ids": list(paths),
        "image_scores": {
            image["image_id"]: image["melanoma_score"]
            for image in sorted(images, key=lambda image: image["image_id"])
        },
        "paths": list(paths.values()),
        "study_instance_uids": _distinct_values(all_images, "study_instance_uid"),
        "patient_id": _first(all_images, "patient_id"),
        "issuer_of_patient_id": _first(all_images, "issuer_of_patient_id"),
        "accession_numbers": _distinct_values(images, "accession_number"),
        **_state_columns(state),
    }
    why_unreadable = [row_of_image["reason"] for row_of_image in lesion.unreadable]
    row["reason"] = reason(row, state, why_unreadable, changed, len(copies))
    row["score_spread"] = carried_spread(row, links.by_key.get(lesion.key))
    return row


def departed_row(row: Row, assigned: MarkAssignment, night: str) -> dict[str, Any] | None:
    """The row of a lesion whose images left the archive; None if it leaves the list, too."""
    before = state_of_row(row)
    ids, scores = row["image_ids"], row["image_scores"]
    review = _review_of_departed(row, assigned)
    score = row["max_score"] if scores else None
    state = next_status(None, score, ids, before, None, review, night)
    if state is None:
        return None
    departed = {**row, "score_tier": None, **_state_columns(state)}
    departed |= {
        "previous_score": row["max_score"],
        "score_change": math.nan,
        "previous_model_version": row["model_version"],
        "rank_in_patient": None,
        "lesions_of_patient": None,
        "is_outlier": False,
        "flags": sorted({*row["flags"], "left_archive"} - _FLAGS_OF_A_NIGHT),
    }
    departed["reason"] = reason(departed, state, ())
    return departed


_FLAGS_OF_A_NIGHT = {"below_threshold_now", "image_added", "image_gone", "image_replaced"}
"""Flags that are dropped when every image has left the archive."""


def _review_of(
    mark: Mark | None, lesion: Lesion, links: LesionLinks, remembered: PreviousList, night: str
) -> Review | None:
    if mark is None:
        return None
    own_row = links.by_key.get(lesion.key)
    others = links.by_image.get(lesion.key, ())  # the mark may name an earlier key of the lesion
    named_rows = [row for row in others if row["lesion_key"] == mark.lesion_key]
    rows = named_rows if own_row is None else [own_row]
    tonight = datetime.fromisoformat(night)
    listed = datetime.fromisoformat(remembered.night) if remembered.night else tonight
    return review_of(mark, lesion.seen(rows, listed, tonight))


def _review_of_departed(row: Row, assigned: MarkAssignment) -> Review | None:
    ids, scores = row["image_ids"], row["image_scores"]
    since = datetime.fromisoformat(row["first_listed_at"])
    mark = assigned.mark(row["lesion_key"], ids)
    seen = [SeenImage(i, since, [(since, scores[i])] if i in scores else []) for i in ids]
    return review_of(mark, seen) if mark else None


def marks_taken(
    assigned: MarkAssignment,
    lesions: Mapping[str, Lesion],
    departed: Mapping[str, Row],
    links: LesionLinks,
    remembered: PreviousList,
    night: str,
) -> set[Mark]:
    """The marks that have an effect, tonight or since an earlier night.

    Args:
        lesions: tonight's, by lesion_key; every lesion with a mark is among them or in `departed`.
        departed: rows of lesions that left the archive, by lesion_key.
    """
    taken: set[Mark] = set()
    for key in sorted(assigned.keys()):
        before: PreviousState | None
        if key in departed:
            review = _review_of_departed(departed[key], assigned)
            before = state_of_row(departed[key])
        else:
            mark = assigned.mark(key, lesions[key].asking())
            review = _review_of(mark, lesions[key], links, remembered, night)
            before = links.before(key, lesions[key].paths())
        review = review or (before.review if before else None)
        marks = {*assigned.of_lesions.get(key, ()), *assigned.of_images.get(key, ())}
        if review is not None:
            taken |= {mark for mark in marks if mark.reviewed_at <= review.reviewed_at}
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


def _state_columns(state: LesionState) -> dict[str, Any]:
    review: Review | None = state.review
    return {
        "tier": state.tier,
        "status": state.status,
        "first_listed_at": state.first_listed_at,
        "first_alerted_at": state.first_alerted_at,
        "decision": review.decision if review else None,
        "reviewer": review.reviewer if review else None,
        "reviewed_at": review.reviewed_at.isoformat() if review else None,
        "reviewed_score": review.score if review and review.score is not None else math.nan,
        "reviewed_images": sorted(review.images) if review else [],
    }


def _previous_score(lesion: Lesion, row: Row | None, night: str) -> tuple[float, str | None]:
    """Score and model version of the night before, from the last list, else from its images."""
    if row is not None:
        return row["max_score"], row["model_version"]
    return lesion.before(datetime.fromisoformat(night)) or (math.nan, None)


def _distinct_values(images: Collection[Mapping[str, Any]], column: str) -> list[str]:
    """The different texts of a column, sorted."""
    return sorted({image[column] for image in images if _is_text(image[column])})


def _joined(images: Collection[Mapping[str, Any]], column: str) -> str | None:
    return "; ".join(_distinct_values(images, column)) or None


def _first(images: Collection[Mapping[str, Any]], column: str) -> str | None:
    return next(iter(_distinct_values(images, column)), None)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
