"""All dermoscopy sources in one table: eight diagnoses, one group a lesion, nothing twice.

Where the tables of two sources speak of the same image, the authoritative one has the word
(`labels`); groups join what shares a lesion, bytes or nearly its look, across sources.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from batch.evaluation.isic_format import CODE_TO_CLASSES, HAM_TO_CODE
from batch.training import datasets
from batch.training.datasets import Dataset

DIAGNOSES = {
    "MEL": "melanoma",
    "NV": "nevus",
    "BCC": "basal cell carcinoma",
    "AK": "actinic keratosis",
    "BKL": "benign keratosis",
    "DF": "dermatofibroma",
    "VASC": "vascular lesion",
    "SCC": "squamous cell carcinoma",
}
"""Codes of ISIC 2019, and what they are called here; BKL joins two classes of isic9."""

ISIC9_TO_DIAGNOSIS = {
    name: DIAGNOSES[code] for code, names in CODE_TO_CLASSES.items() for name in names
}


def dermoscopy(data: Path) -> Dataset:
    """HAM10000, ISIC 2017 and the cleaned nine-class set.

    An image that stands in several sources is kept in each, because each holds it at another
    resolution; its copies share a group, so that they never stand on two sides.

    Raises:
        UsageError: the nine-class set is not below `data`.
    """
    parts = [_isic9(datasets.isic9(data))]
    for name, where in (("ham10000", datasets.HAM10000), ("isic2017", datasets.ISIC2017)):
        found = datasets.flat_set(data, name, *where, _named)
        if found is not None:
            parts.append(found)
    table = pd.concat([part.table for part in parts], ignore_index=True)
    pixels = np.concatenate([part.pixels for part in parts])
    report: dict[str, object] = {part.table["source"].iloc[0]: part.report for part in parts}
    return Dataset(table, pixels, report)


def _named(code: str) -> str:
    return DIAGNOSES[HAM_TO_CODE.get(code, code)]


def _isic9(found: Dataset) -> Dataset:
    names = found.table["label"].map(ISIC9_TO_DIAGNOSIS)
    return Dataset(found.table.assign(label=names), found.pixels, found.report)
