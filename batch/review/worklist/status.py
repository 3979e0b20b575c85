"""What becomes of a lesion's place on the list from night to night: opened, closed, reopened. Pure.

| what | becomes |
|---|---|
| an alert, or in the band, for the first time | new |
| the same in a later night; an alert that no mark closed, whatever tonight's score says | open |
| a mark newer than what is remembered | reviewed: nothing is asked |
| reviewed, and now a score higher by more than `RISE`, or an image that was not there | reopened |
| a mark "reopen" | reopened |

A reopened lesion stays so until a new mark. Without a place in tier alert or near_threshold (or
unreadable) nothing is reopened: the mark is remembered until there is one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from batch.review.worklist.contract import Status, Tier
from batch.review.worklist.marks import Mark, newest

RISE = 0.001
"""A score must be higher by more than this: marks may be rounded to three decimals."""

_ASKS = (Tier.ALERT, Tier.NEAR_THRESHOLD, Tier.UNREADABLE)


@dataclass(frozen=True)
class Review:
    """A mark, and what the reviewer saw. score: None where nothing was readable or known."""

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
class Before:
    """How a lesion stood in the last night. times: ISO 8601."""

    tier: Tier
    status: Status
    first_listed_at: str
    first_alerted_at: str | None
    review: Review | None


@dataclass(frozen=True)
class Standing:
    """How a lesion stands tonight. why: words of the reason's sentence, or empty."""

    tier: Tier
    status: Status
    first_listed_at: str
    first_alerted_at: str | None
    review: Review | None
    why: str = ""


@dataclass(frozen=True)
class SeenImage:
    """An image of a lesion, with its scores in time. scores: (night, score), oldest first."""

    image_id: str
    since: datetime
    scores: Sequence[tuple[datetime, float]] = ()

    def score_at(self, when: datetime) -> float | None:
        """What it scored at a time; None where it had no score yet."""
        known = [score for night, score in self.scores if night <= when]
        return known[-1] if known else None


def review_of(mark: Mark, images: Sequence[SeenImage]) -> Review | None:
    """What the reviewer of a mark saw: the images there were, and their highest score.

    With `image_count` never more images than the page showed, the oldest first; with `score` the
    page's own. None: the mark is older than every image, and closes nothing.
    """
    there = sorted((i for i in images if i.since <= mark.reviewed_at), key=_age)
    there = there[: mark.image_count]
    if not there and not mark.reopens:
        return None
    scores = [s for image in there if (s := image.score_at(mark.reviewed_at)) is not None]
    return Review(
        mark.decision,
        mark.reviewer,
        mark.reviewed_at,
        mark.score if mark.score is not None else max(scores, default=None),
        frozenset(image.image_id for image in there),
    )


def of_images(marks: Sequence[Mark], asking: Collection[str]) -> Mark | None:
    """Marks of single images as one of their lesion: when every image that asks has one.

    Args:
        marks: the newest of each image. asking: image_ids in tier alert, near_threshold or
            unreadable; none: any mark closes.
    """
    by_image = {mark.image_id: mark for mark in marks}
    last = newest(marks)
    if last is not None and last.reopens:
        return last
    if not marks or not set(asking) <= by_image.keys():
        return None
    relevant = [by_image[image_id] for image_id in asking] or list(marks)
    last = newest(relevant)
    assert last is not None
    scores = [mark.score for mark in relevant]
    known = [score for score in scores if score is not None]
    return replace(last, score=max(known) if len(known) == len(scores) else None, image_count=None)


def stand(
    score_tier: Tier | None,
    score: float | None,
    images: Collection[str],
    before: Before | None,
    alerted_at: str | None,
    review: Review | None,
    night: str,
) -> Standing | None:
    """How a lesion stands tonight; None: it is not on the list, and there is nothing to remember.

    Args:
        score_tier: by tonight's scores; None when every image left the archive. score: tonight's
            highest; None without one. images: ids. before: in the last night with a list.
        alerted_at: first night after that one in which an image of it raised an alert. review:
            from a mark of today's file. night: tonight, ISO 8601.
    """
    closing = _later(review, before.review if before else None)
    is_open_alert = alerted_at is not None or (
        before is not None and before.tier == Tier.ALERT and before.status != Status.REVIEWED
    )
    first_alert = (before.first_alerted_at if before else None) or alerted_at
    is_open_alert |= closing is not None and closing.reopens and first_alert is not None
    listed_at = before.first_listed_at if before else (alerted_at or night)

    def standing(tier: Tier, status: Status, why: str = "") -> Standing:
        alert = first_alert or (night if tier == Tier.ALERT else None)
        return Standing(tier, status, listed_at, alert, closing, why)

    tier = Tier.ALERT if is_open_alert or score_tier is None else score_tier
    if closing is None:
        if tier not in _ASKS:
            return None
        was_asked = (
            before is not None and before.tier in _ASKS and _rank(before.tier) <= _rank(tier)
        )
        return standing(tier, Status.OPEN if was_asked or alerted_at else Status.NEW)
    why = _reopened_by(
        closing, score, images, before if before and closing is before.review else None
    )
    if not why:
        shown = score_tier or (before.tier if before else Tier.ALERT)
        return standing(shown, Status.REVIEWED)
    if tier in _ASKS and (score_tier is not None or is_open_alert):
        return standing(tier, Status.REOPENED, why)
    if score_tier is None:  # it asked for a look, was no alert, and is gone
        return None
    return standing(Tier.BELOW, Status.REVIEWED)


def _reopened_by(
    closing: Review, score: float | None, images: Collection[str], before: Before | None
) -> str:
    """Why a mark no longer closes; empty when it does. before: where the mark is not new."""
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


def _later(found: Review | None, remembered: Review | None) -> Review | None:
    """The later mark; of one time the remembered, which knows best what was seen."""
    if found is None or remembered is None:
        return found or remembered
    return found if found.reviewed_at > remembered.reviewed_at else remembered


def _rank(tier: Tier) -> int:
    return _ASKS.index(tier)


def _age(image: SeenImage) -> tuple[datetime, str]:
    return image.since, image.image_id
