"""A night becomes visible in one step, and one run at a time works on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from batch.errors import ReportsLocked, UsageError
from batch.reports import publish
from tests.support import REPOSITORY, as_nobody


def staged(reports, run_id, content="x"):
    staging = publish.start_staging(reports, run_id)
    (staging / "predictions").mkdir()
    (staging / "predictions" / "part-00000.parquet").write_text(content)
    return staging


def test_a_published_night_is_complete_and_latest(tmp_path):
    night = publish.publish(tmp_path, staged(tmp_path, "r1"), {"a": 1})
    assert night == tmp_path / "runs" / "r1"
    assert json.loads((tmp_path / "latest" / "run.json").read_text()) == {"a": 1}
    assert (tmp_path / "latest" / "_SUCCESS").exists()
    assert os.readlink(tmp_path / "latest") == "runs/r1"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".in-progress", "latest", "runs"]
    publish.discard_staging(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "runs"]


def test_the_next_night_replaces_latest_and_keeps_the_last(tmp_path):
    publish.publish(tmp_path, staged(tmp_path, "r1", "one"), {})
    publish.publish(tmp_path, staged(tmp_path, "r2", "two"), {})
    assert (tmp_path / "latest/predictions/part-00000.parquet").read_text() == "two"
    assert (tmp_path / "runs/r1/predictions/part-00000.parquet").read_text() == "one"


@pytest.mark.parametrize("step", ["rename", "symlink", "replace"])
def test_a_crash_at_any_step_leaves_the_last_night_in_place(tmp_path, monkeypatch, step):
    publish.publish(tmp_path, staged(tmp_path, "r1", "one"), {})

    def crash(*_, **__):
        raise OSError("power is gone")

    staging = staged(tmp_path, "r2", "two")
    with monkeypatch.context() as patch:
        patch.setattr(publish.os, step, crash)
        with pytest.raises(OSError, match="power is gone"):
            publish.publish(tmp_path, staging, {})
    assert (tmp_path / "latest/predictions/part-00000.parquet").read_text() == "one"
    assert (tmp_path / "latest/_SUCCESS").exists()
    publish.publish(tmp_path, staged(tmp_path, "r3", "three"), {})
    assert (tmp_path / "latest/predictions/part-00000.parquet").read_text() == "three"


def test_leftovers_of_a_dead_run_go_away(tmp_path):
    staged(tmp_path, "dead")
    fresh = publish.start_staging(tmp_path, "r2")
    assert [path.name for path in fresh.parent.iterdir()] == ["r2"]


HOLD = (
    "import sys; from pathlib import Path; from batch.reports.publish import exclusive\n"
    "with exclusive(Path(sys.argv[1]), 'held'):\n"
    "    print('held', flush=True); sys.stdin.read()"
)


def test_a_second_run_is_refused_and_told_who_holds_the_folder(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    with (
        pytest.raises(ReportsLocked, match=f"run held, process {holder.pid}"),
        publish.exclusive(tmp_path, "second"),
    ):
        pass
    holder.kill()
    holder.wait()
    with publish.exclusive(tmp_path, "third"):  # a dead owner holds nothing
        assert "run third" in (tmp_path / ".lock").read_text()


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with (
        as_nobody(),
        pytest.raises(UsageError, match="--output: cannot write in .*Check owner"),
        publish.exclusive(closed, "r"),
    ):
        pass
