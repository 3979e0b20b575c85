"""The least sharpness, from the archive's own last nights.

**The rule.** A device with at least `ENOUGH_IMAGES` pictures in the last nights has a bound of its
own: the 1 % quantile of its sharpness there, as far down as chance could have moved it. Other
devices have the archive's, by the same rule over all its pictures; and before the archive has
enough, the reference's (`core.rules.QualityBounds`).

- **Own nights only tighten.** No bound lies below the reference's, and none below the bound of the
  night before. So a camera that fails slowly is measured by what it once did, and does not become
  normal.
- **Not without end.** No bound lies more than `MOST_TIGHTER` above the reference, so that an
  archive of very sharp pictures does not condemn the next camera.

Only sharpness follows the archive: its scale differs by source. Exposure has one scale for all.
A device that only `--manifest` names is not known when a file is read; it has the archive's bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from batch.core.records import is_device
from batch.core.rules import QualityBounds
from batch.review.monitoring.flag_counts import (
    OTHERS,
    SHARPNESS_EDGES,
    FlagCounts,
    GroupCounts,
    add_up,
)

if TYPE_CHECKING:
    from batch.review.monitoring.history import NightRecord

ENOUGH_IMAGES = 1000
QUANTILE = 0.01
MOST_TIGHTER = 1.0
"""In logarithms, as sharpness itself."""
MOST_DEVICES = 100
_CHANCE = 2.0
"""Standard deviations by which the quantile's rank is lowered."""


@dataclass(frozen=True)
class OwnBounds:
    """The bounds that hold in a night, and what they come from.

    reference: before any night. sharpness: of the archive. devices: of those with their own.
    images: pictures of the last nights, of the archive and of these devices, in all.
    """

    reference: QualityBounds = field(default_factory=QualityBounds)
    sharpness: float = QualityBounds.sharpness
    devices: Mapping[str, float] = field(default_factory=dict)
    images: int = 0

    @property
    def rules(self) -> QualityBounds:
        """As files are read by them."""
        devices = tuple(sorted(self.devices.items()))
        return replace(self.reference, sharpness=self.sharpness, sharpness_of_devices=devices)

    def of_device(self, device: str) -> float:
        """The least sharpness of a device's pictures."""
        return self.devices.get(device, self.sharpness)

    def to_json(self) -> dict[str, Any]:
        """The form in run.json, under `quality_bounds`."""
        return {
            "reference": self.reference.sharpness,
            "sharpness": self.sharpness,
            "sharpness_of_devices": dict(sorted(self.devices.items())),
            "images": self.images,
            "bright_level": self.reference.bright_level,
            "saturated_share": self.reference.saturated_share,
            "white_share": self.reference.white_share,
        }


def own_bounds(reference: QualityBounds, earlier: Sequence[NightRecord]) -> OwnBounds:
    """The bounds of a night.

    Args:
        reference: where no own nights are.
        earlier: the nights before it, newest first.
    """
    counts = add_up(night.flags for night in earlier if night.flags is not None)
    held = next((b for night in earlier if (b := night.bounds) is not None), None)
    return tightened(reference, counts, held)


def tightened(reference: QualityBounds, counts: FlagCounts, held: OwnBounds | None) -> OwnBounds:
    """See `own_bounds`. counts: of the last nights. held: the bounds of the night before."""
    highest = reference.sharpness + MOST_TIGHTER
    archive = counts.archive

    def bound(group: GroupCounts, least: float) -> float:
        own = safe_quantile(group)
        tight = least if own is None else max(least, own)
        return round(min(max(tight, reference.sharpness), highest), 3)

    before = held.devices if held else {}
    devices = {
        name: bound(counts.devices.get(name, GroupCounts()), before.get(name, reference.sharpness))
        for name in _with_own(counts, before)
    }
    whole = bound(archive, held.sharpness if held else reference.sharpness)
    return OwnBounds(reference, whole, devices, archive.images)


def safe_quantile(group: GroupCounts) -> float | None:
    """The 1 % quantile of sharpness, as low as chance could put it; None with too few pictures."""
    images = sum(group.sharpness.values())
    if images < ENOUGH_IMAGES:
        return None
    expected = images * QUANTILE
    rank = math.floor(expected - _CHANCE * math.sqrt(expected * (1 - QUANTILE)))
    below = 0
    for at, count in sorted(group.sharpness.items()):
        below += count
        if below > rank:
            return SHARPNESS_EDGES[at]
    return None


def bounds_from_json(content: object) -> OwnBounds | None:
    """Read the result of `OwnBounds.to_json`; None if it is damaged."""
    if not isinstance(content, Mapping):
        return None
    try:
        reference = QualityBounds(
            sharpness=_number(content["reference"]),
            bright_level=_number(content["bright_level"]),
            saturated_share=_number(content["saturated_share"]),
            white_share=_number(content["white_share"]),
        )
        devices = {str(k): _number(v) for k, v in content["sharpness_of_devices"].items()}
        return OwnBounds(reference, _number(content["sharpness"]), devices, int(content["images"]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _with_own(counts: FlagCounts, before: Mapping[str, float]) -> list[str]:
    """Devices with a bound of their own: those that had one, and those with enough pictures."""
    enough = [
        name
        for name, group in counts.devices.items()
        if name != OTHERS and is_device(name) and sum(group.sharpness.values()) >= ENOUGH_IMAGES
    ]
    names = dict.fromkeys([*sorted(enough), *before])
    return list(names)[:MOST_DEVICES]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no number")
    return float(value)
