"""Several starts within a millisecond: one works, the others say who."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from batch.core.errors import ExitCode
from tests.scenarios.faults.gates import Gate
from tests.scenarios.faults.nights import COMMITTED, damages, differences, wait_for
from tests.support.archives import REPOSITORY

STARTS = 5
ROUNDS = 12

RACER = """
import sys
import batch.cli, batch.run.summary, batch.run.score_run, batch.commands.job_config
print("ready", flush=True)
sys.stdin.buffer.read()  # ends for all racers in the same moment
sys.exit(batch.cli.main(sys.argv[1:]))
"""

LOCKER = """
import sys
from pathlib import Path
from batch.core.errors import BatchError
from batch.storage.locks import exclusive
print("ready", flush=True)
for line in sys.stdin.buffer:
    try:
        with exclusive(Path(sys.argv[1]), "run of a racer"):
            print("won", flush=True)
            sys.stdin.buffer.readline()
            print("ended", flush=True)
    except BatchError as error:
        print(f"lost {error.exit_code} {error}", flush=True)
        sys.stdin.buffer.readline()
        print("ended", flush=True)
"""


@pytest.fixture
def racers():
    """Start processes of a program; they are ended with the test."""
    started = []

    def begin(program, words, **how):
        for _ in range(STARTS):
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", program, *words],
                    cwd=REPOSITORY,
                    stdout=subprocess.PIPE,
                    text=True,
                    **how,
                )  # fmt: skip
            )
        return started

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_of_five_starts_one_works_and_the_others_name_it(world, undisturbed, racers, tmp_path):
    reading, writing = os.pipe()
    with Gate(world.archive / COMMITTED) as gate, (tmp_path / "said").open("w+") as said:
        processes = racers(RACER, world.words(), stdin=reading, stderr=said)
        os.close(reading)
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        os.close(writing)
        # the one that works stands at a file until all others have answered
        assert gate.wait()
        wait_for(lambda: sum(process.poll() is not None for process in processes) == STARTS - 1)
        (working,) = (process for process in processes if process.poll() is None)
        losers = [process.returncode for process in processes if process is not working]
        said.seek(0)
        messages = said.read().splitlines()
        gate.close()
        assert working.wait() == ExitCode.COMPLETE
    assert losers == [ExitCode.LOCKED] * (STARTS - 1)
    assert len(messages) == STARTS - 1, messages
    assert not [m for m in messages if "another run holds" not in m], messages
    assert len(list((world.reports / "runs").iterdir())) == 2
    assert damages(world.latest) == []
    assert differences(world.latest, undisturbed) == []
    assert not [m for m in messages if f"process {working.pid}" not in m], messages


def test_of_many_races_for_the_lock_each_has_one_winner_who_is_named(racers, tmp_path):
    processes = racers(LOCKER, [str(tmp_path / "reports")], stdin=subprocess.PIPE)
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    unnamed = []
    for _ in range(ROUNDS):
        answers = {}
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            answers[process] = process.stdout.readline()
        winners = [process for process in processes if answers[process] == "won\n"]
        assert len(winners) == 1, answers.values()
        losers = [answer for process, answer in answers.items() if process is not winners[0]]
        assert all(answer.startswith(f"lost {ExitCode.LOCKED:d} ") for answer in losers), losers
        unnamed += [answer for answer in losers if f"process {winners[0].pid}" not in answer]
        for process in [*winners, *(p for p in processes if p is not winners[0])]:
            process.stdin.write("end\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ended\n"
    assert unnamed == []
