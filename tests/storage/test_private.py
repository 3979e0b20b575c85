"""`--identifiers full`: what a run makes can be read by its owner alone; other runs as ever."""

from __future__ import annotations

import os
import stat

import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from batch.demo.lesions import lesion_image
from batch.storage.files import close_to_others, private_files
from tests.scenarios.faults.nights import write_file
from tests.support.archives import dermoscopic, dicom_bytes
from tests.support.small_model import SCORE


@pytest.fixture
def archive(tmp_path):
    for lesion in range(3):
        dataset = dermoscopic(lesion_image(lesion, 60, 60), lesion)
        write_file(tmp_path / "archive" / f"{lesion}.dcm", dicom_bytes(dataset))
    return tmp_path / "archive"


@pytest.fixture(params=[0o000, 0o022, 0o027])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder, but=()) -> set[tuple[str, str]]:
    """(kind, mode) of a folder and all below it, links left out."""
    found = set()
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink() and not any(path.is_relative_to(each) for each in but):
            kind = "folder" if path.is_dir() else "file"
            found.add((kind, oct(stat.S_IMODE(path.stat().st_mode))))
    return found


PRIVATE = {("folder", "0o700"), ("file", "0o600")}


def night(archive, reports, level, *more):
    words = [*SCORE, str(archive), "--output", str(reports), "--identifiers", level]
    assert main([*words, *more]) == ExitCode.COMPLETE


@pytest.mark.parametrize("processes", ["1", "2"])
def test_everything_that_a_full_night_makes_is_its_owner_s(archive, tmp_path, umask, processes):
    reports, metrics = tmp_path / "reports", tmp_path / "m.prom"
    more = ("--processes", processes, "--segment-size", "1")
    night(archive, reports, "full", "--metrics-file", str(metrics), *more)
    assert modes(reports) == PRIVATE
    assert os.umask(umask) == umask
    assert stat.S_IMODE(metrics.stat().st_mode) == 0o666 & ~umask  # a collector reads it


@pytest.mark.parametrize("level", ["none", "uids"])
def test_another_night_is_as_the_umask_says(archive, tmp_path, umask, level):
    night(archive, tmp_path / "reports", level)
    expected = {("folder", oct(0o777 & ~umask)), ("file", oct(0o666 & ~umask))}
    lock, pictures = tmp_path / "reports" / ".lock", tmp_path / "reports" / "pictures"
    assert modes(tmp_path / "reports", but=[lock, pictures]) == expected
    assert modes(pictures) == PRIVATE  # they show patients, whatever the level
    assert stat.S_IMODE(lock.stat().st_mode) == 0o644 & ~umask


def test_earlier_nights_stay_as_they_are(archive, tmp_path):
    reports = tmp_path / "reports"
    night(archive, reports, "uids")
    before = {path: path.lstat().st_mode for path in reports.rglob("*") if not path.is_symlink()}
    night(archive, reports, "full")
    assert {path: path.lstat().st_mode for path in before} == before
    assert modes((reports / "latest").resolve()) == PRIVATE
    mode = reports.stat().st_mode
    assert stat.S_IMODE(mode) == 0o777 & ~os.umask(os.umask(0o022) or 0o022)


def test_worklist_and_current_of_a_full_night_are_its_owner_s(archive, tmp_path):
    reports = tmp_path / "reports"
    night(archive, reports, "full")
    assert main(["worklist", str(reports)]) == ExitCode.COMPLETE
    assert main(["worklist", str(reports), "--output", str(tmp_path / "list")]) == 0
    table = tmp_path / "current.parquet"
    assert main(["current", str(reports), "--output", str(table)]) == 0
    assert modes(reports / "worklist") == modes(tmp_path / "list") == PRIVATE
    assert modes(table) == {("file", "0o600")}


def test_worklist_and_current_of_another_night_are_as_ever(archive, tmp_path):
    reports, table = tmp_path / "reports", tmp_path / "current.parquet"
    night(archive, reports, "uids")
    assert main(["worklist", str(reports)]) == ExitCode.COMPLETE
    assert main(["current", str(reports), "--output", str(table)]) == 0
    assert ("file", "0o600") not in modes(reports / "worklist") | modes(table)


def test_a_start_that_is_refused_leaves_a_private_word(archive, tmp_path):
    reports = tmp_path / "reports"
    night(archive, reports, "full")
    words = [*SCORE, str(tmp_path / "gone"), "--output", str(reports), "--identifiers", "full"]
    assert main(words) == ExitCode.USAGE
    assert modes(reports) == PRIVATE


def test_what_workers_with_another_umask_wrote_is_closed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "part").touch(0o666)
    close_to_others(tmp_path / "a")
    assert modes(tmp_path / "a") == PRIVATE


def test_where_it_is_not_wanted_nothing_changes():
    before = os.umask(0o022)
    with private_files(wanted=False):
        assert os.umask(0o022) == 0o022
    with private_files():
        assert os.umask(0o077) == 0o077
    assert os.umask(before) == 0o022
