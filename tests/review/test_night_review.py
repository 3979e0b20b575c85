"""The night's report from published nights: run.json is enough, old nights are no obstacle."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from batch.core.records import Canary
from batch.reports.local import LocalReports
from batch.review.inputs import earlier_nights, is_earlier
from batch.review.make_review import measured, review_night
from batch.review.monitoring.flag_counts import FLAGS
from batch.review.monitoring.own_bounds import OwnBounds
from batch.review.page import content
from tests.support.stored_nights import at, facts, image, published

COUNT = 60


def publish(root, number: int, brightness: float = 150.0, review: bool = True, score: float = 0.2):
    """A night of `COUNT` images with a review in its run.json, as the job writes it."""
    made_with = facts(number)
    results = []
    for which in range(COUNT):
        found = image(at(f"{number}/{which}.jpg"), score + which / COUNT / 10)
        results.append(_bright(found, brightness + which % 7))
    run = {
        "run_id": made_with.run_id,
        "started_at": made_with.started_at.isoformat(),
        "frames": {"predictions": COUNT, "new_unscored": 0, "unscored": 0},
        "alerts": 0,
        "alerts_by_operating_point": 0,
        "model": {
            "fingerprints": {"scoring": made_with.fingerprints.scoring},
            "operating_point": {"threshold": made_with.operating_point.threshold},
        },
    }
    folder = published(root, results, made_with, **run)
    written = json.loads((folder / "run.json").read_text())
    report = review_night(LocalReports(root), folder, written, {}, Canary(4, 1e-6, 1e-4))
    if review:
        written["review"] = report.to_json()
        (folder / "run.json").write_text(json.dumps(written))
    return folder, report


def _bright(found, value: float):
    (one,) = found.predictions
    record = replace(one.record, mean_red=value, mean_green=value, mean_blue=value)
    return replace(found, predictions=(replace(one, record=record),))


def test_three_nights_one_of_them_dark(tmp_path):
    _, first = publish(tmp_path, 1)
    _, second = publish(tmp_path, 2)
    _, third = publish(tmp_path, 3, brightness=60.0)
    assert [report.unusual for report in (first, second, third)] == [False, False, True]
    assert [d.name for d in third.drift if d.unusual] == ["brightness"]
    assert [report.earlier_nights for report in (first, second, third)] == [0, 1, 2]
    assert "mean 63, there 153" in next(d.sentence for d in third.drift if d.unusual)


def planted(root, number: int, blurry: int, count: int = 60):
    """A night of one device with so many blurred pictures, and of another that is sound."""
    made_with, results = facts(number), []
    for which in range(2 * count):
        found = image(at(f"{number}/{which}.jpg"), 0.2)
        (one,) = found.predictions
        is_blurry = which < blurry
        record = replace(
            one.record,
            manufacturer="Failing" if which < count else "Sound",
            flags=("blurry",) if is_blurry else (),
            is_reliable=not is_blurry,
            sharpness=-2.0 if is_blurry else 1.0,
            anatomic_region="Back" if which % 2 else None,
        )
        results.append(replace(found, predictions=(replace(one, record=record),)))
    run = {
        "run_id": made_with.run_id,
        "started_at": made_with.started_at.isoformat(),
        "quality_bounds": OwnBounds(devices={"Failing": -0.5}).to_json(),
    }
    folder = published(root, results, made_with, **run)
    written = json.loads((folder / "run.json").read_text())
    report = review_night(LocalReports(root), folder, written)
    written["review"] = report.to_json()
    (folder / "run.json").write_text(json.dumps(written))
    return report


def test_a_device_that_gets_blurry_is_told_and_no_other(tmp_path):
    reports = [planted(tmp_path, night, blurry) for night, blurry in enumerate((1, 2, 1, 12), 1)]
    told = [[d.name for d in report.drift if d.unusual] for report in reports]
    assert told == [[], [], [], ["blurry", "blurry of Failing", "unreliable",
                                 "unreliable of Failing"]]  # fmt: skip
    last = reports[-1]
    assert last.unusual and any(
        text.startswith("Flag blurry of Failing: 12 of 60 (20.0%), in the last nights 4 of 180")
        for text in last.sentences
    )
    assert {name: group.images for name, group in last.flags.sites.items()} == {
        "Back": 60, "site not recorded": 60,
    }  # fmt: skip


def test_the_page_shows_shares_by_device_and_the_bound_that_held(tmp_path):
    shown = content.night(planted(tmp_path, 1, 12))
    (_, devices), (_, sites) = shown["flag_tables"]
    (failing,) = [row for row in devices if row["name"] == "Failing"]
    assert dict(zip(shown["flag_names"], failing["shares"], strict=True)) == {
        **dict.fromkeys(FLAGS, "0.0%"), "blurry": "20.0%", "unreliable": "20.0%",
    }  # fmt: skip
    assert {row["name"]: row["bound"] for row in devices} == {"Failing": -0.5, "Sound": -1.0}
    assert {row["name"] for row in sites} == {"Back", "site not recorded"}


def test_a_published_night_needs_no_table_to_be_told_again(tmp_path):
    """Neither its own nor an earlier one's."""
    publish(tmp_path, 1)
    publish(tmp_path, 2)
    folder, report = publish(tmp_path, 3, brightness=60.0)
    for table in tmp_path.glob("runs/*/predictions"):
        shutil.rmtree(table)
    again = review_night(
        LocalReports(tmp_path), folder, json.loads((folder / "run.json").read_text())
    )
    assert again.to_json() == report.to_json()
    assert again.charts == report.charts
    assert again.canary == Canary(4, 1e-6, 1e-4)


