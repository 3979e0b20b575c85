"""Three mornings over one archive, by the command line: the list, and what run.json counts.

Thresholds are chosen from the scores of a bundled model; by them some lesions have several images.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import webbrowser
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batch.cli import main
from batch.core.errors import ExitCode
from batch.model.artifact import find_artifact
from batch.model.manifest import read_manifest, write_manifest
from batch.review.inputs import WORKLIST

PATTERN = r"^photographs/lesion-(?P<lesion>\d+)"

MODEL = "dermoscopy-lite0"


class Mornings:
    """An archive that may be changed, its reports, and models that differ in their threshold."""

    def __init__(self, root: Path, source: Path) -> None:
        self.root, self.reports = root, root / "reports"
        self.archive = Path(shutil.copytree(source, root / "archive"))

    def model(self, version: str, threshold: float, calibrated: bool) -> Path:
        """The bundled model under another version, contract and threshold; its scores stay."""
        bundled = find_artifact(MODEL).folder
        folder = Path(shutil.copytree(bundled, self.root / f"model-{version}"))
        manifest = read_manifest(folder)
        point = replace(manifest.operating_points[0], name="chosen", threshold=threshold)
        output = replace(manifest.output, calibrated=calibrated)
        changed = replace(
            manifest, model_version=version, output=output, operating_points=(point,),
            default_operating_point="chosen", golden_tolerance=1e-3,
        )  # fmt: skip
        write_manifest(changed, folder)
        return folder

    def score(self, model: Path | str, *words: str) -> dict:
        command = ["score", str(self.archive), "--output", str(self.reports), "--model", str(model)]
        assert main([*command, "--max-unscored-rate", "1", *words]) == ExitCode.COMPLETE
        return json.loads((self.latest / "run.json").read_text())

    def rebuild(self, *words: str) -> int:
        return main(["worklist", str(self.reports), *words])

    @property
    def latest(self) -> Path:
        return self.reports / os.readlink(self.reports / "latest")

    def list(self, folder: Path | None = None) -> pd.DataFrame:
        frame = pd.read_parquet((folder or self.latest) / f"{WORKLIST}.parquet")
        return frame.set_index("lesion_key", drop=False)

    def mark(self, *keys: str) -> None:
        """Marks as a person writes them in the morning."""
        with (self.reports / "reviewed.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["lesion_key", "decision", "reviewer", "reviewed_at"])
            for key in keys:
                writer.writerow([key, "no action", "Dr A", pd.Timestamp.now("UTC").isoformat()])


@pytest.fixture(scope="module")
def scores(generated_archive, tmp_path_factory):
    """Melanoma scores of the archive, lowest first; no two are the same."""
    mornings = Mornings(tmp_path_factory.mktemp("scores"), generated_archive)
    mornings.score(MODEL)
    found = pd.read_parquet(mornings.latest / "current")["melanoma_score"]
    return sorted(set(found.round(6)))


@pytest.fixture(scope="module")
def story(generated_archive, scores, tmp_path_factory):
    """Three nights: the first list; a mark, a new and a vanished image; a new model."""
    mornings = Mornings(tmp_path_factory.mktemp("story"), generated_archive)
    middle, lower = (
        (scores[at] + scores[at + 1]) / 2 for at in (len(scores) // 2, len(scores) // 4)
    )
    first_model = mornings.model("1.0.1", middle, False)
    words = ("--lesion-pattern", PATTERN)
    runs = [mornings.score(first_model, *words, "--no-pictures")]
    first = mornings.list()
    alerts = first[first["tier"] == "alert"]
    lone = [key for key in alerts.index if len(alerts.loc[key, "paths"]) == 1]
    mornings.marked = alerts.index[0] if alerts.index[0] != lone[-1] else alerts.index[1]
    mornings.gone = lone[-1]
    mornings.mark(mornings.marked)
    (mornings.archive / alerts.loc[mornings.gone, "paths"][0]).unlink()
    noise = np.random.default_rng(7).integers(0, 255, (90, 90, 3), np.uint8)
    Image.fromarray(noise).save(mornings.archive / "new.png")
    runs.append(mornings.score(first_model, *words))
    second = mornings.list()
    runs.append(mornings.score(mornings.model("2.0.0", lower, True), *words, "--single-file"))
    mornings.runs, mornings.lists = runs, [first, second, mornings.list()]
    mornings.thresholds = middle, lower
    return mornings


def of_tonight(mornings, number):
    """Night number's `current`, with lesions as the list has them."""
    folder = mornings.reports / "runs" / mornings.runs[number]["run_id"]
    return pd.read_parquet(folder / "current")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_alert_of_the_archive_stands_on_the_list(story, number):
    listed = story.lists[number]
    current = of_tonight(story, number)
    alerts = set(current.loc[current["is_alert"], "image_id"])
    on_list = {i for ids in listed.loc[listed["tier"] == "alert", "image_ids"] for i in ids}
    assert alerts
    assert alerts <= on_list
    threshold = story.thresholds[number == 2]
    scored = listed[listed["score_tier"].notna() & listed["max_score"].notna()]
    assert ((scored["max_score"] >= threshold) == (scored["score_tier"] == "alert")).all()
    assert set(listed.loc[listed["score_tier"] == "unreadable", "tier"]) <= {"unreadable"}


