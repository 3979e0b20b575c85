"""A bundled artifact becomes weights that training goes on from, and computes what it computed."""

from __future__ import annotations

import json

import keras
import numpy as np
import pandas as pd
import pytest

from batch.core.errors import ExitCode
from batch.model.artifact import find_artifact
from batch.training import torch_start
from batch.training.from_torch import model_of
from batch.training.lite import LITE2
from batch.training.recipes import find_recipe
from batch.training.torch_job import read_job, read_weights

MODEL = "dermoscopy-lite2"


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).integers(0, 256, (4, 180, 180, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    assert torch_start.main([MODEL, "--output", str(folder)]) == 0
    return folder


def lines_of(folder):
    return [json.loads(text) for text in (folder / "results.jsonl").read_text().splitlines()]


def scores_of_bundled(images):
    model = keras.models.load_model(find_artifact(MODEL).folder / "model.keras", compile=False)
    return model.predict(images, verbose=0)


def test_weights_read_again_give_the_artifacts_scores(started, images):
    name = lines_of(started)[-1]["name"]
    job = read_job(started, name)
    model = model_of(job.recipe, read_weights(started, name))
    np.testing.assert_allclose(
        model.predict(images, verbose=0), scores_of_bundled(images), atol=1e-5
    )


def test_the_lines_tell_what_was_asked_and_counted(started):
    lines = lines_of(started)
    course = find_artifact(MODEL).manifest.provenance["course"]
    assert [line["name"] for line in lines] == [job["name"] for job in course["jobs"]]
    for line, asked in zip(lines, course["jobs"], strict=True):
        assert {key: line[key] for key in asked if key != "start"} == {
            key: value for key, value in asked.items() if key != "start"
        }
        assert line["sets"]["test, ham10000"]["images"] > 1000
        assert not any("kaggle" in name for name in line["sets"])  # it judges nothing
    job = read_job(started, lines[-1]["name"])
    assert job.course["jobs"] == course["jobs"]
    assert job.course["images_drawn"] == course["images_drawn"]


def test_counted_sets_leave_out_what_has_one_kind_or_does_not_judge():
    rows = [("a", "train", "melanoma"), ("a", "test", "melanoma"), ("a", "test", "nevus"),
            ("a", "validation", "nevus"), ("b", "held_out", "melanoma"), ("b", "held_out", "nevus"),
            ("c", "held_out", "nevus"), ("c", "held_out", "melanoma")]  # fmt: skip
    split = pd.DataFrame(rows, columns=["source", "split", "label"])
    both = {"images": 2, "melanomas": 1}
    assert torch_start.counted_sets(split, "melanoma", ["b"]) == {
        "test, a": both, "held_out, b": both,
    }  # fmt: skip


def test_an_artifact_of_another_course_is_refused(tmp_path, capsys):
    assert torch_start.main(["isic9-plain", "--output", str(tmp_path / "start")]) == ExitCode.USAGE
    assert "was trained by 0 jobs of torch_course; needed: by one after" in capsys.readouterr().err
    assert not (tmp_path / "start").exists()


def test_unfolded_weights_compute_the_same_and_survive_training(started, images):
    torch = pytest.importorskip("torch", reason="needs the extra [train-gpu]")
    from batch.training.torch_network import LiteNetwork

    recipe = find_recipe(MODEL)
    network = LiteNetwork(LITE2, len(recipe.class_names), 0.0, True, True)
    network.load_arrays(read_weights(started, lines_of(started)[-1]["name"]))
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)

    def scores():
        with torch.no_grad():
            return torch.softmax(network(batch), 1).numpy()

    folded = scores_of_bundled(images)
    network.train()
    assert np.abs(scores() - folded).max() > 0.05  # normalised by a batch, they are another network
    network.load_arrays(read_weights(started, lines_of(started)[-1]["name"]))
    network.eval().unfold([batch])
    np.testing.assert_allclose(scores(), folded, atol=1e-4)
    network.train()
    np.testing.assert_allclose(scores(), folded, atol=1e-3)  # the very batch that was measured
