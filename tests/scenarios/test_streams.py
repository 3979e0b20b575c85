"""Standard streams that are closed, full, or without a reader: every command stays sane."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from tests.support.archives import REPOSITORY
from tests.support.small_model import SCORE


@pytest.fixture(scope="module")
def reports(generated_archive, tmp_path_factory):
    reports = tmp_path_factory.mktemp("streams") / "reports"
    words = [*SCORE, str(generated_archive), "--output", str(reports)]
    assert main([*words, "--max-unscored-rate", "1"]) == ExitCode.COMPLETE
    return reports


def shell(line: str, **where: str) -> tuple[int, str, str]:
    """Exit code of `$B …`, and what was printed where it still can be."""
    program = f"{sys.executable} -m batch"
    run = subprocess.run(
        ["bash", "-c", f"set -o pipefail\n{line}"], cwd=REPOSITORY, capture_output=True, text=True,
        env={**os.environ, "B": program, **where}, timeout=240,
    )  # fmt: skip
    return run.returncode, run.stdout, run.stderr


CLOSED = [">&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full", "| true"]


@pytest.mark.parametrize("streams", CLOSED)
def test_the_exit_code_says_what_happened_to_the_night(
    reports, generated_archive, tmp_path, streams
):
    code, _, error = shell(
        f"$B score --model isic9-plain {generated_archive} --output {tmp_path}/r "
        f"--max-unscored-rate 1 {streams}"
    )
    assert code == ExitCode.COMPLETE, error
    assert "nothing was published" not in error
    assert (tmp_path / "r" / "latest" / "_SUCCESS").exists()
    (log,) = (tmp_path / "r" / "logs").glob("*.log")
    assert log.read_text().splitlines()[-1].endswith("ended with exit code 0: published")


@pytest.mark.parametrize("streams", [">&- 2>&-", "2>/dev/full"])
def test_a_failed_night_keeps_its_exit_code_too(tmp_path, streams):
    (tmp_path / "archive").mkdir()
    code, _, _ = shell(
        f"$B score --model isic9-plain {tmp_path}/archive --output {tmp_path}/r {streams}"
    )
    assert code == ExitCode.NO_IMAGES


@pytest.mark.parametrize("streams", CLOSED)
@pytest.mark.parametrize(
    ("command", "expected"),
    [("--help", 0), ("score --help", 0), ("--version", 0), ("scor", 2), ("score", 2)],
)
def test_argparse_s_own_words_do_not_change_the_exit_code(command, expected, streams):
    assert shell(f"$B {command} {streams}")[0] == expected


@pytest.mark.parametrize("command", ["runs $R", "current $R"])
@pytest.mark.parametrize(
    ("streams", "expected"),
    [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0), ("| true", 0), (">/dev/full", 1),
     ("2>/dev/full", 0)],
)  # fmt: skip
def test_what_is_asked_for_is_printed_in_full_or_fails(reports, command, streams, expected):
    code, _, error = shell(f"$B {command} {streams}", R=str(reports))
    assert code == expected, error
    assert "Traceback" not in error
    if expected:
        assert "standard output cannot be written (No space left on device)" in error


def test_a_file_that_is_opened_does_not_become_standard_output(tmp_path):
    """With descriptor 1 free the next file would get it, and with it all that is printed."""
    code = (
        "import os, sys\nfrom batch.runtime.terminal import open_streams\nopen_streams()\n"
        f"file = open({str(tmp_path / 'table')!r}, 'w')\n"
        "assert file.fileno() > 2, file.fileno()\n"
        "print('lost')\nsys.stderr.write('lost')\nassert sys.stdin.read() == ''\n"
        "os.write(1, b'lost')\nos.write(2, b'lost')\n"
    )
    line = f'{sys.executable} -c "$CODE" <&- >&- 2>&-'
    assert shell(line, CODE=code)[0] == 0
    assert (tmp_path / "table").read_text() == ""
