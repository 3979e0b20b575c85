"""The command that engines start: what it asks, and what Beam's worker is told."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from apache_beam.portability.api import beam_provision_api_pb2 as messages
from apache_beam.portability.api import beam_provision_api_pb2_grpc as services

from batch import worker
from tests.support.archives import REPOSITORY


class Provision(services.ProvisionServiceServicer):
    """Tells the addresses of an engine, and remembers who asked."""

    def __init__(self, info):
        self.info, self.asked_by = info, []

    def GetProvisionInfo(self, request, context):  # noqa: N802
        self.asked_by.append(dict(context.invocation_metadata())["worker_id"])
        return messages.GetProvisionInfoResponse(info=self.info)


@pytest.fixture
def provision():
    info = messages.ProvisionInfo(runner_capabilities=["beam:protocol:a:v1", "b"])
    info.pipeline_options.update({"beam:option:job_name:v1": "a night"})
    service, server = Provision(info), grpc.server(ThreadPoolExecutor(2))
    services.add_ProvisionServiceServicer_to_server(service, server)
    service.address = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    yield service
    server.stop(0)


GIVEN = argparse.Namespace(control_endpoint="localhost:1", logging_endpoint="localhost:2")


def test_a_worker_is_what_the_engine_says(provision):
    found = worker.environment("7-1", provision.address, GIVEN)
    assert provision.asked_by == ["7-1"]
    assert found["WORKER_ID"] == "7-1"
    assert json.loads(found["PIPELINE_OPTIONS"]) == {"beam:option:job_name:v1": "a night"}
    assert found["RUNNER_CAPABILITIES"] == "beam:protocol:a:v1 b"
    assert "STATUS_API_SERVICE_DESCRIPTOR" not in found


def test_addresses_of_the_service_count_more_than_those_of_the_command_line(provision):
    provision.info.control_endpoint.url = "localhost:3"
    provision.info.status_endpoint.url = "localhost:4"
    found = worker.environment("1", provision.address, GIVEN)
    assert found["CONTROL_API_SERVICE_DESCRIPTOR"] == 'url: "localhost:3"'
    assert found["LOGGING_API_SERVICE_DESCRIPTOR"] == 'url: "localhost:2"'
    assert found["STATUS_API_SERVICE_DESCRIPTOR"] == 'url: "localhost:4"'


def test_a_worker_that_no_engine_started_says_what_it_needs():
    command = [sys.executable, "-m", "batch.worker"]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert found.returncode == 2
    assert "--id, --provision_endpoint" in found.stderr
