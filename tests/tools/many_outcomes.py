"""How long `outcomes` takes after years: `python -m tests.tools.many_outcomes`.

Writes so many nights with the program's own functions, without any image: each scores new images
and lists its newest lesions in a worklist. Then it writes outcomes with dates, some revised,
calls `melanoma-batch outcomes` in a process of its own, and prints seconds, peak memory and counts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from batch.reports import parquet
from batch.reports.rows import prediction_row
from batch.reports.schema import TABLES
from tests.support.archives import prediction
from tests.support.stored_nights import facts, run_of, sha

LISTED = 500
"""Lesions on each night's list, as of a hospital that does not mark."""


def write_night(reports: Path, number: int, images: int, listed: list[dict[str, object]]) -> None:
    """Publish a night of new images. listed: rows of the worklist, extended by its alerts."""
    tonight = facts(number)
    folder = reports / "runs" / tonight.run_id
    folder.mkdir(parents=True)
    draw = random.Random(number)
    rows = []
    for place in range(images):
        digest = sha((number, place))
        scored = prediction(
            draw.random(), f"{number:05d}/{place:05d}.jpg", image_id=f"sha256:{digest}",
            content_sha256=digest, manufacturer="maker", manufacturer_model_name=f"m{place % 3}",
        )  # fmt: skip
        rows.append(prediction_row(scored, tonight))
    parquet.write_dataset(
        "predictions", [parquet.to_arrow("predictions", rows)], folder / "predictions"
    )
    alerts = parquet.to_arrow("predictions", [row for row in rows if row["is_alert"]])
    from batch.run.merge import alert_rows

    parquet.write_alerts([alert_rows(alerts, tonight)], folder / "alerts.parquet")
    listed += [worklist_row(row, tonight) for row in rows if row["is_alert"]]
    del listed[:-LISTED]
    (folder / "review_worklist.parquet").write_bytes(parquet.as_bytes("review_worklist", listed))
    (folder / "run.json").write_text(json.dumps(run_of(tonight, images)))
    (folder / "_SUCCESS").touch()
    latest = reports / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(Path("runs") / tonight.run_id)


def worklist_row(row: dict[str, object], tonight: object) -> dict[str, object]:
    """A row of the worklist for an alert."""
    blank = {
        "string": "", "int32": 0, "double": 0.0, "bool": False, "list<string>": [],
        "map<string, double>": [], "timestamp[us, UTC]": row["scored_at"],
    }  # fmt: skip
    values = {c.name: None if c.nullable else blank[c.type] for c in TABLES["review_worklist"]}
    return values | {
        "lesion_key": row["image_id"], "tier": "alert", "score_tier": "alert",
        "max_score": row["melanoma_score"], "threshold": row["threshold"],
    }  # fmt: skip


def write_outcomes(reports: Path, nights: int, images: int, outcomes: int) -> None:
    """A file with so many outcomes; one in twenty is revised a year later."""
    draw = random.Random(0)
    (reports / "outcomes").mkdir()
    with (reports / "outcomes" / "all.csv").open("w") as file:
        file.write("path,diagnosis,date,sex\n")
        for _ in range(outcomes):
            number = draw.randint(1, nights)
            place = draw.randrange(images)
            later = timedelta(days=draw.randint(2, 60) + (365 if draw.random() < 0.05 else 0))
            day = facts(number).started_at + later
            word = draw.choice(["melanoma", "nevus", "nevus", "bcc"])
            file.write(f"{number:05d}/{place:05d}.jpg,{word},{day:%Y-%m-%d},{draw.choice('fm')}\n")


def main() -> None:
    """Generate, call, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=1000)
    parser.add_argument("--images", type=int, default=200, help="new in each night")
    parser.add_argument("--outcomes", type=int, default=100_000)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        reports, listed = Path(place), []
        for number in range(1, words.nights + 1):
            write_night(reports, number, words.images, listed)
        write_outcomes(reports, words.nights, words.images, words.outcomes)
        command = [sys.executable, "-m", "batch", "outcomes", str(reports), "--json"]
        began, spent = time.perf_counter(), os.times().children_user
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - began
        processor = os.times().children_user - spent
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    rows = json.loads(answer.stdout)["rows"]
    counted = {name: count for name, count in rows.items() if count}
    print(f"{seconds:.1f} s ({processor:.1f} s of a core), {peak:.2f} GB, {counted}")


if __name__ == "__main__":
    main()
