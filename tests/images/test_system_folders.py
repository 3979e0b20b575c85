"""What systems keep for themselves is counted as no image, and never opened."""

from __future__ import annotations

import pytest

from batch.archive.local import LocalArchive, list_archive
from batch.archive.reader import read_file
from batch.core.records import FileState, ImageLocation
from batch.core.rules import ReadingRules
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.images.formats import is_in_system_folder

JPEG = jpeg_bytes(lesion_image(1, 40, 40))


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", True),
        ("2025/ward/@eaDir/a.jpg", True),
        ("2025/@EADIR/a.jpg", True),
        ("#recycle/a.jpg", True),
        ("#snapshot/GMT-01/a.jpg", True),
        ("@Recycle/a.jpg", True),
        (".@__thumb/a.jpg", True),
        (".Trash/a.jpg", True),
        (".Trash-1000/files/a.jpg", True),
        (".Trashes/501/a.jpg", True),
        ("$RECYCLE.BIN/S-1-5/a.jpg", True),
        ("RECYCLER/a.jpg", True),
        ("System Volume Information/a", True),
        ("x/__MACOSX/._a.jpg", True),
        (".thumbnails/large/a.png", True),
        ("lost+found/#123", True),
        ("lost+found/", True),  # a folder that could not be listed
        (".snapshot/hourly/a.jpg", True),
        ("lost+found", False),  # a file of that name
        ("x/@eaDir", False),
        ("eaDir/a.jpg", False),
        ("recycle/a.jpg", False),
        ("trash/a.jpg", False),
        (".Trashcan/a.jpg", False),
        ("thumbnails/a.jpg", False),
        ("my lost+found/a.jpg", False),
        ("a.jpg", False),
        ("", False),
    ],
)
def test_a_path_tells(path, inside):
    assert is_in_system_folder(path) is inside


def test_such_files_are_counted_and_not_opened(tmp_path):
    for name in ("a.jpg", "@eaDir/a.jpg/thumb.jpg", "b/.Trash-1000/files/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(JPEG)
    readings = {}
    for location in list_archive(tmp_path):
        if location.path != "a.jpg":
            (tmp_path / location.path).unlink()  # whoever opens it notices
        reading, results = read_file(LocalArchive(tmp_path), location, ReadingRules())
        readings[location.path] = (reading.state, reading.reason, reading.frames, len(results))
    stated = (FileState.NON_IMAGE, "system_folder", 0, 0)
    assert readings == {
        "@eaDir/a.jpg/thumb.jpg": stated,
        "a.jpg": (None, None, 1, 1),
        "b/.Trash-1000/files/a.jpg": stated,
    }


def test_a_folder_of_that_kind_that_cannot_be_listed_is_no_failure(tmp_path):
    """`lost+found` belongs to root: it used to be an unscored row of every night."""
    location = ImageLocation("lost+found/", 0, 0)
    reading, results = read_file(LocalArchive(tmp_path), location, ReadingRules())
    assert (reading.state, reading.reason, results) == (FileState.NON_IMAGE, "system_folder", ())


def test_an_archive_that_is_named_so_itself_is_read(tmp_path):
    root = tmp_path / "#recycle"
    root.mkdir()
    (root / "a.jpg").write_bytes(JPEG)
    (location,) = list_archive(root)
    reading, _ = read_file(LocalArchive(root), location, ReadingRules())
    assert reading.frames == 1
