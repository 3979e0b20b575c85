"""The main job as a newcomer runs it: the demonstration, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from batch.archive.reader import read_image
from batch.commands.shared import DEFAULT_MODEL
from batch.model.artifact import find_artifact, verify_artifact
from tests.support.archives import REPOSITORY


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("newcomer") / "demo"
    run = subprocess.run(
        [sys.executable, "-m", "batch", "demo", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    return run, folder


def first_night(folder):
    return min((folder / "reports" / "runs").iterdir())


def test_the_demonstration_ends_well_and_says_what_to_open(demo):
    run, folder = demo
    assert run.returncode == 0, run.stderr
    assert str(folder / "reports" / "latest" / "alerts.parquet") in run.stdout
    assert "Scored           30 images in 28 files" in run.stdout
    assert "Scored            2 images in 2 files" in run.stdout


def test_scores_from_pipeline_and_from_the_classifier_alone_are_the_same(demo):
    """Promise 2: the score in the report is the model's score of this very image."""
    _, folder = demo
    classifier = verify_artifact(find_artifact(DEFAULT_MODEL))
    names = classifier.manifest.output.class_names
    predictions = pd.read_parquet(first_night(folder) / "predictions")
    single = predictions[predictions["frame_number"].isna()]
    pixels = np.stack([read_image(folder / "archive" / path).pixels for path in single["path"]])
    expected = classifier.scores(pixels)
    found = np.array([[dict(row)[name] for name in names] for row in single["class_scores"]])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    melanoma = names.index("melanoma")
    np.testing.assert_allclose(single["melanoma_score"], expected[:, melanoma], atol=1e-6)


def test_the_same_lesion_in_two_files_has_the_same_score(demo):
    _, folder = demo
    predictions = pd.read_parquet(first_night(folder) / "predictions")
    by_path = predictions.set_index("path")["melanoma_score"]
    first, second = (by_path[f"dicom/patient-1/visit-{v}/lesion-1.dcm"] for v in (1, 2))
    assert first == pytest.approx(second, abs=1e-6)


def test_no_name_leaves_the_archive_and_no_patient_the_tables(demo):
    """The demonstration shows its invented patients' IDs; names no level shows."""
    run, folder = demo
    for path in (folder / "reports").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"Demo^Patient" not in data, path
            assert path.suffix != ".log" or b"DEMO-00" not in data, path
    assert "DEMO-00" not in run.stdout + run.stderr
    assert "Demo^Patient" not in run.stdout + run.stderr
