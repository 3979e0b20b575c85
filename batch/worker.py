"""The process that an engine starts on a machine of its cluster: `python -m batch.worker`.

It is the command of Beam's `--environment_type PROCESS`: the engine adds its addresses. It asks the
engine for the pipeline's options and becomes Beam's own worker, in the very environment that it was
started from: nothing is installed and nothing is fetched.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import grpc
from apache_beam.portability.api import beam_provision_api_pb2 as messages
from apache_beam.portability.api import beam_provision_api_pb2_grpc as services
from google.protobuf import json_format

ANSWER_SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Become Beam's worker; does not return.

    Args:
        arguments: as an engine gives them: `--id=…` and `--…_endpoint=HOST:PORT`.

    Raises:
        grpc.RpcError: the engine does not answer.
    """
    parser = argparse.ArgumentParser(prog="python -m batch.worker", description=__doc__)
    parser.add_argument("--id", required=True, help="name of this worker in the engine")
    for name in ("provision", "control", "logging"):
        parser.add_argument(
            f"--{name}_endpoint", required=name == "provision", help=f"the engine's {name} address"
        )
    given, _ = parser.parse_known_args(arguments)
    os.environ |= environment(given.id, given.provision_endpoint, given)
    os.execv(sys.executable, [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"])


def environment(worker: str, address: str, given: argparse.Namespace) -> dict[str, str]:
    """What Beam's worker reads from its environment, as the engine answers.

    Args:
        worker: its name in the engine. address: HOST:PORT of the provision service. given: the
            addresses that the command line named; they matter where the service names none.
    """
    with grpc.insecure_channel(address) as channel:
        info = (
            services.ProvisionServiceStub(channel)
            .GetProvisionInfo(
                messages.GetProvisionInfoRequest(),
                timeout=ANSWER_SECONDS,
                wait_for_ready=True,
                metadata=[("worker_id", worker)],  # engines tell their workers apart by it
            )
            .info
        )
    control = info.control_endpoint.url or given.control_endpoint
    logs = info.logging_endpoint.url or given.logging_endpoint
    found = {
        "WORKER_ID": worker,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "CONTROL_API_SERVICE_DESCRIPTOR": f'url: "{control}"',
        "LOGGING_API_SERVICE_DESCRIPTOR": f'url: "{logs}"',
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    if info.status_endpoint.url:
        found["STATUS_API_SERVICE_DESCRIPTOR"] = f'url: "{info.status_endpoint.url}"'
    return found


if __name__ == "__main__":
    main()
