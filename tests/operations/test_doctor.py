"""Each check says what it found, fails for itself only, and leaves everything as it was."""

from __future__ import annotations

import errno
import fcntl
import os
import zlib
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta, timezone

import pytest

from batch.archive.local import LocalArchive
from batch.core.errors import DecoderNotStarted, FailureReason, ImageFailure, Stage, UsageError
from batch.images.dicom_kinds import CODECS, Codec
from batch.operations import doctor, doctor_checks
from batch.operations.doctor import GIB, MIB, clock_check, examine, memory_check, space_checks
from batch.operations.doctor_checks import (
    STREAMS,
    Check,
    Status,
    check_by_level,
    decoding_problem,
    doctor_table,
    has_failed,
    run_check,
)
from tests.operations import night, point_latest
from tests.support.archives import as_nobody, open_to_all

OK, WARNING, FAILED = Status


def look(check, *arguments):
    """The checks of one look by their names."""
    return {found.name: found for found in run_check("look", lambda: check(*arguments))}


@pytest.fixture
def no_machine(monkeypatch):
    """Leave out what does not depend on the folders given."""
    for name in ("_installation", "_machine", "_watched_process"):
        monkeypatch.setattr(doctor, name, lambda: ())
    monkeypatch.setattr(doctor, "_decoder", lambda codec: ())


@pytest.mark.parametrize(
    ("value", "status"), [(2, OK), (1.999, WARNING), (1, WARNING), (0.999, FAILED)]
)
def test_a_level_below_its_bounds_warns_and_fails(value, status):
    check = check_by_level("x", value, 2, 1, "found", "remedy")
    assert (check.status, check.remedy) == (status, "" if status == OK else "remedy")


@pytest.mark.parametrize(
    ("free", "inodes_free", "expected"),
    [
        (GIB, 10_000, [OK, OK]),
        (GIB - 1, 9_999, [WARNING, WARNING]),
        (100 * MIB, 1_000, [WARNING, WARNING]),
        (100 * MIB - 1, 999, [FAILED, FAILED]),
    ],
)
def test_space_and_inodes_have_their_bounds(free, inodes_free, expected):
    assert [check.status for check in space_checks(free, inodes_free, 50_000)] == expected


def test_inodes_that_are_not_counted_are_no_check():
    assert [check.name for check in space_checks(GIB, 0, 0)] == ["reports space"]


@pytest.mark.parametrize(
    ("text", "status", "found"),
    [
        ("MemTotal: 1 kB\nMemAvailable:    2097152 kB\n", OK, "2.0 GiB available"),
        ("MemAvailable:    2097151 kB\n", WARNING, "2.0 GiB available"),
        ("MemTotal: 9999999 kB\n", WARNING, "unknown: not"),
    ],
)
def test_memory_is_read_from_meminfo(text, status, found):
    check = memory_check(text)
    assert (check.status, found in check.found) == (status, True)


@pytest.mark.parametrize(
    ("year", "month", "day", "status"), [(2025, 12, 31, FAILED), (2026, 1, 1, OK)]
)
def test_a_clock_before_the_program_was_made_is_wrong(year, month, day, status):
    assert clock_check(datetime(year, month, day, tzinfo=UTC)).status == status


def test_the_time_zone_is_told():
    zone = timezone(timedelta(hours=-3, minutes=-30), "NST")
    assert "time zone NST (-0330)" in clock_check(datetime(2026, 1, 1, tzinfo=zone)).found


def _then(error):
    yield Check("before", OK, "fine")
    raise error


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (UsageError("--model: found x; allowed: y."), "--model: found x; allowed: y."),
        (RuntimeError("quotes Jane^Doe"), "unexpected RuntimeError"),
        (PermissionError(errno.EACCES, "Permission denied", "/jane"), "(Permission denied)"),
        (ModuleNotFoundError("No module", name="imagecodecs"), "ModuleNotFoundError (imagecodecs)"),
        (RecursionError(), "unexpected RecursionError"),
        (MemoryError(), "unexpected MemoryError"),
    ],
)
def test_what_a_look_raises_is_a_failed_check_and_costs_no_other(error, found):
    before, failed = run_check("look", lambda: _then(error))
    assert before == Check("before", OK, "fine")
    assert (failed.name, failed.status) == ("look", FAILED)
    assert found in failed.found
    assert "jane" not in (failed.found + failed.remedy).lower()


def test_a_look_that_fails_leaves_the_others(monkeypatch, no_machine, tmp_path):
    monkeypatch.setattr(doctor, "_machine", lambda: _then(OSError(errno.EIO, "I/O error")))
    names = [check.name for check in examine(None, tmp_path, None)]
    assert names[:3] == ["before", "machine", "clock"]
    assert names[-1] == "reports latest"


