"""From what a GPU left to an artifact that says the truth of itself, with a small network."""

from __future__ import annotations

import argparse
import dataclasses
import json

import keras
import numpy as np
import pandas as pd
import pytest

from batch.cli import main as cli
from batch.core.errors import ExitCode, UsageError
from batch.model.manifest import read_manifest
from batch.training import export, from_torch, judge, networks, recipes, remeasure
from batch.training.datasets import Dataset
from batch.training.fit import prepare_data
from batch.training.lite import LITE2
from batch.training.networks import efficientnet_lite
from batch.training.parts import Cnn
from batch.training.recipes import find_recipe
from batch.training.source_points import TOGETHER
from tests.training.test_backbone import pytorch_arrays
from tests.training.test_sources import write

SOURCES = {"isic2017": ("MEL", "NV", "BKL"), "milk10k": ("MEL", "NV", "BCC"),
           "kaggle_melanoma": ("MEL", "NV?", "NV?")}  # fmt: skip
IMAGES = 36
LITE2_RECIPE, MODEL_OF = find_recipe("dermoscopy-lite2"), from_torch.model_of
RAN = {"device": "H100", "torch": "2.8", "sets": {}, "recipe": "dermoscopy-lite2"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three sources of generated lesions, one of which judges nothing."""
    root = tmp_path_factory.mktemp("data")
    for place, (source, diagnoses) in enumerate(SOURCES.items()):
        names = [f"{source}_{number}" for number in range(IMAGES)]
        for number, name in enumerate(names):
            write(root / source / "images", name, 1000 * place + number, 64)
        pd.DataFrame({"image": names, "diagnosis": diagnoses * (IMAGES // 3)}).to_csv(
            root / source / "metadata.csv", index=False
        )
    return root


def line(name, **changes):
    return {
        "name": name, "changes": [], "seed": 5, "images": 1000, "batch": 64, "images_drawn": 960,
        "seconds": 90.0, "loss": [0.5, 0.7], "curve": [2.0, 1.0, 0.6], **RAN, **changes,
    }  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    lines = [line("whole"), line("ham", hold_out="milk10k", images_drawn=480), line("other"),
             line("elsewhere", sets={"test, isic2017": {"images": 999, "melanomas": 9}}),
             line("onward", seed=6, changes=["course.mix=0.1"],
                  start={"folder": "/somewhere", "name": "ham"}),
             {"name": "mean", "average": ["whole", "other"], **RAN}]  # fmt: skip
    (folder / "results.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    for one in lines:
        np.savez(folder / f"{one['name']}.0.npz", **{"_fc.bias": np.zeros(8, np.float16)})
    return folder


@pytest.fixture(scope="module")
def small():
    """The recipe with a network that takes seconds; the weights are drawn, not learned."""
    recipe = dataclasses.replace(LITE2_RECIPE, network=Cnn(filters=(4,), dense_units=4))

    def drawn(one, arrays):
        keras.utils.set_random_seed(1)
        return networks.finished(one, networks.build(one))

    patch = pytest.MonkeyPatch()
    patch.setitem(recipes.RECIPES, recipe.name, recipe)
    patch.setattr(from_torch, "model_of", drawn)
    yield recipe
    patch.undo()


@pytest.fixture(scope="module")
def artifact(data, weights, small, tmp_path_factory):
    """With a trial's line as the run that left a source out."""
    folder = tmp_path_factory.mktemp("made")
    words = ["--weights", str(weights), "--data", str(data)]
    trial = from_torch.trial_of(options(weights, data, name="ham", trial=True))
    (folder / "held_out.jsonl").write_text(json.dumps(trial) + "\n")
    words += ["--held-out-run", str(folder / "held_out.jsonl"), "--split-seed", "4"]
    assert from_torch.main(["whole", *words, "--output", str(folder / "artifact")]) == 0
    return folder / "artifact"


def options(weights, data, **changes):
    found = {"weights": weights, "data": data, "cache": None, "output": None, "held_out_run": [],
             "trial": False, "split_seed": 17, "most": 30, "model_version": "1.0.0",
             **changes}  # fmt: skip
    return argparse.Namespace(**found)


def test_the_manifest_has_both_points_and_what_each_source_said(artifact):
    manifest = read_manifest(artifact)
    assert [point.name for point in manifest.operating_points] == [
        "sensitivity-0.95", "sensitivity-0.9"
    ]  # fmt: skip
    assert manifest.default_operating_point == "sensitivity-0.95"
    split = pd.read_csv(artifact / "split.csv")
    validation = split[split["split"] == "validation"]
    for point in manifest.operating_points:
        assert point.validation_set == (f"described, validation split, seed 4; {TOGETHER} decided")
        assert point.melanomas + point.others == len(validation)
        told = manifest.provenance["points_by_source"][point.name]
        assert set(told["sources"]) == {*validation["source"], TOGETHER}
        assert point.sensitivity >= point.target_sensitivity


def test_the_manifest_says_how_it_was_trained(artifact):
    facts = read_manifest(artifact).provenance
    assert (facts["seed"], facts["split_seed"]) == (5, 4)
    assert facts["course"]["images_drawn"] == 960
    asked = ("name", "recipe", "changes", "seed", "images", "batch")
    assert facts["course"]["jobs"] == [{key: line("whole")[key] for key in asked}]
    assert (facts["epochs_run"], facts["best_epoch"]) == (None, None)
    assert facts["command"] == (
        "python -m batch.training.from_torch whole --weights FOLDER --data DATA --split-seed 4 "
        "--held-out-run held_out.jsonl --output ARTIFACT"
    )


def test_the_card_begins_with_the_source_that_was_left_out(artifact):
    card = (artifact / "MODEL_CARD.md").read_text(encoding="utf-8")
    headings = [text.removeprefix("## ") for text in card.splitlines() if text.startswith("## ")]
    assert headings[:5] == [
        "On sources that were left out of training",
        "On test images of sources that it learned from",
        "Operating points",
        "How many alerts to expect",
        "On images that trained, or chose the threshold",
    ]
    first = card.split("## ")[1]
    (row,) = [text for text in first.splitlines() if text.startswith("| milk10k, held out |")]
    run = read_manifest(artifact).provenance["held_out_runs"][0]
    measures = run["metrics"]["milk10k, held out"]
    assert f"| 30 (drawn of {IMAGES}) | {measures['melanomas']} |" in row
    assert f"| {measures['melanoma_auc']:.3f} (" in row
    assert "a trial without an artifact, 480 images drawn, the shipped model 960" in first
    assert "(decided)" in card
    assert "No set of one source has 30 melanomas" in card
    assert "960 images drawn in 2 minutes on H100 (PyTorch 2.8)" in card


def test_caution_and_alerts_are_those_of_the_figures(artifact):
    manifest = read_manifest(artifact)
    facts = manifest.provenance
    measures = facts["held_out_runs"][0]["metrics"]["milk10k, held out"]
    assert "On a source left out of training its melanoma AUC is" in manifest.caution
    assert "(milk10k)" in manifest.caution
    assert ("not fit to guide review" in manifest.caution) is (measures["melanoma_auc"] < 0.8)
    assert set(facts["expected_alerts"]) == {"sensitivity-0.95", "sensitivity-0.9"}
    test = facts["metrics"]["test"]["melanoma"]["at_points"]["sensitivity-0.9"]
    (pooled,) = facts["expected_alerts"]["sensitivity-0.9"]  # no set has 30 melanomas
    assert pooled["sensitivity"] == test["sensitivity"]
    at = pooled["at"][2]
    alerts = 200 * test["sensitivity"] + 800 * (1 - test["specificity"])
    assert at["alerts_per_1000"] == pytest.approx(alerts)
    card = (artifact / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"| `sensitivity-0.9` | test (all sources) | 20 % | {alerts:.0f} |".replace("`", "") in (
        card
    )


def test_the_licence_says_whose_images_have_none(artifact):
    manifest = read_manifest(artifact)
    assert manifest.licence.non_commercial is True
    assert set(manifest.licence.training_data) == set(SOURCES)
    split = pd.read_csv(artifact / "split.csv")
    trained = split[split["split"] == "train"]
    images = int((trained["source"] == "kaggle_melanoma").sum())
    assert manifest.provenance["data"]["licence_not_stated"] == {
        "kaggle_melanoma": {"images": images, "share": images / len(trained)}
    }
    assert f"- kaggle_melanoma: {images} images," in (artifact / "MODEL_CARD.md").read_text()


def test_the_job_scores_with_it(artifact, data, tmp_path):
    words = ["score", str(data / "isic2017"), "--output", str(tmp_path), "--model", str(artifact)]
    assert cli([*words, "--operating-point", "sensitivity-0.9"]) == ExitCode.COMPLETE
    run = json.loads((tmp_path / "latest" / "run.json").read_text())
    assert run["model"]["caution"] == read_manifest(artifact).caution


def test_a_trial_judges_by_source_and_says_how_much_of_each(artifact):
    trial = json.loads((artifact.parent / "held_out.jsonl").read_text())
    assert trial["hold_out"] == ["milk10k"]
    assert trial["most_images_of_a_set"] == 30
    assert set(trial["sets"]) == {"test, isic2017", "milk10k, held out"}
    assert trial["sets"]["milk10k, held out"]["drawn_of"] == IMAGES
    assert list(trial["operating_points"]) == ["sensitivity-0.95", "sensitivity-0.9"]
    for measures in trial["sets"].values():
        assert list(measures["at_points"]) == list(trial["operating_points"])


def test_a_mean_of_courses_becomes_an_artifact_without_a_curve(data, weights, small, tmp_path):
    folder = from_torch.artifact_of(
        options(weights, data, name="mean", output=tmp_path / "artifact", most=2000)
    )
    facts = read_manifest(folder).provenance
    assert facts["course"]["averaged_from"] == ["whole", "other"]
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "unchanged: the mean of the weights of 2 courses (whole, other)" in card
    assert "No source was left out" in card
    assert "measured on no source that its training left out" in read_manifest(folder).caution
    assert not (folder / "plots" / "loss.png").exists()
    again = remeasure.remeasure(folder, data, tmp_path / "again")
    assert again.manifest.operating_points == read_manifest(folder).operating_points
    assert again.manifest.provenance["course"] == facts["course"]


def test_weights_that_went_on_from_a_run_without_a_source_say_so(artifact, data, weights, tmp_path):
    """Recipe and seed differ, but the run is a part of the weights; what trained it judges not."""
    folder = from_torch.artifact_of(
        options(
            weights, data, name="onward", output=tmp_path / "onward",
            held_out_run=[artifact.parent / "held_out.jsonl"],
        )
    )  # fmt: skip
    manifest = read_manifest(folder)
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "the shipped model went on from its weights, with every source" in card
    assert "It began from the weights of ham, whose images are counted, too." in card
    assert "somewhere" not in card + json.dumps(dataclasses.asdict(manifest))
    assert manifest.provenance["course"]["images_drawn"] == 480 + 960
    moved = manifest.provenance["course"]["images_that_trained_before"]
    split = pd.read_csv(folder / "split.csv")
    without = prepare_data(find_recipe(LITE2_RECIPE.name, ["milk10k"]), data, 17).table
    trained = set(without.loc[without["split"] == "train", "content_sha256"])
    judging = split[split["split"].isin(["validation", "test"])]
    assert moved > 0
    assert len(judging) > 0
    assert not set(judging["content_sha256"]) & trained


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["whole"], "--output: missing"),
        (
            ["hole", "--output", "{new}"],
            "has no job hole; allowed: whole, ham, other, elsewhere, onward, mean",
        ),
        (["hole", "--trial"], "has no job hole"),
        (["elsewhere", "--trial"], "elsewhere was judged on 999 with 9. Its split is another one"),
        (["whole", "--output", "{new}", "--held-out-run", "{run}"], "was made by another recipe"),
    ],
)
def test_what_cannot_be_made_is_a_usage_error_and_leaves_nothing(
    data, weights, small, artifact, tmp_path, capsys, words, message
):
    run = json.loads((artifact.parent / "held_out.jsonl").read_text())
    (tmp_path / "run.jsonl").write_text(json.dumps({**run, "seed": 6}))
    places = {"new": tmp_path / "new", "run": tmp_path / "run.jsonl"}
    filled = [word.format(**places) for word in words]
    common = ["--weights", str(weights), "--data", str(data)]
    assert from_torch.main([*filled, *common]) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("classes", [None, 7])
