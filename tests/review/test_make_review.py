"""The review beside a night's tables: what fails takes nothing else along, and is told."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from batch.archive.local import LocalArchive
from batch.core.config import ReviewOptions
from batch.core.rules import Limits
from batch.reports.local import RUN_FILE, LocalReports
from batch.review import make_review as room
from batch.review import page_pictures
from batch.review.make_review import NightPlace, make_review, mark_files
from batch.review.page_pictures import Pictures
from batch.run.summary import marks_lines
from tests.support.stored_nights import (
    at,
    facts,
    failed,
    image,
    non_image,
    pending,
    published,
    run_of,
)

FILES = [
    image(at("a.jpg"), 0.9), image(at("b.jpg"), 0.4), image(at("c.jpg"), 0.1),
    failed(at("d.jpg")), non_image(at("e.txt")), pending(at("f.jpg")),
]  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """The first night, published."""
    return night(tmp_path, 1)


def night(root: Path, number: int, files=FILES, **changes) -> NightPlace:
    made_with = facts(number, **changes)
    run = run_of(made_with, len(FILES))
    folder = published(root, files, made_with, **run)
    return NightPlace(LocalReports(root), folder, json.loads((folder / RUN_FILE).read_text()))


def pictures(archive: Path) -> Pictures:
    def model():
        raise RuntimeError("Jane^Doe")

    return Pictures(LocalArchive(archive), Limits(), model)


def test_a_night_has_the_list_as_tables_and_page_and_run_json_counts_it(place, tmp_path):
    said = make_review(place, tmp_path, ReviewOptions(pictures=False), None)
    assert said["failed"] == {}
    made = said["worklist"]
    assert made["lesions"] == {"alert": 1, "near_threshold": 1, "unreadable": 1}
    assert made["by_status"] == {"new": 3}
    assert (made["new_alerts"], made["open_alerts"]) == (1, 1)
    assert made["not_looked_at"] == {
        "non_image: other_file_type": 1, "pending: changed_while_read": 1,
    }  # fmt: skip
    assert made["archive"] == {
        "files": 6, "images": 3, "unreadable": 1, "lesions": 4, "patients": 0, "below": 1,
        "marks": 0, "marks_unmatched": 0,
    }  # fmt: skip
    assert json.loads(json.dumps(said)) == said
    frame = pd.read_parquet(tmp_path / "review_worklist.parquet")
    assert list(frame["tier"]) == ["alert", "near_threshold", "unreadable"]
    assert "a.jpg" in (tmp_path / "review_worklist.html").read_text()
    assert len(pd.read_csv(tmp_path / "review_worklist.csv")) == 3


@pytest.mark.parametrize(
    ("name", "broken", "missing"),
    [
        ("report", "review_night", set()),
        ("worklist", "build_worklist", {"parquet", "csv", "html"}),
        ("worklist", "read_remembered", {"parquet", "csv", "html"}),
        ("worklist", "table_files", {"parquet", "csv", "html"}),
        ("page", "render.render", {"html"}),
        ("pictures", "page_pictures", set()),
        ("pictures", "pictures.made_as_files", set()),
        ("pictures", "pictures.requests", set()),
        ("pictures", "pictures.withheld", set()),
        ("attention", "attention.attention_grids", set()),
    ],
)
@pytest.mark.parametrize("error", [ValueError("Jane^Doe"), OSError(2, "Jane^Doe"), MemoryError()])
def test_what_fails_costs_its_own_part_only(
    place, tmp_path, monkeypatch, caplog, name, broken, missing, error
):
    def fail(*_, **__):
        raise error

    where, _, attribute = broken.rpartition(".")
    around = page_pictures if hasattr(page_pictures, where) else room
    monkeypatch.setattr(getattr(around, where) if where else room, attribute, fail)
    options = ReviewOptions(explain=1)
    source = replace(pictures(tmp_path / "archive"), model=lambda: (None, 0))
    if name == "report":
        options = ReviewOptions()
    with caplog.at_level(logging.ERROR, "batch"):
        said = make_review(place, tmp_path, options, source)
    assert said["failed"].get(name) == type(error).__name__
    there = {path.suffix[1:] for path in tmp_path.glob("review_worklist.*")}
    assert there == {"parquet", "csv", "html"} - missing
    assert f"review: no {name}: {type(error).__name__} at" in caplog.text
    assert "Jane^Doe" not in caplog.text + json.dumps(said)


def test_a_disk_that_takes_no_file_ends_the_night(place, tmp_path):
    with pytest.raises(OSError, match="No such file"):
        make_review(place, tmp_path / "gone", ReviewOptions(), None)


def test_pictures_that_were_asked_for_and_left_out_are_told(place, tmp_path):
    said = make_review(place, tmp_path, ReviewOptions(explain=3), None)
    assert said["failed"] == {
        "pictures": "2 left out, since the run was stopped early",
        "attention": "left out, since the run was stopped early",
    }
    assert "left out" in (tmp_path / "review_worklist.html").read_text()


def test_a_model_that_does_not_open_costs_the_explanation_only(place, tmp_path):
    said = make_review(place, tmp_path, ReviewOptions(explain=3), pictures(tmp_path))
    assert said["failed"] == {"attention": "RuntimeError"}
    assert (tmp_path / "review_worklist.html").exists()


@pytest.mark.parametrize(
    ("names", "given", "expected"),
    [
        ((), (), ()),
        (("reviewed.csv",), (), ("reviewed.csv",)),
        (("reviewed.parquet", "reviewed.csv"), (), ("reviewed.csv", "reviewed.parquet")),
        (("reviewed.csv",), ("other.csv",), ("other.csv",)),
        (
            ("reviewed (1).csv", "reviewed.csv", "notes.csv", "reviewed (2).parquet"),
            (),
            ("reviewed (1).csv", "reviewed (2).parquet", "reviewed.csv"),
        ),
    ],
)
def test_which_files_hold_the_marks(tmp_path, names, given, expected):
    for name in names:
        (tmp_path / name).touch()
    options = ReviewOptions(reviewed=tuple(tmp_path / name for name in given))
    assert mark_files(tmp_path, options) == tuple(tmp_path / name for name in expected)


def test_marks_that_cannot_be_read_close_nothing_and_are_told_on_the_page(place, tmp_path):
    (tmp_path / "reviewed.csv").write_text("lesion_key,decision,reviewed_at\n1.2,x,yesterday\n")
    said = make_review(place, tmp_path, ReviewOptions(), None)
    assert said["worklist"]["marks_not_understood"] == 1
    assert said["worklist"]["by_status"] == {"new": 3}
    assert "row 2 does not count" in (tmp_path / "review_worklist.html").read_text()


HEAD = "lesion_key;decision;reviewer;reviewed_at\r\n"
LATER = datetime(2026, 12, 1, tzinfo=UTC)
"""When the list of a published night is made anew."""


def key_of(folder: Path, path: str) -> str:
    """The key of a file's lesion, from a list that was made before."""
    frame = pd.read_parquet(folder / "review_worklist.parquet")
    return next(key for key, paths in zip(frame["lesion_key"], frame["paths"], strict=True)
                if path in paths)  # fmt: skip


