"""Everything that decides how files are read, in one frozen value that travels to the workers."""

from __future__ import annotations

from dataclasses import dataclass, field

from batch.archive.limits import Limits
from batch.archive.privacy import IdentifierPolicy
from batch.archive.selection import Selection


@dataclass(frozen=True)
class ReadingRules:
    """Limits, selection and privacy of a run."""

    limits: Limits = field(default_factory=Limits)
    selection: Selection = field(default_factory=Selection)
    identifiers: IdentifierPolicy = field(default_factory=IdentifierPolicy)
