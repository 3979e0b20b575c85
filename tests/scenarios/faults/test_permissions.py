"""Permissions that are taken away: from the reports during a run, from the archive between nights.

Permissions do not bind root, so the runs belong to somebody without rights.
"""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from batch.core.errors import ExitCode
from tests.scenarios.faults.gates import when_reached
from tests.scenarios.faults.nights import (
    AT_WORK,
    NEW,
    SEGMENT_SIZE,
    World,
    damages,
    differences,
    read_table,
)
from tests.support.archives import REPOSITORY, as_nobody

MODEL = REPOSITORY / "model_artifacts" / "isic9-plain" / "model.keras"


@pytest.fixture
def nobodys(world, open_to_all):
    """A world that belongs to nobody."""
    if os.geteuid() != 0:
        pytest.skip("running as another user needs root")
    open_to_all(world.archive, world.reports)
    for folder, _, names in os.walk(world.reports):
        for name in (".", *names):
            os.chown(Path(folder) / name, 65534, 65534, follow_symlinks=False)
    with as_nobody():
        if not os.access(MODEL, os.R_OK, effective_ids=True):
            pytest.skip("others cannot read this checkout")
    return world


def night_of_nobody(world: World, act=None, at=None) -> int:
    """A night of nobody's; the exit code. act: when it stands at the file `at`."""
    disturbed = when_reached(at, act) if at else nullcontext()
    with disturbed, as_nobody():  # root's rights are given up by all threads of the process
        return world.score()


def set_rights(folder: Path, mode: int) -> None:
    """Of a folder and all folders below it."""
    for parent, folders, _ in os.walk(folder):
        for path in (parent, *(os.path.join(parent, name) for name in folders)):
            os.chmod(path, mode)


def test_reports_that_may_not_be_written_any_more_keep_the_last_night(nobodys, undisturbed, capsys):
    world, before = nobodys, nobodys.latest
    code = night_of_nobody(world, lambda: set_rights(world.reports, 0o555), world.archive / AT_WORK)
    assert code == ExitCode.FAILURE
    assert "the reports cannot be written (Permission denied)" in capsys.readouterr().err
    assert world.latest == before
    assert damages(before) == []
    assert len(world.committed()) == 1
    set_rights(world.reports, 0o755)
    assert world.score() == ExitCode.COMPLETE
    assert world.run["taken_up"] == SEGMENT_SIZE
    assert differences(world.latest, undisturbed) == []


def test_reports_that_may_not_be_published_to_are_told_and_published_the_next_night(
    nobodys, undisturbed, capsys
):
    """Only the top is closed: all the work can be done, and `latest` cannot be turned."""
    world, before = nobodys, nobodys.latest
    code = night_of_nobody(world, lambda: world.reports.chmod(0o555), world.archive / AT_WORK)
    assert code == ExitCode.FAILURE
    assert "the reports cannot be written (Permission denied)" in capsys.readouterr().err
    assert world.latest == before
    assert damages(before) == []
    world.reports.chmod(0o755)
    assert world.score() == ExitCode.COMPLETE
    assert damages(world.latest) == []
    # whichever night ended up with the new scores, nobody has to compute them again
    assert world.run["equation"]["scored"] in (0, NEW)
    assert differences(world.latest, undisturbed, ("current",)) == []
    assert not (world.reports / ".in-progress").exists()


def test_a_night_that_only_lacks_the_pointer_gets_it_the_next_night(nobodys, capsys):
    """The same in a night that had nothing to read, and so no segments."""
    world, before = nobodys, nobodys.latest
    shutil.rmtree(world.archive / "new")
    (world.archive / "old" / "broken.jpg").unlink()
    (part,) = (before / "current").glob("*.parquet")
    with when_reached(part, lambda: world.reports.chmod(0o555), times=2), as_nobody():
        assert world.score() == ExitCode.FAILURE
    assert "the reports cannot be written (Permission denied)" in capsys.readouterr().err
    assert world.latest == before
    (complete,) = {night.name for night in (world.reports / "runs").iterdir()} - {before.name}
    assert damages(world.reports / "runs" / complete) == []
    world.reports.chmod(0o755)
    assert world.score() == ExitCode.COMPLETE
    assert damages(world.latest) == []
    assert world.run["memory"]["run_id"] == complete


def test_reports_closed_from_the_start_exit_with_2(nobodys, capsys):
    before = nobodys.latest
    set_rights(nobodys.reports, 0o555)
    assert night_of_nobody(nobodys) == ExitCode.USAGE
    assert "cannot write" in capsys.readouterr().err
    assert nobodys.latest == before


def test_a_closed_folder_of_the_archive_loses_nothing_and_comes_back_unchanged(nobodys):
    """Nothing is to be scored in these nights."""
    world = nobodys
    shutil.rmtree(world.archive / "new")
    (world.archive / "old" / "broken.jpg").unlink()
    known = read_table(world.latest, "current")
    assert len(known) == 5
    world.archive.joinpath("old").chmod(0)
    assert night_of_nobody(world) == ExitCode.COMPLETE
    files = read_table(world.latest, "files").set_index("path")
    # broken.jpg too: whether it is gone cannot be known
    assert (files.loc[[*known["path"], "old/broken.jpg"], "reason"] == "folder_not_listed").all()
    assert (files.loc[known["path"], "state"] == "pending").all()
    assert files.loc["old/", ["state", "reason"]].tolist() == ["unscored", "not_readable"]
    assert read_table(world.latest, "current")["path"].tolist() == known["path"].tolist()
    assert damages(world.latest) == []
    assert world.run["pending_by_reason"] == {"folder_not_listed": 6}
    world.archive.joinpath("old").chmod(0o755)
    assert night_of_nobody(world) == ExitCode.COMPLETE
    assert world.run["equation"]["files_found"] == 5
    assert read_table(world.latest, "current")["path"].tolist() == known["path"].tolist()
    assert damages(world.latest) == []
    assert world.run["equation"]["unchanged"] == 5
    assert read_table(world.latest, "current").equals(known)
