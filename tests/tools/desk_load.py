"""People at the desk for a while, and then a desk that is killed again and again: what is lost?

    python -m tests.tools.desk_load --people 20 --seconds 60 --kills 20

Prints how long a mark takes from the click to the answer, and compares what was told as saved with
what a night reads.
"""

from __future__ import annotations

import argparse
import http.client
import random
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd

from batch.desk.mark_file import NAME
from batch.review.worklist.marks import read_marks
from tests.desk.desk_process import Browser, Desk, publish, write_photographs

LESIONS, ASK_EVERY = 100, 4.0


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--people", type=int, default=20)
    words.add_argument("--seconds", type=float, default=60)
    words.add_argument("--kills", type=int, default=20)
    words.add_argument("--pause", type=float, default=1.0, help="mean seconds between two clicks")
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reports = _reports(Path(folder) / "load")
        _load(reports, given.people, given.seconds, given.pause)
        reports = _reports(Path(folder) / "kills")
        _kill(reports, given.kills)


def _reports(root: Path) -> Path:
    names = {f"lesion-{number}.jpg": 0.99 - number / 1000 for number in range(LESIONS)}
    write_photographs(root / "archive", names)
    publish(root / "reports", root / "archive", scores=names)
    return root / "reports"


def _load(reports: Path, people: int, seconds: float, pause: float) -> None:
    keys = list(pd.read_parquet(reports / "latest" / "review_worklist.parquet")["lesion_key"])
    told: list[str] = []
    took: list[float] = []
    overtaken: list[int] = []
    with Desk(reports) as desk:
        cookie = desk.enter().headers["Cookie"]
        end = time.monotonic() + seconds

        def person(number: int) -> None:
            browser, draw = Browser(desk, cookie), random.Random(number)
            asked = time.monotonic()
            while time.monotonic() < end:
                time.sleep(draw.uniform(0, 2 * pause))
                if time.monotonic() - asked > ASK_EVERY:
                    asked = time.monotonic()
                    for mark in browser.marks().json["marks"]:
                        browser.known[mark["key"]] = mark["mark_id"]
                key, start = draw.choice(keys), time.monotonic()
                got = browser.mark(key, reviewer=f"P{number}")
                took.append(time.monotonic() - start)
                if got.status == 200:
                    told.append(got.json["mark"]["mark_id"])
                else:
                    assert got.status == 409, got
                    overtaken.append(number)
                    browser.known[key] = got.json["mark"]["mark_id"]

        everybody = [threading.Thread(target=person, args=(number,)) for number in range(people)]
        for each in everybody:
            each.start()
        for each in everybody:
            each.join()
        desk.stop()
    there = _saved(reports)
    low, high, most = (1000 * float(np.quantile(took, share)) for share in (0.5, 0.95, 1.0))
    print(f"{people} people, {seconds:.0f} s: {len(told)} marks told as saved, "
          f"{len(overtaken)} refused since somebody else was first")  # fmt: skip
    print(f"  lost {len(set(told) - set(there))}, in the file and not told "
          f"{len(set(there) - set(told))}; click to answer {low:.0f} ms (median), {high:.0f} ms "
          f"(95 %), {most:.0f} ms (longest)")  # fmt: skip


def _kill(reports: Path, kills: int) -> None:
    key = pd.read_parquet(reports / "latest" / "review_worklist.parquet")["lesion_key"][0]
    told: list[str] = []
    draw = random.Random(0)
    for _ in range(kills):
        with Desk(reports) as desk:
            browser = desk.enter()
            for mark in browser.marks().json["marks"]:
                browser.known[mark["key"]] = mark["mark_id"]
            killer = threading.Timer(draw.uniform(0.02, 0.4), desk.process.kill)
            killer.start()
            try:
                while True:
                    got = browser.mark(key, comment="x" * draw.randrange(2000))
                    assert got.status == 200, got
                    told.append(got.json["mark"]["mark_id"])
            except (OSError, http.client.HTTPException):
                pass
            killer.join()
    with Desk(reports) as desk:
        desk.enter()
        desk.stop()
    there = _saved(reports)
    print(f"{kills} kills: {len(told)} marks told as saved, lost {len(set(told) - set(there))}, "
          f"in the file and not told {len(set(there) - set(told))}")  # fmt: skip


def _saved(reports: Path) -> list[str]:
    found = read_marks(reports / NAME)
    assert found.problems == (), found.problems
    return [
        row.rpartition(",")[2]
        for row in (reports / NAME).read_text(encoding="utf-8").splitlines()[1:]
    ]


if __name__ == "__main__":
    main()