def test_a_night_that_kept_no_figures_is_measured_from_its_table(tmp_path):
    folder, report = publish(tmp_path, 1, review=False)
    again = review_night(
        LocalReports(tmp_path), folder, json.loads((folder / "run.json").read_text())
    )
    assert again.figures.to_json() == report.figures.to_json()
    assert again.figures.histograms["brightness"].images == COUNT
    assert again.canary is None and "not rescored" in again.canary_sentence


def test_earlier_nights_without_figures_are_counted_and_said(tmp_path):
    publish(tmp_path, 1, review=False)
    _, report = publish(tmp_path, 2)
    assert report.earlier_nights == 1 and not report.unusual
    assert any("1 of the last 1 nights kept no figures" in each for each in report.sentences)
    alerts = next(d for d in report.drift if d.name == "alerts")
    assert alerts.value == pytest.approx(0)  # its ledger tells as much


def test_the_nights_before_one_newest_first_and_thirty_at_most(tmp_path):
    reports = LocalReports(tmp_path)
    for number in range(1, 5):
        publish(tmp_path, number)
    ids = [facts(number).run_id for number in range(1, 5)]
    assert [night.run_id for night in earlier_nights(reports, ids[3])] == ids[2::-1]
    assert [night.run_id for night in earlier_nights(reports, ids[3], last=2)] == [ids[2], ids[1]]
    assert earlier_nights(reports, ids[0]) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", None])
def test_a_damaged_night_makes_room_for_the_one_before(tmp_path, damage):
    publish(tmp_path, 1)
    folder, _ = publish(tmp_path, 2)
    if damage is None:
        (folder / "run.json").unlink()
    else:
        (folder / "run.json").write_bytes(damage)
    found = earlier_nights(LocalReports(tmp_path), facts(3).run_id, last=1)
    assert [night.run_id for night in found] == [facts(1).run_id]


def test_figures_are_the_same_however_the_rows_lie_on_disk(tmp_path, monkeypatch):
    from batch.reports import parquet

    folder, report = publish(tmp_path, 1)
    whole = parquet.read_columns(
        "predictions", folder / "predictions", parquet.schema("predictions").names
    )
    shutil.rmtree(folder / "predictions")
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 7)
    monkeypatch.setattr(parquet, "FILE_ROWS", 20)
    parts = [whole.slice(start, 7) for start in range(0, COUNT, 7)]
    parquet.write_dataset("predictions", parts, folder / "predictions")
    assert len(list((folder / "predictions").iterdir())) > 1
    assert measured(folder).to_json() == report.figures.to_json()


@pytest.mark.parametrize(
    "night,run_id,earlier",
    [
        ("20260101T000000Z-ffff", "20260101T000001Z-0000", True),
        ("20260101T000001Z-0000", "20260101T000000Z-ffff", False),
        ("20260101T000000Z-ffff", "20260101T000000Z-0000", True),
        ("20260101T000000Z-0000", "20260101T000000Z-ffff", True),
        ("20260101T000000Z-0000", "20260101T000000Z-0000", False),
    ],
)
def test_nights_of_one_second_are_earlier_whatever_their_random_end(night, run_id, earlier):
    assert is_earlier(night, run_id) is earlier
