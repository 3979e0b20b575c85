"""Prune takes old snapshots only, whatever happens to it meanwhile."""

from __future__ import annotations

import errno
import fcntl
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.errors import ReportsLocked, UsageError
from batch.operations import prune as module
from batch.operations.prune import Pruned, prune
from tests.operations import ledger, night, point_latest

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
STAYS = {"predictions", "unscored", "alerts.parquet", "run.json", "_SUCCESS"}


def on_day(day: int) -> dict[str, object]:
    return ledger((FIRST + timedelta(days=day)).isoformat())


def nights(reports: Path, names: str = "abcd") -> None:
    """Nights of these names, oldest first, the last one the latest."""
    for day, name in enumerate(names):
        night(reports, name, on_day(day))
    point_latest(reports, names[-1])


def with_snapshots(reports: Path) -> str:
    """Names of the nights that have both, in order."""
    return "".join(
        sorted(
            folder.name
            for folder in (reports / "runs").iterdir()
            if (folder / "files").is_dir() and (folder / "current").is_dir()
        )
    )


@pytest.mark.parametrize(
    ("keep", "stay", "gone"),
    [(1, "d", "abc"), (2, "cd", "ab"), (3, "bcd", "a"), (4, "abcd", ""), (99, "abcd", "")],
)
def test_all_but_the_newest_lose_their_snapshots_and_nothing_else(tmp_path, keep, stay, gone):
    nights(tmp_path)
    assert prune(tmp_path, keep).nights == [Pruned(name, 200) for name in gone]
    assert with_snapshots(tmp_path) == stay
    for name in gone:
        assert {path.name for path in (tmp_path / "runs" / name).iterdir()} == STAYS
    assert prune(tmp_path, keep).nights == []


def test_a_dry_run_tells_the_same_and_removes_nothing(tmp_path):
    nights(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert prune(tmp_path, 2, dry_run=True).nights == [Pruned("a", 200), Pruned("b", 200)]
    assert set(tmp_path.rglob("*")) - set(before) <= {tmp_path / ".lock"}
    assert with_snapshots(tmp_path) == "abcd"
    assert [item.run_id for item in prune(tmp_path, 2).nights] == ["a", "b"]


def test_the_night_of_latest_stays_however_old_it_is(tmp_path):
    nights(tmp_path)
    point_latest(tmp_path, "a")
    prune(tmp_path, 1)
    assert with_snapshots(tmp_path) == "ad"


def test_what_cannot_be_dated_or_is_incomplete_is_left_alone(tmp_path):
    nights(tmp_path)
    night(tmp_path, "x", b"{")
    night(tmp_path, "y", on_day(-5), complete=False)
    assert [item.run_id for item in prune(tmp_path, 1).nights] == ["a", "b", "c"]
    assert with_snapshots(tmp_path) == "dxy"


def test_newest_is_by_start_not_by_name(tmp_path):
    night(tmp_path, "z", on_day(0))
    night(tmp_path, "a", on_day(1))
    point_latest(tmp_path, "a")
    assert [item.run_id for item in prune(tmp_path, 1).nights] == ["z"]


def test_the_newest_nights_with_whole_snapshots_stay_as_the_memory(tmp_path):
    nights(tmp_path)
    shutil.rmtree(tmp_path / "runs" / "d" / "files")  # the latest night is damaged
    shutil.rmtree(tmp_path / "runs" / "c" / "current")
    prune(tmp_path, 1)
    assert with_snapshots(tmp_path) == "b"


@pytest.mark.parametrize("keep", [0, -1])
def test_to_keep_nothing_is_refused(tmp_path, keep):
    nights(tmp_path)
    with pytest.raises(UsageError, match=f"--keep: found {keep}; allowed: 1 or more"):
        prune(tmp_path, keep)


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


@pytest.mark.parametrize("survived", range(6))
def test_a_killed_prune_leaves_whole_snapshots_or_none_and_the_next_one_ends_it(
    tmp_path, monkeypatch, survived
):
    nights(tmp_path)
    calls, rmtree = [], shutil.rmtree

    def die(path, *arguments, **options):
        calls.append(path)
        if len(calls) > survived:
            next(Path(path).glob("*.parquet")).unlink()  # half removed
            raise Killed
        rmtree(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "rmtree", die)
        with pytest.raises(Killed):
            prune(tmp_path, 1)
    for folder in (tmp_path / "runs").iterdir():
        for table in ("files", "current"):
            assert not (folder / table).exists() or any((folder / table).iterdir())
    assert with_snapshots(tmp_path) == "bcd"[survived // 2 :]
    prune(tmp_path, 1)
    assert with_snapshots(tmp_path) == "d"
    for name in "abc":
        assert {path.name for path in (tmp_path / "runs" / name).iterdir()} == STAYS


def test_a_kill_between_the_two_renames_is_ended_by_the_next_prune(tmp_path, monkeypatch):
    nights(tmp_path, "ab")
    rename = module.os.rename

    def die(source, target):
        if Path(source).name == "current":
            raise Killed
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "rename", die)
        with pytest.raises(Killed):
            prune(tmp_path, 1)
    assert (tmp_path / "runs/a/.pruned-files").is_dir()
    assert prune(tmp_path, 1).nights == [Pruned("a", 200)]
    assert {path.name for path in (tmp_path / "runs" / "a").iterdir()} == STAYS


def test_a_snapshot_beside_the_leftover_of_an_earlier_one_goes_too(tmp_path):
    nights(tmp_path, "ab")
    shutil.copytree(tmp_path / "runs/a/files", tmp_path / "runs/a/.pruned-files")
    assert prune(tmp_path, 1).nights == [Pruned("a", 300)]
    assert {path.name for path in (tmp_path / "runs" / "a").iterdir()} == STAYS


def test_a_link_with_the_hidden_name_is_left_alone(tmp_path):
    nights(tmp_path / "reports", "ab")
    (tmp_path / "outside").mkdir()
    link = tmp_path / "reports/runs/a/.pruned-current"
    link.symlink_to(tmp_path / "outside")
    with pytest.raises(UsageError, match="cannot remove snapshots"):
        prune(tmp_path / "reports", 1)
    assert (link.is_symlink(), (tmp_path / "outside").is_dir()) == (True, True)


def test_links_are_neither_followed_nor_removed(tmp_path):
    reports, outside = tmp_path / "reports", tmp_path / "outside"
    nights(reports, "abc")
    shutil.move(reports / "runs" / "a" / "files", outside)
    (reports / "runs" / "a" / "files").symlink_to(outside)
    (reports / "runs" / "b" / "current" / "link").symlink_to(outside)
    away = night(tmp_path / "other", "far", on_day(-9))
    (reports / "runs" / "far").symlink_to(away)
    prune(reports, 1)
    assert (outside / "part-00000.parquet").exists()
    assert (reports / "runs" / "a" / "files").is_symlink()
    assert not (reports / "runs" / "b" / "current").exists()
    assert (away / "files").is_dir()


def test_nights_behind_a_link_are_refused(tmp_path):
    nights(tmp_path / "real")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "runs").symlink_to(tmp_path / "real" / "runs")
    with pytest.raises(UsageError, match="runs is a link, and prune follows none"):
        prune(tmp_path / "reports", 1)
    assert with_snapshots(tmp_path / "real") == "abcd"


