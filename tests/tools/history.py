"""What planning and the worklist cost after many nights: `python -m tests.tools.history`.

Writes a published night of so many files with the program's own functions, without any image, then
plans, gathers and reviews a second night over the same listing in a process of its own, and prints
seconds and peak memory of each step. One image in a hundred is of a lesion that the list holds.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from batch.core.config import Order, ReviewOptions
from batch.core.records import FileOutcome, FileState, ImageLocation
from batch.reports import parquet, rows
from batch.reports.ledger import check_balance
from batch.reports.local import LocalReports
from batch.reports.rows import segment_facts
from batch.reports.schema import SCHEMA_VERSION
from batch.review.make_review import NightPlace, make_review
from batch.run.memory import remember
from batch.run.merge import Done, count_night, gather_night
from batch.run.plan import make_plan
from tests.support.archives import FACTS, prediction
from tests.support.stored_nights import run_of

CHUNK = 10_000
ROOT = "1.2.826.0.1.3680043.8.498.10000000000000000"
"""Start of UIDs of a usual length."""


def path_of(number: int) -> str:
    return f"clinic-{number % 37:02d}/2026/{number // 500:05d}/export-{number:08d}.jpg"


def locations(start: int, stop: int) -> Iterator[ImageLocation]:
    return (
        ImageLocation(path_of(n), 400_000 + n % 9_973, 1_700_000_000_000_000_000 + n)
        for n in range(start, stop)
    )


def write_history(root: Path, count: int, kind: str) -> None:
    """A published night with `count` files, each with a prediction."""
    reports = LocalReports(root)
    staging = reports.start(FACTS.run_id)
    night = staging.night
    night.mkdir()
    parquet.write_dataset("files", _chunks(count, _file_row, "files"), night / "files")
    rows = {"plain": _plain_row, "dicom": _dicom_row}[kind]
    for table in ("predictions", "current"):
        parquet.write_dataset(table, _chunks(count, rows, table), night / table)
    parquet.write_dataset("unscored", [], night / "unscored")
    parquet.write_alerts([], night / "alerts.parquet")
    reports.publish(staging, {"schema_version": SCHEMA_VERSION})
    reports.discard_work()


def _chunks(count: int, row, table: str) -> Iterator[pa.Table]:
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        found = [row(n, each) for n, each in enumerate(locations(start, stop), start)]
        yield parquet.to_arrow(table, found)


def _file_row(_: int, location: ImageLocation) -> dict:
    digest = hashlib.sha256(location.path.encode()).hexdigest()
    outcome = FileOutcome(location, FileState.SCORED, None, "", digest, "jpeg", 1, 1, 0, 0)
    return rows.file_row(outcome, FACTS)


def _plain_row(number: int, location: ImageLocation) -> dict:
    """A photograph that names neither lesion nor patient."""
    digest = hashlib.sha256(location.path.encode()).hexdigest()
    changes = {"image_id": f"sha256:{digest}", "content_sha256": digest}
    return rows.prediction_row(prediction(_score(number), location.path, **changes), FACTS)


def _dicom_row(number: int, location: ImageLocation) -> dict:
    """An object of a tracked lesion of a known patient: twenty images, ten lesions each."""
    digest = hashlib.sha256(location.path.encode()).hexdigest()
    patient, lesion = number // 20, number // 2
    changes = {
        "image_id": f"{ROOT}.1.{number:09d}",
        "sop_instance_uid": f"{ROOT}.1.{number:09d}",
        "study_instance_uid": f"{ROOT}.2.{number // 10:09d}",
        "lesion_id": f"{ROOT}.3.{lesion:09d}",
        "patient_pseudonym": hashlib.sha256(str(patient).encode()).hexdigest(),
        "content_sha256": digest,
    }
    return rows.prediction_row(prediction(_score(number), location.path, **changes), FACTS)


def _score(number: int) -> float:
    """One image in 200 reaches the threshold of 0.5, one more the band below it."""
    place = number * 7919 % 200
    return {0: 0.5 + number % 401 / 1000, 1: 0.4}.get(place, 0.3 * place / 200)


def second_night(root: Path, count: int) -> None:
    """Plan and gather a night in which nothing has changed; print what each step took."""
    start = time.perf_counter()

    def lap(step: str) -> None:
        nonlocal start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{step:<28} {time.perf_counter() - start:>7.1f} s   peak {peak:>6.0f} MB", flush=True
        )
        start = time.perf_counter()

    reports = LocalReports(root)
    lap("imports")
    memory = remember(reports, segment_facts(FACTS))
    lap("memory read and verified")
    plan = make_plan(locations(0, count), memory, FACTS.fingerprints, Order.NEWEST)
    lap("listing compared")
    assert not len(plan.queue)
    staging = reports.start("20260103T030405Z-0000")
    gathered = gather_night(staging, plan, Done(0), FACTS)
    lap("tables written")
    check_balance(count_night(staging.night, len(plan), "x", gathered))
    lap("counted back")
    run = run_of(replace(FACTS, run_id="20260103T030405Z-0000"), count)
    del memory, plan, gathered  # as `run_night` does
    place = NightPlace(reports, staging.night, run)
    said = make_review(place, staging.night, ReviewOptions(pictures=False), None)
    assert not said["failed"], said["failed"]
    lap("worklist and page made")
    reports.publish(staging, {"schema_version": SCHEMA_VERSION})
    lap("published")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=("plain", "dicom"), default="plain")
    parser.add_argument("--second-night", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.second_night:
        second_night(options.second_night, options.rows)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_history(Path(folder), options.rows, options.kind)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet")) / 1e6
        print(f"{options.rows} files remembered, {size:.0f} MB of reports", flush=True)
        command = [sys.executable, "-m", "tests.tools.history", "--rows", str(options.rows)]
        subprocess.run([*command, "--second-night", folder], check=True)


if __name__ == "__main__":
    main()
