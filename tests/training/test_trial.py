"""Trials: which fields may change, what is judged, and the table that comes of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from batch.cli import main as cli
from batch.core.errors import ExitCode, UsageError
from batch.demo.lesions import lesion_image
from batch.training import by_source, recipes, trial, trial_table
from batch.training.by_source import judging_sets, set_measures, unlearned
from batch.training.datasets import Dataset
from batch.training.parts import Cnn, LongCourse
from batch.training.recipes import find_recipe, with_changes
from tests.training.test_described import judged_and_not  # noqa: F401 - a fixture

LITE2 = find_recipe("dermoscopy-lite2")


@pytest.mark.parametrize(
    ("change", "part", "field", "value"),
    [
        ("network.smooth=false", "network", "smooth", False),
        ("course.learning_rate=1e-3", "course", "learning_rate", 1e-3),
        ("course.mix=1", "course", "mix", 1.0),
        ("course.sides=[[0, 128], [2, 180]]", "course", "sides", ((0, 128), (2, 180))),
        ("change.smallest_side=70", "change", "smallest_side", 70),
    ],
)
def test_a_field_is_set_in_its_own_type(change, part, field, value):
    changed = with_changes(LITE2, [change])
    found = getattr(getattr(changed, part), field)
    assert (found, type(found)) == (value, type(value))
    assert replace(changed, **{part: getattr(LITE2, part)}) == LITE2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("network.depth=3", "found 'network.depth=3'; allowed: one of network.dropout"),
        ("course.mix", "found 'course.mix'; allowed"),
        ("name=x", "found 'name=x'"),
        ("network.smooth=1", "allowed: bool, as True is"),
        ("course.epochs=2.5", "allowed: int, as 40 is"),
        ("course.mix=much", "the value is no JSON"),
    ],
)
def test_an_unusable_change_is_a_usage_error(change, message):
    with pytest.raises(UsageError, match="--set") as caught:
        with_changes(LITE2, [change])
    assert message in str(caught.value)


TABLE = pd.DataFrame(
    [
        ("a", "test", True, "1", "x1", 0),
        ("a", "train", True, "2", "x2", 1),
        ("b", "held_out", True, "3", "x3", 2),
        ("c", "held_out", False, "4", "x4", 3),
        ("b", "held_out", True, "5", "x5", 1),
    ],
    columns=["source", "split", "judges", "content_sha256", "image", "group"],
)


def test_test_splits_and_left_out_sources_judge_if_they_may():
    found = {name: rows.tolist() for name, rows in judging_sets(TABLE)}
    assert found == {"test, a": [0], "b, held out": [2, 4]}


def test_what_a_model_learned_from_judges_it_nowhere_under_no_name():
    """By content, by name, and by a group that either touches."""
    learned = pd.DataFrame(
        {
            "content_sha256": ["2", "9", "1"],
            "image": ["other", "x3", "x1"],
            "split": ["train", "validation", "test"],
        }
    )
    found = unlearned(Dataset(TABLE, np.empty(0), {}), learned).table["split"]
    assert found.tolist() == ["held_out", "unused", "unused", "held_out", "unused"]


def test_measures_and_shortcuts_of_a_score_that_reads_the_surround():
    """Melanomas have a dark surround, the others none: a score that reads it and nothing else."""
    pixels = np.stack([lesion_image(seed, 180, 180) for seed in range(24)]).astype(np.uint8)
    is_melanoma = np.arange(24) % 2 == 0
    pixels[is_melanoma, :30] = 0
    pixels[1, :30] = 0

    def score(images):
        return (images[:, :20].mean(axis=(1, 2, 3)) < 50).astype(float)

    found = set_measures(pixels, is_melanoma, np.arange(24), score)
    assert (found["images"], found["melanomas"]) == (24, 12)
    assert found["melanoma_auc"] == pytest.approx(1 - 0.5 / 12)
    tests = found["shortcuts"]
    assert tests["with_surround"]["others"] == 1
    assert tests["without_surround"] == {
        "melanomas": 0, "others": 11, "auc": None, "interval": None
    }  # fmt: skip
    assert tests["lesion_covered"]["auc"] == pytest.approx(1 - 0.5 / 12)  # it never saw the lesion
    assert tests["at_one_sharpness"]["auc"] == pytest.approx(1 - 0.5 / 12)


def test_of_a_large_set_a_part_is_judged_and_the_set_s_size_said():
    """Forty images of a set, thirty of them melanomas: a draw of twelve has nine."""
    pixels = np.stack([lesion_image(seed, 180, 180) for seed in range(44)]).astype(np.uint8)
    label = ["melanoma"] * 30 + ["nevus"] * 10 + ["melanoma", "nevus"] * 2
    table = pd.DataFrame({"label": label, "group": range(44), "judges": True})
    table["source"] = ["a"] * 40 + ["b"] * 4
    table["split"] = "test"
    seen = []

    def score(images):
        seen.append(len(images))
        return np.linspace(0, 1, len(images))

    found = by_source.judged(Dataset(table, pixels, {}), score, "melanoma", 12, {"p": 0.5})
    large, whole = found["test, a"], found["test, b"]
    assert (large["images"], large["melanomas"], large["drawn_of"]) == (12, 9, 40)
    assert (whole["images"], whole["melanomas"], whole["drawn_of"]) == (4, 2, 4)
    assert max(seen) == 12
    assert large["at_points"]["p"]["true_positive"] + large["at_points"]["p"]["false_positive"] == 6


@pytest.fixture
def small(monkeypatch):
    """The recipe with a network and a course that take seconds."""
    recipe = replace(
        LITE2,
        network=Cnn(filters=(4,), dense_units=4),
        course=LongCourse(batch_size=4, images=8, epochs=1, patience=0, average=0.5, watched=4),
    )
    monkeypatch.setitem(recipes.RECIPES, recipe.name, recipe)
    return recipe


def test_a_trial_is_judged_and_its_table_written(judged_and_not, small, tmp_path, capsys):  # noqa: F811
    out = tmp_path / "trial"
    words = [small.name, "--data", str(judged_and_not), "--output", str(out)]
    words += ["--set", "network.dropout=0.5"]
    assert trial.main(words) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found == json.loads((out / "trial.json").read_text())
    assert found["changes"] == ["network.dropout=0.5"]
    assert (found["epochs"], found["images_drawn"]) == (1, 8)
    assert list(found["sets"]) == ["test, isic2017"]
    assert trial.main(words) == 0  # nothing is done twice
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == found
    words = [small.name, "--data", str(judged_and_not), "--output", str(tmp_path / "none")]
    assert trial.main([*words, "--hold-out", "kaggle_melanoma"]) == ExitCode.USAGE
    assert "0 lesions are left that may validate or test" in capsys.readouterr().err


def test_an_artifact_is_judged_on_what_it_did_not_learn(
    judged_and_not,  # noqa: F811
    small,
    tmp_path,
    capsys,
):
    artifact = tmp_path / "artifact"
    words = ["train", small.name, "--data", str(judged_and_not), "--output", str(artifact)]
    assert cli(words) == ExitCode.COMPLETE
    capsys.readouterr()
    assert by_source.main([str(artifact), "--data", str(judged_and_not)]) == 0
    found = json.loads(capsys.readouterr().out)
    split = pd.read_csv(artifact / "split.csv")
    tests = split[(split["source"] == "isic2017") & (split["split"] == "test")]
    judging = found["sets"]["isic2017, held out"]
    assert (judging["images"], judging["drawn_of"]) == (len(tests), len(tests))
    assert list(judging["at_points"]) == ["sensitivity-0.95", "sensitivity-0.9"]
    assert found["most_images_of_a_set"] == 2000
    (artifact / "split.csv").unlink()
    assert by_source.main([str(artifact), "--data", str(judged_and_not)]) == ExitCode.USAGE
    assert "has no split.csv" in capsys.readouterr().err


def test_tables_have_a_row_a_trial_and_a_column_a_set(tmp_path, capsys):
    auc = {"melanomas": 3, "others": 4, "auc": 0.75, "interval": [0.5, 0.9]}
    measures = {
        "images": 7,
        "drawn_of": 90,
        "melanomas": 3,
        "melanoma_auc": 0.8125,
        "sensitivity_at_specificity": 0.5,
        "shortcuts": dict.fromkeys(trial_table._SHORTCUTS, auc) | {"with_surround": {"auc": None}},
    }
    for name, sets in (("one", {"a, held out": measures}), ("two", {"test, b": measures})):
        (tmp_path / name).mkdir()
        found = {
            "recipe": "r", "changes": ["network.smooth=false"] * (name == "two"), "hold_out": ["a"],
            "seed": 1, "images_drawn": 16000, "seconds": 90, "loss": 0.5, "sets": sets,
        }  # fmt: skip
        (tmp_path / name / "trial.json").write_text(json.dumps(found))
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert trial_table.main(folders) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("| loss | a, held out | test, b |")
    assert lines[2] == "| `r`, seed 1 | a | 16,000 | 2 | 0.500 | 0.812 (0.500) | – |"
    assert lines[3].startswith("| `r` `network.smooth=false`, seed 1 |")
    assert trial_table.main([*folders, "--shortcuts"]) == 0
    assert "| a, held out | 7 of 90 | 3 | 0.812 | n/a | 0.750 |" in capsys.readouterr().out
    assert trial_table.main([str(tmp_path / "none")]) == ExitCode.USAGE