@pytest.mark.parametrize("target", [None, "runs/gone", "elsewhere", "runs/incomplete"])
def test_without_a_complete_latest_nothing_is_removed(tmp_path, target):
    nights(tmp_path)
    night(tmp_path, "incomplete", on_day(9), complete=False)
    (tmp_path / "latest").unlink()
    if target:
        (tmp_path / "latest").symlink_to(target)
    with pytest.raises(UsageError, match="points to no complete night.*nothing was removed"):
        prune(tmp_path, 1)
    assert set("abcd") < set(with_snapshots(tmp_path))


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_is_no_reports_folder_is_refused_and_not_touched(tmp_path, there):
    reports = tmp_path / "reports"
    if there:
        reports.mkdir()
    with pytest.raises(UsageError, match=r"REPORTS: (nothing at|no run in)"):
        prune(reports, 1)
    assert list(tmp_path.rglob("*")) == ([reports] if there else [])


def test_a_running_night_keeps_prune_out(tmp_path):
    nights(tmp_path)
    with open(tmp_path / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ReportsLocked, match="another run holds"):
            prune(tmp_path, 1)
    assert with_snapshots(tmp_path) == "abcd"


def test_what_the_file_system_refuses_is_a_usage_error(tmp_path, monkeypatch):
    nights(tmp_path)

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(module.os, "rename", refuse)
    with pytest.raises(UsageError, match=r"cannot remove snapshots in .*\(Permission denied\)"):
        prune(tmp_path, 1)
    assert with_snapshots(tmp_path) == "abcd"


NIGHT = st.tuples(
    st.integers(-3, 3) | st.none(),  # day; None for a damaged run.json
    st.booleans(),  # complete
    st.sets(st.sampled_from(["files", "current"])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(NIGHT, min_size=1, max_size=6), st.integers(1, 7), st.data())
def test_whatever_the_dates_latest_and_the_newest_keep_their_snapshots(found, keep, data):
    with tempfile.TemporaryDirectory() as place:
        reports, before = Path(place), {}
        for number, (day, complete, tables) in enumerate(found):
            content = b"{" if day is None else on_day(day)
            night(reports, str(number), content, complete, tuple(tables))
            before[str(number)] = tables
        latest = str(data.draw(st.integers(0, len(found) - 1)))
        point_latest(reports, latest)
        if not found[int(latest)][1]:
            with pytest.raises(UsageError, match="no complete night"):
                prune(reports, keep)
            return
        pruned = {item.run_id for item in prune(reports, keep).nights}
        after = {
            name: {t for t in ("files", "current") if (reports / "runs" / name / t).is_dir()}
            for name in before
        }
    dated = [(d, str(n)) for n, (d, complete, _) in enumerate(found) if complete and d is not None]
    newest = {name for _, name in sorted(dated, reverse=True)[:keep]}
    for name, tables in before.items():
        protected = name == latest or name in newest or name not in {n for _, n in dated}
        assert after[name] in (([tables]) if protected else (tables, set()))
        assert (name in pruned) == (after[name] != tables)
    whole = sorted(name for d, name in dated if before[name] == {"files", "current"})
    assert not whole or any(after[name] == {"files", "current"} for name in whole)
