"""The main job on real ISIC images; needs MELANOMA_BATCH_DATA."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from batch.model.artifact import bundled_model_ids
from tests.tools.score_difference import by_pillow, differences, prepared, reduced_and_full


@pytest.fixture(scope="module")
def originals(real_data):
    folder = real_data / "full_resolution" / "images"
    if not folder.is_dir():
        pytest.skip("MELANOMA_BATCH_DATA has no full_resolution/images")
    return folder


@pytest.fixture(scope="module")
def night(originals, tmp_path_factory):
    reports = tmp_path_factory.mktemp("originals") / "reports"
    assert main(["score", str(originals), "--output", str(reports)]) == ExitCode.COMPLETE
    return reports / "latest"


def test_every_original_is_scored(night, originals):
    count = len(list(originals.iterdir()))
    run = json.loads((night / "run.json").read_text())
    assert run["equation"]["files_found"] == run["equation"]["scored"] == count


def test_scores_use_their_range(night):
    scores = pd.read_parquet(night / "predictions")["melanoma_score"]
    assert scores.between(0, 1).all()
    assert scores.std() > 0.05


MOST_BY_REDUCED_DECODING = 0.01
"""Of the score, at the 99th percentile, as batch/images/README.md states it."""


def test_reduced_decoding_changes_no_score_by_much_and_no_alert(originals):
    reduced, full = reduced_and_full(originals)
    for model_id in bundled_model_ids():
        found, flips = differences(reduced, full, model_id)
        assert np.percentile(found, 99) <= MOST_BY_REDUCED_DECODING
        assert flips == 0


def test_hardly_a_sample_is_another_than_pillows(originals):
    paths = sorted(originals.iterdir())[::10]
    apart = np.abs(prepared(paths, None).astype(int) - by_pillow(paths))
    assert apart.max() <= 1
    assert np.mean(apart > 0) <= 0.005


def test_the_cleaning_of_isic9_is_what_is_documented(real_data):
    from batch.training.datasets import isic9

    if not (real_data / "isic9").is_dir():
        pytest.skip("MELANOMA_BATCH_DATA has no isic9")
    report = isic9(real_data).report
    assert report["files"] == 2359
    assert report["images_in_two_class_folders"] == 155
    assert report["identical_files_removed"] == 4
