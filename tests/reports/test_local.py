"""A night becomes visible in one step, whatever dies at whatever moment, and no segment is lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from batch.core.errors import UsageError
from batch.reports import local
from batch.reports.ledger import check_balance
from batch.reports.local import LocalReports, committed_segments, is_intact
from batch.run.merge import QueueProgress, count_night, gather_night
from batch.storage import files
from batch.storage.files import digests
from tests.support.stored_nights import (
    SCHEMA_VERSION,
    at,
    by_path,
    dead_run,
    facts,
    image,
    plan_of,
    published,
    rows_of,
    run_night,
    run_segments,
    unexpected,
    write_segment,
)


def staged(reports, run_id, content="x"):
    """A gathered night that is not published yet."""
    staging = LocalReports(reports).start(run_id)
    (staging.night / "predictions").mkdir(parents=True)
    (staging.night / "predictions" / "part-00000.parquet").write_text(content)
    return staging


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_published_night_is_complete_and_latest(tmp_path):
    there = LocalReports(tmp_path)
    night = there.publish(staged(tmp_path, "r1"), {"a": 1})
    assert night == tmp_path / "runs" / "r1" == there.night("r1")
    run = json.loads((tmp_path / "latest" / "run.json").read_text())
    assert run["a"] == 1
    assert run["parts"] == digests(night)
    assert list(run["parts"]) == ["predictions/part-00000.parquet"]
    assert (tmp_path / "latest" / "_SUCCESS").exists()
    assert os.readlink(tmp_path / "latest") == "runs/r1"
    assert (there.latest(), there.nights()) == ("r1", ["r1"])
    assert names(tmp_path) == [".in-progress", "latest", "runs"]
    there.discard_work()
    assert names(tmp_path) == ["latest", "runs"]


def test_before_the_first_night_there_is_none(tmp_path):
    there = LocalReports(tmp_path / "not made")
    assert (there.latest(), there.nights(), there.unpublished()) == (None, [], [])


def test_the_next_night_replaces_latest_and_keeps_the_last(tmp_path):
    there = LocalReports(tmp_path)
    there.publish(staged(tmp_path, "r1", "one"), {})
    there.publish(staged(tmp_path, "r2", "two"), {})
    assert (tmp_path / "latest/predictions/part-00000.parquet").read_text() == "two"
    assert (tmp_path / "runs/r1/predictions/part-00000.parquet").read_text() == "one"
    assert there.nights() == ["r2", "r1"]


@pytest.mark.parametrize("step", ["rename", "symlink", "replace", "fsync"])
def test_a_failure_at_any_step_leaves_the_last_night_in_place(tmp_path, monkeypatch, step):
    there = LocalReports(tmp_path)
    there.publish(staged(tmp_path, "r1", "one"), {})

    def crash(*_, **__):
        raise OSError("power is gone")

    staging = staged(tmp_path, "r2", "two")
    with monkeypatch.context() as patch:
        patch.setattr(local.os, step, crash)
        with pytest.raises(OSError, match="power is gone"):
            there.publish(staging, {})
    assert (tmp_path / "latest/predictions/part-00000.parquet").read_text() == "one"
    assert there.latest() == "r1"
    there.recover()
    there.publish(staged(tmp_path, "r3", "three"), {})
    assert (tmp_path / "latest/predictions/part-00000.parquet").read_text() == "three"


# On a night without
# segments nothing remembers that this half-published folder is to be cleared away or finished.
@pytest.mark.parametrize("step", ["touch", "symlink", "replace"])
def test_what_a_failed_publication_leaves_is_finished_or_undone(tmp_path, monkeypatch, step):
    there = LocalReports(tmp_path)
    there.publish(staged(tmp_path, "r1"), {})
    there.discard_work()

    def full(*_, **__):
        raise OSError("disk full")

    staging = staged(tmp_path, "r2")
    with monkeypatch.context() as patch:
        patch.setattr(Path if step == "touch" else local.os, step, full)
        with pytest.raises(OSError, match="disk full"):
            there.publish(staging, {})
    there.discard_unfinished(staging)
    there.recover()
    assert there.nights()[0] == there.latest()
    assert names(tmp_path / "runs") == sorted(there.nights())


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("latest", Path.mkdir, "latest is no link"),
        ("latest", Path.touch, "latest is no link"),
        ("runs", Path.touch, "runs is no folder"),
        (".in-progress", Path.touch, "in-progress is no folder"),
        ("runs", lambda path: path.symlink_to("nowhere"), "runs is no folder"),
    ],
)
def test_what_would_stop_the_publication_is_refused_at_the_start(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(UsageError, match=f"--output: .*{message}; needed: .* Move it away"):
        LocalReports(tmp_path).check_layout()


def test_an_empty_and_a_used_folder_have_the_right_layout(tmp_path):
    LocalReports(tmp_path).check_layout()
    published(tmp_path, [image(at("a"), 0.1)], facts(1))
    dead_run(tmp_path, [], facts(2))
    LocalReports(tmp_path).check_layout()
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").symlink_to("runs/pruned by hand")
    LocalReports(tmp_path).check_layout()


def test_a_pointer_to_an_unfinished_night_points_to_none(tmp_path):
    folder = published(tmp_path, [image(at("a"), 0.1)], facts(1))
    (folder / "_SUCCESS").unlink()
    there = LocalReports(tmp_path)
    assert (there.latest(), there.nights()) == (None, [])


def test_two_runs_of_one_name_do_not_share_a_place(tmp_path):
    LocalReports(tmp_path).start("r1")
    with pytest.raises(FileExistsError, match="r1"):
        LocalReports(tmp_path).start("r1")


# --- segments ----


def test_a_segment_is_committed_with_what_it_was_made_with(tmp_path):
    staging = LocalReports(tmp_path).start("r1")
    work = staging.segment_at_work(7)
    (work / "files").mkdir()
    (work / "files" / "part-00000.parquet").write_bytes(b"rows")
    staging.commit(7, {"made_with": "this"})
    (folder,) = staging.segments()
    assert folder.name == "000007"
    assert json.loads((folder / "segment.json").read_text()) == {
        "made_with": "this",
        "parts": digests(folder),
    }
    assert names(staging.folder / "segments") == ["000007"]


def test_an_earlier_try_of_a_segment_leaves_nothing(tmp_path):
    staging = LocalReports(tmp_path).start("r1")
    (staging.segment_at_work(0) / "old").touch()
    assert names(staging.segment_at_work(0)) == []


def test_segments_are_in_the_order_of_their_numbers(tmp_path):
    staging = LocalReports(tmp_path).start(facts(1).run_id)
    for number in (10, 9, 100):
        write_segment(staging, number, [image(at(str(number)), 0.1)], facts(1))
    assert [folder.name for folder in staging.segments()] == ["000009", "000010", "000100"]


def test_a_failed_run_leaves_its_committed_segments_and_nothing_else(tmp_path):
    staging = dead_run(tmp_path, [[image(at("a"), 0.1)]], facts(1))
    staging.segment_at_work(1)
    staging.night.mkdir()
    LocalReports(tmp_path).discard_unfinished(staging)
    assert names(staging.folder) == ["segments"]
    assert names(staging.folder / "segments") == ["000000"]


def test_a_failed_run_without_segments_leaves_nothing(tmp_path):
    staging = LocalReports(tmp_path).start("r1")
    staging.segment_at_work(0)
    LocalReports(tmp_path).discard_unfinished(staging)
    assert names(tmp_path) == []


def test_a_failed_run_leaves_other_runs_segments_alone(tmp_path):
    dead_run(tmp_path, [[image(at("a"), 0.1)]], facts(1))
    staging = LocalReports(tmp_path).start(facts(2).run_id)
    LocalReports(tmp_path).discard_unfinished(staging)
    assert names(tmp_path / ".in-progress") == [facts(1).run_id]


def test_unpublished_work_is_listed_newest_first(tmp_path):
    for number in (2, 1, 3):
        dead_run(tmp_path, [], facts(number))
    found = [work.name for work in LocalReports(tmp_path).unpublished()]
    assert found == [facts(number).run_id for number in (3, 2, 1)]


# --- recovery ----


def test_a_night_that_was_renamed_and_not_finished_is_undone(tmp_path):
    published(tmp_path, [image(at("a"), 0.1)], facts(1))
    staging = dead_run(tmp_path, [[image(at("b"), 0.1)]], facts(2))
    staging.night.mkdir()
    staging.night.rename(tmp_path / "runs" / facts(2).run_id)
    LocalReports(tmp_path).recover()
    assert names(tmp_path / "runs") == [facts(1).run_id]
    assert len(committed_segments(staging.folder)) == 1


def test_a_night_that_was_finished_and_not_pointed_to_is_pointed_to(tmp_path):
    published(tmp_path, [image(at("a"), 0.1)], facts(1))
    published(tmp_path, [image(at("b"), 0.1)], facts(2))
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").symlink_to(f"runs/{facts(1).run_id}")
    (tmp_path / f".latest.{facts(2).run_id}").symlink_to("anything")
    dead_run(tmp_path, [[image(at("b"), 0.1)]], facts(2))
    there = LocalReports(tmp_path)
    there.recover()
    assert there.latest() == facts(2).run_id
    assert there.unpublished() == []
    assert names(tmp_path) == ["latest", "runs"]


def test_recovery_of_a_healthy_folder_changes_nothing(tmp_path):
    published(tmp_path, [image(at("a"), 0.1)], facts(1))
    dead_run(tmp_path, [[image(at("b"), 0.1)]], facts(2))
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    LocalReports(tmp_path).recover()
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_of_a_published_run_no_segment_is_left_to_be_taken_up_twice(tmp_path):
    dead_run(tmp_path, [[image(at("a"), 0.1)]], facts(1))
    there = LocalReports(tmp_path)
    plan = plan_of(tmp_path, [at("a")], facts(2))
    staging = there.start(facts(2).run_id)
    gather_night(staging, plan, QueueProgress(0), facts(2))
    there.publish(staging, {"schema_version": SCHEMA_VERSION})  # and here it was killed
    there.recover()
    assert there.unpublished() == []


# --- digests ----


def test_only_the_very_same_bytes_are_intact(tmp_path):
    part = tmp_path / "files" / "part-00000.parquet"
    part.parent.mkdir()
    part.write_bytes(b"rows")
    written = digests(tmp_path)
    assert is_intact(tmp_path, written, ("files",))
    part.write_bytes(b"rowS")
    assert not is_intact(tmp_path, written, ("files",))
    part.unlink()
    assert not is_intact(tmp_path, written, ("files",))


def test_tables_that_nobody_asked_for_are_not_compared(tmp_path):
    for table in ("files", "predictions"):
        (tmp_path / table).mkdir()
        (tmp_path / table / "part-00000.parquet").write_text(table)
    written = digests(tmp_path)
    (tmp_path / "predictions" / "part-00000.parquet").unlink()
    assert is_intact(tmp_path, written, ("files",))
    assert not is_intact(tmp_path, written, ("predictions", "files"))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"\xff\xfe", b'{"a": 1'])
def test_json_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    assert files.read_json(tmp_path / "a.json") is None
    assert files.read_json(tmp_path / "missing.json") is None


def test_json_is_read_as_it_was_written(tmp_path):
    files.write_json(tmp_path / "a.json", {"ä": [1, None, "\ud83d"]})
    assert files.read_json(tmp_path / "a.json") == {"ä": [1, None, "\ud83d"]}


# --- a process that dies at its n-th step ----

STEPS = ("rename", "replace", "symlink", "unlink", "rmdir", "mkdir")
"""Of fsync there is nothing to see: before it and after it, the next process finds the same."""
DIED = 9


def _die_at(n: int, job: Callable[[], None]) -> bool:
    """Run the job in a child that ends just before its n-th step on the disk; whether it did."""
    child = os.fork()
    if not child:
        try:
            left = iter(range(n - 1))
            for name in STEPS:
                _arm(name, left)
            job()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, DIED)
    return status == DIED


def _arm(name: str, left) -> None:
    real = getattr(os, name)

    def step(*words, **more):
        if next(left, None) is None:
            os._exit(DIED)
        return real(*words, **more)

    setattr(os, name, step)


FOUND = [at(name) for name in "abcde"]
NEW = 0.3
"""The score of whatever is read anew."""


def _read(where, known):
    return image(where, NEW)


def _night(root: Path, number: int) -> None:
    """A night in two segments, as the job does it from recovery to clearing away."""
    there, tonight = LocalReports(root), facts(number)
    there.recover()
    plan = plan_of(root, FOUND, tonight)
    staging = there.start(tonight.run_id)
    done, _ = run_segments(staging, plan, tonight, _read, size=2)
    gathered = gather_night(staging, plan, QueueProgress(done), tonight)
    check_balance(count_night(staging.night, len(plan), tonight.run_id, gathered))
    there.publish(staging, {"schema_version": SCHEMA_VERSION})
    there.discard_work()


def _complete_scores(root: Path) -> dict[str, tuple[float, ...]]:
    """What a reader of `latest` sees, from a night that is whole."""
    latest = root / "latest"
    run = json.loads((latest / "run.json").read_text())
    assert (latest / "_SUCCESS").exists()
    assert run["parts"] == digests(latest.resolve())
    current = by_path(rows_of(latest / "current"), "melanoma_score")
    assert by_path(rows_of(latest / "files"), "path").keys() == current.keys()
    return current


def _committed(root: Path) -> set[str]:
    return {
        row["path"]
        for work in LocalReports(root).unpublished()
        for folder in committed_segments(work)
        for row in rows_of(folder / "files")
    }


OLD_NIGHT = {"a": (0.1,)}
NEW_NIGHT = {"a": (0.1,), "b": (0.2,), **dict.fromkeys("cde", (NEW,))}


@pytest.fixture
def without_waiting_for_the_disk(monkeypatch):
    """A process dies here, not the power: what it has written is there, synchronised or not."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def _before(root: Path) -> None:
    """A published night, and the segment of a run that died after it."""
    published(root, [image(at("a"), 0.1)], facts(1))
    dead_run(root, [[image(at("b"), 0.2)]], facts(2))


