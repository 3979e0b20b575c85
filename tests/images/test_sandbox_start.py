"""A watched process that cannot start is the machine's fault: no file is blamed, none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from batch.archive.reader import read_image
from batch.cli import main
from batch.core.errors import BatchError, DecoderNotStarted, ExitCode
from batch.demo.lesions import lesion_image
from batch.images import sandbox
from tests.scenarios.faults.nights import read_table, write_file, write_image
from tests.support import victims
from tests.support.archives import REPOSITORY, read
from tests.support.small_model import SCORE

GIGABYTE = 1 << 30
SCRIPT = """
import os, resource, sys
from batch.images import sandbox as watched
from batch.core.errors import DecoderNotStarted, ImageFailure
from tests.support import victims

def call(function=victims.fine, arguments=(1,), memory=4 << 30):
    try:
        print(watched.call_in_sandbox(function, arguments, 30, memory), flush=True)
    except DecoderNotStarted as error:
        print("not started:", error.detail, flush=True)
    except ImageFailure as failure:
        print("blamed:", failure.reason, flush=True)

if __name__ == "__main__":
    {body}
"""


def said(body: str, tmp_path) -> list[str]:
    """What a process of its own prints, in which something is wrong with the machine."""
    script = tmp_path / "machine.py"
    script.write_text(SCRIPT.replace("{body}", body))
    run = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4)); call()", "Too many open files"),
        (
            "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); call()",
            "No such file or directory",
        ),
        (
            "import multiprocessing; multiprocessing.set_executable('/nonexistent/python'); call()",
            "ended before it was ready, exit code 255|Broken pipe",
        ),
        (
            "import multiprocessing; multiprocessing.set_executable('/etc/hostname'); call()",
            "ended before it was ready, exit code 255|Broken pipe",
        ),
        (
            "import multiprocessing.popen_spawn_posix, multiprocessing.resource_tracker; "
            "os.setuid(65534); resource.setrlimit(resource.RLIMIT_NPROC, (0, 0)); call()",
            "Resource temporarily unavailable",
        ),
        (
            "from batch.archive.reader import raster_frames; call(raster_frames, (1,), 60 << 20)",
            "ended before it was ready|not ready",
        ),
        ("watched.READY_SECONDS = 0.0; call()", "not ready after 0 s"),
    ],
    ids=["descriptors", "folder", "interpreter", "noexec", "processes", "memory", "slow"],
)
def test_what_keeps_a_process_from_starting_is_told_and_blamed_on_nothing(
    tmp_path, body, expected, monkeypatch
):
    if "setuid" in body and os.geteuid() != 0:
        body = body[body.index("resource.") :]
    monkeypatch.chdir(tmp_path)
    (line,) = said(body, tmp_path)
    assert line.startswith("not started: ")
    assert any(line.removeprefix("not started: ").startswith(one) for one in expected.split("|"))


def test_a_process_that_ends_in_a_file_is_blamed_on_the_file_and_the_next_is_ready(tmp_path):
    body = "call(victims.crash, ()); call()"
    assert said(body, tmp_path) == ["blamed: decoder_crashed", "2"]


def test_where_one_process_is_allowed_threads_take_turns(tmp_path):
    body = """call()
    watched._Worker.__init__ = lambda *_: (_ for _ in ()).throw(DecoderNotStarted("enough"))
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(3) as pool:
        call = lambda n: watched.call_in_sandbox(victims.fine, (n,), 30, 4 << 30)
        found = pool.map(call, range(9))
        print(*found)"""
    assert said(body, tmp_path) == ["2", "1 2 3 4 5 6 7 8 9"]


def test_a_process_that_was_killed_while_it_had_nothing_to_do_is_blamed_on_nobody():
    bound = 3 * GIGABYTE
    child = sandbox.call_in_sandbox(victims.process_id, (), 30, bound)
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert sandbox.call_in_sandbox(victims.fine, (1,), 30, bound) == 2


@pytest.fixture
def no_process(monkeypatch):
    """A machine that starts no process; the list says how often it was asked."""
    asked = []

    def refuse(self, memory_bytes):
        asked.append(memory_bytes)
        raise DecoderNotStarted("Resource temporarily unavailable")

    kill_idle()
    monkeypatch.setattr(sandbox._Worker, "__init__", refuse)
    monkeypatch.setattr(sandbox, "_STARTS", sandbox._Starts())
    return asked


def test_after_some_failed_starts_none_is_tried_for_a_while(no_process, monkeypatch):
    for _ in range(sandbox.PATIENCE + 5):
        with pytest.raises(DecoderNotStarted, match="Resource temporarily"):
            sandbox.call_in_sandbox(victims.fine, (1,), 30, GIGABYTE)
    assert len(no_process) == sandbox.PATIENCE
    monkeypatch.setattr(sandbox, "PAUSE_SECONDS", 0.0)
    sandbox._STARTS._not_before = 0.0
    with pytest.raises(DecoderNotStarted):
        sandbox.call_in_sandbox(victims.fine, (1,), 30, GIGABYTE)
    assert len(no_process) == sandbox.PATIENCE + 1


def test_the_file_is_pending_with_a_reason_of_its_own(tmp_path, no_process):
    write_tiff(tmp_path / "a.tif")
    reading, results = read(tmp_path / "a.tif")
    assert (reading.state, reading.reason) == ("pending", "decoder_not_started")
    assert reading.detail == "Resource temporarily unavailable"
    assert results == ()


def test_training_does_not_take_the_machine_s_fault_for_a_file_s(tmp_path, no_process):
    write_tiff(tmp_path / "a.tif")
    with pytest.raises(BatchError, match="could not be started .Resource temporarily"):
        read_image(tmp_path / "a.tif")


def kill_idle() -> None:
    """As if none had been started yet."""
    while not sandbox._IDLE.empty():
        sandbox._IDLE.get_nowait()[1].kill()


def write_tiff(path) -> None:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(lesion_image(1, 64, 64)).save(buffer, "TIFF")
    write_file(path, buffer.getvalue())


def test_the_night_says_so_remembers_nothing_and_the_next_one_makes_up_for_it(
    tmp_path, no_process, monkeypatch, capsys
):
    archive, reports = tmp_path / "archive", tmp_path / "reports"
    write_image(archive / "plain.png", 1)
    write_tiff(archive / "watched.tif")
    words = [*SCORE, str(archive), "--output", str(reports)]
    for _ in range(4):  # more often than a file's own failures are forgiven
        assert main(words) == ExitCode.NOT_STARTED
    shown = capsys.readouterr()
    assert "decoder_not_started" in shown.out
    assert "Machine    1 file waits" in shown.out
    assert "1 file waits: the decoder's process did not start" in shown.err
    files = read_table(reports / "latest", "files").set_index("path")
    assert files.loc["watched.tif", ["state", "reason", "attempts"]].tolist() == [
        "pending", "decoder_not_started", 0,
    ]  # fmt: skip
    log = max((reports / "logs").glob("*.log"))
    assert "ended with exit code 9: published; 1 file waits" in log.read_text().splitlines()[-1]
    monkeypatch.undo()
    assert main(words) == ExitCode.COMPLETE
    files = read_table(reports / "latest", "files").set_index("path")
    assert files.loc["watched.tif", "state"] == "scored"


def test_a_night_in_which_no_decoder_starts_is_published_and_loses_nothing(tmp_path, no_process):
    archive, reports = tmp_path / "archive", tmp_path / "reports"
    for name in "ab":
        write_tiff(archive / f"{name}.tif")
    assert main([*SCORE, str(archive), "--output", str(reports)]) == ExitCode.NOT_STARTED
    assert set(read_table(reports / "latest", "files")["state"]) == {"pending"}


def test_an_earlier_score_of_a_file_that_waits_stays(tmp_path, monkeypatch):
    archive, reports = tmp_path / "archive", tmp_path / "reports"
    words = [*SCORE, str(archive), "--output", str(reports)]
    write_tiff(archive / "a.tif")
    assert main(words) == ExitCode.COMPLETE
    before = read_table(reports / "latest", "current")["melanoma_score"].tolist()
    assert len(before) == 1
    kill_idle()
    monkeypatch.setattr(sandbox._Worker, "__init__", _refuse)
    monkeypatch.setattr(sandbox, "_STARTS", sandbox._Starts())
    assert main([*words, "--model", "dermoscopy-lite0"]) == ExitCode.NOT_STARTED
    assert read_table(reports / "latest", "current")["melanoma_score"].tolist() == before


def _refuse(self, memory_bytes):
    raise DecoderNotStarted("Resource temporarily unavailable")


@pytest.mark.parametrize("allowed", [0, 1])
def test_segments_side_by_side_go_on_with_the_processes_that_there_are(
    tmp_path, monkeypatch, caplog, allowed
):
    import multiprocessing.context

    from batch.pipeline import process_pool
    from tests.pipeline.test_process_pool import note

    start = multiprocessing.context.SpawnProcess.start
    started = []

    def some(self):
        if len(started) >= allowed:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(self)
        return start(self)

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", some)
    from functools import partial

    team = process_pool.ProcessPool(partial(note, tmp_path), 2)
    if not allowed:
        with pytest.raises(BatchError, match="could not start a process .Resource temp"), team:
            pass
        return
    with team:
        assert list(team.finished(iter(range(4)))) == [0, 1, 2, 3]
    assert "1 of 2 processes started: Resource temporarily unavailable" in caplog.text


class Unimportable:
    """Work whose arrival ends the process that receives it."""

    def __reduce__(self):
        return os._exit, (9,)


def test_a_process_that_ends_before_it_is_ready_did_not_fail_at_a_task():
    from batch.pipeline.process_pool import ProcessPool

    with (
        pytest.raises(BatchError, match="could not start a process .it ended before it was ready"),
        ProcessPool(Unimportable(), 1) as team,
    ):
        list(team.finished(iter([1])))
