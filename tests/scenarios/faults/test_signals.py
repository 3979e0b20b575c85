"""Signals to a real process: what is asked for politely, at once, and before there is anything."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from PIL import Image

from batch.core.errors import ExitCode
from tests.scenarios.faults.gates import Gate
from tests.scenarios.faults.nights import (
    AT_WORK,
    SEGMENT_SIZE,
    WRITTEN_AT,
    damages,
    differences,
    kill,
    read_table,
    start,
    wait_for,
)

NOTICE = "stopping at the end of this segment"


@pytest.fixture
def disturb(world, tmp_path):
    """Start a run that stands at a file; process, gate, and what it has said so far."""
    opened = []

    def begin(file, *more, times=1):
        gate = Gate(file)
        errors = tmp_path / "said"
        process = start(world.words(*more), errors)
        opened.append((process, gate))
        for number in range(times):
            assert gate.wait(lambda: process.poll() is not None), errors.read_text()
            if number < times - 1:
                gate.let_pass()
        return process, gate, errors.read_text

    yield begin
    for process, gate in opened:
        gate.close()
        kill(process)


def is_heard(process, said):
    """Whether the first signal was handled. Python may sleep over one that comes just before its
    main thread begins to wait; any other wakes it, and a SIGTERM after the first asks for no more.
    """
    if NOTICE not in said():
        os.kill(process.pid, signal.SIGTERM)
    return NOTICE in said()


def test_sigterm_ends_the_segment_publishes_and_the_next_night_goes_on(world, undisturbed, disturb):
    before = world.latest
    # a third segment: what is asked to stop in the second leaves it
    process, gate, said = disturb(world.archive / "new" / "04.png", "--segment-size", "3")
    os.kill(process.pid, signal.SIGTERM)
    gate.close()
    assert process.wait() == ExitCode.STOPPED_EARLY, said()
    assert NOTICE in said()
    assert world.latest != before
    assert damages(world.latest) == []
    assert world.run["stopped"] == "signal"
    assert world.run["pending_by_reason"] == {"stopped": 4}
    assert world.run["equation"]["scored"] == 6
    assert "Stopped    by signal: the next run goes on" in said()
    assert world.score() == ExitCode.COMPLETE
    assert world.run["equation"]["scored"] == 3
    assert damages(world.latest) == []
    # what is known of every file is what one uninterrupted night would know
    assert differences(world.latest, undisturbed, ("current", "unscored")) == []


def test_sigterm_to_all_processes_of_the_run_costs_no_file(world, disturb):
    """What systemd, a shutdown and `kill -- -GROUP` send reaches the watched decoders too."""
    for name in ("02", "08"):  # a TIFF is decoded in a watched process
        with Image.open(world.archive / "new" / f"{name}.png") as image:
            image.rotate(90).save(world.archive / "new" / f"{name}.tif")
        os.utime(world.archive / "new" / f"{name}.tif", (WRITTEN_AT, WRITTEN_AT))
    # 02.tif in the first segment starts the decoder; 08.tif comes after the file that is held
    more = ("--segment-size", "6", "--decode-threads", "1")
    process, gate, said = disturb(world.archive / AT_WORK, *more)
    os.killpg(process.pid, signal.SIGTERM)
    gate.close()
    process.wait()
    assert damages(world.latest) == [], said()
    files = read_table(world.latest, "files").set_index("path")
    assert files.loc["new/02.tif", "state"] == "scored"
    assert files.loc["new/08.tif", ["state", "reason"]].fillna("").tolist() == ["scored", ""]


def test_two_sigints_end_at_once_and_the_committed_segments_are_taken_up(
    world, undisturbed, disturb
):
    before = world.latest
    process, gate, said = disturb(world.archive / AT_WORK)
    os.kill(process.pid, signal.SIGINT)
    wait_for(lambda: is_heard(process, said))
    os.kill(process.pid, signal.SIGINT)
    gate.close()  # a read that hangs would hold the interpreter's own end
    assert process.wait() == ExitCode.FAILURE, said()
    assert "interrupted; nothing was published" in said()
    assert "Traceback" not in said()
    assert world.latest == before
    assert len(list((world.reports / "runs").iterdir())) == 1
    assert len(world.committed()) == 1
    assert world.score() == ExitCode.COMPLETE
    assert world.run["taken_up"] == SEGMENT_SIZE
    assert differences(world.latest, undisturbed) == []


@pytest.mark.parametrize("times", [1, 2], ids=["at the start", "while the model is loaded"])
def test_sigterm_before_the_first_segment_publishes_nothing(world, disturb, artifact_copy, times):
    """The model file is read twice: for its digest before the archive is listed, and to be used."""
    before = world.latest
    process, gate, said = disturb(
        artifact_copy / "model.keras", "--model", str(artifact_copy), times=times
    )
    os.kill(process.pid, signal.SIGTERM)
    gate.close()
    assert process.wait() == ExitCode.FAILURE, said()
    assert "interrupted; nothing was published" in said()
    assert "Traceback" not in said()
    assert world.latest == before
    assert not (world.reports / ".in-progress").exists()


def test_sigterm_during_publication_is_too_late_to_undo_it(world, disturb):
    """A night in which nothing is new is gathered and published within the same moment."""
    shutil.rmtree(world.archive / "new")
    (world.archive / "old" / "broken.jpg").unlink()
    part = next((world.latest / "current").glob("*.parquet"))
    process, gate, said = disturb(part, times=2)  # first for its digest, then to be carried over
    os.kill(process.pid, signal.SIGTERM)
    gate.close()
    assert process.wait() == ExitCode.COMPLETE, said()
    assert NOTICE in said()
    assert damages(world.latest) == []
    assert world.run["stopped"] is None
    assert len(read_table(world.latest, "current")) == 5
