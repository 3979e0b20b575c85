"""FHIR resources of whole nights, in files and sent to a server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from batch.core.errors import ExitCode
from batch.core.location import ObjectUrl
from batch.core.privacy import Identifiers
from batch.export import export_fhir, fhir
from batch.reports.local import LocalReports
from batch.reports.objects import ObjectReports
from batch.review.inputs import WORKLIST
from batch.storage.object_store import ObjectStore
from tests.export.commands import nonzero, run
from tests.export.fhir_validator import ALLOWED, messages, needs_hapi
from tests.export.http_server import http_server
from tests.export.nights import NAME, SCORES, mark, publish, write_archive
from tests.support.orthanc import free_port
from tests.support.s3_server import BUCKET, environment, make_bucket, s3_server, upload

ALL = "alert,near_threshold,unreadable,unreliable"
DONE = (200, "application/fhir+json", b'{"resourceType": "Bundle"}')


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "fhir"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(export_fhir, "FIRST_WAIT_SECONDS", 0.0)


def resources(folder: Path, kind: str) -> list[dict]:
    lines = (folder / f"{kind}.ndjson").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def every(folder: Path) -> list[dict]:
    return [one for kind in ("Device", "Observation", "Task") for one in resources(folder, kind)]


def lesion_key(reports: Path, path: str) -> str:
    import pandas as pd

    rows = pd.read_parquet(reports / "latest" / f"{WORKLIST}.parquet")
    return next(
        key for key, paths in zip(rows.lesion_key, rows.paths, strict=True) if path in paths
    )


def test_every_alert_has_an_observation_and_every_lesion_a_task(reports, folder, capsys):
    code, account = run(capsys, reports, "--fhir", folder)
    assert code == ExitCode.COMPLETE
    assert nonzero(account["alerts"]) == {"selected": 5, "exported": 5}
    found = {one["id"]: one for one in every(folder)}
    observations = resources(folder, "Observation")
    values = sorted(one["valueQuantity"]["value"] for one in observations)
    assert values == [0.7, 0.8, 0.85, 0.9, 0.95]
    assert {one["status"] for one in observations} == {"preliminary"}
    assert {one["meta"]["security"][0]["code"] for one in observations} == {"AIAST"}
    tasks = resources(folder, "Task")
    assert [(one["status"], one["intent"], one["priority"]) for one in tasks] == [
        ("requested", "proposal", "urgent")
    ] * 5
    for one in tasks:
        focus = found[one["focus"]["reference"].partition("/")[2]]
        assert focus in observations
        assert found[focus["device"]["reference"].partition("/")[2]]["resourceType"] == "Device"
    assert len(resources(folder, "Device")) == 1


def test_studies_are_named_by_their_uid_and_photographs_by_their_digest(reports, folder, capsys):
    run(capsys, reports, "--fhir", folder)
    origins = [one["derivedFrom"][0] for one in resources(folder, "Observation")]
    studies = [one for one in origins if one["type"] == "ImagingStudy"]
    assert len(studies) == 4
    assert {one["identifier"]["system"] for one in studies} == {"urn:dicom:uid"}
    (photograph,) = (one for one in origins if one["type"] == "Media")
    assert len(photograph["identifier"]["value"]) == 64


@pytest.mark.parametrize("level", list(Identifiers))
def test_the_patient_is_named_only_with_full_identifiers(level, archive, tmp_path, folder, capsys):
    reports = tmp_path / "reports"
    publish(reports, archive, identifiers=Identifiers.FULL)
    code, _ = run(capsys, reports, "--fhir", folder, "--identifiers", level)
    assert code == 0
    text = "".join(path.read_text() for path in folder.iterdir())
    assert ("DEMO-001" in text) == (level == Identifiers.FULL)
    assert ("ACC-4711" in text) == (level == Identifiers.FULL)
    assert ("urn:dicom:uid" in text) == (level != Identifiers.NONE)
    assert fhir.PSEUDONYMS in text or level == Identifiers.FULL
    assert NAME.partition("^")[0] not in text
    assert "photo" not in text.replace("photography", "")  # no path
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_nothing_says_cleared(reports, folder, capsys):
    run(capsys, reports, "--fhir", folder, "--tiers", ALL)
    for one in every(folder):
        words = json.dumps(one).lower().replace("no alert does not mean cleared", "")
        assert not any(word in words for word in ("cleared", "benign", "negative", '"final"'))


def test_an_image_without_a_score_is_a_task_with_a_reason(reports, folder, capsys):
    _, account = run(capsys, reports, "--fhir", folder, "--tiers", "unreadable")
    assert nonzero(account["images"]) == {"selected": 1, "exported": 1}
    (observation,) = resources(folder, "Observation")
    assert "valueQuantity" not in observation
    assert observation["dataAbsentReason"]["coding"][0]["code"] == "error"
    (task,) = resources(folder, "Task")
    assert (task["status"], task["priority"]) == ("requested", "routine")


def test_a_mark_completes_the_task_and_taking_it_back_asks_again(reports, folder, capsys):
    run(capsys, reports, "--fhir", folder)
    key = lesion_key(reports, "b/1.dcm")
    mark(reports, key, at="2026-11-01T08:00:00+00:00")
    _, account = run(capsys, reports, "--fhir", folder)
    assert (account["written"], account["amended"], account["unchanged"]) == (1, 1, 4)
    done = [one for one in resources(folder, "Task") if one["status"] == "completed"]
    assert [one["executionPeriod"]["end"] for one in done] == ["2026-11-01T08:00:00Z"]
    assert "output" not in done[0]  # free words of a person: with full identifiers only
    lines = (reports / "reviewed.csv").read_text()
    (reports / "reviewed.csv").write_text(f"{lines}{key},reopen,dr. b,2026-11-01T09:00:00+00:00\n")
    run(capsys, reports, "--fhir", folder)
    assert {one["status"] for one in resources(folder, "Task")} == {"requested"}


def test_a_second_export_writes_the_same_files(reports, folder, capsys):
    run(capsys, reports, "--fhir", folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    _, account = run(capsys, reports, "--fhir", folder)
    assert (account["written"], account["unchanged"]) == (0, 5)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_new_score_replaces_the_observation_and_keeps_the_task(reports, archive, folder, capsys):
    run(capsys, reports, "--fhir", folder)
    before = {one["id"] for one in resources(folder, "Task")}
    chain = [value_of(folder, 0.7)]
    for number, score in ((2, 0.6), (3, 0.7), (4, 0.7)):
        publish(reports, archive, number, {**SCORES, "b/1.dcm": score})
        run(capsys, reports, "--fhir", folder)
        assert {one["id"] for one in resources(folder, "Task")} == before
        found = next(o for o in resources(folder, "Observation")
                     if o["valueQuantity"]["value"] == score)  # fmt: skip
        replaced = found["extension"][0]["valueReference"]["identifier"]["value"]
        if number < 4:
            assert replaced == chain[-1]
            chain.append(value_of(folder, score))
    assert len(set(chain)) == 3
    assert value_of(folder, 0.7) == chain[-1]


def value_of(folder: Path, score: float) -> str:
    return next(
        one["identifier"][0]["value"]
        for one in resources(folder, "Observation")
        if one["valueQuantity"]["value"] == score
    )


def test_a_lesion_that_is_no_longer_listed_cancels_its_task(reports, archive, folder, capsys):
    """One of the band, which falls below it; an alert stays open until a mark."""
    publish(reports, archive, 2, {**SCORES, "b/low.dcm": 0.49})
    run(capsys, reports, "--fhir", folder, "--tiers", "near_threshold")
    publish(reports, archive, 3)
    _, account = run(capsys, reports, "--fhir", folder, "--tiers", "near_threshold")
    (task,) = resources(folder, "Task")
    assert task["status"] == "cancelled"
    assert "does not mean cleared" in task["statusReason"]["text"]
    assert [one["valueQuantity"]["value"] for one in resources(folder, "Observation")] == [0.1]
    assert nonzero(account["images"]) == {"selected": 1, "exported": 1}


def test_narrower_tiers_cancel_nothing(reports, archive, folder, capsys):
    publish(reports, archive, 2, {**SCORES, "b/low.dcm": 0.49})
    run(capsys, reports, "--fhir", folder, "--tiers", ALL)
    run(capsys, reports, "--fhir", folder)
    assert {one["status"] for one in resources(folder, "Task")} == {"requested"}


def test_names_of_lesions_that_hold_a_patients_number_cannot_be_guessed(archive, tmp_path, capsys):
    names = []
    for number in (1, 2):
        reports, folder = tmp_path / f"reports-{number}", tmp_path / f"fhir-{number}"
        publish(reports, archive, pattern=r"^(?P<lesion>photo)\.jpg$")
        assert lesion_key(reports, "photo.jpg").startswith("PATTERN:")
        run(capsys, reports, "--fhir", folder)
        names.append({one["identifier"][0]["value"] for one in resources(folder, "Task")})
    assert len(names[0] & names[1]) == 4  # the others are UIDs and digests


@needs_hapi
def test_hapi_has_nothing_but_known_messages(reports, archive, folder, capsys, tmp_path):
    run(capsys, reports, "--fhir", folder, "--tiers", ALL)
    publish(reports, archive, 2, {**SCORES, "b/1.dcm": 0.6}, identifiers=Identifiers.FULL)
    mark(reports, lesion_key(reports, "a/1.dcm"), at="2026-11-02T08:00:00+00:00")
    run(capsys, reports, "--fhir", folder, "--tiers", ALL)
    found = every(folder)
    assert any("extension" in one for one in found)
    assert {one["status"] for one in resources(folder, "Task")} == {"requested", "completed"}
    assert any("output" in one for one in resources(folder, "Task"))
    lesion = [one for one in found if one["resourceType"] != "Task"]
    cancelled = fhir.cancelled(resources(folder, "Task")[0], export_fhir_now())
    cancelled.pop("requester")
    assert messages([*found, cancelled, fhir.bundle(lesion)], tmp_path) == ALLOWED


@needs_hapi
def test_hapi_finds_what_is_wrong(reports, folder, capsys, tmp_path):
    run(capsys, reports, "--fhir", folder)
    one = {**resources(folder, "Observation")[0], "status": "cleared"}
    assert any("cleared" in text for text in messages([one], tmp_path) - ALLOWED)


def export_fhir_now():
    from datetime import UTC, datetime

    return datetime(2026, 11, 3, 2, tzinfo=UTC)


def test_a_server_gets_one_transaction_a_lesion_and_nothing_twice(reports, capsys):
    with http_server(lambda number, asked: DONE) as server:
        code, account = run(capsys, reports, "--fhir-server", f"{server.url}/fhir/")
        assert (code, account["written"], len(server.asked)) == (0, 5, 5)
        _, account = run(capsys, reports, "--fhir-server", f"{server.url}/fhir")
        assert (account["unchanged"], len(server.asked)) == (5, 5)
    assert {one.path for one in server.asked} == {"/fhir"}
    sent = json.loads(server.asked[0].body)
    assert (sent["resourceType"], sent["type"]) == ("Bundle", "transaction")
    urls = {entry["fullUrl"] for entry in sent["entry"]}
    told = json.dumps(sent)
    for entry in sent["entry"]:
        kind, identifier = entry["resource"]["resourceType"], entry["resource"]["identifier"][0]
        query = f"{kind}?identifier={identifier['system']}|{identifier['value']}"
        assert entry["request"] == {"method": "PUT", "url": query}
        assert "id" not in entry["resource"]
    assert all(word in urls for word in references(sent))
    assert '"Observation/' not in told


def references(value) -> list[str]:
    if isinstance(value, list):
        return [word for one in value for word in references(one)]
    if isinstance(value, dict):
        own = [value["reference"]] if "reference" in value else []
        return own + [word for one in value.values() for word in references(one)]
    return []


@pytest.mark.parametrize(
    ("statuses", "written", "requests"),
    [
        ((503, 503, 200), 5, 7),
        ((401,), 0, 1),
        ((422,), 0, 5),  # five in a row: the rest is not tried
        ((422, 200), 4, 5),
    ],
)
def test_a_server_that_is_busy_or_refuses(statuses, written, requests, reports, capsys):
    def answer(number, asked):
        return statuses[min(number, len(statuses)) - 1], "application/fhir+json", b"{}"

    with http_server(answer) as server:
        code, account = run(capsys, reports, "--fhir-server", server.url)
        assert (account["written"], len(server.asked)) == (written, requests)
        assert code == (ExitCode.COMPLETE if written == 5 else ExitCode.FAILURE)


def test_an_export_that_was_cut_off_goes_on(reports, capsys):
    code, account = run(capsys, reports, "--fhir-server", f"http://127.0.0.1:{free_port()}")
    assert (code, account["alerts"]["failed"]) == (ExitCode.FAILURE, 5)
    statuses = iter([200, 200, 403, 200, 200, 200])
    answer = lambda number, asked: (next(statuses), "application/fhir+json", b"{}")  # noqa: E731
    with http_server(answer) as server:
        code, account = run(capsys, reports, "--fhir-server", server.url)
        assert (code, account["written"]) == (ExitCode.FAILURE, 2)
        code, account = run(capsys, reports, "--fhir-server", server.url)
        assert (code, account["written"], account["unchanged"]) == (0, 3, 2)


def test_a_folder_that_cannot_be_written_fails_and_says_so(reports, folder, capsys, monkeypatch):
    def full(self, name, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_fhir.NdjsonFolder, "_write", full)
    code, account = run(capsys, reports, "--fhir", folder)
    assert (code, account["alerts"]["failed"], account["written"]) == (ExitCode.FAILURE, 5, 0)
    monkeypatch.undo()
    code, account = run(capsys, reports, "--fhir", folder)
    assert (code, account["written"]) == (0, 5)


def test_both_worlds_at_once(reports, folder, tmp_path, capsys):
    code, (documents, lesions) = run(
        capsys, reports, "--fhir", folder, "--dicom-sr", tmp_path / "sr"
    )
    assert (code, documents["written"], lesions["written"]) == (0, 3, 5)
    shutil.rmtree(tmp_path / "sr")


def test_an_alert_whose_image_left_the_archive_keeps_its_task(tmp_path, folder, capsys):
    archive, reports = write_archive(tmp_path / "archive"), tmp_path / "reports"
    publish(reports, archive)
    run(capsys, reports, "--fhir", folder)
    (archive / "photo.jpg").unlink()
    publish(reports, archive, 2)
    code, (documents, lesions) = run(
        capsys, reports, "--fhir", folder, "--dicom-sr", tmp_path / "sr"
    )
    assert code == 0
    assert nonzero(documents["images"]) == {"selected": 5, "exported": 4, "left_archive": 1}
    assert lesions["images"]["left_archive"] == 1
    assert [one["status"] for one in resources(folder, "Task")] == ["requested"] * 5


def test_reports_in_an_object_store_keep_the_memory_there(reports, tmp_path, capsys, monkeypatch):
    url = ObjectUrl(BUCKET, "reports")
    (tmp_path / "s3").mkdir()
    with s3_server(tmp_path / "s3") as address, environment(address):
        make_bucket()
        upload(reports, url)
        ObjectReports(reports, store=ObjectStore(url))._point(LocalReports(reports).latest())
        for machine, written in (("one", 5), ("another", 0)):
            monkeypatch.setenv("MELANOMA_BATCH_CACHE", str(tmp_path / machine))
            code, account = run(capsys, url, "--fhir", tmp_path / "fhir")
            assert (code, account["written"]) == (0, written)
