"""Contradicting labels: a table decides, many agreeing cases infer, anything else is left out."""

from __future__ import annotations

import pytest

from batch.training.labels import MIN_LISTED_FOR_INFERENCE, Label, resolve

MEL_OR_SK = frozenset({"melanoma", "seborrheic keratosis"})
AK_OR_NEVUS = frozenset({"actinic keratosis", "nevus"})


@pytest.mark.parametrize(
    ("folders", "code", "expected"),
    [
        ({"melanoma"}, "MEL", Label("melanoma", "table")),
        ({"nevus"}, "AK", Label("actinic keratosis", "table")),
        (MEL_OR_SK, "MEL", Label("melanoma", "table")),
        (MEL_OR_SK, "BKL", Label("seborrheic keratosis", "table")),
        (AK_OR_NEVUS, "AK", Label("actinic keratosis", "table")),
        ({"pigmented benign keratosis"}, "BKL", Label("pigmented benign keratosis", "table")),
        ({"nevus"}, "BKL", Label(None, "excluded")),
        ({"nevus"}, "UNK", Label(None, "excluded")),
        ({"nevus"}, None, Label("nevus", "folder")),
        (MEL_OR_SK, None, Label(None, "excluded")),
    ],
)
def test_one_image(folders, code, expected):
    diagnoses = {"a": code} if code else {}
    assert resolve({"a": frozenset(folders)}, diagnoses)["a"] == expected


@pytest.mark.parametrize("listed", [MIN_LISTED_FOR_INFERENCE - 1, MIN_LISTED_FOR_INFERENCE])
def test_enough_listed_images_of_a_pair_settle_the_unlisted(listed):
    folders = {f"listed {i}": MEL_OR_SK for i in range(listed)} | {"unlisted": MEL_OR_SK}
    labels = resolve(folders, {f"listed {i}": "MEL" for i in range(listed)})
    settled = listed >= MIN_LISTED_FOR_INFERENCE
    assert labels["unlisted"] == (
        Label("melanoma", "inferred") if settled else Label(None, "excluded")
    )


def test_one_listed_image_the_other_way_forbids_inference():
    count = MIN_LISTED_FOR_INFERENCE
    folders = {f"listed {i}": MEL_OR_SK for i in range(count + 1)} | {"unlisted": MEL_OR_SK}
    codes = {f"listed {i}": "MEL" for i in range(count)} | {f"listed {count}": "BKL"}
    assert resolve(folders, codes)["unlisted"] == Label(None, "excluded")
