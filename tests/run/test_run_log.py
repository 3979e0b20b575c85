"""Whatever ends a run, its log ends with exit code and reason, and `runs` knows of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batch.cli import main
from batch.core.errors import ArtifactRefused, BatchError, ExitCode, NoImagesFound, UsageError
from batch.run import score_run as night_module
from batch.storage.failures import reason_of
from tests.scenarios.faults.nights import wait_for, write_image
from tests.support.archives import REPOSITORY
from tests.support.small_model import SCORE


@pytest.fixture
def archive(tmp_path):
    archive = tmp_path / "archive of Jane Doe"
    for number in range(3):
        write_image(archive / f"{number}.png", number)
    return archive


def words(archive: Path, reports: Path, *more: str) -> list[str]:
    return [*SCORE, str(archive), "--output", str(reports), *more]


def last_line(reports: Path) -> str:
    log = max((reports / "logs").glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    text = log.read_text()
    assert "Jane" not in text
    return text.splitlines()[-1].split(" batch.runtime.logs ")[-1]


def newest(reports: Path, capsys) -> str:
    """The first line of `runs` below its head."""
    capsys.readouterr()
    assert main(["runs", str(reports), "--last", "1"]) == 0
    return capsys.readouterr().out.splitlines()[1]


def test_a_published_night(archive, tmp_path, capsys):
    reports = tmp_path / "r"
    assert main(words(archive, reports)) == ExitCode.COMPLETE
    assert last_line(reports) == "ended with exit code 0: published"
    assert newest(reports, capsys).split()[0] == "*"


def test_an_empty_archive(archive, tmp_path, capsys):
    reports = tmp_path / "r"
    (tmp_path / "empty").mkdir()
    assert main(words(tmp_path / "empty", reports)) == ExitCode.NO_IMAGES
    expected = "ARCHIVE: no file there, or no image that could be settled"
    assert last_line(reports) == f"ended with exit code 3: {expected}"
    assert f"failed: {expected}" in newest(reports, capsys)


def test_an_archive_that_is_not_mounted_leaves_a_word_where_reports_are(archive, tmp_path, capsys):
    reports, metrics = tmp_path / "r", tmp_path / "m.prom"
    more = ("--metrics-file", str(metrics))
    assert main(words(tmp_path / "gone", reports, *more)) == ExitCode.USAGE
    assert not reports.exists()  # nobody's mistyped --output becomes a folder
    assert main(words(archive, reports, *more)) == ExitCode.COMPLETE
    assert main(words(tmp_path / "gone", reports, *more)) == ExitCode.USAGE
    assert last_line(reports) == "ended with exit code 2: ARCHIVE: cannot be used as given"
    assert "melanoma_batch_exit_code 2.0" in metrics.read_text()
    assert "failed: ARCHIVE: cannot" in newest(reports, capsys)


def test_a_refused_model(archive, tmp_path, artifact_copy, capsys):
    reports = tmp_path / "r"
    with (artifact_copy / "model.keras").open("ab") as file:
        file.write(b"x")
    code = main(words(archive, reports, "--model", str(artifact_copy)))
    assert code == ExitCode.ARTIFACT_REFUSED
    expected = "ended with exit code 5: the model artifact was refused: field model_sha256"
    assert last_line(reports) == expected
    assert "failed: the model artifact" in newest(reports, capsys)


def test_a_model_that_nobody_has(archive, tmp_path):
    reports = tmp_path / "r"
    assert main(words(archive, reports, "--model", "nosuch")) == ExitCode.USAGE
    assert last_line(reports) == "ended with exit code 2: --model: cannot be used as given"


def test_a_lock_that_is_held(archive, tmp_path):
    from batch.storage.locks import exclusive

    reports = tmp_path / "r"
    with exclusive(reports, "run of another"):
        assert main(words(archive, reports)) == ExitCode.LOCKED
    assert last_line(reports) == "ended with exit code 4: --output: another run holds the reports"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_unexpected_error(archive, tmp_path, monkeypatch, log_format):
    def explode(*_):
        raise RuntimeError("Jane^Doe")

    monkeypatch.setattr(night_module, "make_plan", explode)
    reports = tmp_path / "r"
    assert main(words(archive, reports, "--log-format", log_format)) == ExitCode.FAILURE
    if log_format == "json":
        told = json.loads(last_line(reports))
        assert (told["exit_code"], told["level"]) == (1, "ERROR")
        assert told["reason"] == "unexpected failure (RuntimeError)"
    else:
        expected = "ended with exit code 1: unexpected failure (RuntimeError)"
        assert last_line(reports) == expected


def test_marks_that_are_not_understood_are_no_error_of_the_run(archive, tmp_path):
    reports = tmp_path / "r"
    reports.mkdir()
    (reports / "reviewed.csv").write_text("nothing,known\n1,2\n")
    code = main(words(archive, reports, "--log-format", "json"))
    assert code == ExitCode.MARKS_NOT_UNDERSTOOD
    told = json.loads(last_line(reports))
    assert (told["exit_code"], told["level"]) == (8, "INFO")


def test_a_failing_disk(archive, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "/jane")

    monkeypatch.setattr(night_module, "gather_night", full)
    reports = tmp_path / "r"
    assert main(words(archive, reports)) == ExitCode.FAILURE
    expected = "the reports cannot be written (No space left on device)"
    assert last_line(reports) == f"ended with exit code 1: {expected}"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            OSError(24, "Too many open files"),
            "this machine is out of a resource (Too many open files)",
        ),
        (RuntimeError("can't start new thread"), "this machine is out of a resource"),
        (
            BlockingIOError(11, "x"),
            "this machine is out of a resource (Resource temporarily unavailable)",
        ),
    ],
)
def test_a_machine_out_of_a_resource_is_named(error, expected):
    code, reason = reason_of(error)
    assert code == ExitCode.FAILURE
    assert reason.startswith(expected)


def test_too_many_unscored_and_a_deadline(archive, tmp_path):
    reports = tmp_path / "r"
    (archive / "broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(200))
    os.utime(archive / "broken.jpg", (0, 0))
    assert main(words(archive, reports)) == ExitCode.UNSCORED_RATE
    assert last_line(reports) == (
        "ended with exit code 6: published; 25.0% of tonight's images have no score; "
        "allowed: 10.0% (--max-unscored-rate)"
    )
    write_image(archive / "more.png", 9)
    assert main(words(archive, reports, "--max-duration", "0s")) == ExitCode.STOPPED_EARLY
    assert last_line(reports) == "ended with exit code 7: published; stopped early by deadline"


def test_what_fails_after_the_publication_undoes_nothing(archive, tmp_path, monkeypatch, capsys):
    from batch.reports.local import LocalReports

    def fail(*_):
        raise OSError(5, "Input/output error", "/jane")

    monkeypatch.setattr(LocalReports, "discard_work", fail)
    monkeypatch.setattr("batch.run.summary.summary", fail)
    monkeypatch.setattr("batch.operations.metrics_file.write_to_textfile", fail)
    reports = tmp_path / "r"
    more = ("--metrics-file", str(tmp_path / "m"))
    assert main(words(archive, reports, *more)) == ExitCode.COMPLETE
    assert (reports / "latest" / "_SUCCESS").exists()
    assert last_line(reports) == "ended with exit code 0: published"
    assert "nothing was published" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["log", "lock"])
def test_a_signal_before_the_first_segment(archive, tmp_path, kind, moment, capsys):
    reports = tmp_path / "r"
    for number in range(200):
        write_image(archive / f"more-{number}.png", number)
    run = subprocess.Popen(
        [sys.executable, "-m", "batch", *words(archive, reports, "--segment-size", "10")],
        cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    sign = {"log": "logs/*.attempt", "lock": ".lock"}[moment]
    wait_for(lambda: list(reports.glob(sign)) or run.poll() is not None)
    run.send_signal(kind)
    code = run.wait()
    if kind == signal.SIGKILL:
        assert code == -9
        assert "no end was written: killed" in newest(reports, capsys)
        return
    assert code == ExitCode.FAILURE
    expected = "interrupted before anything could be published"
    assert last_line(reports) == f"ended with exit code 1: {expected}"
    assert f"failed: {expected}" in newest(reports, capsys)


@pytest.mark.parametrize("kind", ["SIGTERM", "SIGINT"])
def test_a_signal_after_the_publication_undoes_nothing(archive, tmp_path, kind):
    code = (
        "import os, signal, sys\nfrom batch.reports.local import LocalReports\n"
        "from batch.cli import main\nwork = LocalReports.discard_work\n"
        "def discard(self):\n    work(self)\n"
        f"    for _ in range(3): os.kill(os.getpid(), signal.{kind})\n"
        "LocalReports.discard_work = discard\n"
        "if __name__ == '__main__':\n    sys.exit(main(sys.argv[1:]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *words(archive, tmp_path / "r")],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (ExitCode.COMPLETE, "")
    assert "Page       " in run.stdout


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UsageError("--model: no model '/secret'"), "--model: cannot be used as given"),
        (UsageError("found /secret: no"), "cannot be used as given"),
        (NoImagesFound("ARCHIVE: no file below /secret."), "ARCHIVE: no file there, or no image"),
        (ArtifactRefused("golden", "/secret", 1, "x"), "the model artifact was refused: field gol"),
        (BatchError("--processes: a process ended"), "--processes: the run could not go on"),
    ],
)
def test_a_reason_quotes_no_value(error, reason):
    assert error.reason.startswith(reason)
    assert "secret" not in error.reason
