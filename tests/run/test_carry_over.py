"""What was not read tonight: kept, waiting, or gone, and the rows that go with it."""

from __future__ import annotations

import pytest

from batch.core.errors import FailureReason, PendingReason
from batch.core.records import FileState
from batch.reports import parquet
from batch.reports.local import LocalReports
from batch.run.merge import QueueProgress, carry_over, gather_night
from tests.support.stored_nights import (
    at,
    by_path,
    dead_run,
    facts,
    failed,
    image,
    non_image,
    pending,
    plan_of,
    published,
    reused,
    rows_of,
    run_night,
    unexpected,
)

DAMAGED = FailureReason.DECODE_FAILED
REMEMBERED = (
    image(at("a"), 0.9),
    image(at("b", attempts=2), 0.7, DAMAGED),
    failed(at("c", attempts=2)),
    non_image(at("d")),
)


def night_of(tmp_path, found, read=unexpected, remembered=REMEMBERED, **options):
    """A second night after one with what is remembered."""
    published(tmp_path, remembered, facts(1))
    return run_night(tmp_path, found, facts(2), read, **options)


def locations(*names, **changes):
    return [at(name, **changes) for name in names]


def test_an_unchanged_archive_keeps_every_row_and_opens_nothing(tmp_path):
    night = night_of(tmp_path, locations(*"abcd"))
    assert by_path(night.rows("files"), "state", "reason", "attempts", "run_id") == {
        "a": ("unchanged", None, 0, facts(1).run_id),
        "b": ("unchanged", None, 3, facts(1).run_id),
        "c": ("unscored", "decode_failed", 3, facts(1).run_id),
        "d": ("non_image", "other_file_type", 0, facts(1).run_id),
    }
    assert night.counts.states == {"unchanged": 2, "unscored": 1, "non_image": 1}
    assert sorted(row["path"] for row in night.rows("current")) == ["a", "b"]
    assert sorted(row["path"] for row in night.rows("unscored")) == ["b", "c"]
    assert (night.rows("predictions"), night.rows("alerts")) == ([], [])


def test_carried_rows_are_the_very_same_rows(tmp_path):
    """Every column: the run that scored, its time, model and identity too."""
    folder = published(tmp_path, REMEMBERED, facts(1))
    night = run_night(tmp_path, locations(*"abcd"), facts(2), unexpected)
    for table in ("current", "unscored"):
        assert night.rows(table) == rows_of(folder / table)
    changed = {"state": None}
    before = [row | changed for row in rows_of(folder / "files")]
    assert [row | changed for row in night.rows("files")] == before


def test_unchanged_stays_unchanged_night_after_night(tmp_path):
    published(tmp_path, REMEMBERED, facts(1))
    for number in (2, 3, 4):
        night = run_night(tmp_path, locations(*"abcd"), facts(number), unexpected)
        assert night.counts.states == {"unchanged": 2, "unscored": 1, "non_image": 1}


def test_what_left_the_archive_leaves_the_current_view(tmp_path):
    night = night_of(tmp_path, locations("d"))
    assert [row["path"] for row in night.rows("files")] == ["d"]
    for table in ("current", "unscored", "predictions", "alerts"):
        assert night.rows(table) == []
    assert night.plan.left_archive == 3


def test_what_left_is_not_in_the_next_nights_memory(tmp_path):
    night_of(tmp_path, locations("d"))
    night = run_night(tmp_path, locations("a", "d"), facts(3), lambda where, _: image(where, 0.2))
    assert night.read == ("a",)
    assert by_path(night.rows("current"), "melanoma_score", "run_id") == {
        "a": (0.2, facts(3).run_id)
    }


def test_a_changed_file_loses_its_old_rows(tmp_path):
    found = [*locations("a", "b", "c", mtime_ns=9), at("d", 11)]
    night = night_of(tmp_path, found, lambda where, _: failed(where))
    assert set(by_path(night.rows("files"), "state").values()) == {("unscored",)}
    assert night.rows("current") == []
    assert {(row["path"], row["run_id"]) for row in night.rows("unscored")} == {
        (name, facts(2).run_id) for name in "abcd"
    }


