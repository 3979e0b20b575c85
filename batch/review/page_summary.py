"""What the page's template says beside the list: heads, counts, sections, the night. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from batch.core.times import minute, zone
from batch.review.contract import ReviewWorklist, Status, Tier
from batch.review.page_rows import rows
from batch.review.svg import checked_svg

if TYPE_CHECKING:
    from batch.review.night_report import NightReport

DECISIONS = (
    ("call_back", "Call back"),
    ("follow_up", "Follow up"),
    ("no_action", "No action now"),
    ("new_image", "New image needed"),
)
"""What a mark can say, in the order of the keys 1 to 4; reviewed.csv may hold other words too."""

LISTED = (Tier.ALERT, Tier.NEAR_THRESHOLD, Tier.UNREADABLE)
TIER_LABELS = {
    Tier.ALERT: "Alert",
    Tier.NEAR_THRESHOLD: "Near threshold",
    Tier.UNREADABLE: "Unreadable",
    Tier.BELOW: "Below the band",
}
_ON_CARDS = {
    Tier.ALERT: "alerts to review",
    Tier.NEAR_THRESHOLD: "near the threshold",
    Tier.UNREADABLE: "unreadable",
}
_ABOUT_SECTION = {
    Tier.ALERT: "score at or above the operating point, now or in an earlier night",
    Tier.NEAR_THRESHOLD: "score just below the operating point",
    Tier.UNREADABLE: "no image could be read; a person must look",
    Status.REVIEWED: "closed by a mark in reviewed.csv",
}
_ORDERS = (
    ("rank", "priority"), ("score", "score"), ("change", "change"), ("patient", "patient"),
    ("site", "site"), ("date", "date taken"), ("images", "images"), ("label", "lesion"),
    ("tier", "tier"), ("mark", "review"),
)  # fmt: skip
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def script_words() -> dict[str, Any]:
    """Names that the page's script shows."""
    return {
        "decisions": _options(DECISIONS),
        "tiers": _options((tier.value, TIER_LABELS[tier]) for tier in LISTED),
        "about_tier": {key.value: text for key, text in _ABOUT_SECTION.items()},
    }


def summary(worklist: ReviewWorklist, lesions: list[dict[str, Any]]) -> dict[str, Any]:
    """The template's variables.

    Args:
        lesions: as `page_data` lists them.
    """
    facts, unreadable, passed_over = (
        worklist.facts,
        rows(worklist.unreadable),
        worklist.not_looked_at,
    )
    of_tier = Counter(lesion["tier"] for lesion in lesions)
    sites = Counter(lesion["site"] or "" for lesion in lesions)
    return {
        "facts": facts,
        "point": facts.operating_point,
        "night": instant(facts.night),
        "zone": shown(zone(facts.night)),
        "listed": len(lesions),
        "cards": _cards(lesions),
        "archive_sentence": _archive_sentence(facts.archive),
        "below_sentence": _below_sentence(facts.archive.get("below", 0)),
        "tiers": [
            {"value": tier.value, "label": TIER_LABELS[tier], "count": of_tier[tier]}
            for tier in LISTED
        ],
        "sites": [
            {"value": f"={site}" if site else "-", "label": site or "not stated", "count": count}
            for site, count in sorted(sites.items())
        ],
        "orders": _options(_ORDERS),
        "decisions": _options(DECISIONS),
        "unreadable": _by_reason(unreadable),
        "unreadable_total": len(unreadable),
        "not_looked_at": sorted(passed_over.items(), key=lambda item: (-item[1], item[0])),
        "not_looked_at_total": sum(passed_over.values()),
        "changes": [
            {**row, "before": _tier_label(row["tier_before"]), "now": _tier_label(row["tier"])}
            for row in rows(worklist.changes)
        ],
    }


def night(report: NightReport | None) -> dict[str, Any]:
    """The template's variables for the night's report.

    Raises:
        ValueError: a chart with other content than drawings.
    """
    if report is None:
        return {"report": None, "charts": (), "rates": (), "durations": (), "unusual": ()}
    return {
        "report": report,
        "unusual": [
            report.sentences[0],
            *(each.sentence for each in report.drift if each.unusual),
        ]
        if report.unusual
        else [],
        "charts": [Markup(checked_svg(chart)) for chart in report.charts.values()],
        "rates": [(name, _rate(name, value)) for name, value in report.rates.items()],
        "durations": [(name, f"{seconds:,.1f}") for name, seconds in report.durations.items()],
    }


def shown(value: object) -> str:
    """Text for people: what would hide, or turn round what follows, is shown by its number."""
    text = "" if value is None else str(value)
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def words(value: object) -> str:
    """A name of ours, such as a reason, as words."""
    return shown(value).replace("_", " ")


def instant(text: str | None) -> str:
    """ISO 8601 as `2026-11-21 03:00 +01:00`, of this machine's zone; other text as it is."""
    return shown(minute(text or ""))


def percent(share: float) -> str:
    """A share 0..1 in percent, without decimals that its interval would not bear."""
    return f"{100 * share:.0f} %"


def _options(pairs: Any) -> list[dict[str, str]]:
    return [{"value": value, "label": label} for value, label in pairs]


def _cards(lesions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    still_open = [lesion["tier"] for lesion in lesions if lesion["status"] != Status.REVIEWED]
    counts = [(tier.value, still_open.count(tier), label) for tier, label in _ON_CARDS.items()]
    counts.append(("reviewed", len(lesions) - len(still_open), "reviewed"))
    return [{"kind": kind, "count": count, "label": label} for kind, count, label in counts]


def _archive_sentence(counts: Mapping[str, int]) -> str:
    named = {"files": "files", "images": "images with a score", "lesions": "lesions",
             "patients": "patients"}  # fmt: skip
    told = [f"{counts[key]:,} {name}" for key, name in named.items() if key in counts]
    return f"In the archive: {', '.join(told)}. " if told else ""


def _below_sentence(below: int) -> str:
    lie, are = ("lesion lies", "is") if below == 1 else ("lesions lie", "are")
    return f"{below:,} {lie} below the band and {are} not listed; none of them is called clear."


def _by_reason(unreadable: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in unreadable:
        groups.setdefault(row["reason"], []).append(row)
    return [
        {"reason": reason, "rows": found}
        for reason, found in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _rate(name: str, value: float | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,.1f}" if name.endswith("per_second") else f"{value:.1%}"


def _tier_label(tier: str | None) -> str:
    return "\N{EN DASH}" if tier is None else TIER_LABELS[Tier(tier)]
