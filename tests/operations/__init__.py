"""Reports folders as nights leave them, made by hand."""

from __future__ import annotations

import json
from pathlib import Path

EQUATION = {
    "files_found": 21,
    "scored": 1,
    "unchanged": 2,
    "reused": 3,
    "unscored": 4,
    "non_image": 5,
    "pending": 6,
}


def ledger(started_at: str = "2026-11-21T02:00:00+00:00", **changes: object) -> dict[str, object]:
    """The content of a run.json."""
    content: dict[str, object] = {
        "schema_version": 2,
        "started_at": started_at,
        "finished_at": "2026-11-21T03:02:03+00:00",
        "images_per_second": 123.46,
        "equation": EQUATION,
        "frames": {"found": 9, "predictions": 7, "unscored": 2, "new_unscored": 1},
        "alerts": 8,
        "left_archive": 10,
        "unscored_rate": 0.25,
        "unscored_by_reason": {"empty_file": 3, "vanished": 1},
        "non_image_by_reason": {"other_file_type": 5},
        "pending_by_reason": {"out_of_time": 6},
        "stopped": None,
        "current": {"images": 77},
        "model": {"model_id": "m1", "model_version": "1.0", "model_sha256": "abcdef0123456789"},
    }
    return content | changes


def night(
    reports: Path,
    run_id: str,
    content: dict[str, object] | bytes | None = None,
    complete: bool = True,
    tables: tuple[str, ...] = ("files", "current", "predictions", "unscored"),
) -> Path:
    """A night's folder, each table a file of 100 bytes. content: of run.json; None for usual."""
    folder = reports / "runs" / run_id
    for table in tables:
        (folder / table).mkdir(parents=True)
        (folder / table / "part-00000.parquet").write_bytes(bytes(100))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alerts.parquet").write_bytes(bytes(100))
    text = content if isinstance(content, bytes) else json.dumps(content or ledger()).encode()
    (folder / "run.json").write_bytes(text)
    if complete:
        (folder / "_SUCCESS").touch()
    return folder


def point_latest(reports: Path, run_id: str) -> None:
    """As publication does."""
    (reports / "latest").unlink(missing_ok=True)
    (reports / "latest").symlink_to(f"runs/{run_id}")
