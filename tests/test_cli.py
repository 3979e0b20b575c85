"""The command line: exit codes, messages, what stands where afterwards; with the real model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from batch.archive.local import LocalArchive
from batch.cli import main
from batch.core.errors import ExitCode
from batch.demo.archive import EXPECTED_STATES
from batch.run import score_run as night_module
from tests.support.archives import REPOSITORY, as_nobody, on_a_terminal, open_to_all
from tests.support.small_model import SCORE


@pytest.fixture(scope="module")
def scored(generated_archive, tmp_path_factory):
    """One night over the generated archive, with the bundled model."""
    reports = tmp_path_factory.mktemp("scored") / "reports"
    code = main(
        ["score", str(generated_archive), "--output", str(reports), "--max-unscored-rate", "0.2"]
    )
    return code, reports


def test_a_complete_night_exits_with_0(scored):
    assert scored[0] == ExitCode.COMPLETE


def test_the_night_has_the_published_layout(scored):
    latest = scored[1] / "latest"
    run = json.loads((latest / "run.json").read_text())
    pictures = ["pictures"] if run["review"]["pictures"]["shown"] else []
    assert sorted(path.name for path in latest.iterdir()) == [
        "_SUCCESS", "alerts.parquet", "current", "files", *pictures, "predictions",
        "review_worklist.csv", "review_worklist.html", "review_worklist.parquet", "run.json",
        "unscored",
    ]  # fmt: skip
    assert os.readlink(latest).startswith("runs/")
    names = sorted(path.name for path in scored[1].iterdir())
    assert names == [".lock", "latest", "logs", *pictures, "runs"]


def test_run_json_holds_the_equation_and_where_the_scores_come_from(scored):
    run = json.loads((scored[1] / "latest" / "run.json").read_text())
    equation = run["equation"]
    assert equation.pop("files_found") == sum(equation.values()) == 23
    assert {name: count for name, count in equation.items() if count} == EXPECTED_STATES
    assert run["frames"] == {"found": 22, "predictions": 18, "unscored": 4, "new_unscored": 4}
    assert run["model"]["model_id"] == "dermoscopy-lite2"
    assert run["model"]["operating_point"]["sensitivity"] > 0
    assert run["options"]["max_unscored_rate"] == 0.2
    assert run["versions"]["tensorflow"]
    assert run["unscored_by_reason"] == {
        "content_not_an_image": 1, "decode_failed": 1, "empty_file": 1, "not_colour": 1,
    }  # fmt: skip


def test_the_rows_carry_the_run_and_the_model(scored):
    predictions = pd.read_parquet(scored[1] / "latest" / "predictions")
    run = json.loads((scored[1] / "latest" / "run.json").read_text())
    assert set(predictions["run_id"]) == {run["run_id"]}
    assert set(predictions["model_sha256"]) == {run["model"]["model_sha256"]}
    assert set(predictions["threshold"]) == {run["model"]["operating_point"]["threshold"]}


def test_the_log_has_lines_and_no_file_names(scored, generated_archive):
    log, attempt = sorted((scored[1] / "logs").iterdir(), key=lambda path: path.suffix[::-1])
    text = log.read_text() + attempt.read_text()
    assert "23 files found" in text
    assert log.read_text().splitlines()[-1].endswith("ended with exit code 0: published")
    names = {path.name for path in generated_archive.rglob("*")} | {str(generated_archive), "Demo"}
    assert not [name for name in names if name in text]


def test_batches_of_another_size_give_the_same_scores(scored, generated_archive, tmp_path):
    words = ["score", str(generated_archive), "--output", str(tmp_path / "r")]
    assert main([*words, "--max-unscored-rate", "1", "--batch-size", "5"]) == ExitCode.COMPLETE
    first, second = (
        pd.read_parquet(folder / "latest" / "predictions").set_index(["path", "frame_number"])
        for folder in (scored[1], tmp_path / "r")
    )
    pd.testing.assert_series_equal(
        first["melanoma_score"], second["melanoma_score"], rtol=0, atol=1e-5
    )


def test_too_many_unscored_images_exit_with_6_and_are_published(
    generated_archive, tmp_path, capsys
):
    words = [*SCORE, str(generated_archive), "--output", str(tmp_path / "r")]
    assert main([*words, "--max-unscored-rate", "0.18"]) == ExitCode.UNSCORED_RATE
    assert (tmp_path / "r" / "latest" / "_SUCCESS").exists()
    assert "18.2% of tonight's images have no score; allowed: 18.0%" in capsys.readouterr().err


def test_a_night_that_scored_nothing_tells_no_pace(tmp_path, capsys):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more than a beginning")
    os.utime(tmp_path / "archive" / "a.jpg", (0, 0))
    words = [*SCORE, str(tmp_path / "archive"), "--output", str(tmp_path / "r")]
    assert main(words) == ExitCode.UNSCORED_RATE
    text = capsys.readouterr().out
    assert "Scored            0 images in 0 files\n" in text
    assert "images/s" not in text
    run = json.loads((tmp_path / "r" / "latest" / "run.json").read_text())
    assert (run["frames"]["unscored"], run["images_per_second"]) == (1, None)


@pytest.mark.parametrize("files", [{}, {"a.txt": "hello", "b.pdf": "%PDF-1.4"}, {"a.jpg": "link"}])
def test_an_archive_without_images_exits_with_3_and_publishes_nothing(tmp_path, capsys, files):
    archive = tmp_path / "archive"
    archive.mkdir()
    for name, text in files.items():
        if text == "link":
            (archive / name).symlink_to("nowhere")
        else:
            (archive / name).write_text(text)
    code = main([*SCORE, str(archive), "--output", str(tmp_path / "r")])
    assert code == ExitCode.NO_IMAGES
    assert not (tmp_path / "r" / "latest").exists()
    assert "ARCHIVE" in capsys.readouterr().err


def usage(capsys, *words: str) -> str:
    try:
        code = main(words)
    except SystemExit as end:  # argparse's own way out
        code = end.code
    assert code == ExitCode.USAGE
    return capsys.readouterr().err


def test_no_traceback_for_a_users_mistake(tmp_path, capsys):
    archive, reports = str(tmp_path / "archive"), str(tmp_path / "reports")
    assert "ARCHIVE: nothing at" in usage(capsys, "score", archive, "--output", reports)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.jpg").touch()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    good = ("score", archive, "--output", reports)
    assert "ARCHIVE: a file at" in usage(capsys, "score", f"{archive}/a.jpg", "--output", reports)
    for words, message in (
        (("score", archive, "--output", f"{archive}/reports"), "hold each other"),
        (("score", archive, "--output", archive), "hold each other"),
        (("score", archive, "--output", str(tmp_path)), "hold each other"),
        ((*good, "--model", "isic10"), "no model 'isic10'"),
        ((*good, "--batch-size", "0"), "--batch-size: found 0; allowed: 1 to 1024"),
        ((*good, "--batch-size", "x"), "found x; allowed: a whole number"),
        ((*good, "--decode-threads", "0"), "--decode-threads: found 0"),
        ((*good, "--processes", "0"), "--processes: found 0; allowed: 1 to 256"),
        ((*good, "--processes", "2", "--", "--direct_num_workers", "2"), "with Beam options"),
        ((*good, "--segment-size", "-1"), "--segment-size: found -1; allowed: 0 or more"),
        ((*good, "--max-unscored-rate", "1.1"), "--max-unscored-rate: found 1.1; allowed: 0 to 1"),
        ((*good, "--max-unscored-rate", "nan"), "--max-unscored-rate: found nan"),
        ((*good, "--threshhold", "0.5"), "No such option '--threshhold'"),
        ((*good, "--batch", "3"), "No such option '--batch'"),
        ((*good, "--log-file", f"{tmp_path}/file/log"), "--log-file: cannot write"),
        ((*good, "--log-file", f"{archive}/night.log"), "which is only read"),
        ((*good, "--operating-point", ""), "--operating-point: found ''"),
        ((*good, "--limit", "frames=0"), "--limit: found 'frames=0'"),
        ((*good, "--include", "patient=x"), "--include: found 'patient=x'"),
        ((*good, "--exclude", "modality"), "--exclude: found 'modality'"),
        ((*good, "--identifiers", "all"), "found all; allowed: none, uids, full"),
        ((*good, "--patient-key-file", f"{archive}/none"), "--patient-key-file: cannot read"),
        (("score", archive, "--output", os.fsdecode(b"r\xe9")), "is not UTF-8"),
        (("score", archive, "--output", f"{tmp_path}/loop/r"), "--output: cannot"),
        ((*good, "--", "--runner", "Foo"), "no runner 'Foo' here"),
        ((*good, "--", "--help"), "--help is not available there"),
        (("demo", "--seed", "-1"), "allowed: 0 or more"),
        (("train", "isic9-plain", "--data", ".", "--output", "x", "--epochs", "0"), "1 or more"),
        ((*good, "--", "--runer", "x"), "unknown ['--runer', 'x']"),
        (("demo", str(tmp_path)), "is not empty"),
        (("demo", "--", "--runner", "x"), "belong to `score`"),
        ((), "COMMAND"),
    ):
        assert message in usage(capsys, *words), words
    assert not (tmp_path / "reports" / "latest").exists()


def test_a_refused_artifact_exits_with_5(generated_archive, artifact_copy, tmp_path, capsys):
    with (artifact_copy / "model.keras").open("ab") as file:
        file.write(b"x")
    words = [*SCORE, str(generated_archive), "--output", str(tmp_path / "r")]
    assert main([*words, "--model", str(artifact_copy)]) == ExitCode.ARTIFACT_REFUSED
    assert "field model_sha256" in capsys.readouterr().err
    assert not (tmp_path / "r" / "latest").exists()


def test_an_unknown_operating_point_exits_with_2_and_lists_the_known(
    generated_archive, tmp_path, capsys
):
    words = [*SCORE, str(generated_archive), "--output", str(tmp_path / "r")]
    assert main([*words, "--operating-point", "best"]) == ExitCode.USAGE
    assert "'sensitivity-0.95'" in capsys.readouterr().err


def test_a_ledger_that_does_not_balance_exits_with_1_and_publishes_nothing(
    generated_archive, tmp_path, capsys, monkeypatch
):
    gather = night_module.gather_night

    def lose_one(*arguments):
        gathered = gather(*arguments)
        return replace(gathered, alerts=gathered.alerts + 1)

    monkeypatch.setattr(night_module, "gather_night", lose_one)
    words = [*SCORE, str(generated_archive), "--output", str(tmp_path / "r")]
    assert main(words) == ExitCode.FAILURE
    assert "predictions with alert + turned = alerts: 18 against 19" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == [".lock", "logs"]


def test_an_unexpected_failure_exits_with_1_and_logs_where_without_quoting(
    generated_archive, tmp_path, capsys, monkeypatch
):
    def explode(*_):
        raise RuntimeError("Jane^Doe in /secret/place")

    monkeypatch.setattr(night_module, "make_plan", explode)
    log = tmp_path / "log"
    words = [*SCORE, str(generated_archive), "--output", str(tmp_path / "r")]
    assert main([*words, "--log-file", str(log)]) == ExitCode.FAILURE
    shown = capsys.readouterr()
    for text in (log.read_text(), shown.out, shown.err):
        assert "Jane" not in text
        assert "secret" not in text
    assert "RuntimeError at test_cli.py" in log.read_text()
    assert "unexpected failure (RuntimeError)" in shown.err


def test_lines_that_are_missing_in_the_log_are_told(generated_archive, tmp_path, capsys):
    words = [*SCORE, str(generated_archive), "--output", str(tmp_path / "r")]
    code = main([*words, "--log-file", "/dev/full", "--max-unscored-rate", "1"])
    assert code == ExitCode.COMPLETE
    error = capsys.readouterr().err
    assert "--log-file: lines are missing in /dev/full (No space left on device)" in error


def test_a_reports_folder_that_cannot_be_written_exits_with_2(generated_archive, tmp_path, capsys):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    open_to_all(generated_archive, tmp_path)
    with as_nobody():
        code = main([*SCORE, str(generated_archive), "--output", str(closed / "reports")])
    assert code == ExitCode.USAGE
    assert "--output: cannot write" in capsys.readouterr().err


def test_a_folder_that_may_not_be_entered_exits_with_2(tmp_path, capsys):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    open_to_all(tmp_path)
    with as_nobody():
        code = main([*SCORE, str(closed / "archive"), "--output", str(tmp_path / "r")])
    assert code == ExitCode.USAGE
    assert "ARCHIVE: cannot look into" in capsys.readouterr().err


def test_reports_in_a_folder_that_may_not_be_entered_exit_with_2(
    generated_archive, tmp_path, capsys
):
    closed = tmp_path / "closed"
    (closed / "reports").mkdir(parents=True)
    closed.chmod(0)
    open_to_all(generated_archive, tmp_path)
    with as_nobody():
        code = main([*SCORE, str(generated_archive), "--output", str(closed / "reports")])
    assert code == ExitCode.USAGE
    assert "--output: cannot" in capsys.readouterr().err


@pytest.mark.parametrize("thing", ["latest", "runs", ".in-progress"])
def test_something_else_in_the_place_of_ours_is_said_before_the_work(
    generated_archive, tmp_path, capsys, thing
):
    reports = tmp_path / "r"
    reports.mkdir()
    if thing == "latest":
        (reports / thing).mkdir()
    else:
        (reports / thing).touch()
    assert main([*SCORE, str(generated_archive), "--output", str(reports)]) == ExitCode.USAGE
    assert f"{thing} is no" in capsys.readouterr().err


def test_an_archive_that_goes_away_leaves_the_last_night(
    scored, generated_archive, tmp_path, capsys, monkeypatch
):
    archive = Path(shutil.copytree(generated_archive, tmp_path / "archive"))
    reports = Path(shutil.copytree(scored[1], tmp_path / "reports", symlinks=True))
    before = os.readlink(reports / "latest")
    (archive / "photographs" / "lesion-1.jpg").touch()
    listed = LocalArchive.list_files

    def list_and_unmount(self):
        found = list(listed(self))
        self.root.rename(tmp_path / "unmounted")
        return iter(found)

    monkeypatch.setattr(LocalArchive, "list_files", list_and_unmount)
    assert main([*SCORE, str(archive), "--output", str(reports)]) == ExitCode.FAILURE
    assert "went away during the run" in capsys.readouterr().err
    assert os.readlink(reports / "latest") == before


def test_a_night_in_which_nothing_settled_is_not_published(tmp_path, capsys, monkeypatch):
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "a.jpg").write_bytes(b"still being copied")
    listed = LocalArchive.list_files

    def list_and_grow(self):
        found = list(listed(self))
        (self.root / "a.jpg").write_bytes(b"still being copied, more of it")
        return iter(found)

    monkeypatch.setattr(LocalArchive, "list_files", list_and_grow)
    assert main([*SCORE, str(archive), "--output", str(tmp_path / "r")]) == ExitCode.NO_IMAGES
    assert "changed_while_read: 1" in capsys.readouterr().err
    assert not (tmp_path / "r" / "latest").exists()


def test_a_date_beyond_64_bits_costs_nothing(tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    shutil.copy(REPOSITORY / "tests" / "golden" / "jpeg.jpg", archive / "a.jpg")
    try:
        os.utime(archive / "a.jpg", (20_000_000_000, 20_000_000_000))
    except OSError:
        pytest.skip("this file system keeps no such dates")
    assert main([*SCORE, str(archive), "--output", str(tmp_path / "r")]) == ExitCode.COMPLETE


@pytest.mark.parametrize("full", ["/dev/full", "closed"])
def test_a_published_night_stays_complete_when_nobody_reads_the_summary(
    generated_archive, tmp_path, full
):
    words = [*SCORE, str(generated_archive), "--output", str(tmp_path / "r")]
    command = [sys.executable, "-m", "batch", *words, "--max-unscored-rate", "1"]
    if full == "closed":
        run = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE)
        run.stdout.close()
        assert run.wait() == ExitCode.COMPLETE
    else:
        with open(full, "w") as stream:
            assert subprocess.run(command, cwd=REPOSITORY, stdout=stream).returncode == 0
    assert (tmp_path / "r" / "latest" / "_SUCCESS").exists()


def _start(*words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "batch", *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(condition, seconds: float = 90) -> None:
    """Wait for something that another process does; the limit only ends a test that failed."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def slow_archive(tmp_path, generated_archive):
    """Enough files that a run is still busy when it is disturbed."""
    archive = tmp_path / "archive"
    archive.mkdir()
    for number in range(3000):
        os.link(generated_archive / "photographs" / "lesion-4.png", archive / f"{number}.png")
    return archive


