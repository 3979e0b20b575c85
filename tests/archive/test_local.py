"""Bytes from the archive: of the very file that was listed, or none; and the archive itself."""

from __future__ import annotations

import os
import shutil

import pytest

from batch.archive.local import LocalArchive
from batch.core.errors import ArchiveLost, FailureReason, ImageFailure, Stage
from batch.core.records import ImageLocation
from tests.support.archives import as_nobody, locate

MIB = 1 << 20


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "root" / "d").mkdir(parents=True)
    (tmp_path / "root" / "a.jpg").write_bytes(b"12345")
    return LocalArchive(tmp_path / "root")


def where(archive, name="a.jpg"):
    return locate(archive.root, archive.root / name)


def reason(archive, location, max_bytes=MIB):
    with pytest.raises(ImageFailure, match="Stage.READ") as caught:
        archive.read(location, max_bytes)
    assert caught.value.stage == Stage.READ
    return caught.value.reason


def test_a_file_that_is_as_it_was_listed_is_read(archive):
    assert archive.read(where(archive), MIB) == b"12345"


def test_an_empty_file_is_read_too(archive):
    (archive.root / "a.jpg").write_bytes(b"")
    assert archive.read(where(archive), MIB) == b""


@pytest.mark.parametrize(("max_bytes", "allowed"), [(4, False), (5, True), (6, True)])
def test_a_file_of_just_the_allowed_size_is_read(archive, max_bytes, allowed):
    if allowed:
        assert archive.read(where(archive), max_bytes) == b"12345"
    else:
        assert reason(archive, where(archive), max_bytes) == FailureReason.FILE_TOO_LARGE


@pytest.mark.parametrize(("size", "later"), [(4, 0), (6, 0), (0, 0), (5, 1), (5, -1), (5, 10**9)])
def test_a_file_of_another_size_or_time_than_listed_is_not_given(archive, size, later):
    found = where(archive)
    listed = ImageLocation(found.path, size, found.mtime_ns + later)
    assert archive.read(listed, MIB) is None


def test_a_file_that_was_replaced_by_one_of_another_time_is_not_given(archive):
    listed = where(archive)
    (archive.root / "new").write_bytes(b"54321")
    os.utime(archive.root / "new", ns=(1, 1))
    os.replace(archive.root / "new", archive.root / "a.jpg")
    assert archive.read(listed, MIB) is None


def test_a_file_that_grows_while_it_is_read_is_not_given(archive, monkeypatch):
    """The first look agrees with the listing; the look after the last byte does not."""
    listed, real, looks = where(archive), os.fstat, []

    def grow_after_the_first(descriptor):
        status = real(descriptor)
        looks.append(descriptor)
        if len(looks) == 1:
            with (archive.root / "a.jpg").open("ab") as file:
                file.write(b"6")
        return status

    monkeypatch.setattr("batch.archive.local.os.fstat", grow_after_the_first)
    assert archive.read(listed, MIB) is None
    assert len(looks) >= 2


def test_times_beyond_64_bits_are_compared_as_they_are_stored(archive):
    listed = where(archive)
    assert listed.mtime_ns == (archive.root / "a.jpg").stat().st_mtime_ns
    os.utime(archive.root / "a.jpg", ns=(0, 0))
    found = where(archive)
    assert archive.read(found, MIB) == b"12345"


@pytest.mark.parametrize("name", ["gone.jpg", "a.jpg/below", "d/gone"])
def test_a_file_that_is_gone_has_vanished(archive, name):
    assert reason(archive, ImageLocation(name, 5, 0)) == FailureReason.VANISHED


def test_a_folder_in_the_listing_is_one_that_could_not_be_listed(archive):
    assert reason(archive, ImageLocation("d/", 0, 0)) == FailureReason.NOT_READABLE
    assert reason(archive, ImageLocation("", 0, 0)) == FailureReason.NOT_READABLE


def test_a_folder_where_a_file_was_is_no_regular_file(archive):
    assert reason(archive, ImageLocation("d", 5, 0)) == FailureReason.NOT_A_REGULAR_FILE


def test_links_are_not_followed_wherever_they_lead(archive):
    (archive.root / "link").symlink_to("a.jpg")
    (archive.root / "loop").symlink_to("loop")
    for name in ("link", "loop"):
        assert reason(archive, where(archive, name)) == FailureReason.NOT_A_REGULAR_FILE


def test_nobody_waits_at_the_other_end_of_a_pipe(archive):
    os.mkfifo(archive.root / "pipe")
    assert reason(archive, where(archive, "pipe")) == FailureReason.NOT_A_REGULAR_FILE


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("d", path)],
                         ids=["pipe", "link"])  # fmt: skip
def test_what_takes_a_files_place_between_two_calls_is_not_followed(archive, monkeypatch, make):
    """lstat sees a file; when it is opened, something else has its name."""
    listed, path, real = where(archive), archive.root / "a.jpg", os.lstat

    def swap(name):
        status = real(name)
        os.unlink(path)
        make(path)
        return status

    monkeypatch.setattr("batch.archive.local.os.lstat", swap)
    assert reason(archive, listed) == FailureReason.NOT_A_REGULAR_FILE


def test_a_file_without_permission_is_not_readable(archive):
    (archive.root / "a.jpg").chmod(0)
    for folder in (archive.root, *archive.root.parents[:4]):
        folder.chmod(0o755)
    with as_nobody():
        assert reason(archive, where(archive)) == FailureReason.NOT_READABLE


# --- the archive itself ----


def test_an_archive_that_stays_is_the_same(archive):
    root_id = archive.root_id()
    (archive.root / "new").touch()
    (archive.root / "a.jpg").unlink()
    archive.check_same(root_id)


@pytest.mark.parametrize("harm", ["deleted", "moved", "a file"])
def test_an_archive_that_went_away_is_lost(archive, harm):
    root_id = archive.root_id()
    if harm == "moved":
        archive.root.rename(archive.root.with_name("elsewhere"))
    else:
        shutil.rmtree(archive.root)
    if harm == "a file":
        archive.root.touch()
    with pytest.raises(ArchiveLost, match="root went away during the run .*nothing was published"):
        archive.check_same(root_id)


def test_another_folder_in_the_archives_place_is_not_it(archive):
    root_id = archive.root_id()
    archive.root.rename(archive.root.with_name("elsewhere"))
    shutil.copytree(archive.root.with_name("elsewhere"), archive.root)
    with pytest.raises(ArchiveLost, match="is another folder than at the start"):
        archive.check_same(root_id)


def test_an_archive_that_can_no_longer_be_listed_is_lost(archive):
    root_id = archive.root_id()
    archive.root.chmod(0)
    for folder in archive.root.parents[:4]:
        folder.chmod(0o755)
    with as_nobody(), pytest.raises(ArchiveLost, match="went away during the run .Permission"):
        archive.check_same(root_id)
    archive.root.chmod(0o755)


def test_an_archive_travels_to_workers_as_a_value(archive):
    import pickle

    assert pickle.loads(pickle.dumps(archive)) == archive
    assert hash(archive) == hash(LocalArchive(archive.root))
