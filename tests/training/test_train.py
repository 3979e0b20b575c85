"""`train` for real, on a small generated set: what comes out passes the job's own checks."""

from __future__ import annotations

import dataclasses
import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest

from batch.cli import main
from batch.core.errors import ExitCode, UsageError
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.model.manifest import Licence, read_manifest, write_manifest
from batch.training import literature, networks, remeasure
from batch.training.datasets import Dataset
from batch.training.fit import fit_on
from batch.training.held_out_runs import held_out_runs
from batch.training.licences import of_sources
from batch.training.model_card import model_card
from batch.training.recipes import ISIC9_CLASSES, RECIPES, find_recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Nine folders of generated lesions; one image stands in two of them, one twice."""
    root = tmp_path_factory.mktemp("data")
    number = 0
    for label in ISIC9_CLASSES:
        folder = root / "isic9" / "Train" / label
        folder.mkdir(parents=True)
        for _ in range(14):
            (folder / f"ISIC_{number:07d}.jpg").write_bytes(
                jpeg_bytes(lesion_image(number, 180, 180))
            )
            number += 1
    twice = root / "isic9" / "Train" / "melanoma" / "ISIC_0000000.jpg"
    twice.write_bytes((root / "isic9/Train/actinic keratosis/ISIC_0000000.jpg").read_bytes())
    copy = root / "isic9" / "Train" / "nevus" / "ISIC_9000000.jpg"
    copy.write_bytes((root / "isic9/Train/nevus/ISIC_0000056.jpg").read_bytes())
    other = root / "isic2017" / "images"
    other.mkdir(parents=True)
    for index in range(12):
        (other / f"ISIC_8{index:06d}.jpg").write_bytes(jpeg_bytes(lesion_image(5000 + index)))
    pd.DataFrame(
        {
            "image": [f"ISIC_8{index:06d}" for index in range(12)],
            "diagnosis": ["MEL", "NV"] * 6,
        }
    ).to_csv(root / "isic2017" / "metadata.csv", index=False)
    return root


@pytest.fixture(scope="module")
def artifact(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "artifact"
    words = ["train", "isic9-dropout", "--data", str(data), "--output", str(folder)]
    assert main([*words, "--epochs", "1", "--seed", "3"]) == ExitCode.COMPLETE
    return folder


def test_the_artifact_is_whole(artifact):
    assert {path.name for path in artifact.iterdir()} == {
        "model.keras", "manifest.json", "MODEL_CARD.md", "golden", "split.csv", "history.csv",
        "plots",
    }  # fmt: skip
    assert {path.name for path in (artifact / "plots").iterdir()} == {
        "loss.png", "roc.png", "precision_recall.png", "reliability.png", "confusion.png",
    }  # fmt: skip
    manifest = json.loads((artifact / "manifest.json").read_text())
    assert manifest["provenance"]["seed"] == 3
    assert manifest["provenance"]["data"]["cleaning"]["images_in_two_class_folders"] == 1
    assert manifest["provenance"]["data"]["cleaning"]["excluded_unresolved"] == 1
    assert manifest["provenance"]["data"]["cleaning"]["identical_files_removed"] == 1
    assert manifest["operating_points"][0]["provisional"] is True
    assert len(pd.read_csv(artifact / "history.csv")) == 1
    judging = pd.read_csv(artifact / "split.csv")["split"].isin(["validation", "test"]).sum()
    scores = manifest["provenance"]["reference"]["figures"]["melanoma_score"]["images_from"]
    assert sum(scores.values()) == judging


def test_the_card_says_what_was_measured_and_nothing_else(artifact):
    card = (artifact / "MODEL_CARD.md").read_text()
    metrics = json.loads((artifact / "manifest.json").read_text())["provenance"]["metrics"]
    for name, measures in metrics.items():
        assert f"| {name} | {measures['melanoma']['images']} |" in card
    assert f"{metrics['test']['melanoma']['melanoma_auc']:.3f}" in card
    assert "--seed 3 --epochs 1" in card


def test_the_licence_is_that_of_the_images_it_learned_from(artifact, data, tmp_path):
    manifest = read_manifest(artifact)
    assert manifest.licence == of_sources(["isic9"])
    assert manifest.licence.non_commercial is True
    card = (artifact / "MODEL_CARD.md").read_text()
    assert "**non-commercial** use only: CC-BY-NC-4.0. The program's Apache-2.0 does not" in card
    words = ["score", str(data / "isic9"), "--output", str(tmp_path), "--model", str(artifact)]
    assert main(words) == ExitCode.COMPLETE
    run = json.loads((tmp_path / "latest" / "run.json").read_text())
    assert run["model"]["licence"] == dataclasses.asdict(manifest.licence)


def test_no_group_crosses_the_written_split(artifact):
    split = pd.read_csv(artifact / "split.csv")
    assert (split.groupby("group")["split"].nunique() == 1).all()
    assert split["content_sha256"].is_unique


def test_the_artifact_scores_and_its_own_figures_come_out_again(artifact, data, tmp_path, capsys):
    """Training measured through the job's classifier; the job measures the same."""
    reports = tmp_path / "reports"
    words = ["score", str(data / "isic9"), "--output", str(reports), "--model", str(artifact)]
    assert main(words) == ExitCode.COMPLETE
    capsys.readouterr()
    labels = ["--labels", str(artifact / "split.csv"), "--split", "test"]
    assert main(["evaluate", str(reports), *labels, "--json", "-"]) == ExitCode.COMPLETE
    found = json.loads(capsys.readouterr().out)
    claimed = json.loads((artifact / "manifest.json").read_text())["provenance"]["metrics"]["test"]
    assert found["melanoma"]["melanoma_auc"] == pytest.approx(claimed["melanoma"]["melanoma_auc"])
    assert found["classes"]["accuracy"] == pytest.approx(claimed["classes"]["accuracy"])
    (at,) = found["operating_points"]
    assert at["true_positive"] == claimed["melanoma"]["at_operating_point"]["true_positive"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["isic10", "--data", "{data}", "--output", "{new}"], "no recipe 'isic10'"),
        (["isic9-dropout", "--data", "{new}", "--output", "{new}"], "--data: no isic9/"),
        (["isic9-dropout", "--data", "{data}", "--output", "{data}"], "is not empty"),
    ],
)
def test_unusable_words_are_usage_errors(words, message, data, tmp_path, capsys):
    filled = [word.format(data=data, new=tmp_path / "new") for word in words]
    assert main(["train", *filled]) == ExitCode.USAGE
    assert message in capsys.readouterr().err


