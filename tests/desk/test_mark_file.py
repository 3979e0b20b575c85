"""The file of the desk: what was told as saved is there, whatever happens to the file."""

from __future__ import annotations

import errno
import os
import secrets
import threading
from datetime import UTC, datetime, timedelta

import pytest

from batch.core.errors import ReportsLocked, UsageError
from batch.desk import mark_file
from batch.desk.mark_file import NAME, MarkFile, NotSaved, Overtaken, only_writer
from batch.desk.mark_rows import Decision
from batch.review.worklist.marks import read_marks

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


def told(key: str = "a", decision: str = "call_back", **changes) -> Decision:
    return Decision(key, decision, "Dr A", 0.5, 1, **{"mark_id": secrets.token_hex(16), **changes})


def keys_on_disk(folder) -> list[str]:
    found = read_marks(folder / NAME)
    assert found.problems == ()
    return [mark.lesion_key for mark in found.found]


def test_a_mark_is_read_by_a_night_and_by_the_next_start(tmp_path):
    first = MarkFile(tmp_path, is_private=False).add(told("a"), "", NOW)
    again = MarkFile(tmp_path, is_private=False)
    assert again.newest("a") == first
    again.add(told("a", "reopen"), first.told.mark_id, NOW)
    found = read_marks(tmp_path / NAME)
    assert [mark.decision for mark in found.found] == ["call_back", "reopen"]


def test_before_the_first_mark_there_is_no_file_and_the_edition_stays(tmp_path):
    marks = MarkFile(tmp_path, is_private=False)
    assert marks.marks("", 0) == marks.marks("", 0)
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize(("is_private", "mode"), [(True, 0o600), (False, 0o640)])
def test_with_patient_ids_the_file_is_its_owners_alone(tmp_path, is_private, mode):
    before = os.umask(0o022)
    try:
        MarkFile(tmp_path, is_private).add(told(), "", NOW)
    finally:
        os.umask(before)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == mode


def test_a_mark_over_one_that_the_page_had_not_seen_is_not_saved(tmp_path):
    marks = MarkFile(tmp_path, is_private=False)
    first = marks.add(told("a"), "", NOW)
    with pytest.raises(Overtaken) as overtaken:
        marks.add(told("a", "no_action"), "", NOW)
    assert overtaken.value.mark == first
    assert keys_on_disk(tmp_path) == ["a"]


def test_a_click_that_is_sent_twice_is_one_mark(tmp_path):
    marks = MarkFile(tmp_path, is_private=False)
    click = told("a")
    assert marks.add(click, "", NOW) == marks.add(click, "", NOW)
    assert MarkFile(tmp_path, is_private=False).add(click, "", NOW).number == 1
    assert keys_on_disk(tmp_path) == ["a"]


def test_a_clock_that_was_set_back_makes_no_decision_the_older_one(tmp_path):
    marks = MarkFile(tmp_path, is_private=False)
    first = marks.add(told("a"), "", NOW)
    second = marks.add(told("a", "reopen"), first.told.mark_id, NOW - timedelta(hours=1))
    assert second.reviewed_at > first.reviewed_at
    assert MarkFile(tmp_path, is_private=False).newest("a").told.decision == "reopen"


