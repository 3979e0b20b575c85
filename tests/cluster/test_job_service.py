"""Beam's own engines with workers in other processes, always tested: the same night as ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.flink import kill_session, wait_for
from tests.cluster.nights import assert_same_night, finish, score
from tests.support import REPOSITORY

WORKER = f"{sys.executable} -m apache_beam.runners.worker.sdk_worker_main"
LOCAL = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


@pytest.fixture(scope="module")
def local_night(generated_archive, tmp_path_factory) -> Path:
    reports = tmp_path_factory.mktemp("local") / "reports"
    return finish(score(generated_archive, reports), reports)


@pytest.fixture(scope="module")
def job_endpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    port = folder / "port"
    service = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*service, "--port_file", str(port), "--staging_dir", str(folder / "staging")],
            stdout=log, stderr=log, cwd=REPOSITORY, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(port.exists, 60, "the job service")
        yield f"localhost:{port.read_text()}"
    finally:
        kill_session(process)


def test_a_portable_job_service_gives_the_same_night(
    generated_archive, local_night, job_endpoint, tmp_path
):
    beam = ["--runner", "PortableRunner", "--job_endpoint", job_endpoint]
    worker = ["--environment_type", "beam:env:harness_subprocess_python:v1"]
    worker += ["--environment_config", WORKER]
    run = score(generated_archive, tmp_path / "reports", *beam, *worker)
    assert_same_night(local_night, finish(run, tmp_path / "reports"))


def test_two_worker_processes_give_the_same_night(generated_archive, local_night, tmp_path):
    beam = ["--direct_num_workers", "2", "--direct_running_mode", "multi_processing"]
    run = score(generated_archive, tmp_path / "reports", "--runner", LOCAL, *beam)
    assert_same_night(local_night, finish(run, tmp_path / "reports"))


def test_an_engine_that_is_not_there_publishes_nothing(generated_archive, tmp_path):
    beam = ["--runner", "PortableRunner", "--job_endpoint", "localhost:1"]
    run = score(
        generated_archive, tmp_path / "reports", *beam,
        "--environment_type", "LOOPBACK", "--job_server_timeout", "5",
    )  # fmt: skip
    assert run.wait(120) == 1
    said = (tmp_path / "reports.log").read_text()
    assert "PortableRunner did not finish the pipeline" in said
    assert "Traceback" not in said
    assert not (tmp_path / "reports" / "latest").exists()
