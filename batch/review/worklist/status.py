"""The status of a lesion from night to night: new, open, reviewed, reopened.

| tonight | status |
|---|---|
| an alert, in the band, unreadable or not reliable, for the first time | new |
| the same in a later night; an alert that no mark closed, even if the score fell | open |
| a mark that is newer than the remembered one | reviewed |
| reviewed, and the score rose by more than `RISE`, or an image was added | reopened |
| a mark "reopen" | reopened |

A reopened lesion stays reopened until a new mark. A lesion that is in no tier that asks for a look
is not reopened; its mark is remembered until it is in one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from batch.review.worklist.contract import Status, Tier
from batch.review.worklist.marks import Mark, newest

RISE = 0.001
"""A smaller rise does not reopen a lesion, because scores in marks may have three decimals only."""

_ASKS = (Tier.ALERT, Tier.NEAR_THRESHOLD, Tier.UNREADABLE, Tier.UNRELIABLE)


@dataclass(frozen=True)
class Review:
    """A mark, and what the reviewer saw.

    score: highest score then; None if no image was readable, or it is unknown.
    images: ids of the images then.
    """

    decision: str
    reviewer: str | None
    reviewed_at: datetime
    score: float | None
    images: frozenset[str]

    @property
    def reopens(self) -> bool:
        """Whether it takes an earlier mark back."""
        return Mark(None, None, self.decision, None, self.reviewed_at).reopens


@dataclass(frozen=True)
class PreviousState:
    """The state of a lesion on the last list. Times are ISO 8601."""

    tier: Tier
    status: Status
    first_listed_at: str
    first_alerted_at: str | None
    review: Review | None


@dataclass(frozen=True)
class LesionState:
    """The state of a lesion tonight. why: why it is reopened, as part of a sentence, or empty."""

    tier: Tier
    status: Status
    first_listed_at: str
    first_alerted_at: str | None
    review: Review | None
    why: str = ""


@dataclass(frozen=True)
class SeenImage:
    """An image of a lesion with its scores over the nights.

    since: when it joined its lesion.
    scores: (night, score), oldest first.
    """

    image_id: str
    since: datetime
    scores: Sequence[tuple[datetime, float]] = ()

    def score_at(self, when: datetime) -> float | None:
        """Its score at a time; None if it had no score yet."""
        scores = [score for night, score in self.scores if night <= when]
        return scores[-1] if scores else None


def review_of(mark: Mark, images: Sequence[SeenImage]) -> Review | None:
    """What the reviewer of a mark saw: the images at that time, and their highest score.

    If the mark has `image_count`, at most so many images count, the oldest first. If it has
    `score`, that is the score seen.

    Returns:
        None if the mark is older than every image; then it closes nothing.
    """
    seen = sorted((i for i in images if i.since <= mark.reviewed_at), key=_age)
    seen = seen[: mark.image_count]
    if not seen and not mark.reopens:
        return None
    scores = [s for image in seen if (s := image.score_at(mark.reviewed_at)) is not None]
    return Review(
        mark.decision,
        mark.reviewer,
        mark.reviewed_at,
        mark.score if mark.score is not None else max(scores, default=None),
        frozenset(image.image_id for image in seen),
    )


def mark_of_images(marks: Sequence[Mark], asking: Collection[str]) -> Mark | None:
    """Make one mark for a lesion of marks for its images.

    Args:
        marks: the newest of each image.
        asking: ids of its images in a tier that asks for a look. If there are none,
            any mark counts.

    Returns:
        None if an image that asks for a look has no mark.
    """
    by_image = {mark.image_id: mark for mark in marks}
    newest_mark = newest(marks)
    if newest_mark is not None and newest_mark.reopens:
        return newest_mark
    if not marks or not set(asking) <= by_image.keys():
        return None
    relevant = [by_image[image_id] for image_id in asking] or list(marks)
    newest_mark = newest(relevant)
    assert newest_mark is not None
    scores = [mark.score for mark in relevant]
    known_scores = [score for score in scores if score is not None]
    highest = max(known_scores) if len(known_scores) == len(scores) else None
    return replace(newest_mark, score=highest, image_count=None)


def next_status(
    score_tier: Tier | None,
    score: float | None,
    images: Collection[str],
    before: PreviousState | None,
    alerted_at: str | None,
    review: Review | None,
    night: str,
) -> LesionState | None:
    """The state of a lesion tonight; None if it is not on the list.

    Args:
        score_tier: tier by tonight's scores; None if every image left the archive.
        score: tonight's highest; None without one.
        images: ids.
        before: state on the last list, or None.
        alerted_at: first night after that list in which one of its images raised an alert.
        review: from a mark in the files of tonight, or None.
        night: start of tonight, ISO 8601.
    """
    closing = _later_review(review, before.review if before else None)
    is_open_alert = alerted_at is not None or (
        before is not None and before.tier == Tier.ALERT and before.status != Status.REVIEWED
    )
    first_alert = (before.first_alerted_at if before else None) or alerted_at
    is_open_alert |= closing is not None and closing.reopens and first_alert is not None
    listed_at = before.first_listed_at if before else (alerted_at or night)

    def state(tier: Tier, status: Status, why: str = "") -> LesionState:
        alert = first_alert or (night if tier == Tier.ALERT else None)
        return LesionState(tier, status, listed_at, alert, closing, why)

    tier = Tier.ALERT if is_open_alert or score_tier is None else score_tier
    if closing is None:
        if tier not in _ASKS:
            return None
        was_asked = (
            before is not None and before.tier in _ASKS and _rank(before.tier) <= _rank(tier)
        )
        return state(tier, Status.OPEN if was_asked or alerted_at else Status.NEW)
    why = _reopened_by(
        closing, score, images, before if before and closing is before.review else None
    )
    if not why:
        shown = score_tier or (before.tier if before else Tier.ALERT)
        return state(shown, Status.REVIEWED)
    if tier in _ASKS and (score_tier is not None or is_open_alert):
        return state(tier, Status.REOPENED, why)
    if score_tier is None:  # it asked for a look, was no alert, and is gone
        return None
    return state(Tier.BELOW, Status.REVIEWED)


def _reopened_by(
    closing: Review, score: float | None, images: Collection[str], before: PreviousState | None
) -> str:
    """Why a lesion is reopened; empty if it is not. before: only if the mark is not new."""
    if closing.reopens:
        return "taken back by its reviewer"
    if score is not None and closing.score is None and closing.images:
        return "none of its images could be read at the review, and now one can"
    if not set(images) <= closing.images:
        return "an image was added since the review"
    if score is not None and closing.score is not None and score > closing.score + RISE:
        return f"its score rose from {closing.score:.3f} since the review"
    if before is not None and before.status == Status.REOPENED:
        return "reopened in an earlier night"
    return ""


def _later_review(new: Review | None, remembered: Review | None) -> Review | None:
    """The later review; of equal times the remembered one, since it holds what was seen."""
    if new is None or remembered is None:
        return new or remembered
    return new if new.reviewed_at > remembered.reviewed_at else remembered


def _rank(tier: Tier) -> int:
    return _ASKS.index(tier)


def _age(image: SeenImage) -> tuple[datetime, str]:
    return image.since, image.image_id
