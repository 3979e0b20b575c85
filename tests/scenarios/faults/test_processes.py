"""Segments side by side in processes, and what becomes of a night when one of them is disturbed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from batch.core.errors import ExitCode
from tests.scenarios.faults.gates import Gate
from tests.scenarios.faults.nights import (
    AT_WORK,
    damages,
    differences,
    kill,
    read_table,
    start,
    wait_for,
)

TWO = ("--processes", "2")


def children(pid: int) -> list[int]:
    """Processes that another has started, and that have not ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def scorers(pid: int) -> list[int]:
    """Those that score: the other child of a driver is multiprocessing's own."""
    words = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children(pid)}
    return [child for child, line in words.items() if b"spawn_main" in line]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def held(world, tmp_path):
    """A run of two processes, one of which stands at a file; the run, the gate, what it said."""
    errors = tmp_path / "said"
    gate = Gate(world.archive / AT_WORK)
    process = start(world.words(*TWO), errors)
    assert gate.wait(lambda: process.poll() is not None), errors.read_text()
    yield process, gate, errors.read_text
    gate.close()
    kill(process)


def test_two_processes_leave_what_one_leaves(world, undisturbed):
    assert world.score(*TWO) == ExitCode.COMPLETE
    assert damages(world.latest) == []
    assert differences(world.latest, undisturbed) == []
    assert world.run["options"]["processes"] == 2


def test_a_signal_to_the_whole_group_ends_the_night_in_order(world, undisturbed, held):
    process, gate, said = held
    os.killpg(process.pid, signal.SIGTERM)
    gate.close()
    assert process.wait() == ExitCode.COMPLETE, said()  # both segments were under way
    assert differences(world.latest, undisturbed) == []


def test_a_killed_process_fails_the_night_and_the_next_goes_on(world, undisturbed, held):
    process, gate, said = held
    before = world.latest
    both = scorers(process.pid)
    assert len(both) == 2
    for pid in both:
        os.kill(pid, signal.SIGKILL)
    gate.close()
    assert process.wait() == ExitCode.FAILURE
    assert "--processes: a process ended (exit code -9)" in said()
    assert "Traceback" not in said()
    assert world.latest == before
    assert world.score() == ExitCode.COMPLETE
    assert differences(world.latest, undisturbed, ("current", "unscored")) == []


def test_a_killed_driver_takes_its_processes_along(world, undisturbed, held):
    process, gate, _ = held
    both = scorers(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    gate.close()  # a process that stands in a system call cannot end
    wait_for(lambda: not any(is_alive(pid) for pid in both))
    assert world.score(*TWO) == ExitCode.COMPLETE
    assert differences(world.latest, undisturbed, ("current", "unscored")) == []


def test_two_sigints_end_it_at_once_and_nothing_is_left_running(world, held):
    process, gate, said = held
    before, both = world.latest, scorers(process.pid)
    os.kill(process.pid, signal.SIGINT)
    wait_for(lambda: "stopping at the end" in said())
    os.kill(process.pid, signal.SIGINT)
    gate.close()
    assert process.wait() == ExitCode.FAILURE, said()
    assert "interrupted; nothing was published" in said()
    assert not any(is_alive(pid) for pid in both)
    assert world.latest == before


def test_segments_not_handed_over_wait_for_the_next_night(world, undisturbed, tmp_path):
    errors = tmp_path / "said"
    with Gate(world.archive / "new" / "00.png") as gate:
        process = start(world.words(*TWO, "--segment-size", "1"), errors)
        try:
            assert gate.wait(lambda: process.poll() is not None), errors.read_text()
            os.kill(process.pid, signal.SIGTERM)
            wait_for(lambda: "stopping at the end" in errors.read_text())
            gate.close()
            assert process.wait() == ExitCode.STOPPED_EARLY, errors.read_text()
        finally:
            kill(process)
    assert damages(world.latest) == []
    states = read_table(world.latest, "files").set_index("path")["state"]
    assert states["new/00.png"] == "scored"
    assert states["new/08.png"] == "pending"
    assert world.score(*TWO) == ExitCode.COMPLETE
    assert differences(world.latest, undisturbed, ("current", "unscored")) == []