@pytest.mark.parametrize("number", [0, 1, 2])
def test_run_json_counts_what_the_list_holds(story, number):
    review, listed = story.runs[number]["review"], story.lists[number]
    assert review["failed"] == {}
    made = review["worklist"]
    assert made["by_status"] == listed["status"].value_counts().to_dict()
    asked = listed[listed["status"] != "reviewed"]
    assert made["lesions"] == asked["tier"].value_counts().to_dict()
    assert made["open_alerts"] == (asked["tier"] == "alert").sum()
    assert made["archive"]["images"] == of_tonight(story, number)["image_id"].nunique()
    assert sum(made["not_looked_at"].values()) == story.runs[number]["equation"]["non_image"]
    assert "review" in story.runs[number]["seconds"]
    assert f"{WORKLIST}.parquet" in story.runs[number]["parts"]


def test_on_the_first_morning_everything_is_new(story):
    assert set(story.lists[0]["status"]) == {"new"}
    assert story.runs[0]["review"]["worklist"]["previous_night"] is None
    several = story.lists[0][story.lists[0]["image_count"] > 1]
    assert len(several)  # visits and frames of one tracking UID are one lesion


def test_on_the_second_morning_the_mark_counts_and_the_vanished_alert_stays(story):
    second = story.lists[1]
    assert second.loc[story.marked, "status"] == "reviewed"
    assert second.loc[story.marked, "reviewer"] == "Dr A"
    assert second.loc[story.gone, "status"] == "open"
    assert "left_archive" in second.loc[story.gone, "flags"]
    known = set(story.lists[0].index)
    new = second[second["status"] == "new"]
    assert not set(new.index) & known
    assert {path for paths in new["paths"] for path in paths} <= {"new.png"}
    others = second.drop(index=[story.marked, *new.index])
    assert set(others["status"]) == {"open"}


def test_on_the_third_morning_a_new_model_changes_tiers_and_says_so(story):
    second, third = story.lists[1], story.lists[2]
    middle, lower = story.thresholds
    assert third.loc[story.marked, "status"] == "reviewed"  # the same score closes it still
    assert third.loc[story.gone, "status"] == "open"
    changed = story.runs[2]["review"]["worklist"]["changed_tier"]
    assert set(changed) == {"new model"}
    scored = third[third["max_score"].notna() & third["score_tier"].notna()]
    turned = scored[(scored["max_score"] < middle) & (scored["max_score"] >= lower)]
    assert len(turned)
    assert set(turned["status"]) == {"new"}
    assert set(turned["score_change"].dropna().round(5)) == {0.0}
    assert (turned["previous_model_version"] != turned["model_version"]).all()
    assert set(second.index) - set(third.index) == set()


def linked(page: str) -> set[str]:
    """The files of pictures that a page names, with their way from the page."""
    return set(re.findall(r"(?:\.\./)*pictures/[0-9a-f]{32}\.jpg", page))


def test_the_page_holds_links_to_pictures_or_the_pictures_or_none(story):
    folders = [story.reports / "runs" / run["run_id"] for run in story.runs]
    pages = [(folder / f"{WORKLIST}.html").read_text() for folder in folders]
    assert [bool(linked(page)) for page in pages] == [False, True, False]
    assert ["data:image/jpeg" in page for page in pages] == [False, False, True]
    for page in pages:
        assert "chosen" in page
        assert story.marked in pages[0]
    assert [run["options"]["pictures"] for run in story.runs] == [False, True, True]
    assert [run["options"]["single_file"] for run in story.runs] == [False, False, True]


def test_every_link_leads_to_a_picture_from_each_of_the_page_s_places(story, tmp_path):
    night = story.reports / "runs" / story.runs[1]["run_id"]
    links = linked((night / f"{WORKLIST}.html").read_text())
    told = story.runs[1]["review"]["pictures"]
    assert told["made"] == len(links) == len(list((story.reports / "pictures").iterdir()))
    latest = tmp_path / "latest"  # as it was that morning
    latest.symlink_to(night)
    for folder in (night, latest):
        for link in links:
            with Image.open(os.path.normpath(folder / link)) as image:
                assert image.format == "JPEG"
                assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
                assert max(image.size) <= 2000


