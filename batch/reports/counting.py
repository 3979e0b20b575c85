"""Counts of a night, read back from its tables as they stand on disk."""

from __future__ import annotations

from pathlib import Path

from batch.core.records import FileState
from batch.reports import parquet
from batch.reports.gathering import Gathered
from batch.reports.ledger import Counts


def count_night(folder: Path, files_found: int, run_id: str, gathered: Gathered) -> Counts:
    """Count a night's tables; what they alone cannot tell comes from the gathering."""
    by_state = parquet.count_by(
        folder / "files", ["state"], ["frames", "frames_scored", "frames_unscored"]
    )
    reasons = parquet.count_by(folder / "files", ["state", "reason"])
    unscored = parquet.count_by(folder / "unscored", ["reason", "run_id"])
    scored = [row for row in by_state if row["state"] == FileState.SCORED.value]

    def reasons_of(state: FileState) -> dict[str, int]:
        return {row["reason"]: row["rows"] for row in reasons if row["state"] == state.value}

    unscored_reasons: dict[str, int] = {}
    for row in unscored:
        unscored_reasons[row["reason"]] = unscored_reasons.get(row["reason"], 0) + row["rows"]
    return Counts(
        files_found=files_found,
        file_rows=parquet.count_rows(folder / "files"),
        distinct_paths=parquet.count_distinct(folder / "files", ["path", "path_bytes"]),
        states={row["state"]: row["rows"] for row in by_state},
        frames=sum(row["frames"] for row in by_state),
        frames_scored=sum(row["frames_scored"] for row in by_state),
        frames_unscored=sum(row["frames_unscored"] for row in by_state),
        frames_scored_tonight=sum(row["frames_scored"] for row in scored),
        predictions=parquet.count_rows(folder / "predictions"),
        current=parquet.count_rows(folder / "current"),
        distinct_current=parquet.count_distinct(
            folder / "current", ["path", "path_bytes", "frame_number"]
        ),
        unscored_rows=parquet.count_rows(folder / "unscored"),
        unscored_tonight=sum(row["rows"] for row in unscored if row["run_id"] == run_id),
        unscored_again=gathered.unscored_again,
        alerts=gathered.alerts,
        turned=gathered.turned,
        predictions_with_alert=sum(
            row["rows"]
            for row in parquet.count_by(folder / "predictions", ["is_alert"])
            if row["is_alert"]
        ),
        unscored_reasons=unscored_reasons,
        non_image_reasons=reasons_of(FileState.NON_IMAGE),
        pending_reasons=reasons_of(FileState.PENDING),
    )
