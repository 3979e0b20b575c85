"""Labels and predictions: every row of both ends in one count."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.evaluation.matching import as_in_night, key_column, match, same_bytes, with_key


def labels_of(*rows):
    return pd.DataFrame(rows, columns=["image", "label"], dtype=object)


def predictions_of(*rows):
    """Rows of image, content, frame; the path is unique."""
    table = pd.DataFrame(rows, columns=["image", "content_sha256", "frame_number"], dtype=object)
    return table.assign(path=[f"{n:02d}/{image}.jpg" for n, image in enumerate(table["image"])])


def unscored_of(*rows):
    return pd.DataFrame(rows, columns=["image", "reason"], dtype=object)


ONE = predictions_of(("a", "A", None))


@pytest.mark.parametrize(
    ("labels", "predictions", "state", "count"),
    [
        ([("a", "nevus")], [("a", "A", None)], "judged", 1),
        ([("a", "")], [("a", "A", None)], "without_label", 1),
        ([("", "nevus")], [("a", "A", None)], "without_key", 1),
        ([("b", "nevus")], [("a", "A", None)], "without_prediction", 1),
        ([("a", "nevus"), ("a", "nevus")], [("a", "A", None)], "repeated", 1),
        ([("a", "nevus"), ("a", "melanoma")], [("a", "A", None)], "contradicting", 2),
        ([("a", "nevus"), ("a", "")], [("a", "A", None)], "judged", 1),  # says nothing against it
        ([("a", "nevus")], [("a", "A", None), ("a", "B", None)], "ambiguous", 1),
        ([("a", "nevus")], [("a", "A", 1), ("a", "A", 2)], "ambiguous", 1),  # frames of one file
        ([("a", "nevus")], [("a", "A", None), ("a", "A", None)], "judged", 1),  # a copy
    ],
)
def test_what_becomes_of_labels(labels, predictions, state, count):
    found = match(labels_of(*labels), predictions_of(*predictions), unscored_of(), "image")
    assert found.counts["labels"][state] == count
    tables = {"judged", "without_prediction", "ambiguous", "contradicting"}
    if state in tables:
        assert len(getattr(found, state)) == count
    for other in tables - {state, "judged"}:
        assert getattr(found, other).empty


@pytest.mark.parametrize(
    ("labels", "predictions", "counts"),
    [
        ([("a", "nevus")], [("a", "A", None), ("a", "A", None)], {"copies": 1, "judged": 1}),
        ([("a", "nevus")], [("a", "A", None), ("b", "B", None)], {"without_label": 1, "judged": 1}),
        ([("a", "nevus")], [("a", "A", None), ("a", "B", None)], {"ambiguous": 2}),
        ([("a", "nevus"), ("a", "other")], [("a", "A", None)], {"contradicting": 1}),
    ],
)
def test_what_becomes_of_predictions(labels, predictions, counts):
    found = match(labels_of(*labels), predictions_of(*predictions), unscored_of(), "image")
    rest = {name: n for name, n in found.counts["predictions"].items() if n and name != "rows"}
    assert rest == counts


def test_of_copies_the_first_path_is_judged():
    predictions = predictions_of(("a", "A", None), ("a", "A", None)).iloc[::-1]
    found = match(labels_of(("a", "nevus")), predictions, unscored_of(), "image")
    assert list(found.judged["path"]) == ["00/a.jpg"]


def test_a_label_without_prediction_says_why_when_the_night_knows():
    labels = labels_of(("a", "nevus"), ("b", "melanoma"), ("c", "nevus"))
    unscored = unscored_of(("b", "decode_failed"), (None, "not_readable"), ("x", "empty_file"))
    found = match(labels, ONE, unscored, "image").without_prediction
    assert dict(zip(found["image"], found["reason"], strict=True)) == {
        "b": "decode_failed", "c": None,
    }  # fmt: skip


def test_a_label_with_a_prediction_does_not_look_at_the_unscored():
    """Of a file with several frames, one may have failed."""
    found = match(labels_of(("a", "nevus")), ONE, unscored_of(("a", "decode_failed")), "image")
    assert found.without_prediction.empty


def test_predictions_that_were_passed_over_are_counted():
    found = match(labels_of(("a", "nevus")), ONE, unscored_of(), "image", passed_over=41)
    assert found.counts["predictions"]["rows"] == 42
    assert found.counts["predictions"]["without_label"] == 41


def test_a_labels_column_does_not_stand_in_for_the_predictions():
    labels = labels_of(("a", "nevus")).assign(content_sha256="of the label")
    judged = match(labels, ONE, unscored_of(), "image").judged
    assert list(judged["content_sha256"]) == ["A"]


WORDS = st.sampled_from(["", "a", "b", "c", "d"])
LABELS = st.lists(st.tuples(WORDS, st.sampled_from(["", "nevus", "melanoma"])), max_size=12)
PREDICTIONS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "e"]), st.sampled_from("AB"), st.sampled_from([None, 1, 2])
    ),
    max_size=12,
)


@settings(deadline=None)
@given(LABELS, PREDICTIONS, st.integers(0, 3))
def test_every_row_is_counted_once_as_by_hand(labels, predictions, passed_over):
    found = match(
        labels_of(*labels), predictions_of(*predictions), unscored_of(), "image", passed_over
    )
    states, seen = Counter(), set()
    meanings = {key: {label for name, label in labels if name == key and label} for key in "abcd"}
    images = {key: {(c, f) for name, c, f in predictions if name == key} for key in "abcde"}
    for key, label in labels:
        if not label or not key:
            states["without_label" if not label else "without_key"] += 1
        elif len(meanings[key]) > 1:
            states["contradicting"] += 1
        elif key in seen:
            states["repeated"] += 1
        else:
            seen.add(key)
            number = len(images[key])
            states[["without_prediction", "judged"][number] if number < 2 else "ambiguous"] += 1
    of_labels = dict(found.counts["labels"])
    assert of_labels.pop("rows") == len(labels) == sum(of_labels.values())
    assert {name: n for name, n in of_labels.items() if n} == dict(states)
    of_predictions = dict(found.counts["predictions"])
    rows = of_predictions.pop("rows")
    assert rows == len(predictions) + passed_over == sum(of_predictions.values())
    assert of_predictions["judged"] == len(found.judged) == states["judged"]


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        (["label", "image"], "image"),
        (["image", "content_sha256"], "content_sha256"),
        (["image", "content_sha256", "image_id"], "image_id"),
        (["path", "image"], "image"),
        (["path", "content_sha256"], "content_sha256"),
        (["label", "file"], None),
    ],
)
def test_the_most_exact_column_ties(columns, key):
    assert key_column(columns) == key


def test_an_image_is_named_by_its_file_without_folder_and_extension():
    rows = pd.DataFrame({"path": ["deep/er/x.y.jpg", "plain"], "image_id": ["1", "2"]})
    assert list(with_key(rows, "image")["image"]) == ["x.y", "plain"]
    assert list(with_key(rows, "image_id")["image_id"]) == ["1", "2"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("A", None, "nevus"), ("B", None, "nevus")], (0, 0)),
        ([("A", None, "nevus"), ("A", None, "nevus")], (1, 0)),
        ([("A", None, "nevus"), ("A", None, "melanoma"), ("A", None, "nevus")], (2, 1)),
        ([("A", 1, "nevus"), ("A", 2, "melanoma")], (0, 0)),  # frames are images of their own
    ],
)
def test_copies_under_other_names_are_counted(rows, expected):
    judged = pd.DataFrame(rows, columns=["content_sha256", "frame_number", "label"])
    assert tuple(same_bytes(judged).values()) == expected


@pytest.mark.parametrize(
    ("key", "value", "known", "expected"),
    [
        ("path", "a/B.jpg", ["a/B.jpg"], "a/B.jpg"),
        ("path", "a\\B.jpg", ["a/B.jpg"], "a/B.jpg"),
        ("path", ".\\a\\B.jpg", ["a/B.jpg"], "a/B.jpg"),
        ("path", "./a/B.jpg", ["a/B.jpg"], "a/B.jpg"),
        ("path", "a\\B.jpg", ["a\\B.jpg", "a/B.jpg"], "a\\B.jpg"),  # a file's own name
        ("path", "A/b.jpg", ["a/B.jpg"], "A/b.jpg"),  # case is kept
        ("image", "m1.jpg", ["m1"], "m1"),
        ("image", "m1.JPEG", ["m1"], "m1"),
        ("image", "m1.jpg", ["m1", "m1.jpg"], "m1.jpg"),
        ("image", "x.y", ["x.y"], "x.y"),
        ("image", "1.2.34", ["1.2"], "1.2.34"),  # a UID has no extension
        ("image", ".jpg", [""], ".jpg"),
        ("image", "m2.jpg", ["m1"], "m2.jpg"),
        ("image_id", "m1.jpg", ["m1"], "m1.jpg"),
    ],
)
def test_labels_are_spelled_as_the_night_spells_them(key, value, known, expected):
    labels = pd.DataFrame({key: [value], "label": ["nevus"]})
    assert list(as_in_night(labels, known, key)[key]) == [expected]
