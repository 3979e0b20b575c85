"""Pictures are their owner's alone, appear whole, and nothing is written or removed elsewhere."""

from __future__ import annotations

import errno
import os
import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest

from batch.reports import picture_folder
from batch.reports.local import LocalReports
from batch.reports.picture_folder import NoRoom, is_picture

NAMES = [f"{number:032x}.jpg" for number in range(4)]
LATER = datetime.now(UTC) + timedelta(days=9)


@pytest.fixture
def reports(tmp_path) -> LocalReports:
    return LocalReports(tmp_path)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_they_are_their_owner_s_whatever_the_umask(tmp_path, reports, umask):
    before = os.umask(umask)
    try:
        for name in NAMES:
            reports.keep_picture(name, b"x")
    finally:
        os.umask(before)
    assert mode(tmp_path / "pictures") == 0o700
    assert {mode(path) for path in (tmp_path / "pictures").iterdir()} == {0o600}
    assert reports.picture_names() == set(NAMES)


def test_a_folder_that_is_open_to_others_is_closed(tmp_path, reports):
    (tmp_path / "pictures").mkdir(mode=0o755)
    reports.keep_picture(NAMES[0], b"x")
    assert mode(tmp_path / "pictures") == 0o700


def test_a_picture_takes_the_place_of_another_in_one_step(tmp_path, reports):
    reports.keep_picture(NAMES[0], b"before" * 1000)
    inode = (tmp_path / "pictures" / NAMES[0]).stat().st_ino
    reports.keep_picture(NAMES[0], b"after")
    assert (tmp_path / "pictures" / NAMES[0]).read_bytes() == b"after"
    assert (tmp_path / "pictures" / NAMES[0]).stat().st_ino != inode
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == [NAMES[0]]


def test_no_link_is_followed(tmp_path, reports):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "pictures").symlink_to(outside)
    for act in (
        lambda: reports.keep_picture(NAMES[0], b"x"),
        lambda: reports.picture_names(),
        lambda: reports.drop_pictures([NAMES[0]]),
        lambda: reports.pictures_before(LATER),
    ):
        with pytest.raises(OSError, match="Not a directory|symbolic links"):
            act()
    assert not list(outside.iterdir())
    (tmp_path / "pictures").unlink()
    target = outside / "file"
    target.write_bytes(b"theirs")
    reports.keep_picture(NAMES[0], b"x")
    (tmp_path / "pictures" / NAMES[1]).symlink_to(target)
    assert reports.picture_names() == {NAMES[0]}
    assert reports.drop_pictures([NAMES[1]]) == 0
    reports.keep_picture(NAMES[1], b"ours")
    assert target.read_bytes() == b"theirs"
    assert not (tmp_path / "pictures" / NAMES[1]).is_symlink()


@pytest.mark.parametrize(
    "name",
    ["a.jpg", f"{'A' * 32}.jpg", f"{'a' * 31}.jpg", f"{'a' * 33}.jpg", f"{'a' * 32}.png",
     f"../{'a' * 32}.jpg", f"{'a' * 32}.jpg\n", "", f"{'a' * 32}"],
)  # fmt: skip
def test_another_name_is_none_of_ours(tmp_path, reports, name):
    assert not is_picture(name)
    with pytest.raises(ValueError, match="32 hex digits"):
        reports.keep_picture(name, b"x")
    with pytest.raises(ValueError, match="32 hex digits"):
        reports.drop_pictures([name])
    assert not (tmp_path / "pictures").exists()


def test_what_is_foreign_is_neither_seen_nor_removed(tmp_path, reports):
    reports.keep_picture(NAMES[0], b"x")
    folder = tmp_path / "pictures"
    (folder / "notes.txt").write_text("theirs")
    (folder / NAMES[1]).mkdir()
    (folder / NAMES[2]).touch()  # as a power cut leaves it
    os.mkfifo(folder / NAMES[3])
    assert reports.picture_names() == {NAMES[0]}
    assert reports.drop_pictures([NAMES[0], NAMES[1], NAMES[3]]) == 1
    assert {path.name for path in folder.iterdir()} == {"notes.txt", *NAMES[1:]}


def test_where_nothing_was_kept_there_is_nothing(tmp_path, reports):
    assert reports.picture_names() == set()
    assert reports.pictures_before(LATER) == {}
    assert reports.drop_pictures(NAMES) == 0
    reports.drop_unfinished_pictures(LATER)
    assert not list(tmp_path.iterdir())


def test_what_was_made_before_an_instant_is_told_with_its_size(tmp_path, reports):
    for number, name in enumerate(NAMES):
        reports.keep_picture(name, b"x" * (number + 1))
        os.utime(tmp_path / "pictures" / name, (1000 * number, 1000 * number))
    assert reports.pictures_before(datetime.fromtimestamp(2000, UTC)) == {NAMES[0]: 1, NAMES[1]: 2}


def test_what_a_killed_run_left_at_work_goes_once_it_is_old(tmp_path, reports, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(picture_folder.os, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            reports.keep_picture(NAMES[0], b"x")
        assert not list((tmp_path / "pictures").iterdir())
        patch.setattr(picture_folder.os, "unlink", die)  # the process is dead
        with pytest.raises(KeyboardInterrupt):
            reports.keep_picture(NAMES[0], b"x")
    (left,) = (tmp_path / "pictures").iterdir()
    assert mode(left) == 0o600
    (tmp_path / "pictures" / ".theirs.tmp").touch()
    assert reports.picture_names() == set()
    reports.drop_unfinished_pictures(datetime.now(UTC) - timedelta(days=1))
    assert left.exists()
    reports.drop_unfinished_pictures(LATER)
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == [".theirs.tmp"]


def test_a_disk_that_is_nearly_full_keeps_its_room_for_the_night(tmp_path, reports, monkeypatch):
    class Disk:
        f_blocks, f_frsize = 10**6, 4096
        f_bavail = picture_folder.RESERVE_BYTES // 4096

    monkeypatch.setattr(picture_folder.os, "fstatvfs", lambda _: Disk)
    with pytest.raises(NoRoom) as error:
        reports.keep_picture(NAMES[0], b"x")
    assert error.value.errno == errno.ENOSPC
    assert not list((tmp_path / "pictures").iterdir())
    Disk.f_blocks = 0  # a file system that does not tell
    reports.keep_picture(NAMES[0], b"x")


def test_several_threads_make_the_same_one(tmp_path, reports):
    content = [bytes([number]) * 200_000 for number in range(8)]
    threads = [threading.Thread(target=reports.keep_picture, args=(NAMES[0], each))
               for each in content]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "pictures" / NAMES[0]).read_bytes() in content
    assert len(list((tmp_path / "pictures").iterdir())) == 1
