"""Listing an archive of objects: in pages, by many, and with names that only objects have."""

from __future__ import annotations

import os

from batch.archive.objects import ObjectArchive
from batch.archive.reader import read_file
from batch.core.records import FileState
from batch.core.rules import ReadingRules
from batch.storage import object_clients
from batch.storage.object_store import ObjectStore
from tests.archive.test_access import listed_by_many

BOTH = () if os.environ.get("S3PROXY") else ("a",)
"""A file that is a folder, too: not where the server keeps objects in folders."""
KEYS = (*BOTH, "a-b", "a/b", "a/c/d", "a0", "b/", "b/x", "ü/1.jpg", "z/ y", "z/+%20", "z/q?v=1#2")


def test_every_object_is_a_file_in_the_order_of_its_key_and_folder_markers_are_none(url):
    for key in KEYS:
        ObjectStore(url).put(key, b"" if key.endswith("/") else b"x")
    archive = ObjectArchive(url)
    found = [location.path for location in archive.list_files()]
    assert found == sorted((key for key in KEYS if key != "b/"), key=str.encode)
    for path in found:
        location = archive.locate(path)
        assert archive.read(location, 10) == b"x"


def test_many_list_what_one_lists(url, tmp_path):
    for key in KEYS:
        ObjectStore(url).put(key, b"" if key.endswith("/") else b"x")
    archive = ObjectArchive(url)
    for folders in (1, 2, 4, 9):
        shared = tmp_path / str(folders)
        shared.mkdir()
        assert listed_by_many(archive, shared, folders, 3) == list(archive.list_files())


def test_more_than_a_page_is_listed_whole(url, monkeypatch):
    names = [f"{number:04d}" for number in range(25)]
    for name in names:
        ObjectStore(url).put(name, b"x")
    call = object_clients.call

    def small(method, **words):
        return call(method, **words, **({"MaxKeys": 10} if method == "list_objects_v2" else {}))

    monkeypatch.setattr(object_clients, "call", small)
    assert [found.name for found in ObjectStore(url).objects()] == names


def test_an_object_written_again_within_the_second_is_another(url):
    archive, store = ObjectArchive(url), ObjectStore(url)
    store.put("a.jpg", b"one")
    (before,) = archive.list_files()
    store.put("a.jpg", b"two")
    assert archive.read(before, 10) is None
    (after,) = archive.list_files()
    assert (after.size, after.mtime_ns != before.mtime_ns) == (before.size, True)
    assert archive.read(after, 10) == b"two"


def test_objects_below_a_folder_of_the_systems_are_counted_and_not_fetched(url):
    ObjectStore(url).put("x/@eaDir/a.jpg", b"x")
    archive = ObjectArchive(url)
    (location,) = archive.list_files()
    ObjectStore(url).delete([location.path])
    reading, results = read_file(archive, location, ReadingRules())
    assert (reading.state, reading.reason, results) == (FileState.NON_IMAGE, "system_folder", ())
