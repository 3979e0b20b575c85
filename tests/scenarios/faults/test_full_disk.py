"""The disk behind the reports is full: a clear error, nothing half-published, the next night."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from tests.support.small_model import SCORE


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 kB; a night of the generated archive needs a little more to be made."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root and a kernel that lets it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_nothing_is_left_behind(
    small_disk, generated_archive, tmp_path, capsys
):
    reports = small_disk / "reports"
    words = [*SCORE, str(generated_archive), "--output", str(reports), "--max-unscored-rate", "1"]
    words += ["--log-file", str(tmp_path / "log")]
    assert main(words) == ExitCode.FAILURE
    assert "cannot be written (No space left on device)" in capsys.readouterr().err
    assert sorted(path.name for path in reports.iterdir()) == [".lock", "logs"]
    assert "cannot be written (No space left" in (tmp_path / "log").read_text().splitlines()[-1]
    subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
    assert main(words) == ExitCode.COMPLETE
    assert (reports / "latest" / "_SUCCESS").exists()
    run = json.loads((reports / "latest" / "run.json").read_text())
    assert run["review"]["failed"] == {"pictures": "NoRoom"}  # the night has what room there is
    assert not list((reports / "pictures").iterdir())
    subprocess.run(["mount", "-o", "remount,size=90m", str(small_disk)], check=True)
    assert main(words) == ExitCode.COMPLETE
    assert len(list((reports / "pictures").iterdir())) > 5
