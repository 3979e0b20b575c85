"""Known content at a new place keeps its scores, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.config import Order
from batch.core.errors import FailureReason, LedgerImbalance
from batch.reports import parquet, rows
from batch.run.plan import make_plan
from batch.run.reuse import Reuse
from tests.support.stored_nights import (
    at,
    by_path,
    facts,
    image,
    memory_from,
    published,
    reused,
    run_night,
    sha,
)


def reader(**contents):
    """Reads each path's content, by digest where it is known."""

    def read(where, known):
        content = contents[where.path]
        return reused(where, content) if sha(content) in known else image(where, 0.5)

    return read


def test_a_renamed_file_is_reused_with_everything_that_is_known_of_it(tmp_path):
    published(tmp_path, [image(at("old"), 0.9, 0.1, file_format="dicom")], facts(1))
    night = run_night(tmp_path, [at("new", mtime_ns=7)], facts(2), reader(new="old"))
    (row,) = night.rows("files")
    assert (
        row
        | {
            "path": "new",
            "state": "reused",
            "reason": None,
            "mtime_ns": 7,
            "file_format": "dicom",
            "frames": 2,
            "frames_scored": 2,
            "frames_unscored": 0,
            "attempts": 0,
            "content_sha256": sha("old"),
            "run_id": facts(2).run_id,
        }
        == row
    )
    assert night.rows("predictions") == []
    assert night.counts.states == {"reused": 1}


def test_the_moved_predictions_are_the_old_ones_at_the_new_place(tmp_path):
    folder = published(tmp_path, [image(at("old"), 0.9, 0.1, file_format="dicom")], facts(1))
    before = parquet.read_columns("current", folder / "current", parquet.schema("current").names)
    night = run_night(tmp_path, [at("new")], facts(2), reader(new="old"))
    moved = [row | {"path": "new"} for row in before.to_pylist()]
    assert night.rows("current") == moved


def test_a_copy_is_reused_and_the_original_stays(tmp_path):
    published(tmp_path, [image(at("a"), 0.9)], facts(1))
    night = run_night(tmp_path, [at("a"), at("b"), at("c")], facts(2), reader(b="a", c="a"), size=1)
    assert by_path(night.rows("files"), "state") == {
        "a": ("unchanged",),
        "b": ("reused",),
        "c": ("reused",),
    }
    assert by_path(night.rows("current"), "melanoma_score") == dict.fromkeys("abc", (0.9,))
    assert night.rows("alerts") == []


def test_two_files_that_change_places_are_both_reused(tmp_path):
    published(tmp_path, [image(at("a"), 0.9), image(at("b"), 0.1)], facts(1))
    found = [at("a", mtime_ns=1), at("b", mtime_ns=1)]
    night = run_night(tmp_path, found, facts(2), reader(a="b", b="a"))
    assert by_path(night.rows("current"), "melanoma_score") == {"a": (0.1,), "b": (0.9,)}


def test_of_several_with_the_same_content_one_lends(tmp_path):
    results = [image(at(name), 0.9, 0.8, content="same") for name in ("a", "b", "c")]
    published(tmp_path, results, facts(1))
    night = run_night(tmp_path, [at("b"), at("d")], facts(2), reader(d="same"))
    assert sorted((r["path"], r["frame_number"]) for r in night.rows("current")) == [
        ("b", 1), ("b", 2), ("d", 1), ("d", 2),
    ]  # fmt: skip


def test_names_that_are_not_utf8_move_in_both_directions(tmp_path):
    published(tmp_path, [image(at("\udce4"), 0.9), image(at("b"), 0.1)], facts(1))
    found = [at("\udce4", mtime_ns=1), at("\udcfc"), at("plain")]
    contents = {"\udce4": "b", "plain": "\udce4"} | {"\udcfc": "b"}
    read = reader(**contents)
    night = run_night(tmp_path, found, facts(2), read)
    assert by_path(night.rows("current"), "path_bytes", "melanoma_score") == {
        "\\xe4": (b"\xe4", 0.1),
        "\\xfc": (b"\xfc", 0.1),
        "plain": (None, 0.9),
    }