def test_a_second_run_exits_with_4_and_a_killed_one_holds_nothing(
    slow_archive, tmp_path, generated_archive
):
    reports = tmp_path / "reports"
    first = _start(*SCORE, str(slow_archive), "--output", str(reports), "--segment-size", "100")
    _wait_for(lambda: (reports / ".in-progress").exists() or first.poll() is not None)
    second = _start(*SCORE, str(slow_archive), "--output", str(reports))
    _, error = second.communicate()
    assert second.returncode == ExitCode.LOCKED, error
    assert f"process {first.pid}" in error
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not (reports / "latest").exists()
    third = [*SCORE, str(generated_archive), "--output", str(reports), "--max-unscored-rate", "1"]
    assert main(third) == ExitCode.COMPLETE
    assert not (reports / ".in-progress").exists()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_segment_ends_the_run_at_once(slow_archive, tmp_path, kind):
    reports = tmp_path / "reports"
    run = _start(*SCORE, str(slow_archive), "--output", str(reports), "--segment-size", "100")
    _wait_for(lambda: (reports / ".lock").exists() or run.poll() is not None)
    run.send_signal(kind)
    _, error = run.communicate()
    assert run.returncode == ExitCode.FAILURE
    assert "interrupted; nothing was published" in error
    assert "Traceback" not in error
    assert sorted(path.name for path in reports.iterdir()) == [".lock", "logs"]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_segment_ends_the_run_in_order(slow_archive, tmp_path, kind):
    reports = tmp_path / "reports"
    run = _start(*SCORE, str(slow_archive), "--output", str(reports), "--segment-size", "100")
    _wait_for(lambda: list(reports.glob(".in-progress/*/segments/0*")) or run.poll() is not None)
    run.send_signal(kind)
    out, error = run.communicate()
    assert run.returncode == ExitCode.STOPPED_EARLY
    assert "stopping at the end of this segment" in error
    assert "Stopped    by signal" in out
    equation = json.loads((reports / "latest" / "run.json").read_text())["equation"]
    assert equation["scored"] % 100 == 0
    assert 0 < equation["scored"] < 3000
    assert equation["pending"] == 3000 - equation["scored"]


def test_a_terminal_sees_progress_and_a_file_does_not(generated_archive, tmp_path, scored):
    run = _start(*SCORE, str(generated_archive), "--output", str(tmp_path / "r"),
                 "--max-unscored-rate", "1")  # fmt: skip
    out, error = run.communicate()
    assert run.returncode == 0
    assert error == ""
    assert "Found            23 files, 22 images in them" in out
    assert "no alert does not mean cleared" in out


def test_the_bar_counts_to_the_number_of_files(generated_archive, tmp_path):
    """On a pseudo-terminal, as a person starts it."""
    code, seen = on_a_terminal(
        *SCORE, str(generated_archive), "--output", str(tmp_path / "r"),
        "--max-unscored-rate", "1",
    )  # fmt: skip
    assert code == 0
    assert "23/23" in seen
    assert "file/s" in seen
