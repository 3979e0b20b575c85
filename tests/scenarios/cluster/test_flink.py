"""A real Flink cluster of two TaskManagers on loopback: same night, and machines that die in it.

python -m tests.scenarios.cluster.fetch FOLDER
MELANOMA_BATCH_FLINK=FOLDER python -m pytest -n0 tests/scenarios/cluster/test_flink.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from batch.demo.archive import write_archive
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from tests.scenarios.cluster.flink import FlinkCluster, kill_session, wait_for
from tests.scenarios.cluster.nights import (
    assert_same_night,
    finish,
    process_workers,
    reads,
    score,
    worker_command,
)

JARS = os.environ.get("MELANOMA_BATCH_FLINK")
pytestmark = [
    pytest.mark.skipif(not JARS, reason="MELANOMA_BATCH_FLINK is not set: no Flink here"),
    pytest.mark.skipif(not shutil.which("java"), reason="no java here"),
]
MORE_IMAGES = 80


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """The demonstration's archive, and more images, so that a run lasts long enough to die in."""
    root = tmp_path_factory.mktemp("cluster") / "archive"
    write_archive(root, seed=0)
    (root / "more").mkdir()
    for number in range(MORE_IMAGES):
        picture = jpeg_bytes(lesion_image(1000 + number, 60, 60))
        (root / "more" / f"{number:03d}.jpg").write_bytes(picture)
    return root


@pytest.fixture(scope="module")
def local_night(archive) -> Path:
    reports = archive.parent / "local"
    return finish(score(archive, reports), reports)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with FlinkCluster(Path(JARS), tmp_path_factory.mktemp("flink")) as started:
        yield started


def flink_options(cluster: FlinkCluster, command: str) -> list[str]:
    engine = ["--runner", "FlinkRunner", "--job_endpoint", cluster.job_endpoint]
    return [*engine, "--parallelism", "2", *process_workers(command)]


def slow_worker(folder: Path) -> tuple[str, Path]:
    """A worker whose storage takes its time; and where it writes what it reads."""
    log = folder / "reads"
    path = str(Path(__file__).parent / "slow")
    command = worker_command(
        folder, PYTHONPATH=path, SLOW_READS_SECONDS="0.5", SLOW_READS_LOG=str(log)
    )
    return command, log


def sdk_workers(session: int) -> list[int]:
    """Beam's worker processes in the session of a TaskManager."""
    found = subprocess.run(["ps", "-eo", "pid=,sid=,args="], capture_output=True, text=True).stdout
    lines = [line.split(maxsplit=2) for line in found.splitlines()]
    return [
        int(pid) for pid, sid, words in lines if int(sid) == session and "sdk_worker_main" in words
    ]


def test_flink_gives_the_same_night(archive, local_night, cluster, tmp_path):
    command = worker_command(tmp_path)
    run = score(archive, tmp_path / "reports", *flink_options(cluster, command))
    assert_same_night(local_night, finish(run, tmp_path / "reports"))


def test_a_task_manager_that_dies_in_mid_run_is_survived(archive, local_night, cluster, tmp_path):
    command, log = slow_worker(tmp_path)
    run = score(archive, tmp_path / "reports", *flink_options(cluster, command))
    wait_for(lambda: len(reads(log)) >= 20, 900, "the first files read")
    assert len(reads(log)) < MORE_IMAGES, "too fast: it cannot be killed in mid-run"
    victim = max(cluster.task_managers, key=lambda manager: len(sdk_workers(manager.pid)))
    kill_session(victim)
    cluster.task_managers.append(cluster.start_task_manager())
    assert_same_night(local_night, finish(run, tmp_path / "reports"))
    assert len(reads(log)) > len(set(reads(log))), "no file was read twice: nothing was repeated"


def test_a_worker_process_that_dies_in_mid_run_is_survived(archive, local_night, cluster, tmp_path):
    command, log = slow_worker(tmp_path)
    run = score(archive, tmp_path / "reports", *flink_options(cluster, command))
    wait_for(lambda: len(reads(log)) >= 20, 900, "the first files read")
    os.kill(int(log.read_text().split()[0]), 9)  # who read the first file
    assert_same_night(local_night, finish(run, tmp_path / "reports"))
    assert len(reads(log)) > len(set(reads(log))), "no file was read twice: nothing was repeated"
