"""What workers write, however often an engine makes them write it: each row once, or an error."""

from __future__ import annotations

import json
import os
import threading

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.errors import LedgerImbalance, ReportsLost
from batch.core.records import FileReading, ImageLocation, QueuedFile
from batch.pipeline import work_files as queue_module
from batch.pipeline.results import keep_listed_parts, shard_rows, write_list, write_parts
from batch.pipeline.work_files import read_chunk, write_queue
from batch.storage.shared_folder import LocalSharedFolder
from tests.support.archives import FACTS, prediction

LIST = "parts-x.json"


def rows_for(*paths: str, score: float = 0.7):
    readings = [FileReading(ImageLocation(path, 1, 2), 1, "0" * 64, "jpeg") for path in paths]
    scored = [prediction(score, path, image_id=f"sha256:{path}") for path in paths]
    return shard_rows([*readings, *scored], FACTS)


def written(folder, table):
    return [row for part in sorted((folder / table).iterdir()) for row in paths_in(part)]


def paths_in(part):
    return pq.read_table(part, columns=["path"])["path"].to_pylist()


def test_an_attempt_that_does_not_count_leaves_nothing(tmp_path):
    shared = LocalSharedFolder(tmp_path)
    write_parts(shared, 0, rows_for("a", "b"))
    counts = write_parts(shared, 0, rows_for("b", "a"))
    write_parts(shared, 0, rows_for("a", "b", score=0.9))
    write_list(shared, LIST, counts)
    keep_listed_parts(shared, tmp_path, LIST, 2)
    for table in ("files", "predictions", "alerts"):
        assert written(tmp_path, table) == ["a", "b"]
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {part.name for part in counts}


def test_two_attempts_write_the_same_content_under_two_names(tmp_path):
    shared = LocalSharedFolder(tmp_path)
    one, two = (write_parts(shared, 3, rows_for(*paths)) for paths in (("a", "b"), ("b", "a")))
    assert {part.sha256 for part in one} == {part.sha256 for part in two}
    assert not {part.name for part in one} & {part.name for part in two}


def test_the_list_may_be_written_twice_whichever_attempt_wins(tmp_path):
    shared = LocalSharedFolder(tmp_path)
    for _ in range(2):
        write_list(shared, LIST, write_parts(shared, 0, rows_for("a")))
    keep_listed_parts(shared, tmp_path, LIST, 1)
    assert written(tmp_path, "files") == ["a"]


def test_a_worker_that_comes_too_late_writes_to_nowhere(tmp_path):
    """The driver has renamed the segment's folder; a worker that was thought dead goes on."""
    at_work, committed = tmp_path / ".000000", tmp_path / "000000"
    at_work.mkdir()
    shared = LocalSharedFolder(at_work)
    write_list(shared, LIST, write_parts(shared, 0, rows_for("a")))
    keep_listed_parts(shared, at_work, LIST, 1)
    at_work.rename(committed)
    before = sorted(committed.rglob("*"))
    with pytest.raises(OSError, match="No such file"):
        write_parts(shared, 0, rows_for("a"))
    assert sorted(committed.rglob("*")) == before
    assert not at_work.exists()


@pytest.mark.parametrize("damage", ["missing part", "changed part", "no list"])
def test_what_a_worker_wrote_and_is_not_here_is_noticed(tmp_path, damage):
    shared = LocalSharedFolder(tmp_path)
    parts = write_parts(shared, 0, rows_for("a"))
    write_list(shared, LIST, parts)
    target = tmp_path / (LIST if damage == "no list" else parts[0].name)
    target.write_bytes(b"other") if damage == "changed part" else target.unlink()
    with pytest.raises(ReportsLost, match="nothing was published"):
        keep_listed_parts(shared, tmp_path, LIST, 1)


@pytest.mark.parametrize("files", [1, 3])
def test_a_file_lost_or_doubled_on_its_way_is_noticed(tmp_path, files):
    shared = LocalSharedFolder(tmp_path)
    write_list(shared, LIST, write_parts(shared, 0, rows_for("a", "b")))
    with pytest.raises(ReportsLost, match=f"2 of {files} files"):
        keep_listed_parts(shared, tmp_path, LIST, files)


def test_a_prediction_without_its_file_is_no_shard():
    with pytest.raises(LedgerImbalance, match="read 0 times"):
        shard_rows([prediction(0.7)], FACTS)


def test_a_file_is_never_seen_half(tmp_path):
    """Readers of a name that is written again and again find one content or the other."""
    shared = LocalSharedFolder(tmp_path)
    contents = [bytes([number]) * 300_000 for number in range(2)]
    shared.write("x", contents[0])
    ended = threading.Event()

    def write():
        while not ended.is_set():
            for content in contents:
                shared.write("x", content)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert all(shared.read("x") in contents for _ in range(50))
    finally:
        ended.set()
        thread.join()
    assert os.listdir(tmp_path) == ["x"]


NAMES = st.binary(min_size=1, max_size=8).map(os.fsdecode)
FILES = st.builds(
    QueuedFile,
    st.builds(
        ImageLocation, NAMES, st.integers(0, 2**62), st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 5),
    ),
    st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=2).map(tuple),
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.lists(FILES, max_size=12), st.integers(1, 5))
def test_a_queue_comes_out_as_it_went_in(tmp_path_factory, files, per_chunk):
    shared = LocalSharedFolder(tmp_path_factory.mktemp("shared"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue_module, "FILES_PER_CHUNK", per_chunk)
        names, total = write_queue(shared, iter(files))
    assert [file for name in names for file in read_chunk(shared, name)] == files
    assert total == len(files)
    assert len(names) == -(-len(files) // per_chunk)


def test_a_queue_is_plain_json(tmp_path):
    """Whoever can write to the shared folder must not be able to make a worker run something."""
    shared = LocalSharedFolder(tmp_path)
    (name,), _ = write_queue(shared, [QueuedFile(ImageLocation("a", 1, 2), ("0" * 64,))])
    assert json.loads(shared.read(name)) == [["a", 1, 2, 0, ["0" * 64]]]
