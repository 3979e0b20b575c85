"""Images per second on a Flink cluster of one and of two workers, and the same rows as locally.

    python -m tests.scenarios.cluster.measure FLINK_FOLDER ARCHIVE [ARCHIVE …]

FLINK_FOLDER is filled by `tests.scenarios.cluster.fetch`. Every worker process is bound to a core
of its own, and so is the local run: each is a machine of one core, as far as one machine can show
it. The engine itself (JobManager, TaskManagers, job server) shares these cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from batch.commands.shared import DEFAULT_MODEL
from tests.scenarios.cluster.flink import FlinkCluster
from tests.scenarios.cluster.nights import assert_same_night, process_workers, words, worker_command
from tests.support.archives import REPOSITORY

START = ("score", "--model", DEFAULT_MODEL, "--order", "path")


def noting(log: Path) -> dict[str, str]:
    """The environment of a process that notes when it opens which file."""
    slow = str(Path(__file__).parent / "slow")
    return {"PYTHONPATH": slow, "SLOW_READS_SECONDS": "0", "SLOW_READS_LOG": str(log)}


def night(command: list[str], reports: Path, **more: str) -> Path:
    """Run a night to its end; its folder."""
    paths = {"PYTHONPATH": f"{more['PYTHONPATH']}:{REPOSITORY}"} if more else {}
    environment = {**os.environ, **more, **paths}
    run = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return reports / "latest"


def one_core_each(folder: Path) -> str:
    """The command of a worker that takes the first core that no other worker of the run has."""
    plain, script = worker_command(folder, **noting(folder / "reads")), folder / "bound.sh"
    script.write_text(
        f"#!/bin/sh\nfor core in 0 1; do mkdir {folder}/core$core 2>/dev/null && break; done\n"
        f'exec taskset -c $core {plain} "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


def named(word: str) -> str:
    """A path in the log of reads."""
    return os.fsdecode(bytes.fromhex(word))


def told(archive: Path, where: str, reached: Path, log: Path) -> str:
    """A line of the table: seconds of the whole pipeline with the engine's start, and the pace from
    the first file to the last.
    """
    run = json.loads((reached / "run.json").read_text())
    opened = [line.split() for line in log.read_text().splitlines()]
    mine = [each for each in opened if os.path.exists(os.path.join(archive, named(each[1])))]
    times = [float(each[2]) for each in mine]  # without the model's golden images
    seconds, pace = run["seconds"]["segments"], (len(times) - 1) / (max(times) - min(times))
    return f"{archive.name:24} {where:16} {len(times):6} {seconds:8.1f} {pace:9.1f}"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(flink: Path, archives: list[Path]) -> None:
    """Print the table."""
    python = [sys.executable, "-m", "batch"]
    say(f"{'archive':24} {'on':16} {'files':>6} {'seconds':>8} {'images/s':>9}")
    with TemporaryDirectory() as place, FlinkCluster(flink, Path(place) / "flink") as cluster:
        for number, archive in enumerate(archives):
            folder = Path(place) / str(number)
            folder.mkdir()
            command = words(archive, folder / "local", start=START)
            bound, log = ["taskset", "-c", "0", *python, *command], folder / "reads"
            local = night(bound, folder / "local", **noting(log))
            say(told(archive, "local, one core", local, log))
            for workers in (1, 2):
                own = folder / f"workers-{workers}"
                own.mkdir()
                engine = ["--runner", "FlinkRunner", "--job_endpoint", cluster.job_endpoint]
                engine += ["--parallelism", str(workers), *process_workers(one_core_each(own))]
                command = words(archive, own / "reports", *engine, start=START)
                reached = night([*python, *command], own / "reports")
                assert_same_night(local, reached)
                say(
                    told(
                        archive,
                        f"Flink, {workers} worker{'s' * (workers > 1)}",
                        reached,
                        own / "reads",
                    )
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(word).resolve() for word in sys.argv[2:]])
