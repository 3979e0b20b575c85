"""Files whose reading fails for real: input/output errors, and files cut while they are read."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import contextmanager

import pytest

from batch.core.errors import ExitCode
from tests.scenarios.faults.gates import READ, when_reached
from tests.scenarios.faults.nights import (
    AT_WORK,
    NEW,
    WRITTEN_AT,
    damages,
    differences,
    read_table,
    write_file,
    write_image,
)


@contextmanager
def input_output_error(path):
    """Reading the file fails with EIO: the memory of a process at address 0 lies over it."""
    memory = f"/proc/{os.getpid()}/mem"
    mount = ["mount", "--bind", memory, str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("laying another file over one needs root and a kernel that lets it mount")
    try:
        os.utime(path, (WRITTEN_AT, WRITTEN_AT))
        with pytest.raises(OSError, match="Input/output error"):
            path.read_bytes()
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def of_file(world, path):
    """State and reason of a file in the latest night."""
    files = read_table(world.latest, "files").set_index("path")
    return [value if value == value else None for value in files.loc[path, ["state", "reason"]]]


def test_a_file_that_cannot_be_read_costs_itself_only_and_is_tried_again(
    world, undisturbed, capsys
):
    with input_output_error(world.archive / AT_WORK):
        assert world.score() == ExitCode.COMPLETE
        assert of_file(world, AT_WORK) == ["unscored", "not_readable"]
        unscored = read_table(world.latest, "unscored").set_index("path")
        assert unscored.loc[AT_WORK, ["stage", "reason", "detail"]].tolist() == [
            "read", "not_readable", "EIO",
        ]  # fmt: skip
        assert world.run["equation"]["scored"] == NEW - 1
        assert world.score("--max-unscored-rate", "0.1") == ExitCode.COMPLETE
        assert world.run["unscored_by_reason"] == {"decode_failed": 1, "not_readable": 1}
    assert damages(world.latest) == []
    assert world.score() == ExitCode.COMPLETE
    assert of_file(world, AT_WORK) == ["scored", None]
    assert damages(world.latest) == []
    assert differences(world.latest, undisturbed, ("current",)) == []


def test_a_rate_of_unreadable_files_above_the_limit_exits_with_6(world, capsys):
    with input_output_error(world.archive / AT_WORK):
        assert world.score("--max-unscored-rate", "0.05") == ExitCode.UNSCORED_RATE
    assert damages(world.latest) == []
    assert "have no score; allowed: 5.0%" in capsys.readouterr().err


def test_a_scored_file_that_cannot_be_read_any_more_is_not_opened(world):
    """Size and time are those of the other file, so the night has to look, and says what it saw."""
    known = world.archive / "old" / "03.png"
    with input_output_error(known):
        assert world.score() == ExitCode.COMPLETE
    assert of_file(world, "old/03.png") == ["unscored", "not_readable"]
    assert world.score() == ExitCode.COMPLETE
    # the very bytes as before: scored again, because nothing was remembered in between
    assert of_file(world, "old/03.png")[0] in ("scored", "reused")
    assert damages(world.latest) == []


@pytest.mark.parametrize("keep", [0, 100], ids=["to nothing", "to a hundred bytes"])
def test_a_file_cut_while_it_is_read_waits_for_the_next_night(world, keep):
    cut = world.archive / AT_WORK
    with when_reached(cut, lambda: os.truncate(cut, keep), READ):
        assert world.score() == ExitCode.COMPLETE
    assert of_file(world, AT_WORK) == ["pending", "changed_while_read"]
    assert world.run["equation"]["scored"] == NEW - 1
    write_image(cut, 107)
    assert world.score() == ExitCode.COMPLETE
    assert of_file(world, AT_WORK) == ["scored", None]
    assert damages(world.latest) == []


def test_a_file_that_grows_while_it_is_read_waits_for_the_next_night(world):
    """What was read is a whole image; only its size tells that more was to come."""
    grown = world.archive / AT_WORK

    def grow():
        with grown.open("ab") as file:
            file.write(b"more")

    # the descriptor of the writer is opened while the reader waits, so its own opening is not held
    with when_reached(grown, grow, READ):
        assert world.score() == ExitCode.COMPLETE
    assert of_file(world, AT_WORK) == ["pending", "changed_while_read"]


def test_a_file_overwritten_with_the_same_size_while_it_is_read_is_noticed_by_its_time(world):
    path = world.archive / AT_WORK
    size = path.stat().st_size

    def overwrite():
        with path.open("r+b") as file:
            file.write(bytes(size // 2))

    with when_reached(path, overwrite, READ):
        assert world.score() == ExitCode.COMPLETE
    assert of_file(world, AT_WORK) == ["pending", "changed_while_read"]


def test_a_big_file_cut_by_another_process_in_the_middle_of_a_read(world, tmp_path):
    """300 MB that the disk cache gives out in pieces, cut at some instant of it: never a score."""
    big = world.archive / "new" / "08.png"
    head = big.read_bytes()
    with big.open("wb") as file:
        file.write(head)
        file.truncate(300 * 1024 * 1024)
    os.utime(big, (WRITTEN_AT, WRITTEN_AT))
    done = threading.Event()

    def cut_after_the_start():
        threading.Timer(0.02, lambda: (os.truncate(big, len(head)), done.set())).start()

    with when_reached(big, cut_after_the_start, READ):
        assert world.score() == ExitCode.COMPLETE
        done.wait()
    assert of_file(world, "new/08.png")[0] in ("pending", "scored")
    assert damages(world.latest) == []


def test_a_file_under_somebodys_lease_is_not_scored_and_not_lost(world):
    """A file server (Samba with kernel oplocks, NFS with write delegations) takes such leases."""
    import fcntl
    import signal

    path = world.archive / AT_WORK
    kept = signal.signal(signal.SIGIO, lambda *_: None)  # "somebody wants your file"
    descriptor = os.open(path, os.O_RDWR)
    try:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            pytest.skip(f"this file system gives no leases ({error.strerror})")
        assert world.score() == ExitCode.COMPLETE
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, kept)
    assert world.run["equation"]["scored"] == NEW - 1
    assert of_file(world, AT_WORK)[0] in ("pending", "unscored")
    assert world.score() == ExitCode.COMPLETE
    assert of_file(world, AT_WORK) == ["scored", None]


def test_a_file_still_being_written_is_pending_and_then_scored(world):
    """Half an image with a young time; the other half comes after the night."""
    path = world.archive / "new" / "08.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert world.score() == ExitCode.COMPLETE
    assert of_file(world, "new/08.png") == ["pending", "unreadable_and_young"]
    write_file(path, whole)
    assert world.score() == ExitCode.COMPLETE
    assert of_file(world, "new/08.png") == ["scored", None]