def test_marks_of_all_downloads_count_once_and_are_told_by_what_became_of_them(place, tmp_path):
    place = replace(place, marked_until=LATER)
    make_review(place, tmp_path, ReviewOptions(), None)
    a, b = key_of(tmp_path, "a.jpg"), key_of(tmp_path, "b.jpg")
    late, early = "25.11.2026 08:30", "25.11.2019 08:30"
    rows = [f"{a};seen;R;{late}", f"1.2.3;gone;R;{late}"]
    (tmp_path / "reviewed.csv").write_text(HEAD + "\r\n".join(rows))
    rows += [f"{b};too early;R;{early}", f"{b};x;R;03/04/2026", f"{b};;R;{late}"]
    (tmp_path / "reviewed (1).csv").write_text("sep=;\r\n" + HEAD + "\r\n".join(rows))
    (tmp_path / "reviewed.xlsx").write_bytes(b"PK")
    said = make_review(place, tmp_path, ReviewOptions(), None)
    made = said["worklist"]
    assert made["by_status"] == {"new": 2, "reviewed": 1}
    assert made["marks"] == {"taken": 1, "without_effect": 2, "not_understood": 3}
    assert made["marks_not_understood"] == 3
    assert made["archive"]["marks"] == 3
    assert made["archive"]["marks_unmatched"] == 1
    assert [problem.split(": ")[:2] for problem in made["marks_problems"]] == [
        ["reviewed (1).csv", "row 6 does not count"],
        ["reviewed (1).csv", "row 7 does not count"],
        ["reviewed.xlsx", "a spreadsheet's own file is not read; save it as CSV (UTF-8); no mark "
         "of it counts."],
    ]  # fmt: skip
    lines = marks_lines(said)
    assert lines[0] == "Marks             1 taken, 2 without effect, 3 NOT UNDERSTOOD"
    assert lines[-1].strip() == ("reviewed.csv: row 3 names no lesion or image that is known here.")
    assert len(lines) == 5
    assert "25.11" not in json.dumps(said) + "\n".join(lines)
    page = (tmp_path / "review_worklist.html").read_text()
    assert "1 mark closes nothing: it is older than every image" in page
    assert "reviewed (1).csv: row 6 does not count" in page


