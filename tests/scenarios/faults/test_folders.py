"""Folders that are deleted, moved, replaced or unmounted while a run works in them."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from batch.core.errors import ExitCode
from tests.scenarios.faults.gates import when_reached
from tests.scenarios.faults.nights import (
    AT_WORK,
    COMMITTED,
    KNOWN,
    NEW,
    SEGMENT_SIZE,
    damages,
    differences,
    read_table,
    write_image,
)


def test_a_deleted_reports_folder_is_named_and_not_made_again(world, capsys):
    with when_reached(world.archive / AT_WORK, lambda: shutil.rmtree(world.reports)):
        assert world.score() == ExitCode.FAILURE
    error = capsys.readouterr().err
    assert not world.reports.exists()
    assert "nothing was published" in error
    assert world.score() == ExitCode.COMPLETE
    assert damages(world.latest) == []
    assert world.run["equation"]["scored"] == KNOWN + NEW
    assert f"--output: {world.reports} went away during the run" in error


def test_a_reports_folder_replaced_by_an_empty_one_stays_empty(world, tmp_path, capsys):
    def replace():
        world.reports.rename(tmp_path / "moved")
        world.reports.mkdir()

    with when_reached(world.archive / AT_WORK, replace):
        assert world.score() == ExitCode.FAILURE
    assert list(world.reports.iterdir()) == []
    error = capsys.readouterr().err
    assert "nothing was published" in error
    assert f"--output: {world.reports} went away during the run" in error  # its lock is not there


def test_a_reports_folder_replaced_by_its_copy_is_noticed_and_the_next_night_goes_on(
    world, undisturbed, tmp_path, capsys
):
    before = world.latest

    def replace():
        world.reports.rename(tmp_path / "moved")
        shutil.copytree(tmp_path / "moved", world.reports, symlinks=True)

    with when_reached(world.archive / AT_WORK, replace):
        assert world.score() == ExitCode.FAILURE
    assert "is another folder than at the start; nothing was published" in capsys.readouterr().err
    assert world.latest == before
    assert damages(before) == []
    assert world.score() == ExitCode.COMPLETE
    assert world.run["taken_up"] == SEGMENT_SIZE
    assert differences(world.latest, undisturbed) == []


def test_an_archive_renamed_during_a_run_leaves_the_last_night_and_the_segments(
    world, undisturbed, tmp_path, capsys
):
    before = world.latest
    elsewhere = tmp_path / "elsewhere"
    with when_reached(world.archive / AT_WORK, lambda: world.archive.rename(elsewhere)):
        assert world.score() == ExitCode.FAILURE
    assert f"ARCHIVE: {world.archive} went away during the run" in capsys.readouterr().err
    assert world.latest == before
    assert damages(before) == []
    assert len(world.committed()) == 1
    elsewhere.rename(world.archive)
    assert world.score() == ExitCode.COMPLETE
    assert world.run["taken_up"] == SEGMENT_SIZE
    assert differences(world.latest, undisturbed) == []
    assert not (world.reports / ".in-progress").exists()


@pytest.fixture
def mounted(world):
    """The archive on a file system of its own; the empty folder below it is what is left."""
    kept = world.archive.with_name("kept")
    world.archive.rename(kept)
    world.archive.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", str(world.archive)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root and a kernel that lets it")
    shutil.copytree(kept, world.archive, dirs_exist_ok=True)
    yield world
    subprocess.run(["umount", "--lazy", str(world.archive)], capture_output=True)


def test_an_archive_unmounted_during_a_run_is_no_empty_archive(mounted, capsys):
    before = mounted.latest
    unmount = ["umount", "--lazy", str(mounted.archive)]
    with when_reached(mounted.archive / AT_WORK, lambda: subprocess.run(unmount, check=True)):
        assert mounted.score() == ExitCode.FAILURE
    assert f"{mounted.archive} is another folder than at the start" in capsys.readouterr().err
    assert mounted.latest == before
    assert mounted.score() == ExitCode.NO_IMAGES
    assert mounted.latest == before
    assert damages(before) == []


def test_a_file_replaced_between_listing_and_reading_waits_for_the_next_night(world):
    replaced = world.archive / "new" / "08.png"
    with when_reached(world.archive / COMMITTED, lambda: write_image(replaced, 999, side=61)):
        assert world.score() == ExitCode.COMPLETE
    files = read_table(world.latest, "files").set_index("path")
    assert files.loc["new/08.png", ["state", "reason"]].tolist() == [
        "pending", "changed_while_read",
    ]  # fmt: skip
    assert world.run["equation"]["scored"] == NEW - 1
    assert "new/08.png" not in set(read_table(world.latest, "current")["path"])
    assert world.score() == ExitCode.COMPLETE
    assert world.run["read_because"]["pending"] == 1
    current = read_table(world.latest, "current").set_index("path")
    assert current.loc["new/08.png", "rows"] == 61


def test_a_file_that_leaves_between_listing_and_reading_is_said_and_forgotten(world):
    gone = world.archive / "new" / "08.png"
    with when_reached(world.archive / COMMITTED, gone.unlink):
        assert world.score() == ExitCode.COMPLETE
    unscored = read_table(world.latest, "unscored").set_index("path")
    assert unscored.loc["new/08.png", "reason"] == "vanished"
    assert world.score() == ExitCode.COMPLETE
    assert "new/08.png" not in set(read_table(world.latest, "files")["path"])
    assert world.run["left_archive"] == 1
