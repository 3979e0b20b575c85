"""Documents of whole nights: what is written, told, sent again and amended."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pydicom
import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from batch.core.privacy import Identifiers
from batch.export import receivers
from tests.export.commands import documents, nonzero, run
from tests.export.nights import NAME, SCORES, named, photograph, publish, save, write_archive
from tests.export.validators import (
    DCIODVFY_ALLOWED,
    PIXELMED_ALLOWED,
    dciodvfy,
    dsrdump,
    needs_dciodvfy,
    needs_dsrdump,
    needs_pixelmed,
    pixelmed,
)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "sr"


def read(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in documents(folder)]


def by_patient(folder: Path) -> dict[str, list[pydicom.Dataset]]:
    found: dict[str, list[pydicom.Dataset]] = {}
    for document in sorted(read(folder), key=lambda one: one.InstanceNumber):
        found.setdefault(document.PatientID, []).append(document)
    return found


def groups(document: pydicom.Dataset) -> list[pydicom.Dataset]:
    measurements = next(
        item for item in document.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "126010"
    )  # fmt: skip
    return list(measurements.ContentSequence)


def item(group: pydicom.Dataset, code: str) -> pydicom.Dataset | None:
    found = (i for i in group.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == code)
    return next(found, None)


def scores(document: pydicom.Dataset) -> list[float]:
    found = (item(group, "melanoma-score") for group in groups(document))
    return sorted(float(one.MeasuredValueSequence[0].NumericValue) for one in found)


def test_every_alert_is_accounted_for_and_a_study_has_one_document(reports, folder, capsys):
    code, account = run(capsys, reports, "--dicom-sr", folder)
    assert code == ExitCode.COMPLETE
    assert nonzero(account["alerts"]) == {"selected": 5, "exported": 4, "not_dicom": 1}
    found = by_patient(folder)
    assert {who: list(map(scores, those)) for who, those in found.items()} == {
        "DEMO-001": [[0.8, 0.9]], "DEMO-002": [[0.7]], "DEMO-003": [[0.95]],
    }  # fmt: skip


def test_a_document_says_what_it_is_and_takes_over_patient_and_study(reports, archive, folder):
    assert main(["export", str(reports), "--dicom-sr", str(folder)]) == 0
    document = by_patient(folder)["DEMO-002"][0]
    image = pydicom.dcmread(archive / "b/1.dcm", stop_before_pixels=True)
    assert (document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag) == (
        "COMPLETE", "UNVERIFIED", "PRELIMINARY",
    )  # fmt: skip
    for name in ("StudyInstanceUID", "PatientName", "PatientBirthDate", "AccessionNumber",
                 "StudyDate", "PatientID", "PatientSex"):  # fmt: skip
        assert document[name].value == image[name].value, name
    assert document.SeriesInstanceUID != image.SeriesInstanceUID
    assert document.SOPClassUID.name == "Comprehensive 3D SR Storage"
    group = groups(document)[0]
    assert image.TrackingUID == item(group, "112040").UID
    assert item(group, "112039").TextValue == image.TrackingID
    assert item(group, "121071").ConceptCodeSequence[0].CodeMeaning == "Skin lesion"
    assert item(group, "raised-review").ConceptCodeSequence[0].CodeMeaning == "Yes"
    told = [i.TextValue for i in group.ContentSequence
            if i.ConceptNameCodeSequence[0].CodeValue == "111002"]  # fmt: skip
    assert "threshold=0.5" in told
    assert "sensitivity_on_validation_set=0.960" in told
    assert any(word.startswith("model_sha256=") for word in told)
    source = item(group, "121112") or item(group, "121233")
    assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID


def test_a_frame_is_named_by_its_number(reports, folder):
    main(["export", str(reports), "--dicom-sr", str(folder)])
    (group,) = groups(by_patient(folder)["DEMO-003"][0])
    reference = next(i for i in group.ContentSequence if i.ValueType == "IMAGE")
    assert reference.ReferencedSOPSequence[0].ReferencedFrameNumber == 2


def test_below_the_threshold_nothing_is_said_of_review(reports, archive, folder):
    """A lesion of the band is exported where it is asked for, and never as cleared."""
    publish(reports, archive, 2, {**SCORES, "b/low.dcm": 0.49})
    main(["export", str(reports), "--dicom-sr", str(folder), "--tiers", "near_threshold"])
    (document,) = read(folder)
    (group,) = groups(document)
    assert scores(document) == [0.49]
    assert item(group, "raised-review") is None
    assert "clear" not in str(document).lower()


@needs_dsrdump
def test_dcmtk_reads_it(reports, folder):
    main(["export", str(reports), "--dicom-sr", str(folder)])
    for path in documents(folder):
        shown = dsrdump(path)
        assert "Imaging Measurement Report" in shown
        assert "Melanoma score" in shown
        assert 'elanoma"' not in shown.replace("Melanoma score", "")


@needs_dciodvfy
def test_dciodvfy_has_nothing_but_known_messages(reports, folder):
    main(["export", str(reports), "--dicom-sr", str(folder)])
    for path in documents(folder):
        assert dciodvfy(path) == DCIODVFY_ALLOWED


@needs_pixelmed
def test_pixelmed_has_nothing_but_known_messages(reports, archive, folder, capsys):
    publish(reports, archive, 2, {**SCORES, "a/1.dcm": 0.6})
    run(capsys, reports, "--dicom-sr", folder)
    publish(reports, archive, 3)
    run(capsys, reports, "--dicom-sr", folder)
    amended = next(d for d in read(folder) if "PredecessorDocumentsSequence" in d)
    assert pixelmed(Path(amended.filename)) == PIXELMED_ALLOWED


def test_a_second_export_writes_nothing_and_reads_no_image(reports, folder, capsys, tmp_path):
    run(capsys, reports, "--dicom-sr", folder)
    before = {path: path.read_bytes() for path in documents(folder)}
    (tmp_path / "empty").mkdir()
    code, account = run(capsys, reports, "--dicom-sr", folder, "--archive", tmp_path / "empty")
    assert (code, account["written"], account["unchanged"]) == (0, 0, 3)
    assert {path: path.read_bytes() for path in documents(folder)} == before


def test_an_export_without_its_log_writes_the_same_bytes_again(reports, folder, capsys):
    run(capsys, reports, "--dicom-sr", folder)
    before = {path: path.read_bytes() for path in documents(folder)}
    shutil.rmtree(reports / "exports")
    _, account = run(capsys, reports, "--dicom-sr", folder)
    assert account["written"] == 3
    assert {path: path.read_bytes() for path in documents(folder)} == before


def test_a_document_that_is_gone_is_written_again(reports, folder, capsys):
    run(capsys, reports, "--dicom-sr", folder)
    gone = documents(folder)[0]
    before = gone.read_bytes()
    gone.unlink()
    _, account = run(capsys, reports, "--dicom-sr", folder)
    assert (account["written"], account["unchanged"]) == (1, 2)
    assert gone.read_bytes() == before


def test_a_new_score_amends_and_a_return_is_a_third_version(reports, archive, folder, capsys):
    run(capsys, reports, "--dicom-sr", folder)
    publish(reports, archive, 2, {**SCORES, "b/1.dcm": 0.6}, model="m2")
    _, account = run(capsys, reports, "--dicom-sr", folder)
    assert (account["written"], account["amended"]) == (3, 3)  # a new model: every study
    publish(reports, archive, 3)
    run(capsys, reports, "--dicom-sr", folder)
    publish(reports, archive, 4)
    _, account = run(capsys, reports, "--dicom-sr", folder)
    assert (account["written"], account["unchanged"]) == (0, 3)
    versions = by_patient(folder)["DEMO-002"]
    assert [scores(one) for one in versions] == [[0.7], [0.6], [0.7]]
    assert [one.InstanceNumber for one in versions] == [1, 2, 3]
    assert len({one.SeriesInstanceUID for one in versions}) == 1
    for earlier, later in zip(versions, versions[1:], strict=False):
        series = later.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
        assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == earlier.SOPInstanceUID


def test_an_alert_that_a_new_model_takes_back_is_amended_not_forgotten(
    reports, archive, folder, capsys
):
    run(capsys, reports, "--dicom-sr", folder)
    (reports / "reviewed.csv").write_text("")
    publish(reports, archive, 2, {**SCORES, "b/1.dcm": 0.05}, model="m2")
    _, account = run(capsys, reports, "--dicom-sr", folder)
    newest = by_patient(folder)["DEMO-002"][-1]
    assert scores(newest) == [0.05]
    assert item(groups(newest)[0], "raised-review") is None
    assert account["alerts"]["selected"] == 4


@pytest.mark.parametrize("name", [NAME, "Mustermann, Erika", "Mustermann" * 8])
def test_no_name_is_logged_even_one_that_libraries_complain_about(
    name, tmp_path, folder, caplog, capsys, recwarn
):
    archive = tmp_path / "archive"
    archive.mkdir()
    save(named(photograph(1, 1, 1), name), archive / "one.dcm")
    publish(tmp_path / "reports", archive, scores={"one.dcm": 0.9})
    with caplog.at_level("DEBUG"):
        run(capsys, tmp_path / "reports", "--dicom-sr", folder, "--verbose")
    assert str(read(folder)[0].PatientName) == name
    assert "Mustermann" not in caplog.text
    assert "Mustermann" not in "".join(str(one.message) for one in recwarn)


def test_names_go_to_the_documents_and_nowhere_else(reports, folder, capsys, tmp_path):
    assert main(["export", str(reports), "--dicom-sr", str(folder), "--verbose"]) == 0
    said = capsys.readouterr()
    family = NAME.partition("^")[0]
    assert family not in said.out + said.err
    holders = [
        path for path in tmp_path.rglob("*")
        if path.is_file() and family.encode() in path.read_bytes()
    ]  # fmt: skip
    assert {path.suffix for path in holders} == {".dcm"}
    assert all(folder in path.parents for path in holders)
    assert {path.stat().st_mode & 0o777 for path in documents(folder)} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_night_without_identifiers_has_documents_all_the_same(archive, tmp_path, folder, capsys):
    reports = tmp_path / "reports"
    publish(reports, archive, identifiers=Identifiers.NONE)
    _, account = run(capsys, reports, "--dicom-sr", folder)
    assert account["written"] == 3
    assert {str(d.PatientName) for d in read(folder)} == {NAME}
    study = read(folder)[0].StudyInstanceUID
    kept = b"".join(path.read_bytes() for path in (reports / "exports").iterdir())
    assert study.encode() not in kept
    _, account = run(capsys, reports, "--dicom-sr", folder)
    assert (account["written"], account["unchanged"]) == (0, 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.unlink(), "vanished"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "changed since it was scored"),
        (lambda path: save(photograph(1, 9, 9), path), "changed since it was scored"),
    ],
    ids=["gone", "changed", "replaced"],
)
def test_what_cannot_be_read_again_is_named_and_the_rest_goes_out(
    change, reason, tmp_path, folder, capsys
):
    archive, reports = write_archive(tmp_path / "archive"), tmp_path / "reports"
    publish(reports, archive)
    change(archive / "a/1.dcm")
    code, account = run(capsys, reports, "--dicom-sr", folder)
    assert code == ExitCode.FAILURE
    assert nonzero(account["alerts"]) == {
        "selected": 5, "exported": 3, "not_dicom": 1, "failed": 1,
    }  # fmt: skip
    assert scores(by_patient(folder)["DEMO-001"][0]) == [0.8]
    table = (reports / "exports/not_exported.csv").read_text("utf-8-sig")
    assert "a/1.dcm,1.2.826" in table and f",failed,{reason}" in table
    code, account = run(capsys, reports, "--dicom-sr", folder)
    assert (code, account["written"]) == (ExitCode.FAILURE, 0)


def test_a_full_disk_fails_what_was_not_written_and_the_next_export_goes_on(
    reports, folder, capsys, monkeypatch
):
    taken = []
    store = receivers.SrFolder.store

    def full_after_one(self, document):
        if taken:
            raise receivers.ReceiverLost("cannot be written (No space left on device)")
        taken.append(document)
        store(self, document)

    monkeypatch.setattr(receivers.SrFolder, "store", full_after_one)
    code, account = run(capsys, reports, "--dicom-sr", folder)
    assert (code, account["written"]) == (ExitCode.FAILURE, 1)
    monkeypatch.setattr(receivers.SrFolder, "store", store)
    code, account = run(capsys, reports, "--dicom-sr", folder)
    assert (code, account["written"], account["unchanged"]) == (0, 2, 1)


def test_a_kill_between_two_documents_loses_nothing(reports, folder, capsys, monkeypatch):
    store, taken = receivers.SrFolder.store, []

    def killed_at_the_second(self, document):
        store(self, document)
        taken.append(document)
        if len(taken) == 2:
            raise KeyboardInterrupt  # the document is written, the log does not know it

    monkeypatch.setattr(receivers.SrFolder, "store", killed_at_the_second)
    assert main(["export", str(reports), "--dicom-sr", str(folder)]) == ExitCode.FAILURE
    log = next((reports / "exports").glob("sr-*.jsonl"))
    log.write_bytes(log.read_bytes()[:-20])  # and its last line was cut off
    monkeypatch.setattr(receivers.SrFolder, "store", store)
    code, account = run(capsys, reports, "--dicom-sr", folder)
    assert (code, account["written"]) == (0, 3)
    assert len(documents(folder)) == 3


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("PatientName", {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jürgen"}),
        ("StudyTime", {"StudyTime": "half past nine"}),
        ("PatientBirthDate", {"PatientBirthDate": "1956-13-45"}),
        ("PatientSex", {"PatientSex": "female"}),
        ("AccessionNumber", {"AccessionNumber": "X" * 40}),
    ],
)
@needs_dciodvfy
def test_odd_headers_cost_no_document(name, change, tmp_path, folder, capsys):
    archive = tmp_path / "archive"
    archive.mkdir()
    dataset = photograph(1, 1, 1)
    for keyword, value in change.items():
        dataset.add_new(keyword, pydicom.datadict.dictionary_VR(keyword), value)
    save(dataset, archive / "odd.dcm")
    publish(tmp_path / "reports", archive, scores={"odd.dcm": 0.9})
    code, account = run(capsys, tmp_path / "reports", "--dicom-sr", folder)
    assert (code, account["written"]) == (0, 1)
    without_time = "Warning - Missing attribute or value that would be needed to build DICOMDIR - "
    allowed = DCIODVFY_ALLOWED | ({f"{without_time}Study Time"} if name == "StudyTime" else set())
    assert dciodvfy(documents(folder)[0]) == allowed
    found = read(folder)[0][name].value
    assert str(found) == (change[name] if name == "PatientName" else "")


def test_two_copies_of_an_image_are_one_group(tmp_path, folder, capsys):
    archive = tmp_path / "archive"
    archive.mkdir()
    for name in ("one.dcm", "two.dcm"):
        save(photograph(1, 1, 1), archive / name)
    publish(tmp_path / "reports", archive, scores={"one.dcm": 0.9, "two.dcm": 0.9})
    _, account = run(capsys, tmp_path / "reports", "--dicom-sr", folder)
    assert account["alerts"]["selected"] == 1
    assert len(groups(read(folder)[0])) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "at least one of --dicom-sr"),
        (("--dicom-sr", "{reports}/sr"), "inside the reports"),
        (("--dicom-sr", "{tmp}/sr", "--tiers", "below"), "nothing says cleared"),
        (("--dicom-sr", "{tmp}/sr", "--tiers", ","), "found nothing"),
        (("--stow", "https://me:secret@pacs/dicom-web"), "everybody on this machine"),
        (("--stow", "pacs.example"), "https://"),
        (("--c-store", "pacs:104"), "HOST:PORT:AET"),
        (("--fhir", "{tmp}/fhir", "--identifiers", "full"), "scored with uids"),
        (("--dicom-sr", "{tmp}/sr", "--archive", "{tmp}/nothing"), "nothing at"),
    ],
)
def test_mistakes_are_told_in_a_sentence(words, said, reports, tmp_path, capsys):
    given = [word.format(reports=reports, tmp=tmp_path) for word in words]
    code, told = run(capsys, reports, *given)
    assert code == ExitCode.USAGE
    assert said in told
    assert "secret" not in told


def test_another_export_at_the_same_time_is_refused(reports, folder, capsys):
    from batch.export.export_log import only_exporter

    with only_exporter(reports):
        code, told = run(capsys, reports, "--dicom-sr", folder)
    assert code == ExitCode.LOCKED


def test_reports_that_cannot_be_written_are_named(reports, folder, capsys):
    if os.geteuid() == 0:
        (reports / "exports").write_text("a file where the folder would be")
    else:
        reports.chmod(0o500)
    code, told = run(capsys, reports, "--dicom-sr", folder)
    assert code == ExitCode.USAGE, told
