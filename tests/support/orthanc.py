"""A real PACS on loopback: Debian's Orthanc with its DICOMweb plugin, started and ended here.

The packages are `orthanc` and `orthanc-dicomweb`. Ports are free ones; what it stores lies in a
folder of the test.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cluster.flink import kill_session, wait_for

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
AE_TITLE = "ORTHANC"
PROGRAM = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
MISSING = (
    None
    if PROGRAM and PLUGIN.exists()
    else "no Orthanc with DICOMweb: apt-get install orthanc orthanc-dicomweb"
)
needs_orthanc = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


@dataclass(frozen=True)
class Orthanc:
    """A running server. rest, dicomweb: URLs without a slash at the end. port: of DICOM's own
    protocol. process: for tests that kill it.
    """

    rest: str
    dicomweb: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def c_store(self) -> str:
        """HOST:PORT:AET."""
        return f"127.0.0.1:{self.port}:{AE_TITLE}"

    def get(self, path: str) -> Any:
        """What the REST API answers, parsed."""
        with urllib.request.urlopen(f"{self.rest}{path}", timeout=30) as answer:
            return json.load(answer)

    def upload(self, data: bytes) -> Any:
        """Store a DICOM file."""
        request = urllib.request.Request(f"{self.rest}/instances", data, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def file(self, instance: str) -> bytes:
        """The DICOM file of an instance, by Orthanc's own name."""
        with urllib.request.urlopen(f"{self.rest}/instances/{instance}/file", timeout=30) as answer:
            return bytes(answer.read())


@contextmanager
def orthanc(folder: Path, settings: Mapping[str, Any] | None = None) -> Iterator[Orthanc]:
    """Run Orthanc inside the block.

    Args:
        folder: for its files; must exist. settings: of its configuration, beside those here, e.g.
            RegisteredUsers, DicomModalities as targets of C-MOVE, or HttpPort and DicomPort of a
            server that is started again.
    """
    rest, dimse = free_port(), free_port()
    configuration: dict[str, Any] = {
        "Name": "melanoma-batch test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": rest,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": AE_TITLE,
        "DicomPort": dimse,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "OverwriteInstances": False,
        "SynchronousCMove": True,
        "StableAge": 1,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
        **(settings or {}),
    }
    rest, dimse = configuration["HttpPort"], configuration["DicomPort"]
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("wb") as log:
        server = subprocess.Popen(
            [PROGRAM or "Orthanc", folder / "orthanc.json"],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: _listens(rest) and _listens(dimse), 60, "Orthanc")
        address = f"http://127.0.0.1:{rest}"
        yield Orthanc(address, f"{address}/dicom-web", dimse, server)
    finally:
        kill_session(server)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
