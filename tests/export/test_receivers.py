"""PACS that are busy, refuse, answer nonsense or are not there."""

from __future__ import annotations

import json
import re
import threading

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Comprehensive3DSRStorage, Verification

from batch.core.errors import ExitCode, UsageError
from batch.export import receivers
from batch.export.receivers import parse_address
from tests.export.commands import nonzero, run
from tests.export.http_server import http_server
from tests.support.orthanc import free_port

DICOM_JSON = "application/dicom+json"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """No test waits for a server's better times."""
    monkeypatch.setattr(receivers, "FIRST_WAIT_SECONDS", 0.0)


def stored(number, asked) -> tuple[int, str, bytes]:
    uid = re.search(rb"2\.25\.\d+", asked.body)[0].decode()
    item = {"00081155": {"vr": "UI", "Value": [uid]}}
    return 200, DICOM_JSON, json.dumps({"00081199": {"vr": "SQ", "Value": [item]}}).encode()


def failed(reason: int) -> tuple[int, str, bytes]:
    item = {"00081197": {"vr": "US", "Value": [reason]}}
    return 200, DICOM_JSON, json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()


def test_a_busy_server_is_asked_again(reports, capsys):
    def busy_at_first(number, asked):
        return (503, "text/plain", b"") if number < 3 else stored(number, asked)

    with http_server(busy_at_first) as server:
        code, account = run(capsys, reports, "--stow", f"{server.url}/dicom-web/")
    assert (code, account["written"]) == (0, 3)
    assert len(server.asked) == 5
    assert {one.path for one in server.asked} == {"/dicom-web/studies"}


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        ((401, "text/plain", b""), 1),  # who is refused once is refused always
        ((403, "text/plain", b""), 1),
        ((409, "text/plain", b""), 3),
        ((500, "text/plain", b""), 9),
        ((200, "text/html", b"<html>log in here</html>"), 3),
        ((200, DICOM_JSON, b"not JSON"), 3),
        ((200, DICOM_JSON, b"{}"), 3),
        (failed(0xA700), 3),
    ],
    ids=["401", "403", "409", "500", "a page", "no JSON", "no word", "a failure"],
)
def test_what_a_server_refuses_is_counted_as_failed(answer, requests, reports, capsys):
    with http_server(lambda number, asked: answer) as server:
        code, account = run(capsys, reports, "--stow", server.url)
    assert len(server.asked) == requests
    assert (code, account["written"]) == (ExitCode.FAILURE, 0)


def test_a_server_that_is_not_there_is_told_once_and_the_next_export_goes_on(reports, capsys):
    url = f"http://127.0.0.1:{free_port()}"
    code, account = run(capsys, reports, "--stow", url)
    assert code == ExitCode.FAILURE
    assert nonzero(account["alerts"]) == {"selected": 5, "not_dicom": 1, "failed": 4}
    table = (reports / "exports/not_exported.csv").read_text("utf-8-sig")
    assert "the server fails (ConnectionError)" in table
    assert "not tried, since before it" in table


def test_secrets_come_from_the_environment_or_a_file(reports, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MELANOMA_BATCH_STOW_TOKEN", "of-the-environment")
    file = tmp_path / "stow.toml"
    file.write_text('user = "nightly"\npassword = "gehöim"\n')
    file.chmod(0o600)
    with http_server(lambda number, asked: (409, "text/plain", b"")) as server:
        run(capsys, reports, "--stow", server.url)
        run(capsys, reports, "--stow", server.url, "--stow-credentials", file)
    used = [one.headers["Authorization"] for one in server.asked]
    assert used == ["Bearer of-the-environment"] * 3 + [used[-1]] * 3
    assert used[-1].startswith("Basic ")


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ('token = "s3cret"', 0o644, "chmod 600"),
        ("s3cret", 0o600, "no TOML"),
        ('pasword = "s3cret"', 0o600, "pasword; allowed, as texts: token"),
        ("token = 5", 0o600, "token; allowed, as texts"),
        (None, 0o600, "cannot read"),
    ],
)
def test_a_file_of_credentials_that_is_not_right(content, mode, said, reports, tmp_path, capsys):
    file = tmp_path / "stow.toml"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    words = ("--stow", "http://127.0.0.1:9", "--stow-credentials", file)
    code, told = run(capsys, reports, *words)
    assert code == ExitCode.USAGE
    assert said in told
    assert "s3cret" not in told


class Scp:
    """A PACS that answers each C-STORE with the next status; the last one stays."""

    def __init__(self, *statuses: int, takes_sr: bool = True) -> None:
        self.statuses, self.stored, self.associations = list(statuses), [], 0
        self.callers: set[str] = set()
        self._lock = threading.Lock()
        entity = AE(ae_title="PACS")
        entity.add_supported_context(Comprehensive3DSRStorage if takes_sr else Verification)
        self.port = free_port()
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_ESTABLISHED, self._established)]
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers
        )

    def __enter__(self) -> Scp:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _established(self, event: evt.Event) -> None:
        self.associations += 1
        self.callers.add(event.assoc.requestor.ae_title)

    def _store(self, event: evt.Event) -> int:
        with self._lock:
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            if status == 0 or status >> 12 == 0xB:
                self.stored.append(str(event.dataset.SOPInstanceUID))
            return status


@pytest.mark.parametrize(
    ("statuses", "written"),
    [
        ((0x0000,), 3),
        ((0xB000,), 3),  # stored, with elements coerced
        ((0xA700, 0x0000), 3),  # out of resources: later
        ((0xC000,), 0),  # cannot understand
        ((0xC000, 0x0000), 2),
    ],
)
def test_statuses_of_c_store(statuses, written, reports, capsys):
    with Scp(*statuses) as pacs:
        code, account = run(
            capsys, reports, "--c-store", f"127.0.0.1:{pacs.port}:PACS", "--calling-aet", "SKIN"
        )
    assert account["written"] == written == len(pacs.stored)
    assert (pacs.associations, pacs.callers) == (1, {"SKIN"})
    assert code == (ExitCode.COMPLETE if written == 3 else ExitCode.FAILURE)


def test_a_pacs_that_takes_no_sr_and_one_that_is_not_there(reports, capsys):
    with Scp(0, takes_sr=False) as pacs:
        code, account = run(capsys, reports, "--c-store", f"127.0.0.1:{pacs.port}:PACS")
    assert (code, account["images"]["failed"]) == (ExitCode.FAILURE, 4)
    code, account = run(capsys, reports, "--c-store", f"127.0.0.1:{free_port()}:PACS")
    assert (code, account["images"]["failed"]) == (ExitCode.FAILURE, 4)


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("pacs:104:ARCHIVE", ("pacs", 104, "ARCHIVE")),
        ("10.0.0.1:11112:A B", ("10.0.0.1", 11112, "A B")),
        ("[::1]:104:X", ("::1", 104, "X")),
        ("pacs:104", None),
        ("pacs:0:X", None),
        ("pacs:65536:X", None),
        ("pacs:port:X", None),
        (":104:X", None),
        ("pacs:104:SEVENTEEN-LETTERS", None),
        ("pacs:104: ", None),
    ],
)
def test_an_address_of_c_store(word, parts):
    if parts is None:
        with pytest.raises(UsageError, match="HOST:PORT:AET"):
            parse_address(word)
    else:
        assert parse_address(word) == parts
