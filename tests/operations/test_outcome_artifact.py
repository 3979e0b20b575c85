"""`outcomes --write-artifact`: the artifact promises what folds measured, and the job takes it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.evaluation.local_point import FEWEST, cross_fitted
from batch.model.manifest import read_manifest
from batch.training.calibration import ROUNDING, next_version

MODEL = "isic9-plain"
LESIONS = 48


def score(root: Path, model: object = MODEL) -> dict:
    words = ["score", str(root / "archive"), "--output", str(root / "reports"), "--no-pictures"]
    assert main([*words, "--model", str(model)]) == ExitCode.COMPLETE
    return json.loads((root / "reports" / "latest" / "run.json").read_text())


def rows_of(root: Path) -> pd.DataFrame:
    return pd.read_parquet(root / "reports" / "latest" / "current").sort_values("path")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """A night of the bundled model, and histology that agrees with its order by half."""
    root = tmp_path_factory.mktemp("hospital")
    (root / "archive").mkdir()
    for number in range(LESIONS):
        data = jpeg_bytes(lesion_image(1000 + number, 180, 240))
        (root / "archive" / f"L{number:02d}.jpg").write_bytes(data)
    score(root)
    rows = rows_of(root)
    noisy = rows["melanoma_score"].rank() + np.random.default_rng(4).normal(0, 9, len(rows))
    codes = np.where(noisy.rank() > LESIONS / 2, "C43.5", "D22.5")
    table = pd.DataFrame({"Pfad": rows["path"], "diagnosis": codes})
    (root / "reports" / "outcomes").mkdir()
    table.to_csv(root / "reports" / "outcomes" / "2026.csv", index=False, sep=";")
    return root


def outcomes(root: Path, *words: str, reports: str = "reports") -> int:
    return main(["outcomes", str(root / reports), "--map", "Pfad=path", *words])


def test_one_command_makes_an_artifact_that_the_job_takes(hospital, tmp_path, capsys):
    folder = tmp_path / "local"
    before = rows_of(hospital)
    words = ("--write-artifact", str(folder), "--target-sensitivity", "0.9")
    assert outcomes(hospital, *words, "--json") == ExitCode.COMPLETE
    point = json.loads(capsys.readouterr().out)["local_point"]
    old, new = read_manifest(Path(f"model_artifacts/{MODEL}")), read_manifest(folder)
    made = new.operating_point()
    assert new.model_version == next_version(old.model_version)
    assert (new.model_sha256, new.output) == (old.model_sha256, old.output)
    table = pd.read_csv(hospital / "reports" / "outcomes" / "2026.csv", sep=";").sort_values("Pfad")
    is_melanoma = table["diagnosis"].str.startswith("C43").to_numpy()
    scores = before["melanoma_score"].to_numpy(float)
    keys = [f"lesion {name}" for name in before["image_id"]]
    fitted = cross_fitted(is_melanoma, scores, keys, 0.9)
    for name in ("sensitivity", "specificity"):
        assert getattr(made, name) == point[name] == pytest.approx(fitted[name])
        assert getattr(made, f"{name}_interval") == pytest.approx(fitted[f"{name}_interval"])
    assert made.threshold == pytest.approx(point["threshold"] * (1 - ROUNDING))
    assert point["apparent"]["sensitivity"] >= 0.9
    assert (made.melanomas, made.others, made.provisional) == (24, 24, True)
    card = (folder / "MODEL_CARD.md").read_text()
    assert "lesions that did not choose it" in card
    assert "upper bound in practice" in new.caution and "provisional" in new.caution
    assert str(hospital) not in card + (folder / "manifest.json").read_text()

    copy = Path(shutil.copytree(hospital, tmp_path / "next", symlinks=True))
    run = score(copy, folder)
    assert run["equation"]["unchanged"] == LESIONS  # only the threshold moved
    after = rows_of(copy)
    assert (after["is_alert"] == (after["melanoma_score"] >= made.threshold)).all()
    assert after["is_alert"][is_melanoma].mean() == point["apparent"]["sensitivity"]
    again = ("--write-artifact", str(tmp_path / "again"), "--model", str(folder))
    assert outcomes(copy, *again, reports="reports") == ExitCode.COMPLETE  # scores are the same
    third = read_manifest(tmp_path / "again")
    assert third.model_version == next_version(new.model_version)
    assert third.operating_point().name == "sensitivity-0.95"


def test_the_wanted_lower_bound_is_the_readers(hospital, capsys):
    assert outcomes(hospital, "--target-sensitivity", "0.9", "--lower-bound", "0.5") == 0
    assert "For a lower bound of 0.5 there are missing:" in capsys.readouterr().out
    assert outcomes(hospital, "--lower-bound", "0.5") == ExitCode.USAGE
    assert "--target-sensitivity" in capsys.readouterr().err


@pytest.mark.parametrize(("melanomas", "others", "missing"), [
    (FEWEST - 1, FEWEST, "1 more melanomas"),
    (FEWEST, FEWEST - 3, "3 more others"),
    (2, 4, "18 more melanomas and 16 more others"),
])  # fmt: skip
def test_too_few_are_refused_with_the_number_missing(
    hospital, tmp_path, capsys, melanomas, others, missing
):
    copy = Path(shutil.copytree(hospital, tmp_path / "few", symlinks=True))
    file = copy / "reports" / "outcomes" / "2026.csv"
    table = pd.read_csv(file, sep=";")
    bad = table["diagnosis"].str.startswith("C43")
    pd.concat([table[bad][:melanomas], table[~bad][:others]]).to_csv(file, index=False, sep=";")
    folder = tmp_path / "none"
    assert outcomes(copy, "--write-artifact", str(folder)) == ExitCode.USAGE
    assert f"Missing: {missing}." in capsys.readouterr().err
    assert not folder.exists()


def test_another_model_is_refused(hospital, tmp_path, capsys):
    words = ("--write-artifact", str(tmp_path / "x"), "--model", "dermoscopy-lite0")
    assert outcomes(hospital, *words) == ExitCode.USAGE
    assert "gives other scores" in capsys.readouterr().err


def test_lesions_that_the_model_was_trained_on_are_left_out(hospital, tmp_path, capsys):
    known = Path(shutil.copytree(f"model_artifacts/{MODEL}", tmp_path / "known"))
    rows = rows_of(hospital)
    split = pd.DataFrame({"content_sha256": rows["content_sha256"], "split": "validation",
                          "image": "strange"})  # fmt: skip
    split.loc[split.index[0], "split"] = "train"
    split.to_csv(known / "split.csv", index=False)
    words = ("--write-artifact", str(tmp_path / "local"), "--model", str(known))
    assert outcomes(hospital, *words) == ExitCode.COMPLETE
    assert "1 lesions were left out, since the model was trained on" in capsys.readouterr().out
    made = read_manifest(tmp_path / "local")
    point = made.operating_point()
    assert point.melanomas + point.others == LESIONS - 1
    assert f"{LESIONS - 1} of the images are of its own validation or test set" in made.caution


def test_a_folder_that_is_full_is_refused(hospital, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("x")
    assert outcomes(hospital, "--write-artifact", str(tmp_path)) == ExitCode.USAGE
    assert "is not empty" in capsys.readouterr().err
