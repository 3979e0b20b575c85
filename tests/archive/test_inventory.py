import os
import re
import subprocess

import pyarrow as pa
import pytest

from batch.archive.local import LocalArchive, list_archive
from batch.archive.reader import read_file
from batch.core.rules import ReadingRules
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.reports.parquet import from_columns
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


NAMES = (
    b"l\xe4sion.jpg", b"l\\xe4sion.jpg", b"l\\\\xe4sion.jpg", b"a\xff\\xff", b"a\\xff\xff",
    b"\\\xff", b"\\\\\xff", b"folder\\a.jpg", b"a\\\\b", b"\\x", b"\\xg0", b"\\xFF",
    b"x\\\\x41", "ü.jpg".encode(),
)  # fmt: skip


def _name(path: str) -> bytes:
    """What schemas/README.md says, read the other way."""
    if not re.search(r"\\x[0-9a-f]{2}", path):
        return path.encode()
    single = {"\\\\": b"\\"}
    return b"".join(
        single.get(part) or (bytes.fromhex(part[2:]) if part.startswith("\\x") else part.encode())
        for part in re.split(r"(\\\\|\\x[0-9a-f]{2})", path)
    )


def test_no_two_names_share_a_path_and_each_can_be_read_back():
    rows = [path_columns(os.fsdecode(name)) for name in NAMES]
    assert len({row["path"] for row in rows}) == len(NAMES)
    for name, row in zip(NAMES, rows, strict=True):
        assert _name(row["path"]) == name
        assert row["path_bytes"] == (None if row["path"].encode() == name else name)


@pytest.mark.parametrize("name", [b"l\\xe4sion.jpg", b"l\xe4sion.jpg", b"folder\\a.jpg"])
def test_columns_of_names_are_spelled_like_single_ones(name):
    columns = {
        "size": [1, 1], "mtime_ns": [1, 1], "content_sha256": [None] * 2, "file_format": [None] * 2,
        "reason": [None] * 2, "frames": [0, 0], "frames_scored": [0, 0], "frames_unscored": [0, 0],
        "attempts": [0, 0],
    }  # fmt: skip
    arrays = {column: pa.array(values) for column, values in columns.items()}
    constants = dict.fromkeys(
        ("state", "detail", "program_version", "failure_fingerprint", "identity_fingerprint",
         "scoring_fingerprint", "run_id"), ""
    )  # fmt: skip
    rows = from_columns("files", pa.chunked_array([[b"a.jpg", name]]), arrays, constants)
    found = rows.select(["path", "path_bytes"]).to_pylist()
    assert found == [path_columns("a.jpg"), path_columns(os.fsdecode(name))]
