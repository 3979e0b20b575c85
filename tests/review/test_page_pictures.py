"""A page's pictures from the reports and the archive; what goes wrong costs pictures only."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from batch.archive.local import LocalArchive
from batch.core.config import ReviewOptions
from batch.core.errors import DecoderNotStarted
from batch.core.rules import Limits
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.reports import picture_folder
from batch.reports.local import LocalReports
from batch.review.page import pictures as page_module
from batch.review.page_pictures import PicturePlace, Pictures, page_pictures

COUNT = 5


@pytest.fixture
def archive(tmp_path) -> Path:
    (tmp_path / "archive").mkdir()
    for number in range(COUNT):
        data = jpeg_bytes(lesion_image(number, 60, 80))
        (tmp_path / "archive" / f"{number}.jpg").write_bytes(data)
    return tmp_path / "archive"


@pytest.fixture
def worklist(archive):
    rows = []
    for number in range(COUNT):
        content = hashlib.sha256((archive / f"{number}.jpg").read_bytes()).hexdigest()
        rows.append(
            {"lesion_key": f"k{number}", "image_id": f"sha256:{content}", "path": f"{number}.jpg",
             "path_bytes": None, "frame_number": None, "file_format": "jpeg", "flags": ["lossy"],
             "content_sha256": content}
        )  # fmt: skip
    lesions = pd.DataFrame({"lesion_key": [row["lesion_key"] for row in rows], "tier": "alert",
                            "status": "new"})  # fmt: skip
    return SimpleNamespace(lesions=lesions, images=pd.DataFrame(rows))


@pytest.fixture
def reports(tmp_path) -> LocalReports:
    (tmp_path / "reports").mkdir()
    return LocalReports(tmp_path / "reports")


def source(archive: Path, **changes) -> Pictures:
    return Pictures(LocalArchive(archive), Limits(), lambda: (None, 0), **changes)


def shown(reports, worklist, given, options=None, level="uids"):
    failed: dict[str, str] = {}
    place = PicturePlace(reports, "../../pictures/", level)
    found, told = page_pictures(place, worklist, options or ReviewOptions(), given, failed)
    return found, told, failed


def numbers(found, worklist) -> list[int]:
    """Which of the images have a picture."""
    ids = list(worklist.images["image_id"])
    return sorted(ids.index(image_id) for image_id in found.by_image)


def kept(reports) -> set[str]:
    return {path.name for path in (reports.root / "pictures").glob("*")}


def test_files_are_made_once_and_shown_every_night(reports, worklist, archive, monkeypatch):
    found, told, failed = shown(reports, worklist, source(archive))
    assert failed == {}
    assert told == {"shown": COUNT, "made": COUNT, "unreadable": 0, "withheld": 0}
    assert found.prefix == "../../pictures/"
    assert kept(reports) == {each.name for each in found.by_image.values()}
    assert {(each.width, each.height) for each in found.by_image.values()} == {(80, 60)}

    def never(*_, **__):
        raise AssertionError("nothing is to be made")

    monkeypatch.setattr(page_module, "read_picture_file", never)
    again, told, failed = shown(reports, worklist, source(archive))
    assert (told["shown"], told["made"], failed) == (COUNT, 0, {})
    assert {key: each.name for key, each in again.by_image.items()} == {
        key: each.name for key, each in found.by_image.items()
    }
    (archive / "2.jpg").unlink()  # it is listed and was made: the page shows it
    assert shown(reports, worklist, None)[1]["shown"] == COUNT


def test_without_an_archive_what_is_there_is_shown_and_the_rest_told(reports, worklist, archive):
    shown(reports, SimpleNamespace(lesions=worklist.lesions, images=worklist.images[:2]),
          source(archive))  # fmt: skip
    found, _, failed = shown(reports, worklist, None)
    assert numbers(found, worklist) == [0, 1]
    assert failed == {"pictures": "3 left out, since the run was stopped early"}


def test_no_pictures_are_none_and_make_no_folder(reports, worklist, archive):
    found, told, failed = shown(reports, worklist, source(archive), ReviewOptions(pictures=False))
    assert (found.prefix, found.by_image, found.withheld, failed) == ("", {}, frozenset(), {})
    assert told["shown"] == 0
    assert not list(reports.root.iterdir())


def test_a_single_file_holds_them_and_makes_no_folder(reports, worklist, archive):
    found, _, failed = shown(reports, worklist, source(archive), ReviewOptions(single_file=True))
    assert failed == {}
    assert found.prefix == ""
    assert all(each.uri.startswith("data:image/jpeg;base64,") for each in found.by_image.values())
    assert len(found.by_image) == COUNT
    assert not list(reports.root.iterdir())
    _, _, failed = shown(reports, worklist, None, ReviewOptions(single_file=True))
    assert failed == {"pictures": f"{COUNT} left out, since the run was stopped early"}


@pytest.mark.parametrize("level", ["none", "uids", None, "full"])
@pytest.mark.parametrize("single_file", [False, True])
def test_burned_in_text_is_withheld_unless_identifiers_are_full(
    reports, worklist, archive, level, single_file
):
    worklist.images.at[1, "flags"] = ["burned_in_annotation", "lossy"]
    options = ReviewOptions(single_file=single_file)
    found, told, _ = shown(reports, worklist, source(archive), options, level)
    is_shown = level == "full"
    assert (1 in numbers(found, worklist)) == is_shown
    assert found.withheld == (frozenset() if is_shown else {worklist.images["image_id"][1]})
    assert told["withheld"] == len(found.withheld)
    if not single_file:
        assert len(kept(reports)) == COUNT - (not is_shown)


def test_what_a_full_night_made_is_not_shown_by_another(reports, worklist, archive):
    worklist.images.at[1, "flags"] = ["burned_in_annotation"]
    shown(reports, worklist, source(archive), level="full")
    found, _, _ = shown(reports, worklist, source(archive), level="uids")
    assert numbers(found, worklist) == [0, 2, 3, 4]


def test_a_full_disk_costs_the_pictures_that_do_not_fit(reports, worklist, archive, monkeypatch):
    check, asked = picture_folder._check_room, []

    def nearly_full(folder, size):
        asked.append(size)
        if len(asked) > 2:
            raise picture_folder.NoRoom(errno.ENOSPC, "No space left on device")
        check(folder, size)

    monkeypatch.setattr(picture_folder, "_check_room", nearly_full)
    found, told, failed = shown(reports, worklist, source(archive))
    assert failed == {"pictures": "NoRoom"}
    assert len(kept(reports)) == 2
    assert told["shown"] <= 2
    assert {each.name for each in found.by_image.values()} <= kept(reports)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_where_a_quota_is_full_tonight_s_pictures_make_room_for_the_page(
    reports, worklist, archive, monkeypatch, number
):
    first = SimpleNamespace(lesions=worklist.lesions, images=worklist.images[:1])
    shown(reports, first, source(archive))
    keep, asked = LocalReports.keep_picture, []

    def full(self, name, data):
        asked.append(name)
        if len(asked) > 2:
            raise OSError(number, "full")
        keep(self, name, data)

    monkeypatch.setattr(LocalReports, "keep_picture", full)
    found, _, failed = shown(reports, worklist, source(archive))
    assert failed == {"pictures": "OSError"}
    assert 0 in numbers(found, worklist)
    assert {each.name for each in found.by_image.values()} <= kept(reports)


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Jane"), DecoderNotStarted("no"), MemoryError()]
)
def test_what_fails_midway_leaves_what_was_made(reports, worklist, archive, monkeypatch, error):
    read, asked = page_module.read_picture_file, []

    def fail(*arguments):
        asked.append(arguments)
        if len(asked) > 2:
            raise error
        return read(*arguments)

    monkeypatch.setattr(page_module, "read_picture_file", fail)
    found, _, failed = shown(reports, worklist, source(archive))
    assert failed == {"pictures": type(error).__name__}
    assert set(numbers(found, worklist)) <= {0, 1, 2}
    assert {each.name for each in found.by_image.values()} <= kept(reports)


def test_something_else_at_the_place_costs_the_pictures(reports, worklist, archive):
    (reports.root / "pictures").write_text("theirs")
    found, _, failed = shown(reports, worklist, source(archive))
    assert found.by_image == {}
    assert failed == {"pictures": "NotADirectoryError"}
    assert (reports.root / "pictures").read_text() == "theirs"


def test_when_no_time_is_left_the_rest_is_told(reports, worklist, archive):
    answers = iter([True, True] + [False] * 20)
    given = source(archive, goes_on=lambda: next(answers))
    for options in (ReviewOptions(), ReviewOptions(single_file=True)):
        found, _, failed = shown(reports, worklist, given, options)
        left = COUNT - len(found.by_image)
        assert left > 0
        assert failed == {"pictures": f"{left} left out, since no time was left for them"}


def test_each_kind_is_told_as_a_phase_only_when_there_is_something_to_do(
    reports, worklist, archive
):
    phases: list[str] = []
    given = source(archive, on_phase=phases.append)
    for _ in range(2):
        shown(reports, worklist, given)
    assert phases == ["pictures"]