@pytest.mark.parametrize("reason", [PendingReason.STOPPED, PendingReason.OUT_OF_TIME])
def test_a_file_that_nobody_got_to_waits(tmp_path, reason):
    """Of what is the same the results stay; of what changed nothing does."""
    found = [at("a", mtime_ns=1), at("new")]
    night = night_of(tmp_path, found, stop=0, waiting=reason)
    assert by_path(
        night.rows("files"), "state", "reason", "frames", "content_sha256", "run_id", "detail"
    ) == {
        "a": ("pending", reason.value, 0, None, facts(2).run_id, ""),
        "new": ("pending", reason.value, 0, None, facts(2).run_id, ""),
    }
    assert night.rows("current") == []


def test_a_waiting_file_that_is_the_same_keeps_its_results(tmp_path):
    published(tmp_path, REMEMBERED, facts(1))
    other = facts(2, model="m2")
    night = run_night(tmp_path, locations(*"abcd"), other, unexpected, stop=0)
    assert by_path(night.rows("files"), "state", "frames_scored", "scoring_fingerprint") == {
        "a": ("pending", 1, "scoring-m1"),
        "b": ("pending", 1, "scoring-m1"),
        "c": ("unscored", 0, "scoring-m1"),
        "d": ("non_image", 0, "scoring-m1"),
    }
    assert by_path(night.rows("current"), "melanoma_score", "operating_point") == {
        "a": (0.9, "at-0.5"),
        "b": (0.7, "at-0.5"),
    }
    assert sorted(row["path"] for row in night.rows("unscored")) == ["b", "c"]


def test_a_waiting_file_is_taken_the_night_after_and_only_then_forgotten(tmp_path):
    published(tmp_path, REMEMBERED, facts(1))
    run_night(tmp_path, locations(*"abcd"), facts(2, model="m2"), unexpected, stop=0)
    night = run_night(
        tmp_path, locations(*"abcd"), facts(3, model="m2"), lambda where, _: image(where, 0.3)
    )
    assert night.read == ("a", "b")
    assert night.plan.causes() == {"pending": 2}
    assert by_path(night.rows("current"), "melanoma_score") == {"a": (0.3,), "b": (0.3,)}
    assert [row["path"] for row in night.rows("unscored")] == ["c"]


def test_the_queue_is_left_where_the_segments_end(tmp_path):
    found = locations(*"efghi")
    night = run_night(tmp_path, found, facts(1), lambda where, _: image(where, 0.1), size=2, stop=2)
    assert night.read == tuple("efgh")
    assert night.counts.states == {"scored": 4, "pending": 1}
    assert night.counts.pending_reasons == {"stopped": 1}


def test_a_young_file_waits_for_its_own_reason(tmp_path):
    found = [at("old", mtime_ns=1), at("young", mtime_ns=2000)]
    night = run_night(
        tmp_path, found, facts(1), lambda where, _: image(where, 0.1), settled_before_ns=1000
    )
    assert by_path(night.rows("files"), "state", "reason") == {
        "old": ("scored", None),
        "young": ("pending", "not_settled"),
    }


def test_what_a_closed_folder_hides_keeps_its_results(tmp_path):
    remembered = (
        image(at("d/a"), 0.9),
        failed(at("d/b", attempts=2)),
        non_image(at("d/c")),
        image(at("e"), 0.1),
    )

    def read(where, known):
        return failed(where, FailureReason.NOT_READABLE, None)

    night = night_of(tmp_path, [at("d/", 0, 0), at("e")], read, remembered)
    waiting = ("pending", "folder_not_listed")
    assert by_path(night.rows("files"), "state", "reason") == {
        "d/": ("unscored", "not_readable"),
        "d/a": waiting,
        "d/b": waiting,
        "d/c": waiting,
        "e": ("unchanged", None),
    }
    assert by_path(night.rows("current"), "melanoma_score") == {"d/a": (0.9,), "e": (0.1,)}
    assert sorted(row["path"] for row in night.rows("unscored")) == ["d/", "d/b"]
    again = run_night(tmp_path, [at("d/", 0, 0), at("e")], facts(3), read)
    assert again.counts.states == {"unscored": 1, "pending": 3, "unchanged": 1}


