"""The metrics file: what a collector reads of it, and what it cannot be written to."""

from __future__ import annotations

import os

import pytest
from prometheus_client.parser import text_string_to_metric_families

from batch.core.errors import FailureReason, PendingReason, UsageError
from batch.operations.metrics_file import write_metrics
from batch.review.monitoring.flag_counts import FlagCounts, GroupCounts
from tests.operations import ledger, night, point_latest

FINISHED = 1795230123.0  # 2026-11-21T03:02:03Z


def written(tmp_path, run=None, exit_code=0, finished_at=5.0):
    """Samples by name and labels, as a collector reads them."""
    path = tmp_path / "melanoma.prom"
    write_metrics(path, tmp_path / "reports", exit_code, finished_at, run)
    return {
        (sample.name.removeprefix("melanoma_batch_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


def test_a_run_that_published_nothing_tells_its_end_only(tmp_path):
    assert written(tmp_path, exit_code=3) == {
        ("exit_code",): 3,
        ("last_run_timestamp_seconds",): 5,
    }


def test_the_last_success_is_that_of_the_night_of_latest(tmp_path):
    night(tmp_path / "reports", "new", ledger(finished_at="2030-01-01T00:00:00+00:00"))
    night(tmp_path / "reports", "old")
    point_latest(tmp_path / "reports", "old")
    found = written(tmp_path, exit_code=1)
    assert found["last_success_timestamp_seconds",] == FINISHED
    assert found["last_run_timestamp_seconds",] == 5


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"finished_at": "2026-01-01"}'])
def test_a_damaged_night_of_latest_tells_no_success(tmp_path, content):
    night(tmp_path / "reports", "r1", content)
    point_latest(tmp_path / "reports", "r1")
    assert ("last_success_timestamp_seconds",) not in written(tmp_path)


def test_a_published_night_tells_everything(tmp_path):
    found = written(tmp_path, ledger())
    single = {key[0]: value for key, value in found.items() if len(key) == 1}
    assert single == {
        "exit_code": 0,
        "last_run_timestamp_seconds": 5,
        "images_scored": 7,
        "images_current": 77,
        "alerts": 8,
        "left_archive": 10,
        "images_per_second": 123.46,
        "unscored_rate": 0.25,
        "duration_seconds": 3723,
    }
    states = {key[1]: value for key, value in found.items() if key[0] == "files"}
    assert states == {
        "scored": 1,
        "unchanged": 2,
        "reused": 3,
        "unscored": 4,
        "non_image": 5,
        "pending": 6,
    }
    assert found["model_info", "m1", "abcdef0123456789", "1.0"] == 1


@pytest.mark.parametrize(
    ("name", "members", "told"),
    [
        ("unscored", FailureReason, {"empty_file": 3, "vanished": 1}),
        ("pending", PendingReason, {"out_of_time": 6}),
    ],
)
def test_every_reason_has_a_number_zero_ones_too(tmp_path, name, members, told):
    found = written(tmp_path, ledger())
    reasons = {key[1]: value for key, value in found.items() if key[0] == name}
    assert reasons == dict.fromkeys(map(str, members), 0) | told


def test_a_state_without_files_is_zero_and_not_absent(tmp_path):
    found = written(tmp_path, ledger(equation=dict.fromkeys(ledger()["equation"], 0)))
    assert {value for key, value in found.items() if key[0] == "files"} == {0}


@pytest.mark.parametrize(
    ("stopped", "deadline", "signal"), [(None, 0, 0), ("deadline", 1, 0), ("signal", 0, 1)]
)
def test_who_stopped_the_run_is_told(tmp_path, stopped, deadline, signal):
    found = written(tmp_path, ledger(stopped=stopped))
    assert (found["stopped", "deadline"], found["stopped", "signal"]) == (deadline, signal)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"images_per_second": None}, "images_per_second"),
        ({"finished_at": None}, "duration_seconds"),
        ({"current": None}, "images_current"),
        ({"equation": {}}, "files"),
    ],
)
def test_what_is_not_told_is_absent(tmp_path, changes, name):
    assert name not in {key[0] for key in written(tmp_path, ledger(**changes))}
    assert name in {key[0] for key in written(tmp_path, ledger())}


def test_labels_are_escaped(tmp_path):
    odd = {"model_id": 'a"b\\c', "model_version": "é", "model_sha256": "\ud800\n"}
    found = written(tmp_path, ledger(model=odd))
    assert found["model_info", 'a"b\\c', "??", "é"] == 1


def test_the_file_is_replaced_in_one_step_and_nothing_stays_beside_it(tmp_path):
    written(tmp_path, ledger())
    first = os.stat(tmp_path / "melanoma.prom").st_ino
    with open(tmp_path / "melanoma.prom") as reader:
        assert written(tmp_path, exit_code=4)["exit_code",] == 4
        assert "exit_code 0.0" in reader.read()  # a reader keeps what it opened
    assert os.stat(tmp_path / "melanoma.prom").st_ino != first
    assert os.listdir(tmp_path) == ["melanoma.prom"]


@pytest.mark.parametrize(
    ("prepare", "name", "message"),
    [
        (lambda p: p.mkdir(), "m.prom", "m.prom is no regular file"),
        (os.mkfifo, "m.prom", "m.prom is no regular file"),
        (lambda p: p.symlink_to("/dev/null"), "m.prom", "m.prom is no regular file"),
        (lambda p: None, "gone/m.prom", r"cannot write .*gone/m.prom \(No such file"),
        (lambda p: p.parent.touch(), "file/m.prom", r"cannot write .*\(Not a directory\)"),
    ],
)
def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path, prepare, name, message):
    path = tmp_path / name
    prepare(path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=f"--metrics-file: .*{message}"):
        write_metrics(path, tmp_path / "reports", 0, 0.0, None)
    assert sorted(tmp_path.rglob("*")) == before


def test_any_name_of_the_file_will_do(tmp_path):
    write_metrics(tmp_path / "metrics.txt", tmp_path, 0, 0.0, None)
    assert "melanoma_batch_exit_code 0.0" in (tmp_path / "metrics.txt").read_text()


@pytest.mark.parametrize(
    ("review", "expected"),
    [(None, None), ({}, None), ({"unusual": "yes"}, None), ({"unusual": True}, 1.0),
     ({"unusual": False}, 0.0)],
)  # fmt: skip
def test_an_unusual_night_is_a_gauge_and_one_that_was_not_compared_is_none(
    tmp_path, review, expected
):
    assert written(tmp_path, ledger(review=review)).get(("unusual",)) == expected


def test_shares_of_flags_are_told_by_device_and_small_groups_are_not(tmp_path):
    counts = FlagCounts(
        {"Maker A": GroupCounts(40, {"blurry": 10}), "Maker B": GroupCounts(9, {"blurry": 9})},
        {"Back": GroupCounts(49, {"blurry": 19})},
    )
    found = written(tmp_path, ledger(review={"flags": counts.to_json()}))
    assert found["flag_rate", "blurry"] == 19 / 49 and found["flag_rate", "overexposed"] == 0
    by_device = {key[1:]: v for key, v in found.items() if key[0] == "flag_rate_by_device"}
    assert by_device["Maker A", "blurry"] == 0.25
    assert {key[0] for key in by_device} == {"Maker A"}
    assert found["flag_rate_by_site", "blurry", "Back"] == 19 / 49


@pytest.mark.parametrize("review", [None, {}, {"flags": None}, {"flags": {"devices": 3}}])
def test_without_counts_no_share_is_told(tmp_path, review):
    found = written(tmp_path, ledger(review=review))
    assert not [key for key in found if key[0].startswith("flag_rate")]
