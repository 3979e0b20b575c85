"""The disk behind the reports fills up while a run writes there: in a segment, and at the end."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from tests.scenarios.faults.gates import when_reached
from tests.scenarios.faults.nights import AT_WORK, SEGMENT_SIZE, World, damages, differences


@pytest.fixture
def small_disk(untouched, tmp_path):
    """A world whose reports lie on a file system of 2 MB of their own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root and a kernel that lets it")
    made = untouched.copy(tmp_path)
    yield World(made.archive, Path(shutil.move(made.reports, folder / "reports")))
    # lazily: the log of the last night is still open in this process
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk):
    """Write until the kernel refuses the next byte."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC


def test_a_disk_that_fills_up_in_a_segment_keeps_the_segments_before(
    small_disk, undisturbed, tmp_path, capsys
):
    world, before = small_disk, small_disk.latest
    disk = world.reports.parent
    with when_reached(world.archive / AT_WORK, lambda: fill(disk)):
        assert world.score("--log-file", str(tmp_path / "log")) == ExitCode.FAILURE
    error = capsys.readouterr().err
    assert "the reports cannot be written (No space left on device)" in error
    assert "nothing was published" in error
    check_nothing_but_segments(world, before)
    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    assert world.score() == ExitCode.COMPLETE
    assert world.run["taken_up"] == SEGMENT_SIZE
    assert differences(world.latest, undisturbed) == []


def test_a_disk_that_fills_up_while_the_night_is_gathered_costs_no_scores(
    small_disk, undisturbed, tmp_path, capsys
):
    """All segments are committed when the last file of the memory is opened to be carried over."""
    world, before = small_disk, small_disk.latest
    disk = world.reports.parent
    part = next((before / "current").glob("*.parquet"))
    with when_reached(part, lambda: fill(disk), times=2):  # the first is for its digest
        assert world.score("--log-file", str(tmp_path / "log")) == ExitCode.FAILURE
    assert "the reports cannot be written (No space left on device)" in capsys.readouterr().err
    check_nothing_but_segments(world, before, segments=2)
    (disk / "ballast").unlink()
    assert world.score() == ExitCode.COMPLETE
    assert world.run["taken_up"] == 2 * SEGMENT_SIZE
    assert differences(world.latest, undisturbed) == []


def check_nothing_but_segments(world, before, segments=1):
    assert world.latest == before
    assert damages(before) == []
    assert [night.name for night in (world.reports / "runs").iterdir()] == [before.name]
    assert len(world.committed()) == segments
    (work,) = (world.reports / ".in-progress").iterdir()
    assert [path.name for path in work.iterdir()] == ["segments"]
    assert len(list((work / "segments").iterdir())) == segments


def test_a_disk_that_is_full_from_the_start_says_so_and_changes_nothing(
    small_disk, tmp_path, capsys
):
    world, before = small_disk, small_disk.latest
    fill(world.reports.parent)
    assert main(world.words("--log-file", str(tmp_path / "log"))) == ExitCode.FAILURE
    assert "(No space left on device)" in capsys.readouterr().err
    assert world.latest == before
    assert damages(before) == []
    assert not world.committed()
