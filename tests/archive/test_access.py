"""A listing that many make is the listing that one makes: same files, same order."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.archive.access import top_levels
from batch.archive.local import LocalArchive
from batch.pipeline import work_files
from batch.storage.shared_folder import LocalSharedFolder

NAMES = st.sampled_from(
    ["a", "a.jpg", "a-b", "B", "ü", "z", b"\xff.jpg".decode(errors="surrogateescape")]
)
TREES = st.recursive(
    st.just(None), lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=25
)  # fmt: skip


def write(place: Path, tree: dict | None) -> None:
    if tree is None:
        place.write_bytes(os.fsencode(place.name))
        return
    place.mkdir()
    for name, below in tree.items():
        write(place / name, below)


def listed_by_many(archive, shared: Path, folders: int, chunks: int) -> list:
    """As workers do it, chunks backwards and the first of them twice."""
    place = LocalSharedFolder(shared)
    top = top_levels(archive, folders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work_files, "MOST_CHUNKS", chunks)
        names = work_files.write_folders(place, [each for each in top if isinstance(each, str)])
    assert len(names) <= chunks
    order = [*names[:1], *reversed(names)]
    written = [work_files.list_chunk(archive, place, name) for name in order]
    work_files.write_index(place, "index.json", written)
    return list(work_files.read_listing(place, top, names, "index.json"))


@settings(max_examples=60)
@given(TREES.filter(lambda tree: tree is not None), st.integers(1, 9), st.integers(1, 5))
def test_many_list_what_one_lists(tree, folders, chunks):
    with TemporaryDirectory() as place:
        root, shared = Path(place) / "archive", Path(place) / "shared"
        write(root, tree)
        shared.mkdir()
        archive = LocalArchive(root)
        assert listed_by_many(archive, shared, folders, chunks) == list(archive.list_files())


def test_no_level_is_looked_at_that_need_not_be(tmp_path):
    write(tmp_path / "archive", {"a": {"a": {"a": None}}, "B": {"a": {"a": None}}})
    archive = LocalArchive(tmp_path / "archive")
    assert top_levels(archive, 2) == ["B/", "a/"]
    assert top_levels(archive, 1) == [""]
    assert all(not isinstance(each, str) for each in top_levels(archive, 3))


def test_a_folder_that_cannot_be_listed_is_told_by_many_too(tmp_path, monkeypatch):
    write(tmp_path / "archive", {"a": {"a": None}, "B": {"a": None}})
    (tmp_path / "shared").mkdir()
    archive, scandir = LocalArchive(tmp_path / "archive"), os.scandir

    def refusing(path):
        if str(path).endswith("B/"):
            raise PermissionError
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = listed_by_many(archive, tmp_path / "shared", 2, 2)
    assert [each.path for each in found] == ["B/", "a/a"]
    assert found == list(archive.list_files())
