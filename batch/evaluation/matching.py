"""Matches labels with predictions; rows without a partner are counted.

A label is judged if exactly one image has its key. Copies (files with the same bytes) are one
image. A label is not judged, and only counted, if several images have its key, or if another label
contradicts it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

import pandas as pd

from batch.core.errors import UsageError
from batch.core.privacy import LISTED_LESION

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


LABEL_KEY = "label_key"
"""Column by which labels of lesions, studies and patients are matched, once they are spread."""

_PATIENT_KEYS = ("patient_pseudonym", "patient_id")


def listed_name(lesion: str) -> str:
    """The hospital's own name in the `lesion_id` of a lesion of its table, with full identifiers.

    Another lesion_id is its own name.
    """
    if not lesion.startswith(LISTED_LESION):
        return lesion
    return unquote(lesion.removeprefix(LISTED_LESION).rpartition("/")[2])


def group_words(values: pd.Series, key: str, wanted: Collection[str]) -> pd.Series:
    """The words by which labels may name the rows of one of `GROUP_KEYS`; missing stay missing.

    A lesion of a hospital's table is named by its whole `lesion_id`, or as in that table.
    """
    if key != "lesion_id":
        return values.astype(object)
    words = {
        value: value if value in wanted else listed_name(value) for value in set(values.dropna())
    }
    return values.astype(object).map(words)


@dataclass(frozen=True, eq=False)
class Spread:
    """Labels of lesions, studies or patients, given to each of their images.

    labels, predictions: with `LABEL_KEY`.
    unclear: keys that name several lesions; their labels are ambiguous.
    """

    labels: pd.DataFrame
    predictions: pd.DataFrame
    unclear: frozenset[str]


def spread_over_images(
    labels: pd.DataFrame, predictions: pd.DataFrame, key: str, lesions: pd.Series
) -> Spread:
    """Give the label of a lesion to each of its images.

    A study or a patient may have several lesions, and a label does not say of which it is. So its
    label counts only where all its images are of one lesion. Two patients may have a lesion "1":
    such a label counts only where it names the patient, too.

    Args:
        labels: with the column `key`, one of `GROUP_KEYS`, and perhaps the patient.
        predictions: with the columns of `GROUP_KEYS`.
        lesions: the lesion of each prediction, kept apart by patient; "" is one by itself.
    """
    own = predictions["image_id"].astype(object)
    unit = lesions.where(lesions != "", "image " + own)
    word = group_words(predictions[key], key, frozenset(labels[key]))
    pairs = pd.DataFrame({"word": word, "unit": unit})
    for name in _PATIENT_KEYS:
        pairs[name] = predictions[name].astype(object)
    pairs = pairs[pairs["word"].notna()].drop_duplicates()
    named: list[str | None] = []
    unclear: set[str] = set()
    patients = [name for name in _PATIENT_KEYS if name in labels and key == "lesion_id"]
    by_word = dict(iter(pairs.groupby("word", sort=False)))
    for value, *who in labels[[key, *patients]].itertuples(index=False):
        rows = by_word.get(value)
        if rows is None:
            named.append(None)
            continue
        for name, patient in zip(patients, who, strict=True):
            rows = rows if not patient else rows[rows[name] == patient]
        units = set(rows["unit"])
        named.append(units.pop() if len(units) == 1 else None)
        if units:
            unclear.add(value)
    spread = labels.assign(**{LABEL_KEY: labels[key], "_unit": pd.Series(named, labels.index)})
    images = pd.DataFrame({"_unit": unit, "_image": "\n" + own})
    images = images[unit.isin({name for name in named if name})].drop_duplicates()
    spread = spread.merge(images, on="_unit", how="left")
    spread[LABEL_KEY] = spread["_image"].where(spread["_image"].notna(), spread[LABEL_KEY])
    of_image = ("\n" + own).where(unit.isin(set(images["_unit"])), word)
    return Spread(
        spread.drop(columns=["_unit", "_image"]),
        predictions.assign(**{LABEL_KEY: of_image}),
        frozenset(unclear),
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
    named_by: str | None = None,
) -> pd.DataFrame:
    """The predictions whose key has any label.

    Args:
        labels, predictions, unscored, key: as in `match`.
        example: a key of the night, for the message.
        named_by: the key as the labels' file has it; None for `key`.

    Raises:
        UsageError: there is no such prediction.
    """
    rows = predictions[predictions[key].isin(labels.loc[labels["label"].str.strip() != "", key])]
    if rows.empty:
        counts = match(labels, predictions, unscored, key).counts["labels"]
        counted = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        name = named_by or key
        raise UsageError(
            f"--labels: no image of the labels is among the predictions (by {name}): {counted}. "
            f"{name} in the labels: {_first(labels[key])}; among the predictions: "
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
    unclear_keys: Collection[str] = (),
) -> Matched:
    """Match labels with predictions by a key.

    Args:
        labels: text columns `label` and key; "" if missing.
        predictions, unscored: rows of the published tables, with the key (`with_key`).
        key: the column.
        passed_over: number of further predictions whose key no label has.
        unclear_keys: keys that are ambiguous, however many images bear them.
    """
    named = labels[(labels["label"] != "") & (labels[key] != "")]
    different = named.groupby(key)["label"].transform("nunique") > 1
    contradicting, agreed = named[different], named[~different]
    distinct = agreed.drop_duplicates(key)

    labelled = predictions[predictions[key].isin(distinct[key])]
    disputed = predictions[predictions[key].isin(contradicting[key])]
    images = labelled.sort_values("path", kind="stable").drop_duplicates([key, *_IMAGE])
    several = images.duplicated(key, keep=False) | images[key].isin(list(unclear_keys))
    unique, unclear = images[~several], images[several]

    judged = distinct.merge(unique, on=key, suffixes=("_label", ""))
    is_unclear = distinct[key].isin([*unclear[key], *unclear_keys])
    ambiguous = distinct[is_unclear]
    unmatched = distinct[~is_unclear & ~distinct[key].isin(images[key])]
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
