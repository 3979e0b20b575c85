"""What a night's run.json tells of it, as far as nights are compared. Pure.

A file that a person or a disk damaged must not end another night: what is not of its kind counts
as not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch.reports.run_reader import REVIEW, at, count
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
    run_id, night = at(run, "run_id"), at(run, "started_at")
    if not isinstance(run_id, str) or not isinstance(night, str):
        return None
    scored = count(run, "frames", "predictions")
    raised, turned = count(run, "alerts"), count(run, "alerts_by_operating_point")
    alerts = None if raised is None or turned is None else raised - turned
    if alerts is not None and (scored is None or not 0 <= alerts <= scored):
        alerts = None
    scoring, threshold = (
        at(run, "model", "fingerprints", "scoring"),
        at(run, "model", "operating_point", "threshold"),
    )
    return NightRecord(
        run_id=run_id,
        night=night,
        scored=scored,
        new_unscored=count(run, "frames", "new_unscored"),
        alerts=alerts,
        scoring=scoring if isinstance(scoring, str) else None,
        threshold=threshold if isinstance(threshold, float) else None,
        figures=figures_from_json(at(run, REVIEW, "figures")),
    )