def test_no_patient_stands_in_any_output(story):
    for path in story.reports.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"Demo^Patient" not in data, path
            assert b"DEMO-001" not in data, path


@pytest.fixture
def after(story, tmp_path):
    """The story's reports, for a test of its own."""
    copy = Mornings.__new__(Mornings)
    copy.root, copy.archive = tmp_path, Path(shutil.copytree(story.archive, tmp_path / "archive"))
    copy.reports = Path(shutil.copytree(story.reports, tmp_path / "reports", symlinks=True))
    return copy


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_list_made_anew_is_the_published_one_and_the_night_stays_as_it_is(after, capsys):
    before = files_of(after.latest)
    assert after.rebuild() == ExitCode.COMPLETE
    made = after.reports / "worklist"
    assert sorted(p.name for p in made.iterdir()) == [
        f"{WORKLIST}.{kind}" for kind in ("csv", "html", "parquet")
    ]
    pd.testing.assert_frame_equal(after.list(made), after.list())
    assert files_of(after.latest) == before
    assert str(made / f"{WORKLIST}.html") in capsys.readouterr().out


def test_a_mark_of_the_day_closes_a_lesion_when_the_list_is_made_anew(after, tmp_path):
    listed = after.list()
    key = listed.index[listed["status"] == "new"][0]
    after.mark(key)
    for folder in (tmp_path / "elsewhere", None):
        words = () if folder is None else ("--output", str(folder))
        assert after.rebuild(*words) == ExitCode.COMPLETE
        found = after.list(folder or after.reports / "worklist")
        assert found.loc[key, "status"] == "reviewed"
        assert (found.drop(index=key)["status"] == listed.drop(index=key)["status"]).all()
    assert not list(after.reports.glob(".worklist*"))
    assert after.rebuild("--reviewed", str(after.reports / "reviewed.csv")) == ExitCode.COMPLETE


def test_the_same_night_again_alerts_nobody_twice(after):
    once = after.score(MODEL, "--lesion-pattern", PATTERN)
    again = after.score(MODEL, "--lesion-pattern", PATTERN)
    assert again["run_id"] != once["run_id"]
    assert again["review"]["worklist"]["new_alerts"] == 0
    assert set(after.list()["status"]) <= {"open", "reopened", "reviewed"}