def test_without_marks_nothing_is_said_of_them(place, tmp_path):
    place = replace(place, marked_until=LATER)
    assert marks_lines(make_review(place, tmp_path, ReviewOptions(), None)) == []
    (tmp_path / "reviewed.csv").write_text(f"{HEAD}{key_of(tmp_path, 'a.jpg')};seen;R;2026-11-25")
    lines = marks_lines(make_review(place, tmp_path, ReviewOptions(), None))
    assert lines == ["Marks             1 taken, 0 without effect, all understood"]


def test_a_mark_of_the_future_closes_nothing_and_is_told_with_its_row(tmp_path):
    made = {}
    for number in (1, 2):
        place = night(tmp_path, number)
        made[number] = make_review(place, place.folder, ReviewOptions(), None)["worklist"]
        row = f"{key_of(place.folder, 'a.jpg')};benign;R;2999-11-21T08:00Z"
        (tmp_path / "reviewed.csv").write_text(HEAD + row)
    assert made[2]["by_status"] == {"open": 3}
    assert made[2]["marks"] == {"taken": 0, "without_effect": 0, "not_understood": 1}
    assert made[2]["marks_problems"] == [
        "reviewed.csv: row 2 does not count: reviewed_at is in the future; correct the date."
    ]
    assert "row 2 does not count" in (place.folder / "review_worklist.html").read_text()


def test_a_mark_made_while_the_night_runs_has_not_seen_its_images(tmp_path):
    """One of its hour closes nothing in the night, and closes the list that is made anew."""
    place = night(tmp_path, 1)
    make_review(place, place.folder, ReviewOptions(), None)
    row = f"{key_of(place.folder, 'a.jpg')};benign;R;2026-11-01T03:00Z"
    (tmp_path / "reviewed.csv").write_text(HEAD + row)
    made = make_review(place, tmp_path, ReviewOptions(), None)["worklist"]
    assert made["by_status"] == {"new": 3}
    anew = replace(place, marked_until=LATER)
    made = make_review(anew, tmp_path, ReviewOptions(), None)["worklist"]
    assert made["by_status"] == {"new": 2, "reviewed": 1}


