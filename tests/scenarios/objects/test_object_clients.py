"""obstore brings bytes; botocore is asked for all else, and for what obstore cannot bring."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from batch.archive.objects import ObjectArchive
from batch.core.location import ObjectUrl
from batch.storage import object_clients
from batch.storage.object_lock import object_holder
from batch.storage.object_store import ObjectStore
from tests.support.s3_server import environment

HERE = ObjectUrl("hospital", "reports")
NOW = "Thu, 26 Nov 2026 12:00:00 GMT"
"""By the servers here, whatever this machine's clock says."""
ODD = ("d//x", "/lead", "./y", "q/../z", "tab\tx")
"""Keys that obstore has no name for."""


def answer(data: bytes, modified: str = NOW, cut: int = 0) -> bytes:
    """What a server says to a GET. cut: bytes that do not come before it hangs up."""
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\nDate: {NOW}\r\n"
        f'Last-Modified: {modified}\r\nETag: "abc"\r\nConnection: close\r\n\r\n'
    )
    return head.encode() + data[: len(data) - cut]


@contextmanager
def serving(*answers: bytes) -> Iterator[list[str]]:
    """A server that gives these answers in turn, and then the last; the requests that it had."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802  # http.server's name
            asked.append(self.path)
            self.wfile.write(answers[min(len(asked), len(answers)) - 1])
            self.close_connection = True

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with environment(f"http://127.0.0.1:{server.server_port}"):
            yield asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def by_botocore(monkeypatch) -> list[str]:
    """Keys of the objects that botocore was asked for."""
    keys: list[str] = []
    call = object_clients.call

    def noting(method, **words):
        if method == "get_object":
            keys.append(words["Key"])
        return call(method, **words)

    monkeypatch.setattr(object_clients, "call", noting)
    return keys


def test_an_object_is_one_request_that_tells_the_version_of_its_bytes():
    with serving(answer(b"12345")) as asked:
        content = ObjectStore(HERE).get("a b/ü.jpg")
    assert asked == ["/hospital/reports/a%20b/%C3%BC.jpg"]
    assert (content.data, content.version.size, content.version.etag) == (b"12345", 5, "abc")
    assert content.version.modified.isoformat() == "2026-11-26T12:00:00+00:00"


def test_obstore_brings_what_is_there(url, by_botocore):
    ObjectStore(url).put("a", b"1")
    ObjectStore(url).put("empty", b"")
    assert ObjectStore(url).get("a").data == b"1"
    assert ObjectStore(url).get("empty").data == b""
    assert by_botocore == []
    with pytest.raises(FileNotFoundError) as raised:
        ObjectStore(url).get("b")
    assert object_clients.store_code(raised.value) == "NoSuchKey"


@pytest.mark.skipif("S3PROXY" in os.environ, reason="keeps objects in folders: no such names")
def test_keys_that_obstore_has_no_name_for_are_listed_and_read(url, by_botocore):
    for key in (*ODD, "plain"):
        ObjectStore(url).put(key, b"x")
    archive = ObjectArchive(url)
    found = list(archive.list_files())
    assert {location.path for location in found} == {*ODD, "plain"}
    assert [archive.read(location, 10) for location in found] == [b"x"] * len(found)
    assert "plain" not in {key.rpartition("/")[2] for key in by_botocore}
    assert len(by_botocore) == len(ODD)


def test_a_connection_that_breaks_is_tried_again_and_no_half_an_object_is_taken(by_botocore):
    broken = answer(b"12345", cut=2)
    with serving(broken, broken, answer(b"12345")) as asked:
        assert ObjectStore(HERE).get("a").data == b"12345"
    assert len(asked) == 3
    with serving(broken) as asked, pytest.raises(OSError, match="object storage failed") as raised:
        ObjectStore(HERE).get("a")
    assert len(asked) == 1 + object_clients.TRIES
    assert object_clients.store_code(raised.value) == "ResponseStreaming"


@pytest.mark.parametrize(("minute", "holder"), [(51, "run 1"), (49, "")])
def test_the_age_of_a_lock_is_by_the_stores_own_clock(minute, holder):
    written = NOW.replace("12:00", f"11:{minute}")
    with serving(answer(b'{"owner": "run 1"}', modified=written)):
        assert object_holder(ObjectStore(HERE)) == holder


def test_a_profile_gives_address_credentials_and_region(tmp_path, monkeypatch, by_botocore):
    with serving(answer(b"1")) as asked:
        address = os.environ["AWS_ENDPOINT_URL"]
        (tmp_path / "config").write_text(
            f"[profile hospital]\nregion = eu-central-1\nendpoint_url = {address}\n"
            "aws_access_key_id = of-the-profile\naws_secret_access_key = secret\n"
        )
        changes = dict.fromkeys(
            ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
        )
        profile = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "hospital"}
        with environment(address, **changes, **profile):
            assert ObjectStore(HERE).get("a").data == b"1"
            credentials = object_clients._credentials()
            assert object_clients._obstore("hospital").config["region"] == "eu-central-1"
    assert len(asked) == 1
    assert by_botocore == []
    assert (credentials["access_key_id"], credentials["expires_at"]) == ("of-the-profile", None)


def test_credentials_that_end_are_asked_for_again():
    with environment("http://127.0.0.1:1", AWS_SESSION_TOKEN="session"):
        credentials = object_clients._credentials()
    assert credentials["token"] == "session"
    assert credentials["expires_at"] is not None


def test_a_bucket_in_another_region_is_read_where_it_is(monkeypatch):
    """Amazon redirects; botocore follows, and obstore is told the address beforehand."""
    monkeypatch.setattr(
        object_clients, "call", lambda method, **words: {"BucketRegion": "eu-central-1"}
    )
    with environment("", AWS_ENDPOINT_URL=None):
        config = object_clients._obstore("hospital").config
    assert config["region"] == "eu-central-1"
    assert config["endpoint"] == "https://s3.eu-central-1.amazonaws.com"


def test_a_store_travels_to_workers_without_credentials(url):
    store = ObjectStore(url)
    store.put("a", b"1")
    assert store.get("a").data == b"1"
    packed = pickle.dumps(store)
    assert b"test" not in packed.replace(str(url).encode(), b"")
    assert pickle.loads(packed).get("a").data == b"1"
