"""Which images are one lesion and one patient; keys that nobody can mistake."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.core.errors import UsageError
from batch.core.rules import PATTERN_MOST, lesion_pattern
from batch.review.worklist import grouping
from batch.review.worklist.frames import records
from batch.review.worklist.grouping import Bearers, group_images, group_unscored
from tests.support.lists import image, unreadable

PATTERN = lesion_pattern(r"^(?P<patient>[^/]+)/(?P<lesion>[^/_]+)_")


def grouped(*rows, pattern=None):
    images = pd.DataFrame(list(rows))
    found = group_images(images, pattern).frame(np.arange(len(rows)), images.index)
    return [(row["lesion_key"], row["patient_key"]) for row in records(found)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (image(0.5, image_id="1.2.3"), ("1.2.3", None)),
        (image(0.5, image_id="1.2.3#4"), ("1.2.3#4", None)),
        (image(0.5, image_id="sha256:ab"), ("sha256:ab", None)),
        (image(0.5, image_id="=1+1"), ("IMAGE:=1+1", None)),
        (image(0.5, image_id="PATTERN:x"), ("IMAGE:PATTERN:x", None)),
        (image(0.5, image_id="a\nb"), ("IMAGE:a%0Ab", None)),
        (image(0.5, lesion_id="9.8.7"), ("9.8.7", None)),
        (image(0.5, lesion_id="9.8.7", patient_pseudonym="ab"), ("9.8.7", "ab")),
        (image(0.5, lesion_id="L1", patient_pseudonym="ab"), ("TRACKING:ab/L1", "ab")),
        (image(0.5, lesion_id="L1", patient_id="7", issuer_of_patient_id="H"),
         ("TRACKING:H|7/L1", "H|7")),
        (image(0.5, lesion_id="L1", study_instance_uid="1.5"), ("TRACKING:1.5/L1", None)),
        (image(0.5, lesion_id="L1", image_id="1.2"), ("1.2", None)),
        (image(0.5, lesion_id="a/b", patient_id="p"), ("TRACKING:|p/a%2Fb", "|p")),
        (image(0.5, lesion_id="MANIFEST:L1"), ("MANIFEST:L1", None)),
        (image(0.5, lesion_id="MANIFEST:P%2F1/L%401", patient_id="P/1"),
         ("MANIFEST:P%2F1/L%401", "|P%2F1")),
        (image(0.5, patient_id="p|q", issuer_of_patient_id="H|I"), (None, "H%7CI|p|q")),
    ],
)  # fmt: skip
def test_keys(row, expected):
    key, patient = expected
    assert grouped(row) == [(key or row["image_id"], patient)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("p1/l1_a.jpg", ("PATTERN:p1/l1", "PATTERN:p1")),
        ("p1/sub/l1_a.jpg", ("sha256:ab", None)),
        ("l1_a.jpg", ("sha256:ab", None)),
        ("p/é ü_1.jpg", ("PATTERN:p/é ü", "PATTERN:p")),
        ("100%/l@1_a.jpg", ("PATTERN:100%25/l%401", "PATTERN:100%25")),
    ],
)
def test_the_pattern_is_searched_in_the_path(path, expected):
    assert grouped(image(0.5, path=path, image_id="sha256:ab"), pattern=PATTERN) == [expected]


def test_an_image_that_names_its_lesion_is_not_asked_for_its_path():
    row = image(0.5, path="p1/l1_a.dcm", lesion_id="9.8", patient_pseudonym="ab")
    assert grouped(row, pattern=PATTERN) == [("9.8", "ab")]
    assert grouped({**row, "lesion_id": None}, pattern=PATTERN) == [("PATTERN:p1/l1", "ab")]


def test_one_tracking_uid_of_two_patients_is_two_lesions():
    """A device that gives all lesions one UID must not hide a patient behind another."""
    rows = [image(0.5, str(n), lesion_id="9.8", patient_pseudonym=who)
            for n, who in enumerate(["ab", "cd", "ab", None])]  # fmt: skip
    assert [key for key, _ in grouped(*rows)] == ["9.8@ab", "9.8@cd", "9.8@ab", "9.8@?"]


@pytest.mark.parametrize(
    ("row", "of_paths", "expected"),
    [
        (unreadable("p1/l1_b"), {}, ("PATTERN:p1/l1", "PATTERN:p1", "sha256:70312f6c315f62")),
        (unreadable("x"), {}, ("FILE:x.jpg", None, "sha256:78")),
        (unreadable("x", content_sha256=None), {}, ("FILE:x.jpg", None, "FILE:x.jpg")),
        (unreadable("x", image_id="1.2#3"), {}, ("1.2#3", None, "1.2#3")),
        (unreadable("x", image_id="1.2#3"), {"x.jpg": ("9.8", "ab")}, ("9.8", "ab", "1.2#3")),
        (unreadable("x", image_id="1.2#3"), {"x.jpg": (None, "ab")}, ("1.2#3", "ab", "1.2#3")),
    ],
)
def test_images_without_a_score(row, of_paths, expected):
    found = group_unscored(pd.DataFrame([row]), PATTERN, of_paths, {})
    columns = ["lesion_key", "patient_key", "image_id"]
    assert tuple(found[columns].to_numpy().tolist()[0]) == expected


UNNAMED = Bearers()
ONE, OTHER = Bearers(frozenset({"ab"})), Bearers(frozenset({"cd"}))
SEVERAL = Bearers(frozenset({"ab", "cd"}), True)


@pytest.mark.parametrize(
    ("row", "bearers", "expected"),
    [
        ({"lesion_id": "9.8"}, UNNAMED, ("9.8", None, False)),
        ({"lesion_id": "9.8", "patient_pseudonym": "ab"}, UNNAMED, ("9.8", "ab", False)),
        ({"lesion_id": "9.8", "patient_pseudonym": "ab"}, ONE, ("9.8", "ab", False)),
        ({"lesion_id": "9.8"}, ONE, ("9.8", None, False)),
        ({"lesion_id": "9.8", "patient_pseudonym": "ab"}, OTHER, ("9.8@ab", "ab", True)),
        ({"lesion_id": "9.8", "patient_pseudonym": "ab"}, SEVERAL, ("9.8@ab", "ab", True)),
        ({"lesion_id": "9.8"}, SEVERAL, ("9.8@?", None, True)),
        ({"lesion_id": "L1", "patient_id": "7", "issuer_of_patient_id": "H"}, UNNAMED,
         ("TRACKING:H|7/L1", "H|7", False)),
        ({"lesion_id": "L1", "study_instance_uid": "1.5"}, UNNAMED,
         ("TRACKING:1.5/L1", None, False)),
        ({"patient_id": "7"}, UNNAMED, ("FILE:u.dcm", "|7", False)),
    ],
)  # fmt: skip
def test_an_unreadable_object_stands_with_the_lesion_that_it_names(row, bearers, expected):
    frame = pd.DataFrame([unreadable(path="u.dcm", **row)])
    found = group_unscored(frame, PATTERN, {}, {"9.8": bearers})
    columns = ["lesion_key", "patient_key", "shared"]
    assert tuple(found[columns].to_numpy().tolist()[0]) == expected


def test_unreadable_objects_of_two_patients_are_kept_apart_as_readable_ones_are():
    who = ["ab", "cd", None]
    rows = [unreadable(str(n), lesion_id="9.8", patient_pseudonym=p) for n, p in enumerate(who)]
    found = group_unscored(pd.DataFrame(rows), None, {}, {})
    assert found["lesion_key"].tolist() == ["9.8@ab", "9.8@cd", "9.8@?"]
    images = pd.DataFrame([image(0.5, str(n), lesion_id="9.8", patient_pseudonym=p)
                           for n, p in enumerate(who)])  # fmt: skip
    keys_of_readable = group_images(images, None).frame(np.arange(3), images.index)["lesion_key"]
    assert found["lesion_key"].tolist() == keys_of_readable.tolist()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(", "no regular expression"),
        ("(?P<lesion>", "no regular expression"),
        ("l[0-9]+", "no group named lesion"),
        ("(?P<lesions>.)", "no group named lesion"),
        ("(?P<lesion>.)" + "x" * PATTERN_MOST, "allowed: 1000"),
    ],
)
def test_a_pattern_that_is_none_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        lesion_pattern(text)


def test_an_empty_lesion_is_no_match():
    pattern = lesion_pattern(r"^(?P<patient>p)/(?P<lesion>[a-z]*)")
    assert grouped(image(0.5, path="p/1.jpg", image_id="sha256:ab"), pattern=pattern) == [
        ("sha256:ab", "PATTERN:p")
    ]


def one_by_one(rows, pattern):
    """Lesion and patient of each row, and whether its tracking UID is shared, row by row."""
    found, bearers = [], {}
    for row in rows:
        lesion_in_path, patient_in_path = grouping.by_path(pattern)(row["path"])
        patient = (
            row["patient_pseudonym"]
            or grouping.by_id(row["issuer_of_patient_id"], row["patient_id"])
            or patient_in_path
        )
        named = row["lesion_id"]
        tracked = (
            grouping.tracking_key(named, patient or row["study_instance_uid"]) if named else None
        )
        key = tracked or (None if named else lesion_in_path) or grouping.own_key(row["image_id"])
        found.append((key, patient))
        if tracked is not None and tracked == named and patient:
            bearers.setdefault(named, set()).add(patient)
    shared = [
        row["lesion_id"] == key and len(bearers.get(key, ())) > 1
        for row, (key, _) in zip(rows, found, strict=True)
    ]
    return [
        (grouping.key_within_patient(key, patient) if is_shared else key, patient, is_shared)
        for (key, patient), is_shared in zip(found, shared, strict=True)
    ]


some_images = st.lists(
    st.fixed_dictionaries(
        {
            "image_id": st.sampled_from(["1.2", "1.2#3", "sha256:ab", "x", "x%", "9.8"]),
            "path": st.sampled_from(["p1/l1_a", "p1/l2_a", "p2/l1_b", "elsewhere", ""]),
            "lesion_id": st.sampled_from(
                [None, None, "", "9.8", "9.9", "L1", "a/b", "MANIFEST:L1", "MANIFEST:P1/L1"]
            ),
            "study_instance_uid": st.sampled_from([None, "5.1", "5.2"]),
            "patient_pseudonym": st.sampled_from([None, None, "", "ab", "cd"]),
            "patient_id": st.sampled_from([None, "p", "q"]),
            "issuer_of_patient_id": st.sampled_from([None, "H"]),
        }
    ),
    max_size=30,
)


@given(
    some_images, st.sampled_from([None, PATTERN]), st.sampled_from(["object", "str", "category"])
)
def test_all_at_once_is_the_same_as_one_by_one(rows, pattern, kind):
    """Whatever the columns are kept as: words, or numbers that stand for words."""
    columns = list(image(0.5))
    frame = pd.DataFrame([{**image(0.5), **row} for row in rows], columns=columns, dtype=object)
    texts = ["image_id", "path", "lesion_id", "study_instance_uid", "patient_pseudonym",
             "patient_id", "issuer_of_patient_id"]  # fmt: skip
    coded = [name for name in texts if kind != "category" or name not in ("image_id", "path")]
    frame = frame.astype(dict.fromkeys(coded, kind))
    found = group_images(frame, pattern).frame(np.arange(len(rows)), frame.index)
    assert [
        (row["lesion_key"], row["patient_key"], row["shared"]) for row in records(found)
    ] == one_by_one(rows, pattern)
