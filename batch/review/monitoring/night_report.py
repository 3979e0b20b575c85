"""The report of a night: what a person reads about it, and what run.json keeps.

In an unusual night a person should look at cameras, export and model before relying on the list. A
night that is not unusual was compared in these figures only; this says nothing about any lesion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batch.core.records import Canary
from batch.reports.run_record import CanaryRecord, RunRecord, record_of
from batch.review.monitoring.charts import draw
from batch.review.monitoring.comparisons import Drift, all_drifts
from batch.review.monitoring.figures import NightFigures
from batch.review.monitoring.flag_counts import FlagCounts
from batch.review.monitoring.history import NightRecord
from batch.review.monitoring.own_bounds import OwnBounds
from batch.review.monitoring.reference import Reference

REPORT_VERSION = 1
LAST_NIGHTS = 30


@dataclass(frozen=True, eq=False)
class NightReport:
    """The report of a night.

    night: start of the run, ISO 8601.
    counts: files and images by what became of them.
    rates: shares 0..1, and images a second; None if unknown.
    unscored_by_reason: images of the archive without a score.
    durations: seconds by part of the run.
    charts: name to SVG, in the order of the page.
    drift: all comparisons.
    canary: check of the golden images; None if the model was not opened.
    canary_sentence: the same for a person.
    unusual: whether a comparison makes the night unusual.
    sentences: for a person, the most important first.
    earlier_nights: number of nights in "the last nights".
    figures, flags: of tonight. bounds: from where on a picture is flagged; None if unknown.
    reference: of the model.
    """

    run_id: str
    night: str
    counts: Mapping[str, int]
    rates: Mapping[str, float | None]
    unscored_by_reason: Mapping[str, int]
    durations: Mapping[str, float]
    charts: Mapping[str, str]
    drift: tuple[Drift, ...]
    canary: Canary | None
    canary_sentence: str
    unusual: bool
    sentences: tuple[str, ...]
    earlier_nights: int
    figures: NightFigures
    reference: Reference
    flags: FlagCounts = field(default_factory=FlagCounts)
    bounds: OwnBounds | None = None

    def to_json(self) -> dict[str, Any]:
        """The form in run.json, under `review`; charts can be drawn again from it."""
        return {
            "report_version": REPORT_VERSION,
            "unusual": self.unusual,
            "sentences": list(self.sentences),
            "rates": {
                name: None if rate is None else round(rate, 6) for name, rate in self.rates.items()
            },
            "drift": [drift.to_json() for drift in self.drift],
            "canary": None if self.canary is None else vars(self.canary),
            "earlier_nights": self.earlier_nights,
            "figures": self.figures.to_json(),
            "flags": self.flags.to_json(),
            "reference": self.reference.to_json(),
        }


def build_report(
    run: Mapping[str, Any],
    tonight: NightRecord,
    earlier: Sequence[NightRecord],
    reference: Reference,
    canary: Canary | None,
) -> NightReport:
    """Compare a night with others and make its report.

    Args:
        run: content of its run.json, as far as it is made.
        tonight: its record, with figures.
        earlier: the nights before it, newest first, at most `LAST_NIGHTS`.
        reference: of the model.
        canary: check of the golden images, or None.
    """
    record = record_of(run)
    drift = tuple(all_drifts(tonight, earlier, reference))
    reasons = record.unscored_by_reason
    canary_sentence = _canary(canary)
    unusual = any(comparison.unusual for comparison in drift)
    return NightReport(
        run_id=tonight.run_id,
        night=tonight.night,
        counts=_counts(record, tonight),
        rates=_rates(record, tonight),
        unscored_by_reason=reasons,
        durations=record.seconds,
        charts=draw(tonight, earlier, reference, reasons),
        drift=drift,
        canary=canary,
        canary_sentence=canary_sentence,
        unusual=unusual,
        sentences=(
            _headline(unusual, drift, len(earlier)),
            *(comparison.sentence for comparison in drift if comparison.unusual),
            *_without_figures(earlier),
            reference.said,
            canary_sentence,
        ),
        earlier_nights=len(earlier),
        figures=tonight.figures or NightFigures(),
        reference=reference,
        flags=tonight.flags or FlagCounts(),
        bounds=tonight.bounds,
    )


def canary_of(recorded: CanaryRecord | None) -> Canary | None:
    """The check of the golden images from run.json; None if it is missing or incomplete."""
    if recorded is None:
        return None
    images, largest, tolerance = recorded.images, recorded.largest_difference, recorded.tolerance
    if images is None or largest is None or tolerance is None:
        return None
    return Canary(images, largest, tolerance)


def _counts(run: RunRecord, tonight: NightRecord) -> dict[str, int]:
    named = {
        "files found": run.equation.files_found,
        "images scored tonight": tonight.scored,
        "alerts raised tonight": run.alerts,
        "images newly without a score": tonight.new_unscored,
        "images with a score, whole archive": run.current.images,
        "images without a score, whole archive": run.frames.unscored,
        "files unchanged": run.equation.unchanged,
        "files moved or copied": run.equation.reused,
        "files that are no image": run.equation.non_image,
        "files left for the next run": run.equation.pending,
    }
    return {name: value for name, value in named.items() if value is not None}


def _rates(run: RunRecord, tonight: NightRecord) -> dict[str, float | None]:
    scored, alerts = tonight.scored, tonight.alerts
    return {
        "alerts_of_scored": alerts / scored if alerts is not None and scored else None,
        "unscored_of_new": run.unscored_rate,
        "images_per_second": run.images_per_second,
    }


def _headline(unusual: bool, drift: Sequence[Drift], nights: int) -> str:
    before = f"the last {nights} nights" if nights > 1 else "the night before"
    if unusual:
        names = dict.fromkeys(comparison.label for comparison in drift if comparison.unusual)
        return (
            f"Unusual night: {', '.join(names)}. Look at cameras, export and model before "
            "relying on tonight's list."
        )
    if not any(comparison.value is not None for comparison in drift):
        return "Nothing is claimed about how usual this night was: too few images to compare."
    if not nights:
        return "The first night that can be told about; it was compared with the model's reference."
    return f"In what was compared, not unusual beside {before}; this says nothing about any lesion."


def _without_figures(earlier: Sequence[NightRecord]) -> list[str]:
    without = sum(night.figures is None for night in earlier)
    if not without:
        return []
    return [
        f"{without} of the last {len(earlier)} nights kept no figures that can be compared "
        "(another version of the program wrote them)."
    ]


def _canary(canary: Canary | None) -> str:
    if canary is None:
        return "Golden images: not rescored tonight, since no image had to be scored."
    return (
        f"Golden images: {canary.images} rescored at the start; the largest difference to the "
        f"scores measured in training is {_decimal(canary.largest_difference)} (allowed: "
        f"{_decimal(canary.tolerance)})."
    )


def _decimal(value: float) -> str:
    """A small number without exponent, e.g. 0.0000003."""
    return f"{value:.7f}".rstrip("0").rstrip(".")
