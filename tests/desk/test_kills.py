"""A desk that is killed, and twenty people at once: no mark that was told as saved is lost."""

from __future__ import annotations

import http.client
import random
import threading
import time

import pandas as pd
import pytest

from batch.desk.mark_file import NAME
from batch.review.worklist.marks import read_marks
from tests.desk.desk_process import Browser, Desk, publish, write_photographs

KILLS, PEOPLE, MARKS_EACH = 4, 20, 8


@pytest.fixture
def reports(tmp_path):
    write_photographs(tmp_path / "archive")
    publish(tmp_path / "reports", tmp_path / "archive")
    return tmp_path / "reports"


def keys_of(reports) -> list[str]:
    return list(pd.read_parquet(reports / "latest" / "review_worklist.parquet")["lesion_key"])


def saved(reports) -> list[str]:
    """The clicks in the file, as the desk's last column names them."""
    found = read_marks(reports / NAME)
    assert found.problems == ()
    rows = (reports / NAME).read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == len(found.found)
    return [row.rpartition(",")[2] for row in rows]


def test_a_kill_at_any_moment_loses_no_mark_that_was_told_as_saved(reports):
    key = keys_of(reports)[0]
    told: list[str] = []
    asked: list[str] = []
    draw = random.Random(19)
    for _ in range(KILLS):
        with Desk(reports) as desk:
            browser = desk.enter()
            for mark in browser.marks().json["marks"]:
                browser.known[mark["key"]] = mark["mark_id"]
            killer = threading.Timer(draw.uniform(0.05, 0.4), desk.process.kill)
            killer.start()
            try:
                while True:
                    body = browser.body(key, comment="x" * draw.randrange(2000))
                    asked.append(body["mark_id"])
                    got = browser.send(body)
                    assert got.status == 200, got
                    browser.known[key] = body["mark_id"]
                    told.append(body["mark_id"])
            except (OSError, http.client.HTTPException):
                pass
            killer.join()
    with Desk(reports) as desk:  # cuts an unfinished row off
        desk.enter()
        desk.stop()
    there = saved(reports)
    assert len(told) > KILLS
    assert [each for each in there if each in set(told)] == told
    assert set(there) <= set(asked) and len(set(there)) == len(there)
    assert len(there) - len(told) <= KILLS  # at most the one that was under way


def test_twenty_people_at_once_lose_no_mark_and_overwrite_none(reports):
    keys = keys_of(reports)
    told: list[str] = []
    with Desk(reports) as desk:
        cookie = desk.enter().headers["Cookie"]

        def person(number: int) -> None:
            browser, draw = Browser(desk, cookie), random.Random(number)
            for _ in range(MARKS_EACH):
                key = draw.choice(keys)
                while (got := browser.mark(key, reviewer=f"P{number}")).status == 409:
                    browser.known[key] = got.json["mark"]["mark_id"]
                told.append(got.json["mark"]["mark_id"])

        people = [threading.Thread(target=person, args=(number,)) for number in range(PEOPLE)]
        for each in people:
            each.start()
        for each in people:
            each.join()
        time.sleep(0.1)
        desk.stop()
    assert len(told) == PEOPLE * MARKS_EACH
    assert sorted(saved(reports)) == sorted(told)