def test_pending_files_without_utf8_names_have_their_bytes(tmp_path):
    night = run_night(tmp_path, [at("l\udce4sion"), at("ä")], facts(1), unexpected, stop=0)
    assert by_path(night.rows("files"), "path_bytes") == {
        "l\\xe4sion": (b"l\xe4sion",),
        "ä": (None,),
    }


def test_many_files_may_wait(tmp_path, monkeypatch):
    """More than a row group of them, of both kinds."""
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 3)
    published(tmp_path, [pending(at(f"old {n}")) for n in range(7)], facts(1))
    found = [at(f"{kind} {n}") for kind in ("new", "old") for n in range(7)]
    night = run_night(tmp_path, found, facts(2), unexpected, stop=0)
    assert night.counts.states == {"pending": 14}
    assert night.counts.pending_reasons == {"stopped": 14}


def test_a_pending_files_new_reason_replaces_its_old_one(tmp_path):
    published(tmp_path, [pending(at("a"), PendingReason.OUT_OF_TIME)], facts(1))
    night = run_night(tmp_path, [at("a")], facts(2), unexpected, stop=0)
    assert by_path(night.rows("files"), "reason") == {"a": ("stopped",)}


def test_a_file_that_was_reused_is_unchanged_the_night_after(tmp_path):
    """scored, reused elsewhere, unchanged there: a reused file's row holds as much as any."""
    published(tmp_path, [image(at("a"), 0.9)], facts(1))
    run_night(tmp_path, [at("b")], facts(2), lambda where, known: reused(where, "a"))
    night = run_night(tmp_path, [at("b")], facts(3), unexpected)
    assert by_path(night.rows("files"), "state", "frames_scored", "file_format") == {
        "b": ("unchanged", 1, "jpeg")
    }
    assert by_path(night.rows("current"), "melanoma_score", "run_id") == {
        "b": (0.9, facts(1).run_id)
    }


# --- taken up from dead runs ----


def test_a_dead_runs_segment_is_taken_up_row_for_row(tmp_path):
    results = [image(at("a"), 0.9, DAMAGED, 0.1), failed(at("b", attempts=1)), non_image(at("c"))]
    staging = dead_run(tmp_path, [results], facts(1))
    segment = staging.folder / "segments" / "000000"
    before = {
        table: rows_of(segment / table) for table in ("files", "predictions", "alerts", "unscored")
    }
    night = run_night(tmp_path, locations(*"abc"), facts(2), unexpected)
    published_by = {"run_id": facts(2).run_id}
    for table, found in before.items():
        assert night.rows(table) == [row | published_by for row in found], table
    assert night.rows("current") == night.rows("predictions")
    assert not list((tmp_path / ".in-progress").glob("*"))


def test_of_two_dead_runs_the_newest_reading_counts(tmp_path):
    dead_run(tmp_path, [[image(at("a"), 0.1), image(at("b"), 0.1)]], facts(1))
    dead_run(tmp_path, [[image(at("b"), 0.9)]], facts(2))
    night = run_night(tmp_path, locations(*"ab"), facts(3), unexpected)
    assert by_path(night.rows("current"), "melanoma_score") == {"a": (0.1,), "b": (0.9,)}


