"""Reads labels as hospitals have them, and translates them to the model's words.

`read_labels` is the one reader of `evaluate`, `calibrate` and the outcomes; `truth_of` says of each
key whether it is melanoma, without a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from batch.core.errors import UsageError
from batch.evaluation.label_cells import read_cells
from batch.evaluation.label_columns import FACTS, key_of, label_column, our_names
from batch.evaluation.label_words import Vocabulary, read_labels_as
from batch.evaluation.matching import GROUP_KEYS, KEYS

FOUND = "label_found"
"""Column with the label as in the file; the column `label` has it in the model's words."""

_KNOWN = ("label", *KEYS, *GROUP_KEYS, *FACTS)


def read_labels(
    path: Path, split: str | None, maps: Iterable[str] = (), by: Sequence[str] = ()
) -> tuple[pd.DataFrame, str]:
    """Read the labels, all as text with "" for missing, and the name of the key.

    Args:
        path: a table as `read_cells` takes it, with a label (`label_column`), one of `KEYS` or
            `GROUP_KEYS`, and perhaps `FACTS`; heads are in any case.
        split: take only rows of this split; None for all.
        maps: `THEIRS=OURS`, names of columns, as `our_names` takes them.
        by: further columns to read, in lower case, each as `by:NAME`, so that none can take the
            place of a prediction's column. A name that the table lacks is passed over.

    Raises:
        UsageError: the file cannot be read, a column is missing or occurs twice, or no row belongs
            to the split.
    """
    heads, rows = read_cells(path)
    names = our_names(heads, maps)
    key, labels = key_of(names), label_column(names, rows)
    if labels is None or key is None:
        raise UsageError(
            f"--labels: columns {heads}; needed: label (or diagnosis, dx, icd10, melanoma, or "
            f"ISIC's MEL, NV, ...), and one of {', '.join((*KEYS, *GROUP_KEYS))} (image: the "
            "file's name without folder; path: relative to the archive). Say which column is "
            "which with --map THEIRS=OURS."
        )
    if twice := [name for name in (*_KNOWN, *by) if names.count(name) > 1]:
        raise UsageError(
            f"--labels: {path} has {names.count(twice[0])} columns {twice[0]!r}; allowed: one. "
            "Rename the others."
        )
    table = pd.DataFrame(rows, columns=names, dtype=object)
    original = [head.strip().casefold() for head in heads]
    extra = {
        f"by:{name}": table.iloc[:, (names if name in names else original).index(name)]
        for name in by
        if name in names or name in original
    }
    kept = [name for name in _KNOWN if name in table and name != "label"]
    label = pd.Series(labels, table.index, dtype=object, name="label")
    table = pd.concat([label, table[kept]], axis=1).assign(**extra)
    table = table.assign(**{key: table[key].str.strip()})
    if split is not None and ("split" not in table or split not in set(table["split"])):
        raise UsageError(
            f"--split: no rows of split {split!r} in {path}; needed: a value of its column split. "
            "Correct the name, or leave the option out."
        )
    if "content_sha256" in table:
        table = table.assign(content_sha256=table["content_sha256"].str.lower())
    return (table if split is None else table[table["split"] == split]), key


def in_words_of(table: pd.DataFrame, vocabulary: Vocabulary) -> pd.DataFrame:
    """The table with `label` in the model's words, and `FOUND` with the labels of the file.

    Raises:
        UsageError: a label is not clear (`read_labels_as`).
    """
    words = read_labels_as(table["label"], vocabulary)
    return table.assign(**{FOUND: table["label"], "label": table["label"].map(words)})


def truth_of(
    table: pd.DataFrame,
    key: str,
    mappings: Iterable[str] = (),
    positive: Iterable[str] = (),
) -> pd.DataFrame:
    """What the labels say of each key, without the words of any model.

    Args:
        table, key: of `read_labels`.
        mappings, positive: as `Vocabulary.of` takes them; the class is `melanoma`.

    Returns:
        a row for each row of the table, in its order and with its index: `key`; `melanoma`, True,
        False, or None where there is no label; `found`, the label as in the file; `diagnosis`,
        `melanoma`, another diagnosis, `not melanoma`, or "".

    Raises:
        UsageError: a label is not clear (`read_labels_as`).
    """
    words = read_labels_as(table["label"], Vocabulary.of(("melanoma",), "melanoma", mappings,
                                                         positive))  # fmt: skip
    diagnosis = table["label"].map(words)
    melanoma = [None if not word else word == "melanoma" for word in diagnosis]
    return pd.DataFrame(
        {
            "key": table[key],
            "melanoma": pd.Series(melanoma, table.index, dtype=object),
            "found": table["label"].str.strip(),
            "diagnosis": diagnosis,
        }
    )


def readings(table: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Labels that are read as another word: that word ("" for no label) and their rows."""
    pairs = zip(table[FOUND].str.strip(), table["label"], strict=True)
    counts = Counter(pair for pair in pairs if pair[0] != pair[1])
    return {found: {"read_as": word, "rows": n} for (found, word), n in sorted(counts.items())}
