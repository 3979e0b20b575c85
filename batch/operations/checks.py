"""What `doctor` says of one thing that it tried, and of all together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a check ended; with `failed` a run would not work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Check:
    """One thing that was tried. remedy: empty when nothing is to be done."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def doctor_table(checks: Sequence[Check]) -> str:
    """One line a check, its remedy below, and a closing count."""
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        lines += [f"{check.status:7}  {check.name:{width}}  {check.found}"]
        lines += [f"{'':7}  {'':{width}}  -> {check.remedy}"] if check.remedy else []
    counts = [f"{sum(c.status == status for c in checks)} {status}" for status in Status]
    return "\n".join([*lines, ", ".join(counts)])


def has_failed(checks: Iterable[Check]) -> bool:
    """Whether a run would not work."""
    return any(check.status == Status.FAILED for check in checks)


def level(name: str, value: float, warn: float, fail: float, found: str, remedy: str) -> Check:
    """A check by a number or a truth (1 or 0): failed below `fail`, a warning below `warn`."""
    status = Status.FAILED if value < fail else Status.WARNING if value < warn else Status.OK
    return Check(name, status, found, remedy if status != Status.OK else "")
