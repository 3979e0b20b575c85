"""Beam's own engines with workers in other processes, always tested: the same night as ever."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from batch.cli import main
from batch.core.location import ObjectUrl
from batch.storage.object_store import ObjectStore
from tests.scenarios.cluster.flink import kill_session, wait_for
from tests.scenarios.cluster.nights import assert_same_night, reads, words
from tests.support.archives import REPOSITORY
from tests.support.s3_server import (
    BUCKET,
    download,
    environment,
    make_bucket,
    s3_server,
    settings,
    upload,
)

WORKER = f"{sys.executable} -m apache_beam.runners.worker.sdk_worker_main"
SLOW = Path(__file__).parent / "slow"


@pytest.fixture(scope="module")
def local_night(generated_archive, tmp_path_factory) -> Path:
    reports = tmp_path_factory.mktemp("local") / "reports"
    assert main(words(generated_archive, reports)) == 0
    return reports / "latest"


@pytest.fixture(scope="module")
def job_endpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    port = folder / "port"
    service = [sys.executable, "-m", "tests.scenarios.cluster.two_workers"]
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


def test_two_workers_of_a_portable_job_service_give_the_same_night(
    generated_archive, local_night, job_endpoint, tmp_path
):
    """Two processes besides driver and service, which list the archive, too."""
    log = tmp_path / "reads"
    noting = f"PYTHONPATH={SLOW}:{REPOSITORY} SLOW_READS_SECONDS=0.05 SLOW_READS_LOG={log}"
    worker = f"{noting} {WORKER}"
    beam = ["--runner", "PortableRunner", "--job_endpoint", job_endpoint]
    beam += ["--environment_type", "beam:env:harness_subprocess_python:v1"]
    beam += ["--environment_config", worker]
    night = tmp_path / "reports" / "latest"
    given = words(generated_archive, tmp_path / "reports", *beam, own=["--listing", "workers"])
    assert main(given) == 0
    assert_same_night(local_night, night)
    assert (
        len(reads(log)) == json.loads((night / "run.json").read_text())["equation"]["files_found"]
    )
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 2


def test_workers_elsewhere_find_archive_queue_and_model_in_object_storage(
    generated_archive, local_night, job_endpoint, tmp_path, monkeypatch
):
    monkeypatch.setenv("MELANOMA_BATCH_CACHE", str(tmp_path / "copies"))
    monkeypatch.setattr(
        "batch.commands.job_config.YOUNG_SECONDS", -86_400
    )  # as of the files, none is young
    url = ObjectUrl(BUCKET, "night")
    with s3_server(tmp_path) as address, environment(address):
        make_bucket()
        upload(generated_archive, url / "archive")
        variables = " ".join(f"{name}={value}" for name, value in settings(address).items())
        worker = f"{variables} {WORKER}"
        beam = ["--runner", "PortableRunner", "--job_endpoint", job_endpoint]
        beam += ["--environment_type", "beam:env:harness_subprocess_python:v1"]
        beam += ["--environment_config", worker]
        assert main(words(url / "archive", url / "reports", *beam)) == 0
        pointer = ObjectStore(url / "reports").get("latest").data.decode().strip()
        night = download(url / "reports" / pointer, tmp_path / "night")
    assert_same_night(local_night, night, ["mtime_ns", "archive"])


def test_an_engine_that_is_not_there_publishes_nothing(generated_archive, tmp_path, capsys):
    beam = ["--runner", "PortableRunner", "--job_endpoint", "localhost:1"]
    beam += ["--environment_type", "LOOPBACK", "--job_server_timeout", "3"]
    assert main(words(generated_archive, tmp_path / "reports", *beam)) == 1
    said = capsys.readouterr().err
    assert "PortableRunner did not finish the pipeline" in said
    assert "Traceback" not in said
    assert not (tmp_path / "reports" / "latest").exists()
