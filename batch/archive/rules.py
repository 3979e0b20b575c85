"""Everything that decides how files are read, in one frozen value that travels to the workers."""

from __future__ import annotations

from dataclasses import dataclass, field

from batch.archive.limits import Limits
from batch.archive.privacy import IdentifierPolicy
from batch.archive.selection import Selection
from batch.records import ImageLocation

FUTURE_NS = 24 * 3600 * 10**9
"""A file from further in the future tells nothing of its age; a clock set back explains less."""


@dataclass(frozen=True)
class ReadingRules:
    """Limits, selection and privacy of a run.

    young_after_ns: a file modified after this instant (nanoseconds since 1970) may still be being
    written, and is not called unreadable yet; None: every file is taken as it is.
    """

    limits: Limits = field(default_factory=Limits)
    selection: Selection = field(default_factory=Selection)
    identifiers: IdentifierPolicy = field(default_factory=IdentifierPolicy)
    young_after_ns: int | None = None

    def is_young(self, location: ImageLocation) -> bool:
        """Whether a file that cannot be decoded deserves another night."""
        return self.young_after_ns is not None and modified_after(
            location.mtime_ns, self.young_after_ns
        )


def modified_after(mtime_ns: int, instant_ns: int) -> bool:
    """Whether a modification time lies after an instant, and is no nonsense from the future."""
    return instant_ns < mtime_ns < instant_ns + FUTURE_NS
