"""One run at a time on a reports folder, and no lock outlives its owner."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from batch.core.errors import ReportsLocked, ReportsLost, UsageError
from batch.storage import locks
from batch.storage.locks import DEAD_AFTER_SECONDS, LOCK_FILE, exclusive
from tests.support.archives import REPOSITORY, as_nobody

HOLD = (
    "import sys; from pathlib import Path; from batch.storage.locks import exclusive\n"
    "with exclusive(Path(sys.argv[1]), 'run held'):\n"
    "    print('held', flush=True); sys.stdin.read()"
)
HERE = os.uname().nodename


@contextmanager
def holder(folder):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def take(folder, owner="run new"):
    with exclusive(folder, owner):
        return (folder / LOCK_FILE).read_text()


def test_the_holder_is_named_while_it_holds_and_free_is_said_after(tmp_path):
    assert take(tmp_path) == f"run new, process {os.getpid()}, host {HERE}\n"
    assert (tmp_path / LOCK_FILE).read_text() == "free\n"
    assert take(tmp_path, "run next").startswith("run next, process")


def test_the_folder_is_made_with_all_above_it(tmp_path):
    take(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / LOCK_FILE).exists()


def test_a_second_run_is_refused_and_told_who_holds_the_folder(tmp_path):
    with holder(tmp_path) as process:
        text = f"another run holds .*run held, process {process.pid}, host {HERE}.*Wait for it"
        with pytest.raises(ReportsLocked, match=text):
            take(tmp_path)
        assert (tmp_path / LOCK_FILE).read_text().startswith("run held")
        process.communicate(b"")  # its input ends, and so does it
        assert process.returncode == 0
    assert take(tmp_path).startswith("run new")


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_owner_on_this_host_holds_nothing(tmp_path, kind):
    with holder(tmp_path) as process:
        process.send_signal(kind)
        process.wait()
    assert (tmp_path / LOCK_FILE).read_text().startswith("run held")
    assert take(tmp_path).startswith("run new")


def test_the_lock_is_freed_when_the_run_fails(tmp_path):
    with pytest.raises(RuntimeError, match="in the run"), exclusive(tmp_path, "run bad"):
        raise RuntimeError("in the run")
    assert (tmp_path / LOCK_FILE).read_text() == "free\n"
    assert take(tmp_path).startswith("run new")


def test_two_holders_in_one_process_are_two(tmp_path):
    with (
        exclusive(tmp_path, "run one"),
        pytest.raises(ReportsLocked, match="run one"),
        exclusive(tmp_path, "run two"),
    ):
        pass


# --- a holder on another host, whose flock does not reach us ----


def left_by(folder, text, age):
    """A lock file as another host has left or holds it. age: seconds since its last heartbeat."""
    (folder / LOCK_FILE).write_text(text)
    then = time.time() - age
    os.utime(folder / LOCK_FILE, (then, then))


ELSEWHERE = "run there, process 1, host another\n"


@pytest.mark.parametrize("age", [-100, 0, DEAD_AFTER_SECONDS - 60])
def test_a_holder_elsewhere_whose_heart_beats_is_not_disturbed(tmp_path, age):
    left_by(tmp_path, ELSEWHERE, age)
    before = (tmp_path / LOCK_FILE).stat().st_mtime_ns
    with pytest.raises(ReportsLocked, match="host another.*that host is down, in 10 minutes"):
        take(tmp_path)
    assert (tmp_path / LOCK_FILE).read_text() == ELSEWHERE
    assert (tmp_path / LOCK_FILE).stat().st_mtime_ns == before
    assert os.listdir(tmp_path) == [LOCK_FILE]


@pytest.mark.parametrize("age", [DEAD_AFTER_SECONDS + 1, 86_400])
def test_a_holder_elsewhere_that_was_silent_for_long_is_dead(tmp_path, age):
    left_by(tmp_path, ELSEWHERE, age)
    assert take(tmp_path).startswith("run new")
    assert os.listdir(tmp_path) == [LOCK_FILE]


@pytest.mark.parametrize(
    "text",
    ["", "free\n", "\n", f"run there, process 1, host {HERE}\n"],
    ids=["empty", "free", "blank", "this host"],
)
def test_a_fresh_lock_file_that_names_nobody_elsewhere_is_free(tmp_path, text):
    left_by(tmp_path, text, 0)
    assert take(tmp_path).startswith("run new")


@pytest.mark.parametrize("host", [f"x{HERE}", f"{HERE}x", f"{HERE}.example"])
def test_a_host_with_a_similar_name_is_another(tmp_path, host):
    left_by(tmp_path, f"run there, process 1, host {host}\n", 0)
    with pytest.raises(ReportsLocked, match=f"host {host}"):
        take(tmp_path)


def test_garbage_in_the_lock_file_is_somebody_for_ten_minutes(tmp_path):
    (tmp_path / LOCK_FILE).write_bytes(b"\xff\x00" * 500)
    with pytest.raises(ReportsLocked, match="another run holds"):
        take(tmp_path)
    os.utime(tmp_path / LOCK_FILE, (0, 0))
    assert take(tmp_path).startswith("run new")


def test_the_heart_beats_while_the_folder_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT_SECONDS", 0.01)
    with exclusive(tmp_path, "run new"):
        os.utime(tmp_path / LOCK_FILE, (0, 0))
        deadline = time.monotonic() + 10
        while (tmp_path / LOCK_FILE).stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (tmp_path / LOCK_FILE).stat().st_mtime > 0
    os.utime(tmp_path / LOCK_FILE, (0, 0))
    time.sleep(0.05)
    assert (tmp_path / LOCK_FILE).stat().st_mtime == 0


# --- the folder goes away while it is held ----


def test_the_folder_that_was_locked_is_the_folder(tmp_path):
    with exclusive(tmp_path, "run new") as lock:
        lock.check()
        (tmp_path / "runs").mkdir()
        lock.check()


def _delete(folder):
    shutil.rmtree(folder)


def _delete_lock(folder):
    (folder / LOCK_FILE).unlink()


def _move(folder):
    folder.rename(folder.with_name("elsewhere"))


def _become_a_file(folder):
    shutil.rmtree(folder)
    folder.touch()


def _replace(folder):
    _move(folder)
    folder.mkdir()
    (folder / LOCK_FILE).write_text("free\n")


def _copy(folder):
    """As a backup that was played back: same names, same text, another file."""
    _move(folder)
    shutil.copytree(folder.with_name("elsewhere"), folder)


@pytest.mark.parametrize("harm", [_delete, _delete_lock, _move, _become_a_file])
def test_a_folder_that_went_away_is_lost(tmp_path, harm):
    folder = tmp_path / "reports"
    with exclusive(folder, "run new") as lock:
        harm(folder)
        with pytest.raises(ReportsLost, match="reports went away during the run .*nothing was pub"):
            lock.check()


@pytest.mark.parametrize("harm", [_replace, _copy])
def test_a_folder_that_was_replaced_is_lost(tmp_path, harm):
    folder = tmp_path / "reports"
    with exclusive(folder, "run new") as lock:
        harm(folder)
        with pytest.raises(ReportsLost, match="is another folder than at the start; nothing was"):
            lock.check()


def test_a_folder_that_came_back_is_the_same(tmp_path):
    folder = tmp_path / "reports"
    with exclusive(folder, "run new") as lock:
        _move(folder)
        folder.with_name("elsewhere").rename(folder)
        lock.check()


def test_a_new_run_may_hold_the_folder_that_replaced_a_held_one(tmp_path):
    folder = tmp_path / "reports"
    with exclusive(folder, "run old") as old:
        _replace(folder)
        with exclusive(folder, "run new") as new:
            new.check()
            with pytest.raises(ReportsLost, match="another folder"):
                old.check()


# --- a folder that cannot be held ----


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with as_nobody(), pytest.raises(UsageError, match="--output: cannot write in .*Check owner"):
        take(closed)


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: p.symlink_to("anywhere")],
                         ids=["folder", "link"])  # fmt: skip
def test_something_else_with_the_locks_name_is_refused(tmp_path, make):
    make(tmp_path / LOCK_FILE)
    with pytest.raises(UsageError, match="--output: cannot write in"):
        take(tmp_path)
    assert not (tmp_path / "anywhere").exists()


FULL = (
    "import resource, sys; from pathlib import Path; from batch.storage.locks import exclusive\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
    "with exclusive(Path(sys.argv[1]), 'run held') as lock:\n"
    "    lock.check(); print('held')\n"
    "print('and let go')"
)


# What could not be flushed would wait in
# the file object's buffer and fails again when it is closed, after the night was published.
def test_a_full_disk_does_not_break_the_lock(tmp_path):
    """The text is for people; the lock itself is the system's."""
    words = [sys.executable, "-c", FULL, str(tmp_path)]
    found = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True)
    assert (found.stdout, found.returncode) == ("held\nand let go\n", 0), found.stderr
