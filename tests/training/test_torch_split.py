"""Which images may judge weights that a GPU trained: none that ever trained them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from batch.core.errors import UsageError
from batch.training.fit import split_without
from batch.training.recipes import find_recipe
from batch.training.torch_job import Job
from batch.training.torch_split import check_counts, judging_split

TABLE = pd.DataFrame(
    [("acral", "test", True, "melanoma"), ("acral", "test", True, "nevus"),
     ("acral", "test", False, "nevus"), ("acral", "train", True, "nevus"),
     ("isic9", "held_out", True, "melanoma")],
    columns=["source", "split", "judges", "label"],
)  # fmt: skip


@pytest.mark.parametrize(
    ("counted", "message"),
    [
        ({}, None),
        ({"test, acral": (2, 1), "held_out, isic9": (1, 1)}, None),
        ({"test, acral": (3, 1)}, "test, acral has 2 images, 1 of them melanomas; a was judged on "
         "3 with 1"),
        ({"test, acral": (2, 2)}, "2 images, 1 of them"),
        ({"validation, acral": (1, 1)}, "validation, acral has 0 images"),
    ],
)  # fmt: skip
def test_the_split_must_be_that_of_the_training(counted, message):
    """Else images that trained would judge, and nobody would see it."""
    if message is None:
        check_counts("a", counted, TABLE, "melanoma")
    else:
        with pytest.raises(UsageError, match=message):
            check_counts("a", counted, TABLE, "melanoma")


RECIPE = find_recipe("dermoscopy-lite2")
SEED = 3


@pytest.fixture
def table():
    """Three sources of 140 images; lesions of two images, some of them in two sources."""
    rng = np.random.default_rng(0)
    found = pd.DataFrame({"source": ["a", "b", "c"] * 140, "group": rng.integers(0, 210, 420)})
    found["label"] = np.where(found["group"] % 3 == 0, "melanoma", "nevus")
    found["judges"] = found["source"] != "c"
    found["label_origin"] = "table"
    return found.assign(split=split_without(RECIPE, found, SEED))


def counts(table, split):
    parts = table.assign(split=split)[table["judges"]].groupby(["split", "source"])["label"]
    return {f"{name}, {source}": (len(labels), int((labels == "melanoma").sum()))
            for (name, source), labels in parts if name != "train"}  # fmt: skip


def job(table, *earlier):
    """As `read_job` gives it, with the counts that the trainings had."""
    told = []
    for hold_out in earlier:
        split = split_without(replace(RECIPE, hold_out=hold_out), table, SEED)
        told.append((hold_out, counts(table, split)))
    counted = counts(table, table["split"])
    return Job("all", RECIPE, (), 1, {}, (), counted, tuple(told))


def test_without_an_earlier_training_the_split_stays(table):
    assert judging_split(job(table), table, SEED).tolist() == table["split"].tolist()


@pytest.mark.parametrize("earlier", [[("a",)], [("a",), ("b",)]])
def test_what_trained_the_weights_before_judges_nothing(table, earlier):
    before = table["split"].to_numpy()
    split = judging_split(job(table, *earlier), table, SEED)
    assert table["split"].tolist() == before.tolist()  # the table is as it was
    trained = before == "train"
    for hold_out in earlier:
        trained |= split_without(replace(RECIPE, hold_out=hold_out), table, SEED) == "train"
    assert (split[trained] == "train").all()
    assert (split[~trained] == before[~trained]).all()
    assert (trained & np.isin(before, ["validation", "test"])).any()  # else nothing was asked
    judging = np.isin(split, ["validation", "test"])
    assert judging.any()
    groups = table["group"].to_numpy()
    assert not set(groups[judging]) & set(groups[trained])


def test_an_earlier_training_on_another_split_is_refused(table):
    other = job(table, ("a",))
    (hold_out, counted), *_ = other.earlier
    name = next(iter(counted))
    wrong = {**counted, name: (counted[name][0] + 1, counted[name][1])}
    changed = replace(other, earlier=((hold_out, wrong),))
    with pytest.raises(UsageError, match="the start of all, without a was judged on"):
        judging_split(changed, table, SEED)