def test_what_the_projects_of_this_field_measure(data, capsys, monkeypatch):
    """Their protocol leaks, and says so: most validation images are copies of training images."""
    monkeypatch.setattr(literature, "COPIES", 20)
    words = ["isic9-rebalanced", "--data", str(data), "--epochs", "1"]
    assert literature.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["copies"] == 20 * len(ISIC9_CLASSES)
    assert sum(found["images"].values()) == found["files"] + found["copies"]
    assert found["validation_known"] > 0.5
    assert set(found["accuracy"]) == {"train", "validation"}


def test_without_copies_only_twin_files_leak(data):
    dataset = literature.leaking(data, RECIPES["isic-binary"], seed=1)
    assert set(dataset.table["label"]) == {"melanoma", "not melanoma"}
    assert len(dataset.table) == dataset.report["files"] == 14 * 9 + 2


def test_another_recipe_or_folder_is_a_usage_error(tmp_path, capsys):
    assert literature.main(["dermoscopy-lite0", "--data", str(tmp_path)]) == ExitCode.USAGE
    assert "allowed: isic-binary" in capsys.readouterr().err
    assert literature.main(["isic9-plain", "--data", str(tmp_path)]) == ExitCode.USAGE
    assert "no isic9/" in capsys.readouterr().err


def test_a_gpu_trains_in_half_precision_and_the_model_is_still_float32(monkeypatch):
    """The policy is forced here, as a GPU would; weights, scores and the finished model stay."""
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind: [f"{kind}:0"])
    pixels = np.random.default_rng(0).integers(0, 256, (6, 180, 180, 3), dtype=np.uint8)
    table = pd.DataFrame({"label": ["melanoma", "nevus"] * 3, "source": "isic9"})
    table["split"] = ["train"] * 4 + ["validation"] * 2
    recipe = find_recipe("isic9-plain")
    course = dataclasses.replace(recipe.course, batch_size=2, epochs=1)
    recipe = dataclasses.replace(recipe, course=course)
    used = []
    build = networks.build
    monkeypatch.setattr(
        networks,
        "build",
        lambda *a, **k: used.append(keras.config.dtype_policy().name) or build(*a, **k),
    )
    fitted = fit_on(recipe, Dataset(table, pixels, {}), seed=1)
    assert used == ["mixed_float16", "float32"]
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in fitted.model.layers} == {"float32"}
    assert np.isfinite(fitted.history[0]["loss"])