def test_the_table_has_a_line_a_check_its_remedy_and_a_count():
    checks = [Check("a", OK, "x"), Check("bcd", FAILED, "y", "do z"), Check("e", OK, "w")]
    assert doctor_table(checks).splitlines() == [
        "ok       a    x",
        "failed   bcd  y",
        "              -> do z",
        "ok       e    w",
        "2 ok, 0 warning, 1 failed",
    ]


@pytest.mark.parametrize(
    ("statuses", "expected"), [((), False), ((OK, WARNING), False), ((OK, FAILED), True)]
)
def test_only_a_failed_check_fails(statuses, expected):
    assert has_failed(Check("x", status, "") for status in statuses) is expected


@pytest.mark.parametrize("uid", CODECS)
def test_every_transfer_syntax_is_decoded(uid):
    assert decoding_problem(uid) == ""


@pytest.mark.parametrize("uid", CODECS)
def test_a_decoder_that_gives_other_colours_is_found(uid, monkeypatch):
    from batch.images import dicom_frames

    decode = dicom_frames.decode_frame
    monkeypatch.setattr(
        dicom_frames, "decode_frame", lambda *a: (decode(*a)[0][..., ::-1], ())
    )  # blue and red swapped
    assert decoding_problem(uid) == "other colours than were encoded"


@pytest.mark.parametrize(("off", "expected"), [(3, ""), (4, "other colours than were encoded")])
def test_colours_may_differ_by_what_a_lossy_codec_does_and_no_further(monkeypatch, off, expected):
    from batch.images import dicom_frames

    decode = dicom_frames.decode_frame
    monkeypatch.setattr(dicom_frames, "decode_frame", lambda *a: (decode(*a)[0] + off, ()))
    assert decoding_problem("1.2.840.10008.1.2.1") == expected