def test_a_night_that_dies_at_any_step_is_the_old_one_or_the_new_one(
    tmp_path, without_waiting_for_the_disk
):
    """For every step: what is seen, what is kept, and that the next night is whole."""
    _before(tmp_path / "start")
    seen, trees, n, died = [], set(), 0, True
    while died:
        n += 1
        root = Path(shutil.copytree(tmp_path / "start", tmp_path / str(n), symlinks=True))
        died = _die_at(n, lambda root=root: _night(root, 3))
        shown = _complete_scores(root)
        assert shown in (OLD_NIGHT, NEW_NIGHT), n
        seen.append(shown == NEW_NIGHT)
        committed = _committed(root) if shown == OLD_NIGHT else set()
        assert shown == NEW_NIGHT or "b" in committed, n
        tree = frozenset(str(path.relative_to(root)) for path in root.rglob("*"))
        if died and tree in trees:  # what follows was seen already
            shutil.rmtree(root)
            continue
        trees.add(tree)
        read = []

        def reader(where, known, read=read):
            read.append(where.path)
            return image(where, NEW)

        night = run_night(root, FOUND, facts(4), reader, size=2)
        assert by_path(night.rows("current"), "melanoma_score") == NEW_NIGHT, n
        rescued = set(NEW_NIGHT) if night.plan.memory.run_id == facts(3).run_id else committed
        assert set(read) == set("cde") - rescued, n
        assert names(root / "runs") == LocalReports(root).nights()[::-1], n
        assert names(root) == ["latest", "runs"], n
        shutil.rmtree(root)
    assert n > 40
    assert seen == sorted(seen)  # once new, never old again
    assert seen[0] is False
    assert seen[-1] is True


def test_a_recovery_that_dies_at_any_step_is_done_by_the_next(
    tmp_path, without_waiting_for_the_disk
):
    """Dead in the recovery of a half-published night, of both kinds, with segments beside it."""
    for finished in (False, True):
        start = tmp_path / f"start {finished}"
        _before(start)
        plan = plan_of(start, FOUND, facts(3))
        staging = LocalReports(start).start(facts(3).run_id)
        run_segments(staging, plan, facts(3), _read, size=2)
        gather_night(staging, plan, QueueProgress(3), facts(3))
        if finished:
            LocalReports(start).publish(staging, {"schema_version": SCHEMA_VERSION})
        else:
            staging.night.rename(start / "runs" / facts(3).run_id)
        n, died = 0, True
        while died:
            n += 1
            root = Path(shutil.copytree(start, tmp_path / f"{finished} {n}", symlinks=True))
            died = _die_at(n, LocalReports(root).recover)
            night = run_night(root, FOUND, facts(4), unexpected)
            assert by_path(night.rows("current"), "melanoma_score") == NEW_NIGHT, n
            assert names(root) == ["latest", "runs"], n
            shutil.rmtree(root)
        assert n > 3
