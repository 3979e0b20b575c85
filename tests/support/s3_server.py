"""An S3 server on loopback, started and ended here: s3proxy where its jar is named, else moto.

S3PROXY=FILE names the jar (org.gaul:s3proxy, classifier jar-with-dependencies, version 4.1.0), a
server that keeps objects in a folder. moto is from PyPI and always there.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batch.core.location import ObjectUrl
from batch.storage import object_clients
from batch.storage.object_store import ObjectStore
from tests.scenarios.cluster.flink import kill_session, wait_for

BUCKET = "hospital"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
REGION = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """The address of a running server."""
    jar = os.environ.get("S3PROXY")
    with _s3proxy(Path(jar), folder) if jar else _moto() as address:
        yield address


@contextmanager
def _moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def _s3proxy(jar: Path, folder: Path) -> Iterator[str]:
    (folder / "objects").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = {
        "s3proxy.endpoint": f"http://127.0.0.1:{port}",
        "s3proxy.authorization": "aws-v2-or-v4",
        "s3proxy.identity": "test",
        "s3proxy.credential": "test",
        "jclouds.provider": "filesystem-nio2",
        "jclouds.filesystem.basedir": folder / "objects",
    }
    (folder / "s3proxy.conf").write_text("".join(f"{k}={v}\n" for k, v in words.items()))
    with (folder / "s3proxy.log").open("wb") as log:
        server = subprocess.Popen(
            ["java", "-jar", jar, "--properties", folder / "s3proxy.conf"],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: _listens(port), 60, "s3proxy")
        yield f"http://127.0.0.1:{port}"
    finally:
        kill_session(server)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def settings(address: str) -> dict[str, str | None]:
    """What a process needs in its environment to talk to that server."""
    return {"AWS_ENDPOINT_URL": address, **CREDENTIALS, **REGION}


@contextmanager
def environment(address: str, **changes: str | None) -> Iterator[None]:
    """This process and its children talk to that server. None removes a variable."""
    wanted = settings(address) | changes
    with pytest.MonkeyPatch.context() as patch:
        for name, value in wanted.items():
            patch.setenv(name, value) if value is not None else patch.delenv(name, raising=False)
        _forget_clients()
        try:
            yield
        finally:
            _forget_clients()


def _forget_clients() -> None:
    """Clients keep the address and the credentials that they were made with."""
    for cached in (object_clients._session, object_clients._botocore, object_clients._obstore):
        cached.cache_clear()


def make_bucket(name: str = BUCKET) -> None:
    """Create a bucket."""
    object_clients.call("create_bucket", Bucket=name)


def upload(folder: Path, url: ObjectUrl) -> None:
    """A folder's files as objects."""
    store = ObjectStore(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path.read_bytes())


def download(url: ObjectUrl, folder: Path) -> Path:
    """Objects as a folder's files."""
    store = ObjectStore(url)
    for found in store.objects():
        place = folder / found.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(store.get(found.name).data)
    return folder
