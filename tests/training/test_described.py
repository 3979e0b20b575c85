"""Sources by description: what a folder says of itself, and what comes of it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from batch.cli import main
from batch.core.errors import ExitCode, UsageError
from batch.training import recipes
from batch.training.datasets import dermoscopy
from batch.training.described import kept_rows, load_described
from batch.training.descriptions import allowed_classes, check_classes, described
from batch.training.fit import prepare_data
from batch.training.parts import Cnn, LongCourse
from batch.training.recipes import DERMOSCOPY_CLASSES, find_recipe
from tests.training.test_sources import data as three_sources  # noqa: F401 - a fixture
from tests.training.test_sources import write

OWN = """
licence = "ours"
non_commercial = false
share = 0.5
table = "list.csv"
columns = { image = "file_name", diagnosis = "finding", lesion = "lesion_number" }
leave_out = { view = ["overview*", "clinical"] }
[coarse]
"no cancer" = ["nevus", "benign keratosis"]
[classes]
mm = "melanoma"
naevus = "nevus"
"not suspicious" = "no cancer"
"""


@pytest.fixture
def own(tmp_path):
    """A clinic's folder with a description of its own, and a public one beside it."""
    folder = tmp_path / "clinic"
    for number in range(6):
        write(folder / "images", f"own_{number}", 900 + number, 60)
    pd.DataFrame(
        {
            "file_name": [f"own_{number}" for number in range(7)],  # one is not there
            "finding": ["mm", "naevus", "not suspicious", "mm", "naevus", "naevus", "mm"],
            "lesion_number": ["L1", "L2", None, "L1", "L4", "L5", "L6"],
            "view": ["", "", "", "", "overview 2", "clinical", ""],
            "operator": list("abcdefg"),
            "source": "camera 3",
        }
    ).to_csv(folder / "list.csv", index=False)
    (folder / "source.toml").write_text(OWN)
    write(tmp_path / "isic2017" / "images", "ISIC_1", 31, 60)
    (tmp_path / "isic2017" / "metadata.csv").write_text("image,diagnosis\nISIC_1,MEL\n")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "metadata.csv").write_text("image\n")
    return tmp_path


def test_a_folder_with_a_description_of_its_own_joins(own):
    found = load_described(own, DERMOSCOPY_CLASSES)
    table = found.table[found.table["source"] == "clinic"]
    assert table["image"].tolist() == ["own_0", "own_1", "own_2", "own_3"]
    assert table["label"].tolist() == ["melanoma", "nevus", "no cancer", "melanoma"]
    assert table["allowed"].iloc[2] == ("nevus", "benign keratosis")
    assert table["lesion_id"].tolist()[:2] == ["L1", "L2"]
    assert table["operator"].tolist() == list("abcd")  # further columns are kept
    assert set(table["origin"]) == {"camera 3"}  # theirs of our name, too
    assert found.report["clinic"] == {
        "listed": 7, "left_out": 2, "missing": 1, "images": 4, "licence": "ours",
        "non_commercial": False,
    }  # fmt: skip
    assert found.report["folders_without_description"] == ["strange"]
    assert found.report["shares"] == {"clinic": 0.5, "isic2017": 0.14}
    assert found.pixels.shape == (5, 180, 180, 3)


def test_every_bundled_description_ends_in_classes_of_the_recipe(tmp_path):
    names = ["isic9", "ham10000", "isic2017", "milk10k", "bcn_84px", "acral", "kaggle_melanoma"]
    for name in names:
        (tmp_path / name).mkdir()
    found = described(tmp_path)
    assert set(found) == set(names)
    for source in found.values():
        check_classes(source, DERMOSCOPY_CLASSES)
    assert sum(source.share for source in found.values()) == pytest.approx(1)
    assert [name for name, source in found.items() if not source.judges] == ["kaggle_melanoma"]
    assert "melanoma" not in allowed_classes(found["milk10k"], "not melanoma")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('licence = "ours"', "", "licence is missing"),
        ("share = 0.5", "share = 0", "share = 0; allowed: above 0"),
        ("share = 0.5", 'share = "much"', "share = 'much' has the wrong type"),
        ("share = 0.5", "share = 0.5\nweight = 2", "found weight; allowed: table, columns"),
        ("share = 0.5", 'share = 0.5\nlayout = "deep"', "layout = 'deep'; allowed: flat, isic9"),
        ("lesion = ", "patient = ", "columns has patient; allowed: image, diagnosis, lesion"),
        ("share = 0.5", "share = ", "clinic/source.toml is no readable TOML"),
        ('"no cancer"\n', '"no tumour"\n', "described as 'no tumour', and no tumour is no class"),
        ('mm = "melanoma"', "", "diagnosis 'mm' is not described; allowed: naevus"),
        ("list.csv", "table.csv", "clinic: table.csv cannot be read"),
        ('"finding"', '"result"', "has no column result; found: file_name, finding"),
        ("{ view", "{ angle", "leave_out: list.csv has no column angle"),
    ],
)
def test_a_description_that_cannot_be_followed_is_a_usage_error(own, old, new, message):
    file = own / "clinic" / "source.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(UsageError, match="clinic") as caught:
        load_described(own, DERMOSCOPY_CLASSES)
    assert message in str(caught.value)


