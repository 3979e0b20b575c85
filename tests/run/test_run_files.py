"""Log and metrics in a wrong place are refused alike, before the archive is listed."""

from __future__ import annotations

import os
import stat

import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from batch.run import score_run as night_module
from tests.scenarios.faults.nights import write_image
from tests.support.archives import as_nobody, open_to_all
from tests.support.small_model import SCORE


@pytest.fixture
def world(tmp_path, monkeypatch):
    """archive/, and reports/ with one night, a key and marks."""
    write_image(tmp_path / "archive" / "a.png", 1)
    words = [*SCORE, str(tmp_path / "archive"), "--output", str(tmp_path / "reports")]
    assert main(words) == ExitCode.COMPLETE
    (tmp_path / "key").write_bytes(bytes(range(32)))
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "marks.csv").write_text("lesion_key,decision\n")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    def never(*_):
        raise AssertionError("the night began")

    monkeypatch.setattr(night_module, "open_archive", never)
    return tmp_path


@pytest.mark.parametrize("option", ["--log-file", "--metrics-file"])
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("missing/file", "missing does not exist"),
        ("file/file", "Not a directory"),
        ("folder", "it is a folder"),
        ("pipe", "it is no regular file"),
        ("archive/file", "it is in the archive, which is only read"),
        ("archive", "it is in the archive"),
        ("archive/new/file", "it is in the archive"),
        ("reports", "the job uses this name"),
        ("reports/runs/file", "the job uses this name"),
        ("reports/latest/file", "the job uses this name"),
        ("reports/latest/run.json", "the job uses this name"),
        ("reports/.lock", "the job uses this name"),
        ("reports/.in-progress/file", "the job uses this name"),
        ("reports/worklist/file", "the job uses this name"),
        ("reports/reviewed.csv", "the job uses this name"),
        ("reports/logs", "the job uses this name"),
        ("reports/logs/x.attempt", "the job uses this name"),
        ("key", "the run reads this file"),
        ("marks.csv", "the run reads this file"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_wrong_place_is_refused_before_the_night_begins(world, capsys, option, place, why):
    before = sorted(world.rglob("*"))
    content = {p: p.read_bytes() for p in before if p.is_file()}
    words = [*SCORE, str(world / "archive"), "--output", str(world / "reports")]
    words += ["--patient-key-file", str(world / "key"), "--reviewed", str(world / "marks.csv")]
    assert main([*words, option, str(world / place)]) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert f"{option}: cannot write" in error
    assert why in error
    new = set(world.rglob("*")) - set(before)
    assert {path.parent.name for path in new} <= {"logs"}
    assert {p: p.read_bytes() for p in content} == content


@pytest.mark.parametrize("option", ["--log-file", "--metrics-file"])
def test_a_folder_that_cannot_be_written_is_refused(world, capsys, option):
    for path in (world, *world.rglob("*")):
        if path.name not in ("key", "pipe"):
            path.chmod(0o777 if path.is_dir() else 0o666)
    open_to_all(world.parent)
    (world / "folder").chmod(0o555)
    words = [*SCORE, str(world / "archive"), "--output", str(world / "reports")]
    with as_nobody():
        code = main([*words, option, str(world / "folder" / "file")])
    assert code == ExitCode.USAGE
    assert f"{option}: cannot write" in capsys.readouterr().err


def test_both_cannot_be_one_file(world, capsys):
    words = [*SCORE, str(world / "archive"), "--output", str(world / "reports")]
    both = ["--log-file", str(world / "one"), "--metrics-file", str(world / "folder/../one")]
    assert main([*words, *both]) == ExitCode.USAGE
    assert "it is the --log-file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("log", "metrics"),
    [("new.log", "new.prom"), ("file", "file2"), ("reports/logs/x.log", "reports/x.prom"),
     ("/dev/null", "folder/x")],
)  # fmt: skip
def test_good_places_are_written(world, monkeypatch, log, metrics):
    monkeypatch.undo()
    words = [*SCORE, str(world / "archive"), "--output", str(world / "reports")]
    words += ["--log-file", str(world / log), "--metrics-file", str(world / metrics)]
    assert main(words) == ExitCode.COMPLETE
    assert "melanoma_batch_exit_code 0.0" in (world / metrics).read_text()
    if log == "/dev/null":
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    else:
        assert "ended with exit code 0" in (world / log).read_text()
    assert not list((world / "folder").glob(".*"))
