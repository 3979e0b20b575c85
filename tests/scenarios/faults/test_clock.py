"""A clock that is set back, or was wrong: nights keep their order, files do not wait for ever."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import pytest

from batch.commands import score as score_command
from batch.core.errors import ExitCode
from tests.scenarios.faults.gates import when_reached
from tests.scenarios.faults.nights import (
    AT_WORK,
    NEW,
    SEGMENT_SIZE,
    damages,
    read_table,
    write_image,
)

NOISE = b"\xff\xd8\xff" + bytes(200)


@pytest.fixture
def set_clock(monkeypatch):
    """Move the clock as the program sees it: `score` reads one."""

    def move(**by):
        shift = timedelta(**by)

        class Moved(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + shift

        monkeypatch.setattr(score_command, "datetime", Moved)

    return move


def nights(world):
    return sorted(night.name for night in (world.reports / "runs").iterdir())


def test_a_night_before_the_last_one_is_the_latest_all_the_same(world, set_clock):
    first = world.latest.name
    set_clock(hours=-1)
    assert world.score() == ExitCode.COMPLETE
    second = world.latest.name
    assert second < first  # its name says that it came before
    assert world.run["memory"]["run_id"] == first
    assert world.run["equation"]["scored"] == NEW
    assert damages(world.latest) == []
    for hours in (-1, 0):
        set_clock(hours=hours)
        before = world.latest.name
        assert world.score() == ExitCode.COMPLETE
        assert world.run["memory"]["run_id"] == before
        assert world.run["equation"]["unchanged"] == NEW + 5
        assert world.run["equation"]["scored"] == 0


def test_segments_of_a_run_under_another_clock_are_taken_up(world, set_clock, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    with when_reached(world.archive / AT_WORK, lambda: world.archive.rename(elsewhere)):
        assert world.score() == ExitCode.FAILURE
    elsewhere.rename(world.archive)
    set_clock(hours=-1)
    assert world.score() == ExitCode.COMPLETE
    assert world.run["taken_up"] == SEGMENT_SIZE
    assert world.run["equation"]["scored"] == NEW
    assert not (world.reports / ".in-progress").exists()


def test_two_starts_in_one_second_are_two_nights(world, monkeypatch):
    now = datetime.now().astimezone()

    class Stopped(datetime):
        @classmethod
        def now(cls, tz=None):
            return now.astimezone(tz) if tz else now.replace(tzinfo=None)

    monkeypatch.setattr(score_command, "datetime", Stopped)
    for _ in range(3):
        assert world.score() == ExitCode.COMPLETE
    assert len(nights(world)) == 4
    assert world.run["equation"]["unchanged"] == NEW + 5


@pytest.mark.parametrize("settle", ["0", "300"])
def test_files_from_the_future_are_scored_and_not_pending_for_ever(world, set_clock, settle):
    """The clock was an hour ahead when they were written, then set right."""
    hour = world.archive / "new" / "08.png"
    month = world.archive / "new" / "07.png"
    broken = world.archive / "new" / "broken.jpg"
    broken.write_bytes(NOISE)
    now = datetime.now().timestamp()
    for path, ahead in ((hour, 3600), (broken, 3600), (month, 30 * 86400)):
        os.utime(path, (now + ahead, now + ahead))
    assert world.score("--settle", settle) == ExitCode.COMPLETE
    files = read_table(world.latest, "files").set_index("path")
    assert files.loc["new/07.png", "state"] == "scored"
    assert files.loc["new/08.png", "state"] == ("pending" if settle != "0" else "scored")
    assert files.loc["new/broken.jpg", "state"] == "pending"
    set_clock(hours=2)  # the next night
    assert world.score("--settle", settle) == ExitCode.COMPLETE
    files = read_table(world.latest, "files").set_index("path")
    assert not (files["state"] == "pending").any()
    assert files.loc["new/broken.jpg", "reason"] == "decode_failed"
    assert "new/08.png" in set(read_table(world.latest, "current")["path"])


def test_a_damaged_file_from_far_in_the_future_is_told_the_first_night(world):
    broken = world.archive / "new" / "broken.jpg"
    broken.write_bytes(NOISE)
    later = datetime.now().timestamp() + 10 * 86400
    os.utime(broken, (later, later))
    assert world.score() == ExitCode.COMPLETE
    files = read_table(world.latest, "files").set_index("path")
    assert files.loc["new/broken.jpg", ["state", "reason"]].tolist() == [
        "unscored", "decode_failed",
    ]  # fmt: skip


def test_a_file_changed_under_a_clock_set_back_is_read_again(world):
    """Its time is older than before: different is enough."""
    assert world.score() == ExitCode.COMPLETE
    changed = world.archive / "new" / "03.png"
    size = changed.stat().st_size
    write_image(changed, 7)
    with changed.open("ab") as file:  # the same size, whatever the new image needs
        file.truncate(size)
    os.utime(changed, (1_600_000_000, 1_600_000_000))
    assert world.score() == ExitCode.COMPLETE
    assert world.run["read_because"]["changed"] == 1
