"""The column that ties labels to images, and how its values are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

import pandas as pd

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
