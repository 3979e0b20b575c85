"""What a GPU's course left of a job: single ones, means, and lines that cannot be used."""

from __future__ import annotations

import json

import numpy as np
import pytest

from batch.core.errors import UsageError
from batch.training.torch_job import read_job, read_weights

RAN = {"device": "H100", "torch": "2.8", "sets": {}}


def line(name, **changes):
    return {
        "name": name, "recipe": "dermoscopy-lite2", "changes": ["network.frozen=0"], "seed": 17,
        "images": 1000, "batch": 64, "images_drawn": 960, "seconds": 30.0, "loss": [1.0, 0.5],
        "curve": [1.5, 0.5], **RAN, **changes,
    }  # fmt: skip


def write(folder, *lines):
    (folder / "results.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    return folder


MEAN = {"name": "mean", "recipe": "dermoscopy-lite2", "changes": ["network.frozen=0"],
        "average": ["one", "two"], **RAN}  # fmt: skip


def test_a_job_says_its_recipe_and_its_course(tmp_path):
    job = read_job(write(tmp_path, {"read": 5}, line("one", hold_out="milk10k,acral")), "one")
    assert job.recipe.hold_out == ("acral", "milk10k")
    assert job.recipe.network.frozen == 0
    assert (job.seed, job.curve) == (17, (1.5, 0.5))
    assert (job.course["loss"], job.course["images_drawn"]) == (0.75, 960)
    assert job.course["averaged_from"] == []
    (asked,) = job.course["jobs"]
    assert asked["images"] == 1000
    assert "device" not in asked


def test_a_mean_has_the_courses_of_its_parts(tmp_path):
    folder = write(tmp_path, line("one"), line("two", seed=18), MEAN)
    job = read_job(folder, "mean")
    assert (job.seed, job.curve) == (17, ())
    assert (job.course["images_drawn"], job.course["seconds"]) == (1920, 60.0)
    assert job.course["loss"] is None
    assert [one["seed"] for one in job.course["jobs"]] == [17, 18]


def test_a_mean_left_out_what_all_its_parts_left_out(tmp_path):
    folder = write(tmp_path, line("one", hold_out="acral"), line("two", hold_out="acral"), MEAN)
    assert read_job(folder, "mean").recipe.hold_out == ("acral",)
    folder = write(tmp_path, line("one", hold_out="acral"), line("two"), MEAN)
    with pytest.raises(UsageError, match="two left out other sources than the mean"):
        read_job(folder, "mean")


def sets(**counts):
    return {
        name.replace("_", ", "): {"images": n, "melanomas": m} for name, (n, m) in counts.items()
    }


def test_weights_that_went_on_from_others_have_the_courses_of_both(tmp_path):
    start = {"folder": "anywhere", "name": "one"}
    folder = write(
        tmp_path,
        line("one", hold_out="milk10k,acral", sets=sets(test_isic9=(9, 3))),
        line("two", start=start, seed=18, images_drawn=64, sets=sets(test_acral=(5, 2))),
        line("three", start={"folder": "", "name": "two"}),
        {**MEAN, "average": ["two", "three"]},
    )
    job = read_job(folder, "two")
    assert (job.seed, job.recipe.hold_out) == (18, ())
    assert (job.course["images_drawn"], job.course["seconds"]) == (1024, 60.0)
    assert job.course["began_from"] == ["one"]
    assert [one["name"] for one in job.course["jobs"]] == ["one", "two"]
    assert job.course["jobs"][1]["start"] == "one"  # no folder of a machine
    assert job.counted == {"test, acral": (5, 2)}
    assert job.earlier == ((("acral", "milk10k"), {"test, isic9": (9, 3)}),)
    mean = read_job(folder, "mean")
    assert [one["name"] for one in mean.course["jobs"]] == ["one", "two", "three"]  # each once
    assert mean.course["began_from"] == ["one", "two"]
    assert len(mean.earlier) == 1
    assert read_job(folder, "one").earlier == ()


@pytest.mark.parametrize(
    ("start", "message"),
    [("gone", "one began from gone, whose line is missing"), ("one", "one began from itself")],
)
def test_a_start_that_is_not_told_is_a_usage_error(tmp_path, start, message):
    folder = write(tmp_path, line("one", start={"folder": "", "name": start}))
    with pytest.raises(UsageError, match=message):
        read_job(folder, "one")


def test_a_job_that_was_run_again_counts_as_it_was_last(tmp_path):
    again = line("one", images_drawn=64)
    left_out = {"name": "one", "left_out": True}
    assert read_job(write(tmp_path, line("one"), again, left_out), "one").course[
        "images_drawn"
    ] == 64  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "has no job one; allowed: none is there"),
        ([line("two")], "has no job one; allowed: two"),
        ([{"name": "one", "left_out": True}], "has no job one"),
        ([{**MEAN, "name": "one"}], "lacks or mistypes 'one'|lacks or mistypes 'two'"),
        ([line("one", loss="much")], "lacks or mistypes"),
        ([{key: value for key, value in line("one").items() if key != "seconds"}], "'seconds'"),
        ([line("one", recipe="dermoscopy-lite3")], "no recipe 'dermoscopy-lite3'"),
    ],
)
def test_a_line_that_cannot_be_used_is_a_usage_error(tmp_path, lines, message):
    with pytest.raises(UsageError, match=message):
        read_job(write(tmp_path, *lines), "one")


def test_results_that_cannot_be_read_are_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="results.jsonl cannot be read .FileNotFoundError"):
        read_job(tmp_path, "one")
    (tmp_path / "results.jsonl").write_text("{")
    with pytest.raises(UsageError, match="cannot be read .JSONDecodeError"):
        read_job(tmp_path, "one")


def test_weights_are_those_of_the_job_and_of_no_other_of_a_longer_name(tmp_path):
    for name, value in (("one.0", 1), ("one.1", 2), ("one.two.0", 3)):
        np.savez(tmp_path / f"{name}.npz", **{f"w{value}": np.full(2, value, np.float16)})
    found = read_weights(tmp_path, "one")
    assert sorted(found) == ["w1", "w2"]
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    with pytest.raises(UsageError, match=r"no three\.\*\.npz"):
        read_weights(tmp_path, "three")
    (tmp_path / "bad.0.npz").write_bytes(b"no archive")
    with pytest.raises(UsageError, match="cannot be read"):
        read_weights(tmp_path, "bad")
