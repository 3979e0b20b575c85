"""Counts a night's pictures by flag, for every device and every site.

The counts stand in run.json under `review.flags`, and later nights compare with them. Every flag in
`FLAGS` is counted in the same way, so another one needs its name there and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.core.records import MAX_DEVICE_NAME, device_name
from batch.images.quality import UNRELIABLE_FLAGS
from batch.model.domain import NOT_DERMOSCOPY, OUTSIDE_DOMAIN

UNRELIABLE = "unreliable"
"""Not a flag itself: `is_reliable` is false, because of at least one flag."""
FLAGS = (*sorted(UNRELIABLE_FLAGS), NOT_DERMOSCOPY, OUTSIDE_DOMAIN, UNRELIABLE)
FLAG_COLUMNS = (
    "flags", "is_reliable", "sharpness", "anatomic_region", "file_format", "manufacturer",
    "manufacturer_model_name",
)  # fmt: skip
"""Columns of `predictions` from which the flags of a night are counted."""

COUNTS_VERSION = 1
MOST_GROUPS = 20
OTHERS = "all others"
NO_SITE = "site not recorded"
SHARPNESS_STEP = 0.05
SHARPNESS_EDGES = tuple(round(-6 + SHARPNESS_STEP * at, 2) for at in range(281))
"""Lower ends of bins, from -6 to 8 in logarithms; the first and the last are open."""
_MAX_COUNT = 1 << 53


@dataclass(frozen=True)
class GroupCounts:
    """Pictures of a device, of a site, or of several.

    images: with a score. flagged: pictures by flag. sharpness: pictures by bin of
    `SHARPNESS_EDGES`; empty for a site.
    """

    images: int = 0
    flagged: Mapping[str, int] = field(default_factory=dict)
    sharpness: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: GroupCounts) -> GroupCounts:
        return GroupCounts(
            self.images + other.images,
            Counter(self.flagged) + Counter(other.flagged),
            Counter(self.sharpness) + Counter(other.sharpness),
        )

    def share(self, flag: str) -> float | None:
        """Share of pictures with a flag, 0..1; None without pictures."""
        return self.flagged.get(flag, 0) / self.images if self.images else None


@dataclass(frozen=True)
class FlagCounts:
    """Pictures of a night, or of several, by device and by site."""

    devices: Mapping[str, GroupCounts] = field(default_factory=dict)
    sites: Mapping[str, GroupCounts] = field(default_factory=dict)

    @property
    def archive(self) -> GroupCounts:
        """All pictures together."""
        return sum(self.devices.values(), GroupCounts())

    def to_json(self) -> dict[str, Any]:
        """The form in run.json. The rarest devices and sites are added up."""
        return {
            "counts_version": COUNTS_VERSION,
            "devices": {name: _group_json(group) for name, group in _few(self.devices).items()},
            "sites": {name: _group_json(group) for name, group in _few(self.sites).items()},
        }


def flag_counts(rows: pa.Table) -> FlagCounts:
    """Count pictures. rows: `FLAG_COLUMNS` of `predictions`."""
    if not len(rows):
        return FlagCounts()
    makers, models, formats, sites = (
        rows[name].to_pylist()
        for name in ("manufacturer", "manufacturer_model_name", "file_format", "anatomic_region")
    )
    devices = [device_name(*words) for words in zip(makers, models, formats, strict=True)]
    by_flag = {flag: _has(rows["flags"], flag) for flag in FLAGS if flag != UNRELIABLE}
    by_flag[UNRELIABLE] = (
        pc.equal(rows["is_reliable"], False).fill_null(False).to_numpy(zero_copy_only=False)
    )
    sharpness = rows["sharpness"].to_numpy(zero_copy_only=False).astype(float)
    places = [_site(site) for site in sites]
    return FlagCounts(_groups(devices, by_flag, sharpness), _groups(places, by_flag))


def add_up(parts: Iterable[FlagCounts]) -> FlagCounts:
    """Counts of several nights or of several parts of one."""
    devices: dict[str, GroupCounts] = {}
    sites: dict[str, GroupCounts] = {}
    for part in parts:
        for sums, groups in ((devices, part.devices), (sites, part.sites)):
            for name, group in groups.items():
                sums[name] = sums[name] + group if name in sums else group
    return FlagCounts(devices, sites)


def flag_counts_from_json(content: object) -> FlagCounts | None:
    """Read the result of `FlagCounts.to_json`; None if it is damaged or of another version."""
    if not isinstance(content, Mapping) or content.get("counts_version") != COUNTS_VERSION:
        return None
    try:
        devices, sites = (
            {str(name): _group(group) for name, group in content[kind].items()}
            for kind in ("devices", "sites")
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return FlagCounts(devices, sites)


SMALL_GROUP = 10
"""A group with fewer pictures is not shown by itself: its shares say nothing, and it may tell of a
single patient."""


def shown_groups(groups: Mapping[str, GroupCounts]) -> list[tuple[str, GroupCounts]]:
    """What people and metrics see, the largest first; small groups are added up."""
    large = {name: group for name, group in groups.items() if group.images >= SMALL_GROUP}
    small = [group for name, group in groups.items() if name not in large]
    ranked = sorted(_few(large).items(), key=lambda item: (item[0] == OTHERS, -item[1].images))
    rest = sum(small, GroupCounts())
    if rest.images >= SMALL_GROUP:
        ranked.append((f"fewer than {SMALL_GROUP} images each", rest))
    return ranked


def _has(flags: pa.ChunkedArray, flag: str) -> np.ndarray:
    """Whether each list has a flag, (N,) bool."""
    found = np.zeros(len(flags), bool)
    rows = pc.list_parent_indices(flags.combine_chunks())
    words = pc.list_flatten(flags.combine_chunks())
    found[rows.filter(pc.equal(words, flag)).to_numpy(zero_copy_only=False)] = True
    return found


def _groups(
    names: list[str], by_flag: Mapping[str, np.ndarray], sharpness: np.ndarray | None = None
) -> dict[str, GroupCounts]:
    labels, codes = np.unique(np.array(names, object), return_inverse=True)
    groups = {}
    for code, label in enumerate(labels):
        mine = codes == code
        flagged = {flag: int(np.count_nonzero(has & mine)) for flag, has in by_flag.items()}
        bins = Counter[int]()
        if sharpness is not None:
            known = sharpness[mine & np.isfinite(sharpness)]
            at = np.clip(
                np.searchsorted(SHARPNESS_EDGES, known, side="right") - 1, 0, None
            ).tolist()
            bins.update(at)
        kept = {flag: count for flag, count in flagged.items() if count}
        groups[str(label)] = GroupCounts(int(np.count_nonzero(mine)), kept, bins)
    return groups


def _site(region: str | None) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in region or "").split())
    return words[:MAX_DEVICE_NAME] or NO_SITE


def _few(groups: Mapping[str, GroupCounts]) -> dict[str, GroupCounts]:
    """The most frequent groups, and all others together."""
    ranked = sorted(groups.items(), key=lambda item: (-item[1].images, item[0]))
    kept = dict(ranked[:MOST_GROUPS])
    if rest := [group for _, group in ranked[MOST_GROUPS:]]:
        kept[OTHERS] = sum(rest, kept.get(OTHERS, GroupCounts()))
    return kept


def _group_json(group: GroupCounts) -> dict[str, Any]:
    content: dict[str, Any] = {
        "images": group.images,
        "flagged": {flag: count for flag, count in sorted(group.flagged.items()) if count},
    }
    if group.sharpness:
        content["sharpness_from"] = {
            f"{SHARPNESS_EDGES[at]:g}": count for at, count in sorted(group.sharpness.items())
        }
    return content


_BIN_OF_EDGE = {f"{edge:g}": at for at, edge in enumerate(SHARPNESS_EDGES)}


def _group(content: Any) -> GroupCounts:
    images = _count(content["images"])
    flagged = {str(flag): _count(count) for flag, count in content["flagged"].items()}
    bins = {
        _BIN_OF_EDGE[edge]: _count(count)
        for edge, count in content.get("sharpness_from", {}).items()
    }
    if max(flagged.values(), default=0) > images or sum(bins.values()) > images:
        raise ValueError("more pictures of a kind than pictures")
    return GroupCounts(images, flagged, bins)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MAX_COUNT:
        raise ValueError("a count that is none")
    return value
