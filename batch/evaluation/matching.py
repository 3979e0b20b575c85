"""Which prediction belongs to which label. Pure, on tables; whatever has no partner is counted.

A label is judged when exactly one image bears its key. Copies (files of the same bytes) are one
image. Of several images nobody can say which was meant, and of two labels which is right: such
labels are not judged, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from batch.core.errors import UsageError

KEYS = ("image_id", "content_sha256", "image", "path")
"""Columns that tie a label to an image; the first that the labels have is used."""


_EXTENSION = re.compile(r"(?<=.)\.[A-Za-z][A-Za-z0-9]{1,4}$")
"""It begins with a letter: the last number of a UID is none."""


def key_column(columns: list[str]) -> str | None:
    """The column that ties labels to images; None when there is none."""
    return next((key for key in KEYS if key in columns), None)


def with_key(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Rows of predictions or unscored images with the column `key`, as labels name images."""
    if key != "image":
        return rows
    return rows.assign(image=[PurePosixPath(path).stem for path in rows["path"]])


def spellings(value: str, key: str) -> tuple[str, ...]:
    r"""What a label's value may stand for in a night, the most exact first.

    A path may have `\` between folders and begin with `./`; an image may have an extension.
    """
    if key == "path":
        return tuple(dict.fromkeys((value, value.replace("\\", "/").removeprefix("./"))))
    if key == "image":
        return tuple(dict.fromkeys((value, _EXTENSION.sub("", value))))
    return (value,)


def as_in_night(labels: pd.DataFrame, known: Iterable[str], key: str) -> pd.DataFrame:
    """Labels whose key is spelled as the night spells it; what it does not know is left as it is.

    Args:
        known: values of the key in the night's predictions and unscored images.
    """
    names = set(known)
    found = {
        value: next((word for word in spellings(value, key) if word in names), value)
        for value in set(labels[key])
    }
    return labels.assign(**{key: labels[key].map(found)})


_IMAGE = ["content_sha256", "frame_number"]


@dataclass(frozen=True, eq=False)
class Matched:
    """Tables of labels, one row a label, each with the labels' columns.

    judged: with the columns of its prediction, too (a label's of the same name end in `_label`).
    without_prediction: with `reason`, where the night tells why the image has no score, else None.
    ambiguous: several images bear the key. contradicting: the key has labels that differ.
    counts: rows of labels and of predictions by what became of them; each adds up to `rows`.
    """

    judged: pd.DataFrame
    without_prediction: pd.DataFrame
    ambiguous: pd.DataFrame
    contradicting: pd.DataFrame
    counts: dict[str, dict[str, int]]


def labelled_predictions(
    labels: pd.DataFrame,
    predictions: pd.DataFrame,
    unscored: pd.DataFrame,
    key: str,
    example: str = "",
) -> pd.DataFrame:
    """The predictions whose key has a label, whatever that label is.

    Args:
        labels, predictions, unscored, key: as `match` takes them. example: a key of the night, to
            show beside one of the labels.

    Raises:
        UsageError: there is none.
    """
    rows = predictions[predictions[key].isin(labels.loc[labels["label"].str.strip() != "", key])]
    if rows.empty:
        counts = match(labels, predictions, unscored, key).counts["labels"]
        found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        raise UsageError(
            f"--labels: no image of the labels is among the predictions (by {key}): {found}. "
            f"{key} in the labels: {_first(labels[key])}; among the predictions: "
            f"{_first([example, *predictions[key]])}. Write them alike, or tie by another "
            f"column; of {', '.join(KEYS)} the first that is there is used."
        )
    return rows


def _first(values: Iterable[str]) -> str:
    return next((repr(value) for value in values if value), "none")


def match(
    labels: pd.DataFrame,
    predictions: pd.DataFrame,
    unscored: pd.DataFrame,
    key: str,
    passed_over: int = 0,
) -> Matched:
    """Tie labels to predictions by a key.

    Args:
        labels: text columns `label` and key; missing is "". predictions, unscored: rows of the
            published tables, with the key (`label_keys.with_key`). passed_over: further
            predictions, whose key no label has.
    """
    named = labels[(labels["label"] != "") & (labels[key] != "")]
    different = named.groupby(key)["label"].transform("nunique") > 1
    contradicting, agreed = named[different], named[~different]
    one_each = agreed.drop_duplicates(key)

    labelled = predictions[predictions[key].isin(one_each[key])]
    disputed = predictions[predictions[key].isin(contradicting[key])]
    images = labelled.sort_values("path", kind="stable").drop_duplicates([key, *_IMAGE])
    several = images.duplicated(key, keep=False)
    unique, unclear = images[~several], images[several]

    judged = one_each.merge(unique, on=key, suffixes=("_label", ""))
    ambiguous = one_each[one_each[key].isin(unclear[key])]
    alone = one_each[~one_each[key].isin(images[key])]
    known = dict(zip(unscored[key], unscored["reason"], strict=True))
    counts = {
        "labels": {
            "rows": len(labels),
            "without_label": int((labels["label"] == "").sum()),
            "without_key": int(((labels["label"] != "") & (labels[key] == "")).sum()),
            "contradicting": len(contradicting),
            "repeated": len(agreed) - len(one_each),
            "ambiguous": len(ambiguous),
            "without_prediction": len(alone),
            "judged": len(judged),
        },
        "predictions": {
            "rows": len(predictions) + passed_over,
            "without_label": len(predictions) + passed_over - len(labelled) - len(disputed),
            "contradicting": len(disputed),
            "copies": len(labelled) - len(images),
            "ambiguous": len(unclear),
            "judged": len(unique),
        },
    }
    why = [known.get(name) for name in alone[key]]
    without = alone.assign(reason=pd.Series(why, alone.index, dtype=object))
    return Matched(judged, without, ambiguous, contradicting, counts)


def lesion_names(judged: pd.DataFrame) -> pd.Series:
    """The group by the labels, else the lesion by the archive, else ""."""
    by_archive = judged["lesion_id"].astype(object).where(judged["lesion_id"].notna(), "")
    if "group" not in judged:
        return by_archive
    return judged["group"].where(judged["group"] != "", by_archive)


def lesion_groups(judged: pd.DataFrame) -> np.ndarray:
    """(N,) text by which intervals draw; an image without a lesion's name is one of its own."""
    names = lesion_names(judged)
    own = [f"image {number}" for number in range(len(judged))]
    return np.where(names != "", "lesion " + names, own)


def same_bytes(judged: pd.DataFrame) -> dict[str, int]:
    """Judged images that are copies of another judged one under another name.

    They count as often as the labels name them; `contradicting`: with another label than the copy.
    """
    times = judged.groupby(_IMAGE, dropna=False)["label"].agg(["size", "nunique"])
    several = times[times["size"] > 1]
    return {
        "rows": int((several["size"] - 1).sum()),
        "contradicting": int((several["nunique"] > 1).sum()),
    }
