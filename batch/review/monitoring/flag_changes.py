"""Tells where the share of flagged pictures has doubled against the own last nights.

**The rule.** A share is judged from `LEAST_TONIGHT` pictures tonight and `LEAST_BEFORE` in the last
nights on. A change is told if at least `LEAST_FLAGGED` pictures have the flag tonight, their share
is at least `DOUBLED` times that of the last nights, and the 99.8 % interval of this ratio lies
above 1, so that equal shares pass for a change once in 1,000 times at most. So two blurred pictures
of ten are no news.

The interval is exact for rare flags: of all k flagged pictures, k1 fell on tonight. With equal
shares k1 is binomial with probability n1 / (n1 + n0), for n1 pictures tonight and n0 before
(Przyborowski and Wilenski, 1940); its Clopper-Pearson limits are turned into limits of the ratio.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scipy.special import betaincinv

from batch.review.monitoring.flag_counts import FLAGS, FlagCounts, GroupCounts

LEAST_TONIGHT, LEAST_BEFORE, LEAST_FLAGGED = 20, 50, 5
DOUBLED = 2.0
_TAIL = 0.001
_HALF_A_PICTURE = 0.5


@dataclass(frozen=True)
class FlagChange:
    """A flag's share tonight against that of the last nights.

    device: None for the whole archive. tonight, before: counts of the device, or of the archive.
    ratio: of the shares; that of the last nights counts half a picture more. None if there are too
        few pictures to judge. low, high: its 99.8 % interval; high may be infinite.
    is_told: by the rule above.
    """

    flag: str
    device: str | None
    tonight: GroupCounts
    before: GroupCounts
    ratio: float | None
    low: float
    high: float
    is_told: bool

    @property
    def sentence(self) -> str:
        """For a person."""
        what = "of all images" if self.device is None else f"of {self.device}"
        head = f"Flag {self.flag} {what}"
        if self.ratio is None:
            return (
                f"{head}: not judged against the last nights: {self.tonight.images} images tonight "
                f"and {self.before.images} there; {LEAST_TONIGHT} and {LEAST_BEFORE} are needed."
            )
        detail = f"{_share(self.tonight, self.flag)}, in the last nights "
        detail += _share(self.before, self.flag)
        if not self.is_told:
            return f"{head}: not told as a change ({detail})."
        limits = f"{self.low:.1f} or more" if self.high == float("inf") else (
            f"{self.low:.1f} to {self.high:.1f}"
        )  # fmt: skip
        return (
            f"{head}: {detail}; {self.ratio:.1f} times as many (99.8 % interval {limits}). "
            f"Look at lens, focus and light of {'the cameras' if self.device is None else 'it'}."
        )


def flag_changes(tonight: FlagCounts, before: FlagCounts) -> Iterator[FlagChange]:
    """Every flag of the archive, and what is told of single devices.

    Args:
        tonight: counts of the night. before: of the last nights together.
    """
    whole, whole_before = tonight.archive, before.archive
    for flag in FLAGS:
        yield compare(flag, None, whole, whole_before)
        for device, group in sorted(tonight.devices.items()):
            change = compare(flag, device, group, before.devices.get(device, GroupCounts()))
            if change.is_told:
                yield change


def compare(flag: str, device: str | None, tonight: GroupCounts, before: GroupCounts) -> FlagChange:
    """Compare the share of one flag by the rule above."""
    if tonight.images < LEAST_TONIGHT or before.images < LEAST_BEFORE:
        return FlagChange(flag, device, tonight, before, None, 0.0, float("inf"), False)
    flagged, flagged_before = tonight.flagged.get(flag, 0), before.flagged.get(flag, 0)
    share_before = (flagged_before + _HALF_A_PICTURE) / (before.images + 1)
    ratio = flagged / tonight.images / share_before
    low, high = ratio_interval(flagged, tonight.images, flagged_before, before.images)
    is_told = flagged >= LEAST_FLAGGED and ratio >= DOUBLED and low > 1
    return FlagChange(flag, device, tonight, before, ratio, low, high, is_told)


def ratio_interval(k1: int, n1: int, k0: int, n0: int) -> tuple[float, float]:
    """99.8 % interval of the ratio of two shares, k1 of n1 to k0 of n0; n1 and n0 are 1 or more."""
    low = float(betaincinv(k1, k0 + 1, _TAIL)) if k1 else 0.0
    high = float(betaincinv(k1 + 1, k0, 1 - _TAIL)) if k0 else 1.0
    odds = n0 / n1
    return low / (1 - low) * odds, high / (1 - high) * odds if high < 1 else float("inf")


def _share(group: GroupCounts, flag: str) -> str:
    return f"{group.flagged.get(flag, 0):,} of {group.images:,} ({group.share(flag) or 0:.1%})"
