"""Which night's silent scores count: the newest intact ones, whatever nights lie between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batch.reports.local import RUN_FILE, SUCCESS_FILE
from batch.reports.schema import SCHEMA_VERSION, SILENT
from batch.run.silent import last_with_scores
from batch.storage.files import digests


def make_night(runs: Path, name: str, kind: str) -> Path:
    """A night's folder. kind: what is wrong with it, or `good`."""
    night = runs / name
    night.mkdir(parents=True)
    if kind != "without":
        (night / SILENT).mkdir()
        (night / SILENT / "part-00000.parquet").write_bytes(b"scores")
    version = 1 if kind == "other schema" else SCHEMA_VERSION
    if kind != "no run.json":
        run = {"schema_version": version, "parts": digests(night)}
        (night / RUN_FILE).write_text(json.dumps(run))
    if kind == "damaged":
        (night / SILENT / "part-00000.parquet").write_bytes(b"Scores")
    if kind == "part lost":
        (night / SILENT / "part-00000.parquet").unlink()
    if kind != "incomplete":
        (night / SUCCESS_FILE).touch()
    return night


BAD = ("without", "damaged", "part lost", "other schema", "no run.json", "incomplete")


@pytest.mark.parametrize("between", [(), *((kind,) for kind in BAD), BAD])
def test_the_newest_intact_scores_count(tmp_path, between):
    make_night(tmp_path, "2026-01", "good")
    good = make_night(tmp_path, "2026-02", "good")
    nights = [make_night(tmp_path, f"2026-{n:02}", kind) for n, kind in enumerate(between, 3)]
    newest = nights[-1] if nights else good
    make_night(tmp_path, "2026-99", "good")  # after the night that is remembered
    assert last_with_scores(newest) == good


@pytest.mark.parametrize("kind", BAD)
def test_without_intact_scores_there_is_no_such_night(tmp_path, kind):
    assert last_with_scores(make_night(tmp_path, "2026-01", kind)) is None