@pytest.fixture
def sibling(artifact, tmp_path):
    """The small artifact, as if the flagship's recipe had made it without one source."""

    def write(**change):
        recipe = find_recipe("dermoscopy-lite0", ["isic2017"])
        described = {**dataclasses.asdict(recipe), **change}
        del described["description"]
        manifest = read_manifest(artifact)
        test = manifest.provenance["metrics"]["test"]
        provenance = {
            **manifest.provenance,
            "recipe": described,
            "metrics": {"test": test, "isic2017, held out": test},
        }
        provenance["data"] = {**provenance["data"], "held_out": ["isic2017"]}
        write_manifest(dataclasses.replace(manifest, provenance=provenance), tmp_path)
        return tmp_path

    return write


def test_figures_of_a_run_without_a_source_go_on_the_card(sibling, artifact):
    (run,) = held_out_runs(find_recipe("dermoscopy-lite0"), 3, [sibling()])
    assert list(run["metrics"]) == ["isic2017, held out"]
    manifest = read_manifest(artifact)
    shown = dataclasses.replace(
        manifest, provenance={**manifest.provenance, "held_out_runs": [run]}
    )
    card = model_card(shown)
    first = next(line for line in card.splitlines() if line.startswith("## "))
    assert first == "## On sources that were left out of training"
    assert card.index("| isic2017, held out |") < card.index("| test |")
    auc = run["metrics"]["isic2017, held out"]["melanoma_auc"]
    assert f"| isic2017, held out | {manifest_images(manifest)} |" in card
    assert card.count(f"| {auc:.3f} (") == 2  # the test set that stands for it, and the run


def manifest_images(manifest):
    found = manifest.provenance["metrics"]["test"]["melanoma"]
    return f"{found['images']} | {found['melanomas']}"


@pytest.mark.parametrize(
    ("change", "seed", "message"),
    [
        ({}, 4, "different: seed"),
        ({"data": "isic9"}, 3, "different: data"),
        ({"name": "isic9-plain", "class_names": []}, 3, "different: class_names, name"),
    ],
)
def test_a_run_of_another_recipe_proves_nothing(sibling, change, seed, message):
    with pytest.raises(UsageError, match=message):
        held_out_runs(find_recipe("dermoscopy-lite0"), seed, [sibling(**change)])


def test_a_run_on_every_source_proves_nothing(artifact):
    with pytest.raises(UsageError, match="trained on every source"):
        held_out_runs(find_recipe("isic9-dropout"), 3, [artifact])


def earlier(artifact, tmp_path):
    """The artifact as an earlier preprocessing version would have left it: other figures, too."""
    folder = tmp_path / "earlier"
    shutil.copytree(artifact, folder)
    manifest = read_manifest(folder)
    contract = dataclasses.replace(manifest.input, preprocessing_version="0")
    facts = {**manifest.provenance, "metrics": {}, "reference": None}
    facts["held_out_runs"] = [{"command": "train …", "model_sha256": "ab" * 32, "metrics": {}}]
    changed = dataclasses.replace(
        manifest, input=contract, provenance=facts, golden=(), licence=None
    )
    write_manifest(changed, folder)
    return folder


