"""Round trip through a real PACS: images in, documents back into their studies."""

from __future__ import annotations

import io

import pydicom
import pytest

from tests.export.commands import run
from tests.export.nights import NAME, SCORES, publish
from tests.export.validators import DCIODVFY_ALLOWED, dciodvfy, needs_dciodvfy
from tests.support.orthanc import needs_orthanc, orthanc

pytestmark = needs_orthanc


@pytest.fixture
def pacs(tmp_path, archive):
    (tmp_path / "pacs").mkdir()
    with orthanc(tmp_path / "pacs") as server:
        for path in archive.rglob("*.dcm"):
            server.upload(path.read_bytes())
        yield server


def sr_series(pacs):
    found = [pacs.get(f"/series/{one}") for one in pacs.get("/series")]
    return [one for one in found if one["MainDicomTags"]["Modality"] == "SR"]


@pytest.mark.parametrize("way", ["stow", "c_store"])
@needs_dciodvfy
def test_documents_are_in_their_studies_once_and_amended_ones_beside_them(
    way, pacs, reports, archive, capsys, tmp_path
):
    words = ("--stow", pacs.dicomweb) if way == "stow" else ("--c-store", pacs.c_store)
    studies = set(pacs.get("/studies"))
    assert run(capsys, reports, *words)[1]["written"] == 3
    (reports / "exports").rename(reports / "forgotten")  # all is sent again, as to a stranger
    assert run(capsys, reports, *words)[1]["written"] == 3
    assert set(pacs.get("/studies")) == studies
    series = sr_series(pacs)
    assert [len(one["Instances"]) for one in series] == [1, 1, 1]
    for one in series:
        data = pacs.file(one["Instances"][0])
        document = pydicom.dcmread(io.BytesIO(data))
        assert str(document.PatientName) == NAME
        (tmp_path / "back.dcm").write_bytes(data)
        assert dciodvfy(tmp_path / "back.dcm") == DCIODVFY_ALLOWED
    publish(reports, archive, 2, {**SCORES, "b/1.dcm": 0.6})
    account = run(capsys, reports, *words)[1]
    assert (account["written"], account["amended"]) == (1, 1)
    assert sorted(len(one["Instances"]) for one in sr_series(pacs)) == [1, 1, 2]


def test_a_server_killed_in_the_middle_and_started_again(
    reports, archive, capsys, tmp_path, monkeypatch
):
    from batch.export import receivers

    monkeypatch.setattr(receivers, "FIRST_WAIT_SECONDS", 0.0)
    (tmp_path / "pacs").mkdir()
    store = receivers.StowServer.store
    with orthanc(tmp_path / "pacs") as pacs:
        for path in archive.rglob("*.dcm"):
            pacs.upload(path.read_bytes())
        taken = []

        def killed_after_one(self, document):
            if taken:
                pacs.process.kill()
                pacs.process.wait()
            taken.append(document)
            store(self, document)

        monkeypatch.setattr(receivers.StowServer, "store", killed_after_one)
        code, account = run(capsys, reports, "--stow", pacs.dicomweb)
        assert (code, account["written"]) == (1, 1)
        assert account["alerts"]["failed"] >= 2
    monkeypatch.setattr(receivers.StowServer, "store", store)
    settings = {"HttpPort": int(pacs.rest.rpartition(":")[2])}
    with orthanc(tmp_path / "pacs", settings) as again:
        code, account = run(capsys, reports, "--stow", pacs.dicomweb)
        assert (code, account["written"], account["unchanged"]) == (0, 2, 1)
        assert again.process.poll() is None
