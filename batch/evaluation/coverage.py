"""How much of a night has a label: of images, lesions and patients, and of subgroups. Pure.

A figure speaks for the labelled part of an archive only. Where the share is small, or differs
between subgroups, the labelled images were chosen, and it says little of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from batch.evaluation.subgroups import MIN_CELL, NOT_STATED, age_band, device

COLUMNS = ("device", "site", "laterality", "sex", "age", "skin type")
"""Subgroups that the predictions tell of every image."""

OF_PREDICTIONS = (
    "manufacturer", "manufacturer_model_name", "anatomic_region", "laterality", "sex", "age",
    "fitzpatrick_skin_type",
)  # fmt: skip
"""Columns of the predictions that `subgroups_of` reads, where they are there."""


def subgroups_of(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """The value of each image in each of `COLUMNS`: (N,) words, `NOT_STATED` where nothing is said.

    Args:
        rows: with those of `OF_PREDICTIONS` that the table has.
    """
    maker, model = (_factorized(rows, name) for name in OF_PREDICTIONS[:2])
    pairs = maker[0] * (len(model[1]) + 1) + model[0]
    numbers, places = np.unique(pairs, return_inverse=True)
    words = [
        device(_at(maker[1], int(n) // (len(model[1]) + 1)), _at(model[1], n % (len(model[1]) + 1)))
        for n in numbers
    ]
    return {
        "device": np.array(words, object)[places],
        "site": _words(rows, "anatomic_region", _word),
        "laterality": _words(rows, "laterality", _word),
        "sex": _words(rows, "sex", _word),
        "age": _words(rows, "age", _age),
        "skin type": _words(rows, "fitzpatrick_skin_type", _word),
    }


def _factorized(rows: pd.DataFrame, name: str) -> tuple[np.ndarray, list[object]]:
    """(N,) numbers of different values, and these; a missing value has the number behind them."""
    if name not in rows:
        return np.zeros(len(rows), np.int64), []
    codes, values = pd.factorize(rows[name])
    return np.where(codes < 0, len(values), codes).astype(np.int64), list(values)


def _at(values: list[object], number: int) -> object:
    return values[number] if number < len(values) else None


def _words(rows: pd.DataFrame, name: str, word_of: Callable[[object], str]) -> np.ndarray:
    codes, values = _factorized(rows, name)
    return np.array([*map(word_of, values), NOT_STATED], object)[codes]


def _age(value: object) -> str:
    return age_band(str(value))


def _word(value: object) -> str:
    return value.strip() or NOT_STATED if isinstance(value, str) else NOT_STATED


def count_subgroups(rows: pd.DataFrame) -> dict[str, Counter[str]]:
    """Images by value of each of `COLUMNS`; parts of a night can be added up."""
    return {name: Counter(words.tolist()) for name, words in subgroups_of(rows).items()}


def coverage(
    labelled: Mapping[str, int],
    known: Mapping[str, int],
    labelled_in: Mapping[str, Counter[str]],
    known_in: Mapping[str, Counter[str]],
    min_cell: int = MIN_CELL,
) -> dict[str, Any]:
    """Shares with a label: of each unit, and of each value of each subgroup.

    Args:
        labelled, known: number of each unit (`images`, `lesions`, `patients`), with a label and
            in all.
        labelled_in, known_in: the same for values of subgroups.
        min_cell: a value with fewer in all, or with fewer labelled, has no share, and the count
            reads `<N`.

    Returns:
        a dict for each unit with known, labelled and share (None of none), and `by_subgroup`.
        Columns of which nothing is stated are left out.
    """
    return {
        **{
            unit: {"known": known[unit], "labelled": labelled[unit],
                   "share": labelled[unit] / known[unit] if known[unit] else None}
            for unit in known
        },
        "by_subgroup": {
            column: {
                value: _cell(labelled_in.get(column, Counter())[value], count, min_cell)
                for value, count in sorted(values.items(), key=_order)
            }
            for column, values in known_in.items()
            if set(values) - {NOT_STATED}
        },
    }  # fmt: skip


def _cell(labelled: int, known: int, min_cell: int) -> dict[str, Any]:
    few = f"<{min_cell}"
    enough = min(labelled, known) >= min_cell
    return {
        "known": known if known >= min_cell else few,
        "labelled": labelled if labelled >= min_cell else few,
        "share": labelled / known if enough else None,
        "suppressed": not enough,
    }


def _order(item: tuple[str, int]) -> tuple[bool, int, str]:
    """Bands of age by age, other values by name, "not stated" last."""
    first = item[0].split("-")[0]
    return item[0] == NOT_STATED, int(first) if first.isdecimal() else 0, item[0]


def share_sentence(part: Mapping[str, Any], unit: str) -> str:
    """`120 of 4000 lesions (3.0 %)`."""
    share = "" if part["share"] is None else f" ({100 * part['share']:.1f} %)"
    return f"{part['labelled']} of {part['known']} {unit}{share}"
