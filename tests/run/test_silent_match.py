"""Each image gets the newest silent score of its content, and no other."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from batch.reports import parquet
from batch.reports.schema import SILENT
from batch.run.silent import without_score
from batch.run.silent_match import IMAGE, matched

CURRENT = parquet.schema("current")


def images(*rows: tuple[str, int | None, str]) -> pa.Table:
    """path, frame and content of each image."""
    schema = pa.schema([CURRENT.field(name) for name in IMAGE])
    return pa.Table.from_pylist(
        [
            {"path": path, "path_bytes": None, "image_id": f"{path}#{frame}",
             "frame_number": frame, "content_sha256": content}
            for path, frame, content in rows
        ],
        schema=schema,
    )  # fmt: skip


def scores(*rows: tuple[int | None, str, float | None, str]) -> pa.Table:
    """frame, content, score and run of each row."""
    return parquet.to_arrow(
        SILENT,
        [
            {
                "path": "elsewhere.jpg", "path_bytes": None, "image_id": "other",
                "frame_number": frame, "content_sha256": content,
                "class_scores": None if score is None else [("melanoma", score)],
                "predicted_class": None if score is None else "melanoma",
                "melanoma_score": score,
                "would_alert": None if score is None else score >= 0.5,
                "reason": "model_failed" if score is None else None,
                "detail": "", "operating_point": "p", "threshold": 0.5, "model_id": "m",
                "model_version": "1", "model_sha256": "0", "scoring_fingerprint": "f",
                "preprocessing_version": "4", "run_id": run,
                "scored_at": datetime(2026, 1, 1, tzinfo=UTC),
            }
            for frame, content, score, run in rows
        ],
    )  # fmt: skip


def found(current: pa.Table, known: pa.Table) -> list[tuple]:
    return [
        (row["path"], row["frame_number"], row["melanoma_score"], row["run_id"])
        for row in matched(current, known).to_pylist()
    ]


def test_content_and_frame_decide_and_the_path_is_the_images():
    current = images(("a", None, "A"), ("copy", None, "A"), ("d", 1, "D"), ("d", 2, "D"))
    known = scores((2, "D", 0.2, "r1"), (None, "A", 0.9, "r1"))
    assert found(current, known) == [
        ("a", None, 0.9, "r1"), ("copy", None, 0.9, "r1"), ("d", 2, 0.2, "r1"),
    ]  # fmt: skip


def test_the_first_of_several_counts_and_a_score_before_a_reason():
    current = images(("a", None, "A"), ("b", None, "B"), ("c", None, "C"))
    known = scores(
        (None, "A", None, "r3"), (None, "B", 0.3, "r3"), (None, "A", 0.1, "r2"),
        (None, "B", 0.2, "r2"), (None, "C", None, "r1"),
    )  # fmt: skip
    rows = matched(current, known)
    assert found(current, known) == [
        ("a", None, 0.1, "r2"), ("b", None, 0.3, "r3"), ("c", None, None, "r1"),
    ]  # fmt: skip
    assert without_score(current, rows)["path"].to_pylist() == ["c"]


CONTENTS = st.sampled_from("ABCD")
FRAMES = st.one_of(st.none(), st.integers(1, 3))


@given(
    st.lists(st.tuples(CONTENTS, FRAMES), max_size=8),
    st.lists(st.tuples(FRAMES, CONTENTS, st.one_of(st.none(), st.floats(0, 1))), max_size=12),
)
def test_like_a_search_row_by_row(of_images, of_scores):
    current = images(*((str(n), frame, content) for n, (content, frame) in enumerate(of_images)))
    known = scores(*((*row, f"r{n}") for n, row in enumerate(of_scores)))
    expected = []
    for number, (content, frame) in enumerate(of_images):
        same = [
            (score, f"r{n}") for n, (f, c, score) in enumerate(of_scores)
            if (c, f) == (content, frame)
        ]  # fmt: skip
        same.sort(key=lambda one: one[0] is None)
        if same:
            expected.append((str(number), frame, *same[0]))
    assert found(current, known) == expected
    have = {(path, frame) for path, frame, score, _ in expected if score is not None}
    left = without_score(current, matched(current, known)).to_pylist()
    assert {(row["path"], row["frame_number"]) for row in left} == {
        (str(n), frame) for n, (_, frame) in enumerate(of_images)
    } - have
