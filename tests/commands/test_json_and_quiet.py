"""`--json` is whole JSON and nothing else; `--quiet` says nothing of success; `--verbose` more."""

from __future__ import annotations

import json

import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from tests.scenarios.faults.nights import write_image
from tests.support.small_model import SCORE


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    place = tmp_path_factory.mktemp("json")
    for number in range(3):
        write_image(place / "archive" / f"{number}.png", number)
    words = [*SCORE[1:], str(place / "archive"), "--output", str(place / "reports")]
    assert main(["score", *words]) == ExitCode.COMPLETE
    return place, words


def told(capsys, *words):
    assert main([*words, "--json"]) == ExitCode.COMPLETE
    return json.loads(capsys.readouterr().out)


def test_runs(scored, capsys):
    (line,) = told(capsys, "runs", str(scored[0] / "reports"))
    assert line["counts"]["files_found"] == line["counts"]["scored"] == 3
    assert line["is_latest"] and line["exit_code"] == 0
    assert line["started_at"].endswith("+00:00") and line["duration"] > 0


def test_current(scored, capsys):
    found = told(capsys, "current", str(scored[0] / "reports"))
    assert (found["images"], found["unscored"]) == (3, 0)
    assert [model["images"] for model in found["models"]] == [3]


def test_inventory(scored, capsys):
    found = told(capsys, "inventory", *scored[1])
    assert (found["files_found"], found["unchanged"], found["to_be_read"]) == (3, 3, 0)


def test_doctor(scored, capsys):
    code = main(["doctor", "--json"])
    checks = json.loads(capsys.readouterr().out)
    assert (code == ExitCode.FAILURE) == any(check["status"] == "failed" for check in checks)
    assert {"name", "status", "found", "remedy"} == set(checks[0])


def test_a_quiet_run_prints_nothing(scored, capsys):
    assert main(["score", *scored[1], "--quiet"]) == ExitCode.COMPLETE
    assert capsys.readouterr() == ("", "")
    assert main(["runs", str(scored[0] / "reports"), "--quiet"]) == ExitCode.COMPLETE
    assert "files_found" not in capsys.readouterr().out  # what is asked for is told, as a table


def test_quiet_says_what_went_wrong(scored, capsys):
    assert main(["score", "nowhere", "--output", "x", "--quiet"]) == ExitCode.USAGE
    assert "ARCHIVE: nothing at" in capsys.readouterr().err


def test_a_verbose_run_shows_the_log_too(scored, capsys):
    assert main(["score", *scored[1], "--verbose"]) == ExitCode.COMPLETE
    said = capsys.readouterr()
    assert "ended with exit code 0: published" in said.err
    assert "Unchanged" in said.out
    assert main(["score", *scored[1]]) == ExitCode.COMPLETE
    assert capsys.readouterr().err == ""
