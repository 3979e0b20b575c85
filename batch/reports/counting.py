"""Joins a run's parts into its tables and counts what these hold, read back from disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from batch.records import FileState
from batch.reports import tables
from batch.reports.ledger import Counts


def gather_night(staging: Path, files_found: int) -> Counts:
    """Join the segments' parts into the night's tables, and count what these hold."""
    segments = staging / "segments"

    def parts(table: str) -> list[Path]:
        return sorted(segments.glob(f"*/{table}/*.parquet"))

    for table in ("predictions", "unscored", "files"):
        tables.gather(table, parts(table), staging / table)
    alerts = tables.gather_alerts(parts("alerts"), staging / "alerts.parquet")
    shutil.rmtree(segments)
    return count_night(staging, files_found, alerts)


def count_night(folder: Path, files_found: int, alerts: int) -> Counts:
    """Count a night's tables as they stand on disk."""
    by_state = tables.count_by(
        folder / "files", ["state"], ["frames", "frames_scored", "frames_unscored"]
    )
    reasons = tables.count_by(folder / "files", ["state", "reason"])
    unscored = tables.count_by(folder / "unscored", ["reason"])

    def reasons_of(state: FileState) -> dict[str, int]:
        return {row["reason"]: row["rows"] for row in reasons if row["state"] == state.value}

    return Counts(
        files_found=files_found,
        file_rows=tables.count_rows(folder / "files"),
        distinct_paths=tables.count_distinct_paths(folder / "files"),
        states={row["state"]: row["rows"] for row in by_state},
        frames=sum(row["frames"] for row in by_state),
        frames_scored=sum(row["frames_scored"] for row in by_state),
        frames_unscored=sum(row["frames_unscored"] for row in by_state),
        predictions=tables.count_rows(folder / "predictions"),
        unscored_rows=tables.count_rows(folder / "unscored"),
        alerts=alerts,
        predictions_with_alert=sum(
            row["rows"]
            for row in tables.count_by(folder / "predictions", ["is_alert"])
            if row["is_alert"]
        ),
        unscored_reasons={row["reason"]: row["rows"] for row in unscored},
        non_image_reasons=reasons_of(FileState.NON_IMAGE),
        pending_reasons=reasons_of(FileState.PENDING),
    )
