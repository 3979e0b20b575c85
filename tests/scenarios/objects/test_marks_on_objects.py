"""Marks that a person put beside reports in object storage: all downloads, and nothing else."""

from __future__ import annotations

from batch.core.config import ReviewOptions
from batch.reports.access import open_reports
from batch.review.make_review import mark_files
from batch.storage.object_store import ObjectStore

THERE = {
    "reviewed.csv": b"a", "reviewed (1).csv": b"b", "Reviewed.csv": b"c", "reviewed.parquet": b"d",
}  # fmt: skip
NOT_OURS = ("reviewed/x.csv", "reviewed.csv.crdownload", "reviewedX", "notes.csv")


def test_every_file_with_marks_comes_to_the_copy_and_goes_with_its_object(url, tmp_path):
    store, copy = ObjectStore(url), tmp_path / "copy"
    copy.mkdir()
    for name, data in THERE.items():
        store.put(name, data)
    for name in NOT_OURS:
        store.put(name, b"x")
    open_reports(copy, url)
    found = {path.name: path.read_bytes() for path in mark_files(copy, ReviewOptions())}
    assert found == THERE
    store.delete(["reviewed (1).csv", "Reviewed.csv"])
    store.put("reviewed.csv", b"newer")
    open_reports(copy, url)
    found = {path.name: path.read_bytes() for path in mark_files(copy, ReviewOptions())}
    assert found == {"reviewed.csv": b"newer", "reviewed.parquet": b"d"}
