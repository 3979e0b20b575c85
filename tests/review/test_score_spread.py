"""The spread of listed scores: measured once, carried over, and never in the way of the night."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from batch.archive.local import LocalArchive
from batch.core.config import ReviewOptions
from batch.core.rules import Limits
from batch.reports.local import RUN_FILE, LocalReports
from batch.review import score_spread
from batch.review.make_review import NightPlace, make_review
from batch.review.page_pictures import Pictures
from tests.support.archives import BrightnessClassifier
from tests.support.stored_nights import at, facts, image, published, run_of

LEVELS = {"a.png": 230, "b.png": 150, "c.png": 100, "d.png": 20}
"""Scores by brightness; the threshold is 0.5, the band below it begins at a third."""


class Counting(BrightnessClassifier):
    images = 0

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        self.images += len(pixels)
        return super().scores(pixels)


@pytest.fixture
def archive(tmp_path):
    root = tmp_path / "archive"
    root.mkdir()
    for name, level in LEVELS.items():
        striped = np.full((180, 180, 3), level, np.uint8)
        striped[:, ::2] += 8
        striped[:, 1::2] -= 8
        Image.fromarray(striped).save(root / name)
    return root


def scored(archive, name: str):
    digest = hashlib.sha256((archive / name).read_bytes()).hexdigest()
    found = image(at(name), LEVELS[name] / 255, content=name, file_format="png")
    (one,) = found.predictions
    record = replace(one.record, image_id=f"sha256:{digest}", content_sha256=digest)
    return replace(found, predictions=(replace(one, record=record),))


def night(archive, number: int, names=tuple(LEVELS), model="m1", **changes):
    """Publish a night; its list, what run.json says of it, and the classifier."""
    root = archive.parent / "reports"
    made_with = facts(number, model=model)
    run = run_of(made_with, len(names)) | {"frames": {"predictions": len(names)}}
    folder = published(root, [scored(archive, name) for name in names], made_with, **run)
    classifier = Counting()
    source = Pictures(LocalArchive(archive), Limits(), lambda: (classifier, 0))
    content = json.loads((folder / RUN_FILE).read_text())
    place = NightPlace(LocalReports(root), folder, content | changes.pop("run", {}))
    options = ReviewOptions(**({"pictures": False} | changes))
    return folder, make_review(place, folder, options, source), classifier


def spreads(folder) -> dict[str, float | None]:
    rows = pq.read_table(folder / "review_worklist.parquet").to_pylist()
    return {row["paths"][0]: row["score_spread"] for row in rows}


EXACT = {"a.png": pytest.approx(12 / 255, abs=2e-3), "b.png": pytest.approx(8 / 255, abs=2e-3),
         "c.png": pytest.approx(5 / 255, abs=2e-3)}  # fmt: skip
"""Of stripes around one grey only the change of brightness counts."""


def test_alerts_and_what_lies_near_are_measured_and_the_rest_costs_nothing(archive):
    folder, said, classifier = night(archive, 1)
    assert spreads(folder) == EXACT
    assert said["score_spread"] == {"carried_over": 0, "measured": 3, "not_measured": 0}
    assert classifier.images == 3 * 8 and not said["failed"]
    line = pd.read_csv(folder / "review_worklist.csv").set_index("paths")
    assert line.loc["a.png", "score_spread"] == EXACT["a.png"]


def test_what_is_known_of_the_same_score_is_carried_over(archive):
    night(archive, 1, ["a.png", "b.png"])
    folder, said, classifier = night(archive, 2)
    assert spreads(folder) == EXACT
    assert said["score_spread"] == {"carried_over": 2, "measured": 1, "not_measured": 0}
    assert classifier.images == 8


def test_another_model_measures_anew(archive):
    night(archive, 1)
    _, said, _ = night(archive, 2, model="m2")
    assert said["score_spread"]["measured"] == 3


def test_by_the_option_nothing_is_measured_and_what_is_known_stays(archive):
    folder, said, classifier = night(archive, 1, score_spread=False)
    assert set(spreads(folder).values()) == {None} and classifier.images == 0
    assert "score_spread" not in said
    night(archive, 2)
    folder, _, _ = night(archive, 3, score_spread=False)
    assert spreads(folder) == EXACT


def test_a_night_that_scored_nothing_opens_no_model(archive):
    folder, said, classifier = night(archive, 1, run={"frames": {"predictions": 0}})
    assert set(spreads(folder).values()) == {None} and classifier.images == 0
    assert "score_spread" not in said


def test_the_first_of_the_list_come_first_and_the_next_night_goes_on(archive, monkeypatch):
    monkeypatch.setattr(score_spread.with_spreads, "__defaults__", (2,))
    folder, said, _ = night(archive, 1)
    assert spreads(folder) == EXACT | {"c.png": None}
    assert said["score_spread"] == {"carried_over": 0, "measured": 2, "not_measured": 1}
    folder, said, _ = night(archive, 2)
    assert spreads(folder) == EXACT
    assert said["score_spread"] == {"carried_over": 2, "measured": 1, "not_measured": 0}


def test_another_file_in_its_place_is_not_measured(archive):
    names, other = ("a.png", "b.png"), np.full((180, 180, 3), 77, np.uint8)
    original = scored(archive, "a.png")
    root = archive.parent / "reports"
    made_with = facts(1)
    run = run_of(made_with, 2) | {"frames": {"predictions": 2}}
    folder = published(root, [original, scored(archive, names[1])], made_with, **run)
    Image.fromarray(other).save(archive / "a.png")
    source = Pictures(LocalArchive(archive), Limits(), lambda: (Counting(), 0))
    place = NightPlace(LocalReports(root), folder, json.loads((folder / RUN_FILE).read_text()))
    said = make_review(place, folder, ReviewOptions(pictures=False), source)
    assert spreads(folder) == {"a.png": None, "b.png": EXACT["b.png"]}
    assert said["score_spread"] == {"carried_over": 0, "measured": 1, "not_measured": 1}


def test_a_model_that_fails_costs_the_spread_and_not_the_list(archive):
    def model():
        raise RuntimeError("Jane^Doe")

    root = archive.parent / "reports"
    made_with = facts(1)
    run = run_of(made_with, 1) | {"frames": {"predictions": 1}}
    folder = published(root, [scored(archive, "a.png")], made_with, **run)
    source = Pictures(LocalArchive(archive), Limits(), model)
    place = NightPlace(LocalReports(root), folder, json.loads((folder / RUN_FILE).read_text()))
    said = make_review(place, folder, ReviewOptions(pictures=False), source)
    assert said["failed"] == {"score_spread": "RuntimeError"}
    assert spreads(folder) == {"a.png": None}
    assert "Jane" not in (folder / "review_worklist.html").read_text()


def test_a_list_made_anew_keeps_what_the_night_measured(archive, tmp_path):
    folder, _, _ = night(archive, 1)
    run = json.loads((folder / RUN_FILE).read_text())
    now = pd.Timestamp("2026-12-01T00:00Z").to_pydatetime()
    place = NightPlace(LocalReports(archive.parent / "reports"), folder, run, marked_until=now)
    anew = tmp_path / "anew"
    anew.mkdir()
    classifier = Counting()
    source = Pictures(LocalArchive(archive), Limits(), lambda: (classifier, 0))
    make_review(place, anew, ReviewOptions(pictures=False), source)
    assert spreads(anew) == EXACT and classifier.images == 0


def test_a_list_of_an_older_version_is_remembered_without_spreads(archive):
    folder, _, _ = night(archive, 1)
    path = folder / "review_worklist.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["score_spread"]), path)
    folder, said, _ = night(archive, 2)
    assert said["score_spread"]["measured"] == 3
    statuses = {row["status"] for row in pq.read_table(path).to_pylist()}
    again = pq.read_table(folder / "review_worklist.parquet").to_pylist()
    assert statuses == {"new"} and {row["status"] for row in again} == {"open"}
