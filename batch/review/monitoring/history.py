"""The facts of a night that are compared with other nights, read from its run.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch.reports.run_record import record_of
from batch.review.monitoring.figures import NightFigures, figures_from_json
from batch.review.monitoring.flag_counts import FlagCounts, flag_counts_from_json
from batch.review.monitoring.own_bounds import OwnBounds, bounds_from_json


@dataclass(frozen=True, eq=False)
class NightRecord:
    """A night. A field is None if run.json does not have it.

    night: its start, ISO 8601.
    scored, new_unscored, alerts: numbers of images read in it.
    scoring: fingerprint of the model; scores are compared only if it is equal.
    threshold: of the operating point; alerts are compared only if it is equal.
    figures, flags: None also for another version of their form.
    bounds: from where on a picture was flagged.
    """

    run_id: str
    night: str
    scored: int | None
    new_unscored: int | None
    alerts: int | None
    scoring: str | None
    threshold: float | None
    figures: NightFigures | None
    flags: FlagCounts | None = None
    bounds: OwnBounds | None = None


def night_record(run: Mapping[str, Any]) -> NightRecord | None:
    """Read the record of a night from run.json; None if that lacks run_id or started_at."""
    record = record_of(run)
    if record.run_id is None or record.started_at is None:
        return None
    scored = record.frames.predictions
    raised, turned = record.alerts, record.alerts_by_operating_point
    alerts = None if raised is None or turned is None else raised - turned
    if alerts is not None and (scored is None or not 0 <= alerts <= scored):
        alerts = None
    return NightRecord(
        run_id=record.run_id,
        night=record.started_at,
        scored=scored,
        new_unscored=record.frames.new_unscored,
        alerts=alerts,
        scoring=record.model.fingerprints.scoring,
        threshold=record.model.operating_point.threshold,
        figures=figures_from_json(record.review.figures if record.review else None),
        flags=flag_counts_from_json(record.review.flags if record.review else None),
        bounds=bounds_from_json(record.quality_bounds),
    )
