"""What a night's run.json tells of it, as far as nights are compared. Pure.

A file that a person or a disk damaged must not end another night: what is not of its kind counts
as not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch.reports.run_record import record_of
from batch.review.monitoring.figures import NightFigures, figures_from_json


@dataclass(frozen=True, eq=False)
class NightRecord:
    """One night. None where its run.json does not tell.

    night: start, ISO 8601. scored, new_unscored, alerts: images read in it. scoring, threshold:
    what its scores and alerts can be compared with. figures: None for a night of a version that
    kept none.
    """

    run_id: str
    night: str
    scored: int | None
    new_unscored: int | None
    alerts: int | None
    scoring: str | None
    threshold: float | None
    figures: NightFigures | None


def night_record(run: Mapping[str, Any]) -> NightRecord | None:
    """What run.json tells; None when it does not even tell which night it is of."""
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
    )
