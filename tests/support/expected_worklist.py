"""What a worklist must say from night to night, with pencil and paper: README's rules, no pandas.

Written from README alone, for whole lesions and marks of whole lesions. It shares no line with
`batch.review`, and a story of nights is compared with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

URGENCY = ("alert", "near_threshold", "unreadable", "unreliable", "below")


@dataclass
class Known:
    """What is remembered of a lesion. mark: score and images that a reviewer saw."""

    tier: str = "below"
    status: str = ""
    images: frozenset[str] = frozenset()
    mark: tuple[float | None, frozenset[str]] | None = None

    @property
    def is_open_alert(self) -> bool:
        return self.tier == "alert" and self.status in ("new", "open", "reopened")


@dataclass
class Expected:
    """The list that must be there, by lesion: tier and status; those below the band are absent."""

    known: dict[str, Known] = field(default_factory=dict)
    tops: dict[str, float | None] = field(default_factory=dict)

    def mark(self, lesion: str) -> None:
        """A person closes a lesion, having seen the last list."""
        known = self.known[lesion]
        known.mark, known.status = (self.tops.get(lesion), known.images), "marked"

    def night(
        self,
        scores: Mapping[str, Mapping[str, float]],
        unreadable: Mapping[str, frozenset[str]],
        threshold: float,
    ) -> dict[str, tuple[str, str]]:
        """Tier and status of every lesion that must be listed.

        Args:
            scores: lesion to image to score. unreadable: lesion to images without one.
        """
        found = {}
        for lesion in {*scores, *unreadable, *self.known}:
            known = self.known.setdefault(lesion, Known())
            here = scores.get(lesion, {})
            images = frozenset(here) | unreadable.get(lesion, frozenset())
            top = max(here.values(), default=None)
            answer = _stands(known, images, top, threshold)
            if answer is None:
                self.known.pop(lesion)
                continue
            known.tier, known.status = answer
            if images:
                known.images, self.tops[lesion] = images, top
            if known.status != "unlisted":
                found[lesion] = answer
        return found


def _stands(
    known: Known, images: frozenset[str], top: float | None, threshold: float
) -> tuple[str, str] | None:
    if not images:  # gone from the archive
        if known.is_open_alert:
            return "alert", "reopened" if known.status == "reopened" else "open"
        return (known.tier, "reviewed") if known.mark else None
    if top is None:
        by_score = "unreadable"
    elif top >= threshold:
        by_score = "alert"
    else:
        odds, half = top / (1 - top), threshold / (1 - threshold) / 2
        by_score = "near_threshold" if odds >= half else "below"
    tier = "alert" if known.is_open_alert else by_score
    if known.mark is None:
        if tier == "below":
            return "below", "unlisted"
        was_listed = known.status in ("new", "open")
        as_urgent = URGENCY.index(known.tier) <= URGENCY.index(tier)
        return tier, "open" if was_listed and as_urgent else "new"
    saw, seen = known.mark
    again = known.status == "reopened" or bool(images - seen)
    again |= top is not None and (saw is None or top > saw + 0.001)
    if not again:
        return by_score, "reviewed"
    return (tier, "reopened") if tier != "below" else ("below", "reviewed")