@pytest.mark.parametrize("codec", STREAMS)
def test_a_damaged_stream_is_no_decoded_one(monkeypatch, codec):
    whole = zlib.decompress(b64decode(STREAMS[codec]))
    cut = b64encode(zlib.compress(whole[: len(whole) // 2])).decode()
    monkeypatch.setitem(doctor_checks.STREAMS, codec, cut)
    uid = next(uid for uid, its in CODECS.items() if its == codec)
    with pytest.raises(ImageFailure):
        decoding_problem(uid)


@pytest.mark.parametrize("codec", Codec)
def test_each_codec_is_decoded_in_the_watched_process(codec):
    (check,) = run_check("x", lambda: doctor._decoder(codec))
    count = sum(its == codec for its in CODECS.values())
    expected = Check(f"decoder {codec}", OK, f"all transfer syntaxes ({count}) decoded")
    assert check == expected


def test_a_decoder_that_crashes_or_fails_is_named_with_its_transfer_syntax(monkeypatch):
    def crash(function, arguments, *_):
        if arguments == ("1.2.840.10008.1.2.4.80",):
            raise ImageFailure(Stage.DECODE, FailureReason.DECODER_CRASHED, "exit code -11")
        return "other colours"

    monkeypatch.setattr(doctor, "call_in_sandbox", crash)
    (check,) = run_check("x", lambda: doctor._decoder(Codec.JPEG_LS))
    assert check.status == FAILED
    assert "1.2.840.10008.1.2.4.80: decoder_crashed exit code -11" in check.found
    assert "1.2.840.10008.1.2.4.81: other colours" in check.found


def test_a_watched_process_that_does_not_start_is_a_failed_check(monkeypatch):
    assert look(doctor._watched_process)["watched process"].status == OK

    def refuse(*_):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(doctor, "call_in_sandbox", refuse)
    assert look(doctor._watched_process)["look"].status == FAILED

    def no_process(*_):
        raise DecoderNotStarted("Resource temporarily unavailable")

    monkeypatch.setattr(doctor, "call_in_sandbox", no_process)
    check = look(doctor._watched_process)["watched process"]
    assert (check.status, check.found) == (
        FAILED, "did not start (Resource temporarily unavailable)",
    )  # fmt: skip
    (check,) = run_check("x", lambda: doctor._decoder(Codec.RLE))
    assert check.found.endswith("no process started (Resource temporarily unavailable)")


def test_python_and_libraries_are_told(monkeypatch):
    wanted = ["numpy>=2", "no.such_thing-here>=1", "pytest>=8; extra == 'test'"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: wanted)
    found = look(doctor._installation)
    assert set(found) == {"python", "library numpy", "library no.such_thing-here"}
    assert found["library numpy"].found == doctor.metadata.version("numpy")
    assert found["library no.such_thing-here"].status == FAILED


@pytest.mark.parametrize(
    ("version", "platform", "status"),
    [
        ((3, 10), "linux", FAILED),
        ((3, 11), "linux", OK),
        ((3, 13), "linux", OK),
        ((3, 14), "linux", FAILED),
        ((3, 11), "darwin", FAILED),
    ],
)
def test_the_python_must_be_supported(monkeypatch, version, platform, status):
    monkeypatch.setattr(doctor.sys, "version_info", (*version, 0))
    monkeypatch.setattr(doctor.sys, "platform", platform)
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: [])
    assert look(doctor._installation)["python"].status == status


def test_a_checkout_that_is_not_installed_is_said(monkeypatch):
    def missing(name):
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", missing)
    assert look(doctor._installation)["libraries"].status == WARNING


@pytest.mark.parametrize(
    ("limit", "status"), [(255, WARNING), (256, OK), (doctor.resource.RLIM_INFINITY, OK)]
)
def test_the_limit_of_open_files_is_judged(monkeypatch, limit, status):
    monkeypatch.setattr(doctor.resource, "getrlimit", lambda which: (limit, limit))
    found = look(doctor._machine)
    assert found["open files"].status == status
    assert "usable" in found["cores"].found


def test_reports_that_do_not_exist_are_tried_in_their_parent_and_not_made(no_machine, tmp_path):
    reports = tmp_path / "a" / "b"
    found = {check.name: check for check in examine(None, reports, None)}
    assert "would be made below" in found["reports folder"].found
    assert found["reports writing"].status == OK
    assert found["reports latest"].found == "no night yet"
    assert not has_failed(found.values())
    assert list(tmp_path.iterdir()) == []


def test_reports_are_left_as_they_were(no_machine, tmp_path):
    night(tmp_path, "r1")
    point_latest(tmp_path, "r1")
    (tmp_path / ".lock").write_text("free\n")
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    checks = examine(None, tmp_path, None)
    assert {check.status for check in checks} == {OK}
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("make", [lambda p: p.touch(), lambda p: p.symlink_to("nowhere")])
def test_reports_that_are_no_folder_fail(no_machine, tmp_path, make):
    make(tmp_path / "reports")
    (check,) = look(doctor._folder, tmp_path / "reports").values()
    assert (check.name, check.status) == ("reports folder", FAILED)


@pytest.mark.parametrize(
    ("place", "name"),
    [(os, "fsync"), (os, "rename"), (os, "symlink"), (fcntl, "flock"), (os, "mkdir")],
)
def test_each_step_of_publication_is_tried_and_cleaned_up(tmp_path, monkeypatch, place, name):
    def refuse(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(place, name, refuse)
        found = look(doctor._folder, tmp_path)
    assert found["reports writing"].status == FAILED
    assert "(Operation not permitted)" in found["reports writing"].found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("file/reports", "file is a file, or a link to nothing"),
        ("file/a/b", "file is a file, or a link to nothing"),
        ("dangling", "dangling is a file, or a link to nothing"),
        ("dangling/reports", "dangling is a file, or a link to nothing"),
        ("x" * 300, "this cannot be a name (File name too long)"),
    ],
)
def test_reports_that_cannot_be_are_one_failed_check_that_says_why(tmp_path, place, found):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (check,) = look(doctor._folder, tmp_path / place).values()
    assert (check.name, check.status) == ("reports folder", FAILED)
    assert found in check.found


def test_of_reports_that_cannot_be_nothing_else_is_tried(no_machine, tmp_path):
    (tmp_path / "file").touch()
    failed = [c for c in examine(None, tmp_path / "file" / "r", None) if c.status != OK]
    assert [check.name for check in failed] == ["reports folder"]
    assert failed[0].remedy == "Needed: a folder, or a new name."


@pytest.mark.parametrize("name", ["reports", "new/reports"])
def test_a_parent_that_cannot_be_written_is_said(no_machine, tmp_path, name):
    (tmp_path / "closed").mkdir(mode=0o555)
    open_to_all(tmp_path)
    with as_nobody():
        checks = examine(None, tmp_path / "closed" / name, None)
    failed = [check for check in checks if check.status == FAILED]
    assert [check.name for check in failed] == ["reports writing"]
    assert "closed (Permission denied)" in failed[0].found


def test_places_that_hold_each_other_fail(no_machine, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    (failed,) = (c for c in examine(tmp_path, tmp_path / "r", None) if c.status == FAILED)
    assert "hold each other" in failed.found


def test_something_else_under_one_of_our_names_fails(no_machine, tmp_path):
    (tmp_path / "runs").touch()
    failed = [c for c in examine(None, tmp_path, None) if c.status == FAILED]
    assert any("runs is no folder; needed: a folder" in check.found for check in failed)


def test_a_path_that_cannot_be_resolved_is_a_failed_check(no_machine, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    checks = examine(tmp_path / "loop" / "a", tmp_path / "r", None)
    failed = [check for check in checks if check.status == FAILED]
    assert [check.name for check in failed] == ["--archive"]
    assert "cannot resolve" in failed[0].found


def test_a_lock_that_is_held_is_a_warning_with_its_holder(tmp_path):
    assert look(doctor._lock, tmp_path)["reports lock"].found == "free"
    (tmp_path / ".lock").write_text("run r1, process 7, host h\n")
    with open(tmp_path / ".lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        check = look(doctor._lock, tmp_path)["reports lock"]
        assert (check.status, check.found) == (WARNING, "held: run r1, process 7, host h")
    assert look(doctor._lock, tmp_path)["reports lock"].status == OK


def test_work_that_was_left_over_is_a_warning(tmp_path):
    assert look(doctor._work, tmp_path)["reports left-over work"].status == OK
    (tmp_path / ".in-progress" / "r1").mkdir(parents=True)
    check = look(doctor._work, tmp_path)["reports left-over work"]
    assert (check.status, check.found) == (WARNING, "of 1 runs")
    assert "next run takes it up" in check.remedy


@pytest.mark.parametrize(
    ("target", "status", "found"),
    [
        ("runs/whole", OK, "whole complete"),
        ("runs/incomplete", FAILED, "incomplete incomplete"),
        ("runs/damaged", WARNING, "damaged run.json damaged"),
        ("runs/pruned", WARNING, "pruned pruned"),
        ("runs/gone", FAILED, "points to no night"),
        (None, FAILED, "points to no night"),
    ],
)
def test_latest_must_be_a_complete_night(tmp_path, target, status, found):
    night(tmp_path, "whole")
    night(tmp_path, "incomplete", complete=False)
    night(tmp_path, "damaged", b"{")
    night(tmp_path, "pruned", tables=("predictions",))
    if target:
        (tmp_path / "latest").symlink_to(target)
    check = look(doctor._latest, tmp_path)["reports latest"]
    assert (check.status, check.found) == (status, found)


def test_an_archive_is_listed_and_examples_are_read(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "0link").symlink_to("gone")
    os.mkfifo(tmp_path / "0pipe")
    found = look(doctor._archive, tmp_path)
    assert {check.status for check in found.values()} == {OK}
    assert found["archive listing"].found.startswith("6 files in ")
    assert found["archive reading"].found == "3 of 3 examples opened and read"
    assert "no mount point" in found["archive folder"].found


def test_listing_stops_at_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "LISTED", 2)
    for number in range(4):
        (tmp_path / str(number)).touch()
    found = look(doctor._archive, tmp_path)["archive listing"].found
    assert found.startswith("2 files in ")


@pytest.mark.parametrize(
    ("closed", "status", "found"),
    [("a", WARNING, "2 of 3"), ("ab", WARNING, "1 of 3"), ("abc", FAILED, "0 of 3")],
)
def test_examples_that_cannot_be_read_are_counted(tmp_path, monkeypatch, closed, status, found):
    read = LocalArchive.read

    def refuse(self, location, max_bytes):
        if location.path in closed:
            raise ImageFailure(Stage.READ, FailureReason.NOT_READABLE, "EACCES")
        return read(self, location, max_bytes)

    monkeypatch.setattr(LocalArchive, "read", refuse)
    for name in "abc":
        (tmp_path / name).write_bytes(b"x")
    check = look(doctor._archive, tmp_path)["archive reading"]
    assert (check.status, check.found[:6]) == (status, found)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda p: None, "ARCHIVE: nothing at"),
        (lambda p: p.touch(), "ARCHIVE: a file at"),
        (lambda p: p.mkdir(), "0 files in"),
    ],
)
def test_an_archive_that_is_not_there_or_empty_fails(no_machine, tmp_path, make, found):
    make(tmp_path / "archive")
    checks = examine(tmp_path / "archive", None, None)
    (failed,) = (check for check in checks if check.status == FAILED)
    assert failed.found.startswith(found)


def test_no_file_name_is_told(no_machine, tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "Jane_Doe.jpg").write_bytes(b"x")
    checks = examine(tmp_path / "archive", tmp_path / "reports", None)
    assert not has_failed(checks)
    assert "Jane" not in doctor_table(checks)


def test_a_model_passes_its_checks(no_machine):
    check = examine(None, None, "isic9-plain")[-1]
    assert (check.name, check.status) == ("model", OK)
    assert "isic9-plain" in check.found


def test_a_model_that_is_missing_or_refused_fails_with_its_message(no_machine, artifact_copy):
    (artifact_copy / "model.keras").write_bytes(b"another")
    refused = examine(None, None, str(artifact_copy))[-1]
    assert (refused.name, refused.status) == ("model", FAILED)
    assert "field model_sha256" in refused.found
    missing = examine(None, None, "nosuch")[-1]
    assert missing.found.startswith("--model: no model 'nosuch'")
