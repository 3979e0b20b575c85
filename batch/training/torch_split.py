"""Which images may judge a job's weights: none that had a part in them, however long ago.

Where a source is left out, the rest is split anew. So images that validate or test one job may have
trained another, and weights that began there have seen them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.training.fit import split_without
from batch.training.torch_job import Counts, Job


def judging_split(job: Job, table: pd.DataFrame, seed: int) -> np.ndarray:
    """(N,) the split of each image; what trained an earlier job of these weights is `train`.

    Args:
        table: as `prepare_data` gives it for the job's recipe. seed: of its split.

    Raises:
        UsageError: the split is not that of the job, or of an earlier one.
    """
    check_counts(job.name, job.counted, table, job.recipe.melanoma_class)
    split = table["split"].to_numpy().copy()
    for hold_out, counted in job.earlier:
        other = split_without(replace(job.recipe, hold_out=hold_out), table, seed)
        name = f"the start of {job.name}, without {', '.join(hold_out) or 'nothing'}"
        check_counts(name, counted, table.assign(split=other), job.recipe.melanoma_class)
        split[other == "train"] = "train"
    return split


def check_counts(name: str, counted: Counts, table: pd.DataFrame, melanoma_class: str) -> None:
    """Refuse another split than the one that a job trained with: its images would judge.

    Args:
        name: of the job. counted: in the sets that judged it where it was trained. table: columns
            source, split, judges and label.

    Raises:
        UsageError: names the first set that differs.
    """
    for key, wanted in sorted(counted.items()):
        split, _, source = key.partition(", ")
        part = table[(table["split"] == split) & (table["source"] == source) & table["judges"]]
        found = len(part), int((part["label"] == melanoma_class).sum())
        if found != wanted:
            raise UsageError(
                f"--data, --split-seed: {key} has {found[0]} images, {found[1]} of them "
                f"melanomas; {name} was judged on {wanted[0]} with {wanted[1]}. Its split is "
                "another one, so that images which trained would judge; give the data and the seed "
                "that `pack` had."
            )