def test_weights_of_another_output_layer_are_a_usage_error(classes):
    image = keras.Input((None, None, 3))
    arrays = pytorch_arrays(keras.Model(image, efficientnet_lite(image, LITE2)))
    arrays = {name: array for name, array in arrays.items() if not name.startswith("_fc.")}
    if classes:
        arrays |= {"_fc.weight": np.zeros((classes, 1280)), "_fc.bias": np.zeros(classes)}
    with pytest.raises(UsageError, match="the job's output layer is not the recipe's"):
        MODEL_OF(LITE2_RECIPE, arrays)


def test_of_many_images_that_trained_an_artifact_scores_a_draw(monkeypatch):
    monkeypatch.setattr(judge, "MOST_IMAGES", 20)
    split = ["train"] * 50 + ["validation", "test", "unused"] * 5 + ["held_out"] * 6
    table = pd.DataFrame({"split": split, "label": ["melanoma", "nevus"] * 35 + ["nevus"]})
    table["source"] = ["a"] * 65 + ["b", "c"] * 3
    pixels = np.arange(71)
    recipe = find_recipe("dermoscopy-lite2", ["c"])
    part = judge.judging_part(Dataset(table, pixels, {}), recipe)
    assert part.table["split"].value_counts().to_dict() == {
        "train": 20, "validation": 5, "test": 5, "held_out": 3
    }  # fmt: skip
    trained = part.table[part.table["split"] == "train"]
    assert (trained["label"] == "melanoma").sum() == 10
    assert part.table["label"].tolist() == table["label"].iloc[part.pixels].tolist()
    assert set(part.table.loc[part.table["split"] == "held_out", "source"]) == {"c"}
    others = find_recipe("dermoscopy-lite0")
    assert judge.judging_part(Dataset(table, pixels, {}), others).table is table


def test_an_artifact_says_of_how_many_a_set_was_drawn(data, weights, small, tmp_path, monkeypatch):
    monkeypatch.setattr(judge, "MOST_IMAGES", 20)
    job = from_torch.read_job(weights, "whole")
    fitted = from_torch.fitted_of(job, options(weights, data, name="whole"))
    made = export.export(fitted, data, tmp_path, "…")
    found = made.manifest.provenance["metrics"]["train"]["melanoma"]
    trained = int((fitted.dataset.table["split"] == "train").sum())
    assert (found["images"], found["drawn_of"]) == (20, trained)
    assert f"| train | 20 (drawn of {trained}) |" in (tmp_path / "MODEL_CARD.md").read_text()
    assert len(pd.read_csv(tmp_path / "split.csv")) == len(fitted.dataset.table)