def test_partly_scored_content_is_read_again_at_its_new_place(tmp_path):
    published(tmp_path, [image(at("a", attempts=5), 0.9, FailureReason.DECODE_FAILED)], facts(1))

    def read(where, known):
        assert known == frozenset()
        return image(where, 0.2)

    night = run_night(tmp_path, [at("b")], facts(2), read)
    assert by_path(night.rows("files"), "state") == {"b": ("scored",)}


def test_another_model_lends_nothing(tmp_path):
    published(tmp_path, [image(at("a"), 0.9)], facts(1))
    night = run_night(tmp_path, [at("b")], facts(2, model="m2"), reader(b="a"))
    assert by_path(night.rows("files"), "state") == {"b": ("scored",)}


def test_content_that_became_known_tonight_is_not_known_yet(tmp_path):
    """Two new copies in one night: both are scored; the night after would reuse."""
    night = run_night(tmp_path, [at("a"), at("b")], facts(1), reader(a="x", b="x"), size=1)
    assert night.counts.states == {"scored": 2}


def test_a_moved_prediction_that_becomes_an_alert_is_one_at_its_new_place(tmp_path):
    published(tmp_path, [image(at("a"), 0.4)], facts(1))
    tonight = facts(2, threshold=0.25)
    night = run_night(tmp_path, [at("a"), at("b")], tonight, reader(b="a"))
    assert by_path(night.rows("alerts"), "threshold", "review_status") == {
        "a": (0.25, "UNVERIFIED"),
        "b": (0.25, "UNVERIFIED"),
    }
    assert (night.gathered.turned, night.counts.alerts) == (2, 2)


def _reuse(results):
    plan = make_plan([], memory_from(results, facts(1)), facts(2).fingerprints, Order.PATH)
    return Reuse(plan)


def _files(*results):
    return parquet.to_arrow("files", [rows.file_row(r.outcome, facts(2)) for r in results])


def test_content_that_should_be_known_and_is_not_is_an_imbalance():
    reuse = _reuse([image(at("a"), 0.9)])
    with pytest.raises(LedgerImbalance, match="1 reused files have no known content"):
        reuse.complete(_files(reused(at("b"), "a"), reused(at("c"), "never seen")))


def test_files_that_are_not_reused_pass_unchanged():
    files = _files(image(at("a"), 0.9))
    assert _reuse([]).complete(files).equals(files)


def test_without_a_reused_file_nothing_moves():
    predictions = parquet.to_arrow(
        "predictions", [rows.prediction_row(image(at("a"), 0.9).predictions[0], facts(1))]
    )
    assert len(_reuse([image(at("a"), 0.9)]).moved(predictions)) == 0


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=6),
    st.lists(st.integers(0, 3), max_size=6),
    st.integers(1, 7),
)
def test_predictions_move_as_loops_would_move_them(remembered, places, cut):
    """Any copies of a few contents, read back in pieces of any size."""
    frames = dict(reversed(remembered))  # one truth for each content
    results = [
        image(at(f"old {n}"), *(content / 10 + f / 100 for f in range(frames[content])),
              content=content)
        for n, (content, _) in enumerate(remembered)
    ]  # fmt: skip
    places = [content for content in places if content in frames]
    reuse = _reuse(results)
    found = [reused(at(f"new {n}"), content) for n, content in enumerate(places)]
    completed = [reuse.complete(_files(*found[i : i + 2])) for i in range(0, len(found), 2)]
    assert sum(len(rows) for rows in completed) == len(places)
    predictions = parquet.to_arrow(
        "predictions",
        [rows.prediction_row(p, facts(1)) for result in results for p in result.predictions],
    )
    moved = [
        (row["path"], row["frame_number"], row["melanoma_score"])
        for start in range(0, max(len(predictions), 1), cut)
        for row in reuse.moved(predictions.slice(start, cut)).to_pylist()
    ]
    expected = [
        (f"new {n}", f + 1 if frames[content] > 1 else None, content / 10 + f / 100)
        for n, content in enumerate(places)
        for f in range(frames[content])
    ]
    assert sorted(moved, key=str) == sorted(expected, key=str)


def test_the_folder_of_a_memory_made_by_hand_is_none():
    """The property test above reads nothing from a disk."""
    assert memory_from([], facts(1)).folder is None
    assert not Path("/nowhere").exists()