def test_an_artifact_is_measured_again_under_a_new_preprocessing(artifact, data, tmp_path, capsys):
    old, new = earlier(artifact, tmp_path), tmp_path / "again"
    assert main(["score", str(data), "--output", str(tmp_path / "r"), "--model", str(old)]) == 5
    words = [str(old), "--data", str(data), "--output", str(new)]
    assert remeasure.main(words) == 0
    assert (new / "model.keras").read_bytes() == (artifact / "model.keras").read_bytes()
    assert (new / "split.csv").read_text() == (artifact / "split.csv").read_text()
    assert (new / "history.csv").read_text() == (artifact / "history.csv").read_text()
    first, again = read_manifest(artifact), read_manifest(new)
    assert again.provenance["metrics"] == first.provenance["metrics"]
    assert again.provenance["reference"] == first.provenance["reference"]
    assert again.operating_points == first.operating_points
    assert again.golden == first.golden
    assert again.licence == first.licence == of_sources(["isic9"])
    assert again.model_version == "1.0.1"
    assert again.provenance["held_out_runs"][0]["preprocessing_version"] == "0"
    card = (new / "MODEL_CARD.md").read_text()
    assert "first command, under preprocessing version 0" in card
    assert remeasure.COMMAND in card
    assert "(model.keras abababababab, measured under preprocessing version 0)" in card
    capsys.readouterr()
    words = ["score", str(data / "isic9"), "--output", str(tmp_path / "r"), "--model", str(new)]
    assert main(words) == ExitCode.COMPLETE


def test_measured_twice_it_still_says_under_what_it_was_trained(artifact, data, tmp_path):
    old = earlier(artifact, tmp_path)
    first = remeasure.remeasure(old, data, tmp_path / "first")
    stated = Licence("of our own", True, {"isic9": "as agreed"})
    write_manifest(dataclasses.replace(first.manifest, licence=stated), first.folder)
    second = remeasure.remeasure(first.folder, data, tmp_path / "second")
    assert second.manifest.licence == stated
    assert second.manifest.provenance["remeasured"]["trained_under"] == "0"
    assert second.manifest.model_version == "1.0.2"


def rewritten(folder, name, change):
    table = pd.read_csv(folder / name)
    change(table).to_csv(folder / name, index=False)


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda f: (f / "split.csv").unlink(), "split.csv cannot be read"),
        (lambda f: rewritten(f, "split.csv", lambda t: t.iloc[1:]), "1 of .* not in the artifact"),
        (
            lambda f: rewritten(f, "split.csv", lambda t: t.assign(content_sha256="x")),
            "give the data that it was trained on",
        ),
        (lambda f: facts_changed(f, recipe={"name": "isic9-dropout", "hold_out": []}), "recipe in"),
        (lambda f: facts_changed(f, calibration={}), "wrap or calibrate it again"),
    ],
    ids=["no split", "an image less", "other bytes", "another recipe", "calibrated"],
)
def test_what_cannot_be_measured_again_is_refused(artifact, data, tmp_path, break_, message):
    old = earlier(artifact, tmp_path)
    break_(old)
    with pytest.raises(UsageError, match=message):
        remeasure.remeasure(old, data, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def facts_changed(folder, **facts):
    manifest = read_manifest(folder)
    provenance = {**manifest.provenance, **facts}
    write_manifest(dataclasses.replace(manifest, provenance=provenance), folder)


def test_the_program_says_what_is_wrong_and_ends_with_the_usage_code(artifact, tmp_path, capsys):
    words = [str(artifact), "--data", str(tmp_path), "--output", str(tmp_path / "new")]
    assert remeasure.main(words) == ExitCode.USAGE
    assert "--data: no isic9" in capsys.readouterr().err