def test_threads_that_mark_at_the_same_time_lose_nothing_and_tear_no_row(tmp_path):
    marks = MarkFile(tmp_path, is_private=False)
    won: list[int] = []

    def click(name: int) -> None:
        for number in range(20):
            marks.add(told(f"{name}-{number}"), "", NOW)
        try:
            marks.add(told("contested"), "", NOW)
            won.append(name)
        except Overtaken:
            pass

    threads = [threading.Thread(target=click, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = keys_on_disk(tmp_path)
    assert len(won) == 1 and keys.count("contested") == 1
    assert set(keys) >= {f"{name}-{number}" for name in range(8) for number in range(20)}
    assert len(keys) == 161


@pytest.mark.parametrize("written", [0, 7])
def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path, monkeypatch, written):
    marks = MarkFile(tmp_path, is_private=False)
    first = marks.add(told("a"), "", NOW)
    real, calls = os.write, []

    def write(descriptor, data):
        calls.append(1)
        if written and len(calls) == 1:
            return real(descriptor, data[:written])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        with pytest.raises(NotSaved, match="No space left"):
            marks.add(told("b"), "", NOW)
    assert keys_on_disk(tmp_path) == ["a"]
    marks.add(told("b"), "", NOW)
    assert keys_on_disk(tmp_path) == ["a", "b"]
    assert marks.newest("a").told == first.told


def test_a_disk_that_cannot_be_synced_saves_nothing(tmp_path, monkeypatch):
    marks = MarkFile(tmp_path, is_private=False)
    marks.add(told("a"), "", NOW)

    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(mark_file.os, "fsync", fail)
        with pytest.raises(NotSaved):
            marks.add(told("b"), "", NOW)
    assert keys_on_disk(tmp_path) == ["a"]


def test_marks_go_to_a_new_file_after_somebody_moved_the_old_one_away(tmp_path):
    marks = MarkFile(tmp_path, is_private=False)
    first = marks.add(told("a"), "", NOW)
    edition, _ = marks.marks("", 0)
    os.rename(tmp_path / NAME, tmp_path / "reviewed-old.csv")
    now, found = marks.marks(edition, 1)
    assert now != edition and found == []
    with pytest.raises(Overtaken) as overtaken:  # the page still shows the mark that is gone
        marks.add(told("a"), first.told.mark_id, NOW)
    assert overtaken.value.mark is None
    marks.add(told("b"), "", NOW)
    assert keys_on_disk(tmp_path) == ["b"]


def test_a_file_that_a_spreadsheet_saved_meanwhile_stays_and_takes_no_mark(tmp_path):
    marks = MarkFile(tmp_path, is_private=False)
    marks.add(told("a"), "", NOW)
    data = (tmp_path / NAME).read_bytes().replace(b",", b";")
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(NotSaved, match="Rename it"):
        marks.add(told("b"), "", NOW)
    assert (tmp_path / NAME).read_bytes() == data
    with pytest.raises(UsageError, match="Rename it"):
        MarkFile(tmp_path, is_private=False)


@pytest.mark.parametrize("data", [b"somebody's own file", b"a;b\n", b"lesion_key,decision\r\n"])
def test_a_file_of_that_name_that_is_not_the_desks_is_never_cut(tmp_path, data):
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(UsageError, match="Rename it"):
        MarkFile(tmp_path, is_private=False)
    assert (tmp_path / NAME).read_bytes() == data


def test_an_unfinished_row_is_cut_at_the_next_start_and_a_reader_leaves_it(tmp_path):
    MarkFile(tmp_path, is_private=False).add(told("a"), "", NOW)
    whole = (tmp_path / NAME).read_bytes()
    torn = whole + b'b,,call_back,"Dr'
    (tmp_path / NAME).write_bytes(torn)
    reader = MarkFile(tmp_path, is_private=False, is_writer=False)
    assert reader.newest("a") is not None
    assert (tmp_path / NAME).read_bytes() == torn
    MarkFile(tmp_path, is_private=False)
    assert (tmp_path / NAME).read_bytes() == whole


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path):
    marks = MarkFile(tmp_path, is_private=False)
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotSaved):
        marks.add(told("a"), "", NOW)
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_only_marks_after_the_row_that_the_asker_has_are_told(tmp_path):
    marks = MarkFile(tmp_path, is_private=False)
    for key in "abc":
        marks.add(told(key), "", NOW)
    edition, found = marks.marks("", 0)
    assert [mark.told.lesion_key for mark in found] == ["a", "b", "c"]
    assert [mark.told.lesion_key for mark in marks.marks(edition, 2)[1]] == ["c"]


def test_two_desks_take_no_marks_for_the_same_reports(tmp_path):
    with (
        only_writer(tmp_path),
        pytest.raises(ReportsLocked, match="another desk"),
        only_writer(tmp_path),
    ):
        pass
    with only_writer(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(UsageError, match="--read-only"), only_writer(tmp_path / "gone"):
        pass