def test_nothing_described_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no described source"):
        load_described(tmp_path, DERMOSCOPY_CLASSES)


def test_identical_files_stay_once_a_source_and_not_with_contradicting_labels():
    table = pd.DataFrame(
        [
            ("a", "1", ("nevus",)),
            ("a", "1", ("nevus",)),  # a twin
            ("b", "1", ("nevus", "benign keratosis")),  # coarser, not contradicting
            ("a", "2", ("melanoma",)),
            ("b", "2", ("nevus", "benign keratosis")),  # one of both is wrong
            ("b", "3", ("melanoma",)),
        ],
        columns=["source", "content_sha256", "allowed"],
    )
    kept, told = kept_rows(table)
    assert kept.tolist() == [True, False, True, False, False, True]
    assert told == {
        "identical_files_removed": 1,
        "identical_files_with_contradicting_labels": 2,
    }


def test_the_three_first_sources_are_described_as_they_were_coded(three_sources):  # noqa: F811
    """Same images, labels and lesions as the recipe that is shipped was trained on."""
    columns = ["source", "image", "label", "label_origin", "lesion_id", "content_sha256"]
    coded = dermoscopy(three_sources).table[columns].sort_values(["source", "image"])
    found = load_described(three_sources, DERMOSCOPY_CLASSES).table
    found = found[columns].sort_values(["source", "image"])
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), coded.reset_index(drop=True), check_dtype=False
    )


@pytest.fixture
def judged_and_not(tmp_path):
    """ISIC 2017 judges; a folder that does not holds copies of a part of it, and some more."""
    for number in range(30):
        write(tmp_path / "isic2017" / "images", f"ISIC_{number}", number, 64)
    labels = ["MEL", "NV", "BKL"] * 10
    pd.DataFrame({"image": [f"ISIC_{n}" for n in range(30)], "diagnosis": labels}).to_csv(
        tmp_path / "isic2017" / "metadata.csv", index=False
    )
    for number in range(40):
        write(tmp_path / "kaggle_melanoma" / "images", f"k{number}", number, 90)
    labels = ["MEL" if number % 3 == 0 else "NV?" for number in range(40)]
    pd.DataFrame(
        {"image": [f"k{n}" for n in range(40)], "diagnosis": labels, "lesion": range(40)}
    ).to_csv(tmp_path / "kaggle_melanoma" / "metadata.csv", index=False)
    return tmp_path


def test_what_may_not_judge_trains_or_is_unused(judged_and_not):
    table = prepare_data(find_recipe("dermoscopy-lite2"), judged_and_not, seed=1).table
    kaggle = table[table["source"] == "kaggle_melanoma"].set_index("image")
    other = table[table["source"] == "isic2017"].set_index("image")
    assert set(kaggle["split"]) == {"train", "unused"}
    assert set(kaggle.loc["k30":"k39", "split"]) == {"train"}  # in no group that judges
    for number in range(30):
        expected = "train" if other.loc[f"ISIC_{number}", "split"] == "train" else "unused"
        assert kaggle.loc[f"k{number}", "group"] == other.loc[f"ISIC_{number}", "group"]
        assert kaggle.loc[f"k{number}", "split"] == expected


@pytest.mark.parametrize(
    "hold_out", [["isic2018"], ["isic2017", "kaggle_melanoma"], ["isic2017", "isic9"]]
)
def test_only_sources_that_are_there_can_be_held_out_and_not_all(judged_and_not, hold_out):
    with pytest.raises(UsageError, match="allowed: some of isic2017, kaggle_melanoma"):
        prepare_data(find_recipe("dermoscopy-lite2", hold_out), judged_and_not, seed=1)


def test_the_command_trains_on_described_sources_and_writes_an_artifact(
    judged_and_not, tmp_path, monkeypatch, capsys
):
    small = replace(
        find_recipe("dermoscopy-lite2"),
        network=Cnn(filters=(4,), dense_units=4),
        course=LongCourse(batch_size=4, images=8, epochs=1, patience=0, average=0.5, watched=4),
    )
    monkeypatch.setitem(recipes.RECIPES, small.name, small)
    words = ["train", small.name, "--data", str(judged_and_not), "--output", str(tmp_path / "new")]
    assert main([*words, "--cache", str(tmp_path / "cache")]) == ExitCode.COMPLETE
    assert "kaggle_melanoma (part CC BY-NC, rest not stated)" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "new" / "manifest.json").read_text())
    recipe = json.loads(json.dumps(dataclasses.asdict(small)))
    del recipe["description"]
    assert manifest["provenance"]["recipe"] == recipe
    assert set(manifest["provenance"]["metrics"]) == {
        "train", "validation", "test", "test, isic2017"
    }  # fmt: skip
    split = pd.read_csv(tmp_path / "new" / "split.csv")
    assert set(split["split"]) == {"train", "validation", "test", "unused"}
    assert np.load(tmp_path / "cache" / "pixels.npy", mmap_mode="r").shape == (70, 180, 180, 3)