def test_a_mark_that_closed_a_lesion_stays_taken_when_its_image_is_another_now(tmp_path):
    """A file was cut short, marked, and repaired: the mark is older than the image there is."""
    pattern = ReviewOptions(lesion_pattern=r"^(?P<lesion>l)\.jpg")
    made = {}
    for number, file in enumerate([failed(at("l.jpg")), failed(at("l.jpg")),
                                   image(at("l.jpg"), 0.9)], 1):  # fmt: skip
        place = night(tmp_path, number, [*FILES[:2], file])
        made[number] = make_review(place, place.folder, pattern, None)["worklist"]
        (tmp_path / "reviewed.csv").write_text(HEAD + "PATTERN:l;again;R;2026-11-01T08:00Z")
    assert made[2]["marks"] == made[3]["marks"] == {
        "taken": 1, "without_effect": 0, "not_understood": 0,
    }  # fmt: skip
    assert made[2]["by_status"]["reviewed"] == 1
    assert made[3]["by_status"]["reopened"] == 1


def statuses(place: NightPlace) -> dict[str, str]:
    """Path to status, of the lesions in the list of a published night."""
    frame = pd.read_parquet(place.folder / "review_worklist.parquet")
    return {paths[0]: status for paths, status in zip(frame["paths"], frame["status"], strict=True)}


def test_nights_before_any_list_are_made_up_for_by_their_alerts(tmp_path):
    """An older version published two nights; in the third, their alerts are open, not new."""
    night(tmp_path, 1)
    night(tmp_path, 2, [image(at("g.jpg"), 0.8)])
    third = night(tmp_path, 3, [*FILES, image(at("g.jpg"), 0.8), image(at("h.jpg"), 0.7)])
    make_review(third, third.folder, ReviewOptions(), None)
    assert statuses(third) == {
        "a.jpg": "open", "g.jpg": "open", "h.jpg": "new", "b.jpg": "new", "d.jpg": "new",
    }  # fmt: skip
    frame = pd.read_parquet(third.folder / "review_worklist.parquet").set_index("rank")
    assert frame["first_alerted_at"][1].isoformat() == "2026-11-01T02:00:00+00:00"
    assert frame["first_alerted_at"][2].isoformat() == "2026-11-02T02:00:00+00:00"
    fourth = night(tmp_path, 4, third_files := [*FILES, image(at("h.jpg"), 0.7)])
    make_review(fourth, fourth.folder, ReviewOptions(), None)
    assert statuses(fourth)["h.jpg"] == "open"
    assert statuses(fourth)["g.jpg"] == "open"  # and its image is gone
    assert len(third_files) == len(FILES) + 1


def test_a_damaged_list_is_passed_over_for_the_one_before(tmp_path):
    places = []
    for number in (1, 2, 3):
        files = [*FILES, image(at("h.jpg"), 0.7)] if number > 1 else FILES
        places.append(night(tmp_path, number, files))
        make_review(places[-1], places[-1].folder, ReviewOptions(), None)
        if number == 2:
            (places[-1].folder / "review_worklist.parquet").write_bytes(b"broken")
    assert statuses(places[0])["a.jpg"] == "new"
    assert statuses(places[2])["a.jpg"] == "open"
    assert statuses(places[2])["h.jpg"] == "open"  # its alert stands in the second night's table


def test_scores_of_earlier_nights_stand_beside_tonights(tmp_path):
    for number, (score, model) in enumerate([(0.9, "m1"), (0.8, "m1"), (0.7, "m2")], 1):
        place = night(tmp_path, number, [image(at("a.jpg"), score)], model=model)
        worklist, _ = room.make_worklist(place, ReviewOptions())
        make_review(place, place.folder, ReviewOptions(), None)
    (row,) = worklist.images.to_dict("records")
    assert [(when[:10], score) for when, score, _ in row["earlier_scores"]] == [
        ("2026-11-01", 0.9), ("2026-11-02", 0.8),
    ]  # fmt: skip
    (lesion,) = worklist.lesions.to_dict("records")
    assert (lesion["previous_score"], lesion["max_score"]) == (0.8, 0.7)
    assert lesion["previous_model_version"] != lesion["model_version"]