def test_of_a_segment_only_the_files_still_there_are_taken(tmp_path):
    dead_run(tmp_path, [[image(at(name), 0.9) for name in "abc"]], facts(1))
    found = [at("a"), at("b", mtime_ns=1)]
    night = run_night(tmp_path, found, facts(2), lambda where, _: image(where, 0.2))
    assert by_path(night.rows("current"), "melanoma_score") == {"a": (0.9,), "b": (0.2,)}
    assert by_path(night.rows("alerts"), "melanoma_score") == {"a": (0.9,)}
    assert night.read == ("b",)


def test_a_segment_replaces_what_is_remembered(tmp_path):
    """A failure tried again by a run that died: its second attempt counts, not the first."""
    published(tmp_path, [failed(at("a"))], facts(1))
    dead_run(tmp_path, [[failed(at("a", attempts=1))]], facts(2))
    night = run_night(tmp_path, [at("a")], facts(3), unexpected)
    assert by_path(night.rows("files"), "attempts", "run_id") == {"a": (2, facts(3).run_id)}
    assert len(night.rows("unscored")) == 1
    assert night.gathered.unscored_again == 1


def test_a_run_that_dies_again_and_again_gets_on(tmp_path):
    """Three runs, a segment each, and the fourth publishes all of it without reading."""
    found = locations(*"abc")
    there = LocalReports(tmp_path)
    for number in (1, 2, 3):
        plan = plan_of(tmp_path, found, facts(number))
        assert [where.path for where in plan.locations(0, 9)] == list("abc"[number - 1 :])
        dead_run(tmp_path, [[image(plan.locations(0, 1)[0], number / 10)]], facts(number))
    night = run_night(tmp_path, found, facts(4), unexpected)
    scores = by_path(night.rows("current"), "melanoma_score")
    assert scores == {"a": (0.1,), "b": (0.2,), "c": (0.3,)}
    assert there.unpublished() == []


@pytest.mark.parametrize(
    "reason",
    [FailureReason.NOT_READABLE, FailureReason.VANISHED, FailureReason.NOT_A_REGULAR_FILE],
)
def test_what_a_dead_run_could_not_open_is_opened_again(tmp_path, reason):
    """A permission was given, a mount came back, and a run had died in between."""
    dead_run(tmp_path, [[failed(at("a"), reason, None)]], facts(1))
    night = run_night(tmp_path, [at("a")], facts(2), lambda where, _: image(where, 0.9))
    assert by_path(night.rows("files"), "state") == {"a": ("scored",)}


# --- the fate of each action, alone ----


@pytest.mark.parametrize(("done", "waiting"), [(0, 3), (1, 2), (2, 1), (3, 0)])
def test_only_what_was_not_done_waits(tmp_path, done, waiting):
    plan = plan_of(tmp_path, locations(*"abc"), facts(1))
    carried = carry_over(plan, done, PendingReason.STOPPED)
    rows = [row for table in carried.files(facts(1)) for row in table.to_pylist()]
    assert [row["path"] for row in rows] == list("abc")[done:]
    assert len(rows) == waiting


def test_gathering_twice_into_one_place_is_an_error(tmp_path):
    plan = plan_of(tmp_path, [], facts(1))
    staging = LocalReports(tmp_path).start(facts(1).run_id)
    gather_night(staging, plan, QueueProgress(0), facts(1))
    with pytest.raises(FileExistsError, match="night"):
        gather_night(staging, plan, QueueProgress(0), facts(1))


def test_every_state_is_carried_or_settled(tmp_path):
    """Of each state a row, and what it is the night after, when nothing has changed."""
    results = [
        *(image(at(name), 0.1) for name in "ab"),
        failed(at("c", attempts=2)),
        non_image(at("d")),
        pending(at("e")),
    ]
    published(tmp_path, results, facts(1))
    night = run_night(
        tmp_path, [*locations(*"acde"), at("f")], facts(2),
        lambda where, _: reused(where, "b") if where.path == "f" else image(where, 0.1),
    )  # fmt: skip
    found = {state for (state,) in by_path(night.rows("files"), "state").values()}
    assert found == {state.value for state in FileState} - {"pending"}
