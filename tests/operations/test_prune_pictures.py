"""Prune takes the pictures that no kept page shows, and never another file."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.cli import main
from batch.core.errors import ExitCode, UsageError
from batch.operations import prune_pictures as module
from batch.operations.prune import prune
from batch.operations.prune_pictures import PrunedPictures, prune_pictures
from batch.reports.local import LocalReports
from tests.operations import ledger, night, point_latest

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 24 * 3600


def name_of(number: int) -> str:
    return f"{number:032x}.jpg"


def pictures(reports: Path, *numbers: int, hours: float = 25) -> None:
    for number in numbers:
        LocalReports(reports).keep_picture(name_of(number), b"x" * 10)
        made = time.time() - 3600 * hours
        os.utime(reports / "pictures" / name_of(number), (made, made))


def page(folder: Path, *numbers: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    links = "".join(f'<img src="../../pictures/{name_of(number)}">' for number in numbers)
    (folder / "review_worklist.html").write_text(f"<html>{links}</html>")


def nights(reports: Path, **shown: tuple[int, ...]) -> None:
    """Nights, oldest first, and the pictures that their pages show."""
    for day, (name, numbers) in enumerate(shown.items()):
        page(night(reports, name, ledger((FIRST + timedelta(days=day)).isoformat())), *numbers)
    point_latest(reports, list(shown)[-1])


def there(reports: Path) -> set[int]:
    return {int(name[:32], 16) for name in LocalReports(reports).picture_names()}


@pytest.mark.parametrize(
    ("keep", "stay"), [(1, {4, 5, 9}), (2, {3, 4, 5, 9}), (3, {1, 2, 3, 4, 5, 9})]
)
def test_what_only_older_nights_show_goes(tmp_path, keep, stay):
    nights(tmp_path, a=(1, 2), b=(2, 3), c=(3,), d=(4, 5))
    pictures(tmp_path, 1, 2, 3, 4, 5, 6)
    pictures(tmp_path, 9, hours=23)
    stay = stay if keep < 3 else stay - {1}
    freed = prune(tmp_path, keep)
    assert there(tmp_path) == stay
    assert freed.pictures == PrunedPictures(7 - len(stay), 10 * (7 - len(stay)))
    assert prune(tmp_path, keep).pictures == PrunedPictures(0, 0)


def test_a_dry_run_counts_the_same_and_removes_nothing(tmp_path):
    nights(tmp_path, a=(1,), b=(2,))
    pictures(tmp_path, 1, 2, 3)
    assert prune(tmp_path, 1, dry_run=True).pictures == PrunedPictures(2, 20)
    assert there(tmp_path) == {1, 2, 3}


def test_the_latest_night_keeps_its_own_however_old_it_is(tmp_path):
    nights(tmp_path, a=(1,), b=(2,), c=(3,))
    point_latest(tmp_path, "a")
    pictures(tmp_path, 1, 2, 3)
    prune(tmp_path, 1)
    assert there(tmp_path) == {1, 3}


def test_a_night_that_lost_its_snapshots_before_is_not_kept_for_them(tmp_path):
    nights(tmp_path, a=(1,), b=(2,))
    prune(tmp_path, 1)
    pictures(tmp_path, 1, 2)
    prune(tmp_path, 1)
    assert there(tmp_path) == {2}


def test_what_cannot_be_dated_or_is_incomplete_keeps_its_pictures(tmp_path):
    nights(tmp_path, a=(1,))
    page(night(tmp_path, "x", b"{"), 2)
    page(night(tmp_path, "y", ledger(), complete=False), 3)
    pictures(tmp_path, 1, 2, 3, 4)
    prune(tmp_path, 1)
    assert there(tmp_path) == {1, 2, 3}


def test_lists_made_anew_keep_theirs_wherever_in_reports_they_lie(tmp_path):
    nights(tmp_path, a=(1,))
    page(tmp_path / "worklist", 2)
    page(tmp_path / "lists" / "of today", 3)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    page(outside, 4)
    (tmp_path / "link").symlink_to(outside)
    pictures(tmp_path, 1, 2, 3, 4)
    prune(tmp_path, 1)
    assert there(tmp_path) == {1, 2, 3}


def test_foreign_files_stay(tmp_path):
    nights(tmp_path, a=())
    pictures(tmp_path, 1)
    folder = tmp_path / "pictures"
    foreign = {"notes.txt", "thumb.jpg", f"{'A' * 32}.jpg", f"{'a' * 32}.png", ".x.tmp"}
    for name in foreign:
        (folder / name).write_text("theirs")
        os.utime(folder / name, (0, 0))
    (folder / name_of(2)).symlink_to(folder / "notes.txt")
    (folder / name_of(3)).mkdir()
    assert prune(tmp_path, 1).pictures.files == 1
    assert {path.name for path in folder.iterdir()} == foreign | {name_of(2), name_of(3)}


def test_a_page_that_cannot_be_read_stops_it_before_anything_is_removed(tmp_path, monkeypatch):
    nights(tmp_path, a=(1,))
    pictures(tmp_path, 1, 2)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.Path, "read_bytes", refuse)
    with pytest.raises(UsageError, match=r"cannot look through the pages .*Permission denied"):
        prune_pictures(LocalReports(tmp_path), [tmp_path / "runs" / "a"])
    assert there(tmp_path) == {1, 2}


def test_a_link_in_place_of_the_folder_is_refused(tmp_path):
    nights(tmp_path, a=())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / name_of(1)).touch()
    (tmp_path / "pictures").symlink_to("elsewhere")
    with pytest.raises(UsageError, match="cannot look through"):
        prune(tmp_path, 1)
    assert (tmp_path / "elsewhere" / name_of(1)).exists()


def test_what_killed_nights_left_at_work_goes(tmp_path):
    nights(tmp_path, a=(1,))
    pictures(tmp_path, 1, 2)
    left = tmp_path / "pictures" / f".{name_of(3)}.4711-0a0b0c0d.tmp"
    left.write_bytes(b"half")
    prune(tmp_path, 1)
    assert left.exists()
    pictures(tmp_path, 2)
    os.utime(left, (0, 0))
    prune(tmp_path, 1)
    assert not left.exists()


def test_the_command_tells_them(tmp_path, capsys):
    nights(tmp_path, a=(1,), b=(2,))
    pictures(tmp_path, 1, 2)
    words = ["prune", str(tmp_path), "--keep", "1"]
    assert main([*words, "--dry-run"]) == ExitCode.COMPLETE
    assert "1 pictures, 0.0 MB would be removed" in capsys.readouterr().out
    assert main(words) == ExitCode.COMPLETE
    assert "1 pictures, 0.0 MB removed" in capsys.readouterr().out


def test_several_prunes_and_a_night_at_once_break_no_link_of_the_latest_page(tmp_path):
    """What takes the lock second is refused; a night in between links what it finds or makes."""
    nights(tmp_path, a=(1, 2), b=(2, 3))
    pictures(tmp_path, *range(1, 40))
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda: codes.append(main(["prune", str(tmp_path), "--keep", "1"])))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {ExitCode.COMPLETE, ExitCode.LOCKED}
    assert ExitCode.COMPLETE in codes
    assert there(tmp_path) == {2, 3}


@settings(max_examples=40, deadline=None)
@given(
    shown=st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=4),
    made=st.sets(st.integers(0, 9)),
    young=st.sets(st.integers(0, 9)),
    keep=st.integers(1, 5),
)
def test_whatever_pages_show_those_of_kept_nights_keep_their_pictures(
    tmp_path_factory, shown, made, young, keep
):
    reports = tmp_path_factory.mktemp("reports")
    nights(reports, **{f"n{number}": tuple(each) for number, each in enumerate(shown)})
    pictures(reports, *made)
    pictures(reports, *young, hours=1)
    prune(reports, keep)
    kept = set().union(*shown[-keep:])
    assert there(reports) == (made & kept) | young
