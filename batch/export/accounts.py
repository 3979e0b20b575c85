"""What became of every selected image in an export to one receiver. The counts add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from batch.core.errors import LedgerImbalance
from batch.export.selection import Selection


class State(StrEnum):
    """What became of an image in an export; each ends in exactly one."""

    EXPORTED = "exported"
    UNCHANGED = "unchanged"
    NOT_DICOM = "not_dicom"
    LEFT_ARCHIVE = "left_archive"
    WITHOUT_SCORE = "without_score"
    FAILED = "failed"


@dataclass
class Account:
    """What became of the images.

    receiver: its name. alerts: ids of images that are alerts now. states, reasons: by image_id;
    reasons of those that failed. written, amended, unchanged: documents or lesions; an amended one
    was handed over before with other content. has_failed: something was not handed over that could
    have been.
    """

    receiver: str
    alerts: frozenset[str] = frozenset()
    states: dict[str, State] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    written: int = 0
    amended: int = 0
    unchanged: int = 0
    has_failed: bool = False

    @classmethod
    def of(cls, selection: Selection, receiver: str) -> Account:
        """An account of a selection in which no image has a state yet."""
        images = selection.images.values()
        return cls(receiver, frozenset(image.image_id for image in images if image.is_alert))

    def settle(self, image_ids: Iterable[str], state: State, reason: str = "") -> None:
        """Note what became of images.

        Raises:
            LedgerImbalance: one of them has a state already.
        """
        for image_id in image_ids:
            if image_id in self.states:
                raise LedgerImbalance("export: an image ended in two states. Report this.")
            self.states[image_id] = state
            self.has_failed |= state == State.FAILED
            if reason:
                self.reasons[image_id] = reason

    def check(self, selection: Selection) -> None:
        """Make sure that every selected image has a state, and no other one.

        Raises:
            LedgerImbalance: it is not so.
        """
        expected = {*selection.images, *selection.left_archive, *selection.without_score}
        if self.states.keys() != expected:
            raise LedgerImbalance(
                f"export: {len(expected)} images were selected, {len(self.states)} accounted for."
            )

    def counts(self, only_alerts: bool = False) -> dict[str, int]:
        """Images by state, zeros included."""
        found = Counter(
            state
            for image_id, state in self.states.items()
            if not only_alerts or image_id in self.alerts
        )
        return {state.value: found[state] for state in State}

    def as_json(self) -> dict[str, Any]:
        """The account as JSON can hold it."""
        return {
            "receiver": self.receiver,
            "written": self.written,
            "amended": self.amended,
            "unchanged": self.unchanged,
            "images": {"selected": len(self.states), **self.counts()},
            "alerts": {"selected": len(self.alerts), **self.counts(only_alerts=True)},
        }
