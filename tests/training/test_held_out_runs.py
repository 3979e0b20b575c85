"""Runs that left a source out: lines of trials beside artifacts, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from batch.core.errors import UsageError
from batch.training.held_out_runs import held_out_runs, unseen_sets
from batch.training.recipes import find_recipe, with_changes

RECIPE = with_changes(find_recipe("dermoscopy-lite2"), ["network.frozen=0"])
RATES = {"sensitivity": 0.9, "sensitivity_interval": [0.8, 0.95], "specificity": 0.4,
         "specificity_interval": [0.35, 0.45]}  # fmt: skip


def line(**changes):
    """As `from_torch --trial` prints it; the source that was held out beside one that was not."""
    found = {
        "images": 2000, "drawn_of": 9953, "melanomas": 220, "melanoma_auc": 0.81,
        "melanoma_auc_interval": [0.78, 0.84], "sensitivity_at_specificity": 0.7,
        "sensitivity_at_specificity_interval": [0.65, 0.75], "expected_calibration_error": 0.1,
        "at_points": {"sensitivity-0.95": RATES, "sensitivity-0.9": RATES}, "shortcuts": {},
    }  # fmt: skip
    return {
        "name": "ham", "command": "python -m batch.training.from_torch ham …",
        "recipe": "dermoscopy-lite2", "changes": ["network.frozen=0"], "hold_out": ["ham10000"],
        "seed": 17, "preprocessing_version": "4", "images_drawn": 400_000, "jobs": [{"batch": 64}],
        "sets": {"test, isic9": found, "ham10000, held out": found, "isic9, held out": found},
        **changes,
    }  # fmt: skip


def written(tmp_path, *lines):
    file = tmp_path / "held_out.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    return file


def test_a_trials_line_stands_for_an_artifact(tmp_path):
    other = line(hold_out=["acral"], sets={"acral, held out": line()["sets"]["test, isic9"]})
    runs = held_out_runs(RECIPE, 17, [written(tmp_path, line(), other)])
    assert [run["held_out"] for run in runs] == [["ham10000"], ["acral"]]
    assert runs[0]["model_sha256"] is None
    assert runs[0]["images_drawn"] == 400_000
    (measures,) = runs[0]["metrics"].values()
    assert list(runs[0]["metrics"]) == ["ham10000, held out"]  # no set of a source that trained
    assert (measures["images"], measures["drawn_of"]) == (2000, 9953)
    assert measures["sensitivity_at_specificity"] == {
        "specificity_at_least": 0.8, "sensitivity": 0.7, "interval": [0.65, 0.75]
    }  # fmt: skip
    assert measures["at_operating_point"] == RATES


def test_of_a_trial_without_points_there_are_no_rates(tmp_path):
    without = line()["sets"]["ham10000, held out"] | {"at_points": {}}
    file = written(tmp_path, line(sets={"ham10000, held out": without}))
    ((run,),) = ([held_out_runs(RECIPE, 17, [file])[0]],)
    assert "at_operating_point" not in run["metrics"]["ham10000, held out"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 18}, "line 1 was made by another recipe or seed .different: seed"),
        ({"changes": []}, "different: network"),
        ({"recipe": "dermoscopy-lite0-described"}, "different: name, network"),
        ({"sets": {"test, isic9": line()["sets"]["test, isic9"]}}, "trained on every source"),
        ({"sets": {}}, "trained on every source"),
        ({"hold_out": []}, "trained on every source"),
        ({"sets": {"ham10000, held out": {}}}, "is not what `from_torch --trial` prints .KeyError"),
        ({"sets": 3}, "is not what `from_torch --trial` prints"),
    ],
)
def test_a_line_that_proves_nothing_is_refused(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        held_out_runs(RECIPE, 17, [written(tmp_path, line(**changes))])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"{", "line 1 is not what"),
        (b"[]\n", "line 1 is not what"),
        (b'{"recipe": "dermoscopy-lite2"}\n', "is not what .* prints .KeyError: 'changes'"),
        (b"\xff\xfe\xff", "cannot be read .UnicodeDecodeError"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, text, message):
    file = tmp_path / "held_out.jsonl"
    file.write_bytes(text)
    with pytest.raises(UsageError, match=message):
        held_out_runs(RECIPE, 17, [file])


def test_an_order_of_changes_makes_no_other_recipe(tmp_path):
    changes = ["course.mix=0.2", "network.frozen=0"]
    file = written(tmp_path, line(changes=changes))
    assert held_out_runs(with_changes(RECIPE, changes[:1]), 17, [file])
    left_out = replace(with_changes(RECIPE, changes[:1]), hold_out=("acral",))
    assert held_out_runs(left_out, 17, [file])


def test_a_run_that_the_shipped_weights_began_from_may_have_another_seed_and_course(tmp_path):
    jobs = [{"name": "ham", "seed": 1}, {"name": "all", "seed": 2, "start": "ham"}]
    file = written(tmp_path, line(seed=1, changes=[], jobs=jobs[:1]))
    with pytest.raises(UsageError, match="different: network, seed"):
        held_out_runs(RECIPE, 2, [file])
    with pytest.raises(UsageError, match="different: network, seed"):
        held_out_runs(RECIPE, 2, [file], [{**jobs[0], "seed": 3}, jobs[1]])
    (run,) = held_out_runs(RECIPE, 2, [file], jobs)
    assert run["is_start"] is True
    (other,) = held_out_runs(RECIPE, 17, [written(tmp_path, line())], jobs)
    assert other["is_start"] is False


def test_every_set_that_was_left_out_counts_and_none_hides_another():
    own = {name: {"melanoma": {"melanoma_auc": number}} for number, name in enumerate(
        ("train", "validation", "test", "test, a", "b, held out", "c without isic9")
    )}  # fmt: skip
    again = {"b, held out": {"melanoma_auc": 8}, "d, held out": {"melanoma_auc": 9}}
    runs = [{"metrics": {"b, held out": {"melanoma_auc": 7}}}, {"metrics": again}]
    found = unseen_sets({"metrics": own, "held_out_runs": runs})
    assert {name: one["melanoma_auc"] for name, one in found.items()} == {
        "b, held out": 4, "c without isic9": 5, "b, held out (2)": 7, "b, held out (3)": 8,
        "d, held out": 9,
    }  # fmt: skip
    assert unseen_sets({}) == {}
