"""No lesion, no twin and no near-duplicate stands on two sides."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from batch.demo.lesions import lesion_image
from batch.images.preprocess import preprocess
from batch.training.splits import (
    COPY_BITS,
    NEAR_DUPLICATE_BITS,
    PLAIN_BITS,
    dark_surrounds,
    group_ids,
    near_duplicates,
    perceptual_hashes,
    split,
)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 30), st.integers(0, 12), st.integers(0, 1000))
def test_near_duplicates_are_the_pairs_within_the_distance(count, bits, seed):
    hashes = np.random.default_rng(seed).random((count, 24)) < 0.5
    brute = {
        (i, j)
        for i in range(count)
        for j in range(i + 1, count)
        if int((hashes[i] != hashes[j]).sum()) <= bits
    }
    assert {tuple(pair) for pair in near_duplicates(hashes, bits)} == brute


def recompressed(pixels, side, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((side, side)).save(buffer, "JPEG", quality=quality)
    return preprocess(np.asarray(Image.open(buffer)))


def test_the_same_photograph_resampled_is_a_near_duplicate_and_another_is_not():
    originals = [preprocess(lesion_image(seed, 400, 500)) for seed in range(6)]
    copies = [recompressed(pixels, 224, 70) for pixels in originals]
    hashes = perceptual_hashes(np.stack(originals + copies))
    assert {tuple(pair) for pair in near_duplicates(hashes)} == {(i, i + 6) for i in range(6)}


def table(lesions, digests, labels=None, origins=None) -> pd.DataFrame:
    count = len(lesions)
    return pd.DataFrame(
        {
            "lesion_id": lesions,
            "content_sha256": digests,
            "label": labels or ["nevus"] * count,
            "label_origin": origins or ["table"] * count,
        }
    )


def far_hashes(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, 256)) < 0.5


def test_groups_join_lesions_twins_and_what_hangs_together_through_them():
    rows = table(["L1", "L1", None, None, None], ["a", "b", "b", "c", "d"])
    first, second, third, fourth, fifth = group_ids(rows, far_hashes(5))
    assert first == second == third
    assert len({first, fourth, fifth}) == 3


def test_images_without_a_known_lesion_are_not_one_group():
    groups = group_ids(table([None, None, np.nan], ["a", "b", "c"]), far_hashes(3))
    assert len(set(groups)) == 3


def in_tube(radius: float, level: int, lesion: int = 1) -> np.ndarray:
    """A lesion seen through a dermatoscope's round tube."""
    y, x = np.mgrid[:180, :180] - 89.5
    return np.where(np.hypot(x, y)[..., None] > radius, level, lesion_image(lesion, 180, 180))


@pytest.mark.parametrize(
    ("image", "dark"),
    [
        (lesion_image(1, 180, 180), False),
        (in_tube(90, 0), True),
        (in_tube(100, 30), True),
        (in_tube(140, 0), False),  # outside of the image
        (np.full((180, 180, 3), 41), False),
        (np.full((180, 180, 3), 39), True),
    ],
)
def test_a_dark_surround_is_seen(image, dark):
    assert dark_surrounds(image[None].astype(np.uint8)).tolist() == [dark]


@pytest.mark.parametrize(
    ("differing", "dark", "together"),
    [
        (NEAR_DUPLICATE_BITS, None, True),
        (NEAR_DUPLICATE_BITS + 1, None, False),
        (COPY_BITS, [True, True], True),
        (COPY_BITS + 1, [True, True], False),
        (COPY_BITS + 1, [True, False], False),
        (PLAIN_BITS, [False, False], True),
        (PLAIN_BITS + 1, [False, False], False),
    ],
)
def test_where_tubes_are_many_they_do_not_join_lesions(differing, dark, together):
    hashes = np.zeros((2, 256), bool)
    hashes[1, :differing] = True
    rows = table([None, None], ["a", "b"])
    first, second = group_ids(rows, hashes, None if dark is None else np.array(dark))
    assert (first == second) == together


@pytest.fixture
def many():
    rng = np.random.default_rng(3)
    lesions = [f"L{n}" for n in rng.integers(0, 150, 400)]
    labels = [("melanoma", "nevus", "bkl")[n] for n in rng.choice(3, 400, p=[0.2, 0.5, 0.3])]
    rows = table(lesions, [str(n) for n in range(400)], labels)
    return rows, group_ids(rows, far_hashes(400))


@pytest.mark.parametrize("seed", [0, 17, 99])
def test_no_group_crosses_a_split_and_nothing_is_left_out(many, seed):
    rows, groups = many
    parts = split(rows, groups, seed)
    sides = pd.DataFrame({"group": groups, "part": parts}).groupby("group")["part"].nunique()
    assert (sides == 1).all()
    assert set(parts) == {"train", "validation", "test"}
    shares = pd.Series(parts).value_counts(normalize=True)
    assert 0.09 < shares["test"] < 0.2
    assert 0.09 < shares["validation"] < 0.2


def test_a_split_is_stable_under_its_seed_and_changes_with_it(many):
    rows, groups = many
    np.testing.assert_array_equal(split(rows, groups, 5), split(rows, groups, 5))
    assert (split(rows, groups, 5) != split(rows, groups, 6)).any()


def test_inferred_labels_judge_nothing(many):
    rows, groups = many
    rows.loc[::10, "label_origin"] = "inferred"
    parts = split(rows, groups, 1)
    touched = set(groups[::10])
    assert {part for part, group in zip(parts, groups, strict=True) if group in touched} == {
        "train"
    }
