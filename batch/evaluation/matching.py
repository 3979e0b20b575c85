"""Matches labels with predictions; rows without a partner are counted.

A label is judged if exactly one image has its key. Copies (files with the same bytes) are one
image. A label is not judged, and only counted, if several images have its key, or if another label
contradicts it.
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
"""Columns that name the image of a label; the first that the labels have is used."""


GROUP_KEYS = (
    "lesion_id", "accession_number", "study_instance_uid", "patient_pseudonym", "patient_id",
)  # fmt: skip
"""Columns that name a lesion, a study or a patient, where no column names the image."""

_EXTENSION = re.compile(r"(?<=.)\.[A-Za-z][A-Za-z0-9]{1,4}$")
"""An extension begins with a letter, so that the last number of a UID is not one."""


def key_column(columns: list[str]) -> str | None:
    """The column that names the images of labels; None if there is none."""
    return next((key for key in KEYS if key in columns), None)


def with_key(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Rows of predictions or unscored images, with the column `key` by which labels name images."""
    if key != "image":
        return rows
    return rows.assign(image=[PurePosixPath(path).stem for path in rows["path"]])


def spellings(value: str, key: str) -> tuple[str, ...]:
    r"""The forms that a label's key may have in a night, the most exact first.

    A path may have `\` between folders and begin with `./`; an image may have an extension.
    """
    if key == "path":
        return tuple(dict.fromkeys((value, value.replace("\\", "/").removeprefix("./"))))
    if key == "image":
        return tuple(dict.fromkeys((value, _EXTENSION.sub("", value))))
    return (value,)


def spread_over_images(
    labels: pd.DataFrame, predictions: pd.DataFrame, key: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the label of a lesion to each of its images.

    A study or a patient may have several lesions, and a label does not say of which it is. So its
    label counts only where all its images are of one lesion; otherwise its key stays as it is, and
    several images bear it: `match` counts the label as ambiguous.

    Args:
        labels, predictions: with the column `key`, one of `GROUP_KEYS`.

    Returns:
        both, with a key for each image of such a lesion, and the label repeated for each.
    """
    own = predictions["image_id"].astype(object)
    lesion = predictions["lesion_id"].astype(object).where(predictions["lesion_id"].notna(), own)
    value = predictions[key].astype(object)
    is_one = lesion.groupby(value).transform("nunique") == 1
    of_image = (value + "\n" + own).where(is_one, value)
    keys = pd.DataFrame({"group_key": value[is_one], "image_key": of_image[is_one]})
    spread = labels.merge(keys.drop_duplicates(), left_on=key, right_on="group_key", how="left")
    spread[key] = spread["image_key"].where(spread["image_key"].notna(), spread[key])
    return (
        spread.drop(columns=["group_key", "image_key"]),
        predictions.assign(**{key: of_image}),
    )


def as_in_night(labels: pd.DataFrame, night_values: Iterable[str], key: str) -> pd.DataFrame:
    """Labels with their key in the form of the night; a key that the night lacks stays as it is.

    Args:
        labels: with the column `key`.
        night_values: values of the key in the night's predictions and unscored images.
        key: the column.
    """
    night_names = set(night_values)
    written = {
        value: next((word for word in spellings(value, key) if word in night_names), value)
        for value in set(labels[key])
    }
    return labels.assign(**{key: labels[key].map(written)})


_IMAGE = ["content_sha256", "frame_number"]


@dataclass(frozen=True, eq=False)
class Matched:
    """Labels by what became of them, a row a label, with the labels' columns.

    judged: also with the columns of the prediction; a label's column with the same name ends in
        `_label`.
    without_prediction: also with `reason`, why the image has no score; None if unknown.
    ambiguous: several images have the key.
    contradicting: the key has different labels.
    counts: numbers of labels and of predictions by what became of them; each adds up to `rows`.
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
    """The predictions whose key has any label.

    Args:
        labels, predictions, unscored, key: as in `match`.
        example: a key of the night, for the message.

    Raises:
        UsageError: there is no such prediction.
    """
    rows = predictions[predictions[key].isin(labels.loc[labels["label"].str.strip() != "", key])]
    if rows.empty:
        counts = match(labels, predictions, unscored, key).counts["labels"]
        counted = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        raise UsageError(
            f"--labels: no image of the labels is among the predictions (by {key}): {counted}. "
            f"{key} in the labels: {_first(labels[key])}; among the predictions: "
            f"{_first([example, *predictions[key]])}. Write them in the same way, or use another "
            f"column; the first of {', '.join(KEYS)} that the labels have is used."
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
    """Match labels with predictions by a key.

    Args:
        labels: text columns `label` and key; "" if missing.
        predictions, unscored: rows of the published tables, with the key (`with_key`).
        key: the column.
        passed_over: number of further predictions whose key no label has.
    """
    named = labels[(labels["label"] != "") & (labels[key] != "")]
    different = named.groupby(key)["label"].transform("nunique") > 1
    contradicting, agreed = named[different], named[~different]
    distinct = agreed.drop_duplicates(key)

    labelled = predictions[predictions[key].isin(distinct[key])]
    disputed = predictions[predictions[key].isin(contradicting[key])]
    images = labelled.sort_values("path", kind="stable").drop_duplicates([key, *_IMAGE])
    several = images.duplicated(key, keep=False)
    unique, unclear = images[~several], images[several]

    judged = distinct.merge(unique, on=key, suffixes=("_label", ""))
    ambiguous = distinct[distinct[key].isin(unclear[key])]
    unmatched = distinct[~distinct[key].isin(images[key])]
    reasons = dict(zip(unscored[key], unscored["reason"], strict=True))
    counts = {
        "labels": {
            "rows": len(labels),
            "without_label": int((labels["label"] == "").sum()),
            "without_key": int(((labels["label"] != "") & (labels[key] == "")).sum()),
            "contradicting": len(contradicting),
            "repeated": len(agreed) - len(distinct),
            "ambiguous": len(ambiguous),
            "without_prediction": len(unmatched),
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
    reason_of_label = [reasons.get(name) for name in unmatched[key]]
    without = unmatched.assign(reason=pd.Series(reason_of_label, unmatched.index, dtype=object))
    return Matched(judged, without, ambiguous, contradicting, counts)


def lesion_names(judged: pd.DataFrame) -> pd.Series:
    """The group of the labels, else the lesion of the archive, else ""."""
    by_archive = judged["lesion_id"].astype(object).where(judged["lesion_id"].notna(), "")
    if "group" not in judged:
        return by_archive
    return judged["group"].where(judged["group"] != "", by_archive)


def lesion_groups(judged: pd.DataFrame) -> np.ndarray:
    """(N,) names of groups for the bootstrap; an image without a lesion is a group by itself."""
    names = lesion_names(judged)
    own = [f"image {number}" for number in range(len(judged))]
    return np.where(names != "", "lesion " + names, own)


def same_bytes(judged: pd.DataFrame) -> dict[str, int]:
    """Numbers of judged images that are copies of another judged image under another name.

    `rows`: such images; each counts in the measures. `contradicting`: images whose copies have
    different labels.
    """
    times = judged.groupby(_IMAGE, dropna=False)["label"].agg(["size", "nunique"])
    several = times[times["size"] > 1]
    return {
        "rows": int((several["size"] - 1).sum()),
        "contradicting": int((several["nunique"] > 1).sum()),
    }
