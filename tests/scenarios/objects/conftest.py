"""A running S3 server with one bucket, for all tests here."""

from __future__ import annotations

import secrets

import pytest

from batch.core.location import ObjectUrl
from tests.support.s3_server import BUCKET, environment, make_bucket, s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Its address; this process's environment names it."""
    pytest.importorskip("obstore", reason="obstore is not installed: no object storage here")
    with s3_server(tmp_path_factory.mktemp("s3")) as address, environment(address):
        make_bucket()
        yield address


@pytest.fixture
def url(server, tmp_path, monkeypatch):
    """A prefix of its own; copies of reports lie in the test's folder."""
    monkeypatch.setenv("MELANOMA_BATCH_CACHE", str(tmp_path / "copies"))
    return ObjectUrl(BUCKET, secrets.token_hex(4))
