"""Why a lesion stands on the list, in one plain sentence or two; and its flags. Pure.

A score asks for a look and says nothing of a disease; nothing here calls a lesion clear.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from batch.core.times import day, minute
from batch.images.uniform import NEARLY_UNIFORM
from batch.review.contract import Status, Tier
from batch.review.image_changes import ImageChanges
from batch.review.standing import Standing
from batch.review.tiers import near_from

FLAGS = {
    "left_archive": "none of its images is in the archive any more",
    "below_threshold_now": "an alert of an earlier night; tonight's score is below the threshold",
    "no_longer_readable": "an alert of an earlier night; tonight none of its images can be read",
    "unreadable_images": "some of its images, or copies of them, could not be read",
    "mixed_models": "its images were scored by several models, which do not compare",
    "copies": "the same image lies in several files; it counts once, with its highest score",
    "several_patients": "its images name several patients",
    "shared_tracking_uid": "its tracking UID is borne by several patients, who are kept apart",
    "mark_without_effect": "a mark is older than every image of it, and closes nothing",
    "image_added": "it has an image that it had not the night before",
    "image_gone": "it had an image the night before that is not there any more",
    "image_replaced": "an image of it is another than the night before, at the same place",
}
"""What this room adds to the flags of a lesion's images."""


def flags(
    facts: Mapping[str, Any], standing: Standing, of_images: Sequence[Sequence[str]]
) -> list[str]:
    """A lesion's flags, sorted.

    Args:
        facts: score_tier, readable (int), unreadable_count, unreadable_copies, models, copies,
            patients, shared, mark_without_effect. of_images: the flags of its images.
    """
    is_open_alert = standing.tier == Tier.ALERT and standing.status != Status.REVIEWED
    score_tier = facts["score_tier"]
    some_unreadable = facts["unreadable_count"] + facts["unreadable_copies"]
    found = {flag for each in of_images for flag in each}
    found |= {
        name
        for name, is_so in (
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
    return sorted(found)


_BELOW_ALERT = (Tier.NEAR_THRESHOLD, Tier.BELOW)


def reason(
    row: Mapping[str, Any],
    standing: Standing,
    why_unreadable: Sequence[str],
    images_changed: ImageChanges | None = None,
    unreadable_copies: int = 0,
) -> str:
    """Why a lesion stands here.

    Args:
        row: a row of `LESION_COLUMNS` without reason. why_unreadable: reasons, of its images.
        images_changed: since the night before; None: nothing is to be said.
        unreadable_copies: files that could not be read, of images that another file has.
    """
    changed = [*(images_changed or ImageChanges()).sentences()]
    if standing.status == Status.REVIEWED and standing.review is not None:
        marked = f"Marked as reviewed on {minute(standing.review.reviewed_at.isoformat())}."
        return " ".join([marked, *changed])
    sentences = [_tier(row, standing, why_unreadable)]
    if standing.status == Status.REOPENED:
        sentences.append(f"Reopened: {standing.why}.")
    change = row["score_change"]
    if not math.isnan(change) and abs(change) >= _WORTH_TELLING and row["score_tier"] is not None:
        other = row["previous_model_version"] != row["model_version"]
        sentences.append(f"{change:+.3f} since the night before{_OTHER if other else ''}.")
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
    if NEARLY_UNIFORM in row["flags"]:
        sentences.append(_UNIFORM)
    return " ".join(sentences)


_UNIFORM = "An image of it is nearly one colour, or filler over much of it: its score says little."
_WORTH_TELLING = 0.01
_OTHER = ", by another model"


def _tier(row: Mapping[str, Any], standing: Standing, why_unreadable: Sequence[str]) -> str:
    score, threshold, score_tier = row["max_score"], row["threshold"], row["score_tier"]
    if score_tier is None:
        last = "" if math.isnan(score) else f" Its last score was {score:.3f}."
        return f"{_earlier(standing)} its images are no longer in the archive.{last}"
    if standing.tier == Tier.ALERT and score_tier == Tier.UNREADABLE:
        return f"{_earlier(standing)} tonight none of its images can be read."
    if standing.tier == Tier.ALERT and score_tier != Tier.ALERT:
        return (
            f"{_earlier(standing)} tonight's score {score:.3f} is below the threshold "
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
    if score_tier == Tier.UNREADABLE:
        return f"No image of it could be read ({', '.join(sorted(set(why_unreadable)))})."
    return f"{highest} {score:.3f}."


def _earlier(standing: Standing) -> str:
    since = day(standing.first_alerted_at or standing.first_listed_at)
    return f"Alert of {since}, not reviewed;"
