"""The reference that an artifact carries: whose figures they are, and what they are of."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from batch.model.manifest import read_manifest, scoring_fingerprint
from batch.review.monitoring.reference import stored_reference
from batch.training.export import reference

ROWS = pd.DataFrame(
    [
        ("a", "train", 0.9),
        ("b", "validation", 0.25),
        ("b", "validation", 0.25),  # the same image in another source
        ("c", "test", 0.75),
        ("d", "held_out", 0.5),
    ],
    columns=["image", "split", "melanoma_score"],
)
PIXELS = np.stack([np.full((180, 180, 3), 20 * n, np.uint8) for n in range(1, 6)])


@pytest.fixture
def manifest(bundled_artifact):
    return read_manifest(bundled_artifact)


def test_it_is_of_images_that_the_weights_were_not_fitted_to_each_once(manifest):
    entry = json.loads(json.dumps(reference(ROWS, PIXELS, manifest)))
    found = stored_reference({"reference": entry}, scoring_fingerprint(manifest))
    scores, brightness = (
        found.figures.histograms[name] for name in ("melanoma_score", "brightness")
    )
    assert (scores.images, scores.mean) == (2, pytest.approx(0.5))
    assert (brightness.images, brightness.mean) == (2, pytest.approx((40 + 80) / 2))
    assert set(found.figures.histograms) == {
        "melanoma_score", "brightness", "red_share", "blue_share"
    }  # fmt: skip
    assert "the 2 validation and test images" in found.said


def test_its_scores_hold_for_the_contract_they_were_measured_under(manifest):
    entry = reference(ROWS, PIXELS, manifest)
    warmer = replace(manifest, output=replace(manifest.output, temperature=1.5))
    found = stored_reference({"reference": entry}, scoring_fingerprint(warmer))
    assert "melanoma_score" not in found.figures.histograms
    assert "brightness" in found.figures.histograms


def test_a_dataset_without_such_images_gives_an_empty_one(manifest):
    entry = reference(ROWS[ROWS["split"] == "train"], PIXELS[:1], manifest)
    found = stored_reference({"reference": entry}, scoring_fingerprint(manifest))
    assert not found.figures.histograms