def test_the_page_is_opened_where_there_is_a_browser(after, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    assert after.rebuild("--open") == ExitCode.COMPLETE
    assert opened == [(after.reports / "worklist" / f"{WORKLIST}.html").as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    assert after.rebuild("--open") == ExitCode.COMPLETE
    assert "no browser was found" in capsys.readouterr().err


def test_pictures_and_explanations_are_made_anew_from_the_archive(after, story):
    shutil.rmtree(after.reports / "pictures")
    words = ("--archive", str(after.archive), "--explain", "1")
    assert after.rebuild(*words, "--model", str(story.root / "model-2.0.0")) == ExitCode.COMPLETE
    folder = after.reports / "worklist"
    links = linked((folder / f"{WORKLIST}.html").read_text())
    assert len(links) > 1
    assert all(os.path.isfile(os.path.normpath(folder / link)) for link in links)
    assert after.rebuild(*words[:2], "--single-file") == ExitCode.COMPLETE
    page = (folder / f"{WORKLIST}.html").read_text()
    assert page.count("data:image/jpeg") > 1
    assert linked(page) == set()


def test_a_model_that_is_not_there_makes_no_list_anew(after, capsys):
    before = (after.reports / "worklist").exists()
    assert after.rebuild("--explain", "1", "--model", "nope") == ExitCode.USAGE
    assert "nope" in capsys.readouterr().err
    assert (after.reports / "worklist").exists() == before


def test_a_list_within_the_reports_links_and_one_outside_holds_its_pictures(
    after, tmp_path, capsys
):
    words = ("--archive", str(after.archive))
    folder = after.reports / "lists" / "of-today"
    assert after.rebuild(*words, "--output", str(folder)) == ExitCode.COMPLETE
    links = linked((folder / f"{WORKLIST}.html").read_text())
    assert {link.rpartition("/")[0] for link in links} == {"../../pictures"}
    assert all(os.path.isfile(os.path.normpath(folder / link)) for link in links)
    assert "within the page" not in capsys.readouterr().out
    for outside in (tmp_path / "outside", after.reports / "way-out" / "list"):
        if not outside.parent.exists():
            outside.parent.symlink_to(tmp_path)
        assert after.rebuild(*words, "--output", str(outside)) == ExitCode.COMPLETE
        page = (outside / f"{WORKLIST}.html").read_text()
        assert "data:image/jpeg" in page
        assert linked(page) == set()
        assert "Pictures   within the page, as with --single-file" in capsys.readouterr().out


def test_without_the_archive_the_list_shows_the_pictures_there_are(after, capsys):
    assert after.rebuild("--archive", str(after.archive)) == ExitCode.COMPLETE
    page = after.reports / "worklist" / f"{WORKLIST}.html"
    links = linked(page.read_text())
    run = json.loads((after.latest / "run.json").read_text())
    run["options"]["archive"] = str(after.root / "not-mounted")
    (after.latest / "run.json").write_text(json.dumps(run))
    assert after.rebuild() == ExitCode.COMPLETE
    assert linked(page.read_text()) == links
    assert "Left out" not in capsys.readouterr().out
    name = sorted(links)[0].rpartition("/")[2]
    (after.reports / "pictures" / name).unlink()
    assert after.rebuild() == ExitCode.COMPLETE
    assert len(linked(page.read_text())) == len(links) - 1
    assert "pictures: 1 left out, since the archive is not there" in capsys.readouterr().out


def test_an_unchanged_night_makes_no_picture_and_a_prune_breaks_no_link(after):
    run = after.score(MODEL, "--lesion-pattern", PATTERN)
    pictures = after.reports / "pictures"
    before = {path.name: path.stat().st_mtime_ns for path in pictures.iterdir()}
    again = after.score(MODEL, "--lesion-pattern", PATTERN)
    assert run["review"]["pictures"]["shown"] == again["review"]["pictures"]["shown"] > 0
    assert again["review"]["pictures"]["made"] == 0
    assert {path.name: path.stat().st_mtime_ns for path in pictures.iterdir()} == before
    for path in pictures.iterdir():
        os.utime(path, (0, 0))
    assert main(["prune", str(after.reports), "--keep", "1"]) == ExitCode.COMPLETE
    folder = after.reports / "latest"
    links = linked((after.latest / f"{WORKLIST}.html").read_text())
    assert {path.name for path in pictures.iterdir()} == {link[-36:] for link in links}
    assert all((folder / link).is_file() for link in links)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--output", "{reports}"), "holds published nights"),
        (("--output", "{reports}/runs/x"), "holds published nights"),
        (("--output", "{archive}"), "other things than a worklist"),
        (("--output", "{archive}/new.png"), "no folder that can be listed"),
        (("--reviewed", "{reports}/none.csv"), "no file"),
        (("--lesion-pattern", "x"), "no group named lesion"),
        (("--archive", "{reports}/none"), "nothing at"),
        (("--review-budget", "0"), "--review-budget"),
        (("--language", "fr"), "--language"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(after, capsys, words, said):
    before = files_of(after.root)
    given = [word.format(reports=after.reports, archive=after.archive) for word in words]
    assert after.rebuild(*given) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert files_of(after.root) == before


def test_a_stop_that_is_asked_for_ends_the_pictures_and_publishes_the_night(
    after, monkeypatch, capsys
):
    after.score(MODEL, "--no-pictures")
    shutil.rmtree(after.reports / "pictures")
    monkeypatch.setattr("batch.run.score_run.signals.is_requested", lambda: True)
    run = after.score(MODEL)
    left = run["review"]["failed"]["pictures"]
    assert re.fullmatch(r"\d+ left out, since no time was left for them", left)
    assert f"pictures ({left})" in (after.latest / f"{WORKLIST}.html").read_text()
    assert f"Left out   pictures of the review: {left}" in capsys.readouterr().out
    monkeypatch.undo()
    run = after.score(MODEL)
    assert run["review"]["failed"] == {}
    assert run["review"]["pictures"]["made"] == int(left.split()[0])


def test_without_a_night_there_is_no_list(tmp_path, capsys):
    assert main(["worklist", str(tmp_path)]) == ExitCode.USAGE
    assert "no published night" in capsys.readouterr().err


def test_a_page_that_fails_loses_no_night_and_no_earlier_list(after, monkeypatch, capsys):
    from batch.review.page import render

    assert after.rebuild() == ExitCode.COMPLETE
    before = files_of(after.reports / "worklist")

    def fail(*_, **__):
        raise ValueError("Jane^Doe")

    monkeypatch.setattr(render, "render", fail)
    assert after.rebuild() == ExitCode.FAILURE
    assert files_of(after.reports / "worklist") == before
    run = after.score(MODEL)
    assert run["review"]["failed"] == {"page": "ValueError"}
    assert not (after.latest / f"{WORKLIST}.html").exists()
    assert len(after.list())
    said = capsys.readouterr()
    assert "Left out   page of the review: ValueError" in said.out
    assert "Jane^Doe" not in said.out + said.err
