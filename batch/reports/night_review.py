"""The night's report from its tables and from earlier nights' run.json: reading, no judgement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from batch.core.records import Canary
from batch.reports import parquet
from batch.reports.earlier_nights import earlier_nights
from batch.reports.local import LocalReports
from batch.reports.run_reader import REVIEW, at
from batch.review.figures import NightFigures, figures_of, together
from batch.review.night_report import NightReport, build, canary_from_json
from batch.review.nights import NightRecord, night_record
from batch.review.quantities import PREDICTION_COLUMNS
from batch.review.reference import Reference, reference_from_json, stored_reference


def review_night(
    reports: LocalReports,
    folder: Path,
    run: Mapping[str, Any],
    provenance: Mapping[str, Any] | None = None,
    canary: Canary | None = None,
) -> NightReport:
    """The report of a night, being gathered or published.

    Args:
        folder: of the night's tables. run: its run.json; where that has a review already, figures,
            reference and canary are taken from there, and neither tables nor artifact are needed.
        provenance, canary: for a night that has none yet.

    Raises:
        ValueError: run.json does not tell run id and start.
    """
    tonight = night_record(run)
    if tonight is None:
        raise ValueError("run.json without run_id or started_at")
    if tonight.figures is None:
        tonight = replace(tonight, figures=measured(folder))
    if at(run, REVIEW) is not None:
        canary = canary_from_json(at(run, REVIEW, "canary"))
    earlier = earlier_nights(reports, tonight.run_id)
    return build(run, tonight, earlier, _reference(run, tonight, provenance), canary)


def measured(folder: Path) -> NightFigures:
    """Figures of a night's predictions, a row group at a time."""

    def parts() -> Iterator[NightFigures]:
        for rows in parquet.stream("predictions", folder / "predictions", PREDICTION_COLUMNS):
            columns = {
                name: rows[name].to_numpy(zero_copy_only=False) for name in PREDICTION_COLUMNS
            }
            yield figures_of(columns)

    return together(parts())


def _reference(
    run: Mapping[str, Any], tonight: NightRecord, provenance: Mapping[str, Any] | None
) -> Reference:
    told = at(run, REVIEW, "reference")
    if told is not None:
        return reference_from_json(told)
    return stored_reference(provenance or {}, tonight.scoring or "")
