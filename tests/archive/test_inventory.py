import os
import subprocess

from batch.archive.inventory import list_archive
from batch.archive.reader import read_file
from batch.archive.rules import ReadingRules
from batch.archive.storage import LocalArchive
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.reports.rows import path_columns


def test_everything_that_is_no_folder_is_listed_in_a_stable_order(tmp_path):
    for name in ("b/2.jpg", "b/1.jpg", "a.txt", "c/d/e"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    os.mkfifo(tmp_path / "pipe")
    os.utime(tmp_path / "a.txt", ns=(0, 123456789))
    found = list(list_archive(tmp_path))
    assert [location.path for location in found] == ["a.txt", "b/1.jpg", "b/2.jpg", "c/d/e", "pipe"]
    assert (found[0].size, found[0].mtime_ns) == (5, 123456789)


def test_links_are_listed_and_never_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.jpg").write_bytes(b"1")
    root = tmp_path / "root"
    root.mkdir()
    (root / "loop").symlink_to(root)
    (root / "out").symlink_to(outside)
    (root / "gone").symlink_to(root / "nothing")
    found = list(list_archive(root))
    assert [location.path for location in found] == ["gone", "loop", "out"]
    results = [read_file(LocalArchive(root), location, ReadingRules())[1][0] for location in found]
    assert {result.reason.value for result in results} == {"not_a_regular_file"}


def test_folders_may_nest_deeper_than_the_interpreter_recurses(tmp_path):
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        with open("a.jpg", "wb") as file:
            file.write(b"1")
    finally:
        os.chdir(here)
    (found,) = list_archive(tmp_path)
    assert found.path == "d/" * 1500 + "a.jpg"
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_a_name_that_is_not_utf8_is_read_and_survives_into_the_row_and_back(tmp_path):
    name = os.fsdecode(b"l\xe4sion.jpg")
    (tmp_path / name).write_bytes(jpeg_bytes(lesion_image(1, 40, 40)))
    (location,) = list_archive(tmp_path)
    _, (result,) = read_file(LocalArchive(tmp_path), location, ReadingRules())
    row = path_columns(result.record.path)
    assert row["path"] == "l\\xe4sion.jpg"
    assert os.fsdecode(row["path_bytes"]) == name
    assert path_columns("läsion.jpg") == {"path": "läsion.jpg", "path_bytes": None}
