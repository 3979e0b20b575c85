"""Reads labels from a CSV of a program or spreadsheet, and translates them to the model's words."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from pathlib import Path

import pandas as pd

from batch.core.errors import UsageError
from batch.evaluation.label_words import Vocabulary, read_labels_as
from batch.evaluation.matching import KEYS, key_column
from batch.evaluation.subgroups import LABEL_COLUMNS

FOUND = "label_found"
"""Column with the label as in the file; the column `label` has it in the model's words."""

_KNOWN = ("label", *KEYS, "group", "split", *LABEL_COLUMNS)
_SAVE_AGAIN = "Save it as CSV in UTF-8."


def read_labels(path: Path, split: str | None) -> tuple[pd.DataFrame, str]:
    """Read the labels, all as text with "" for missing, and the name of the column of images.

    Args:
        path: CSV with `label` and one of `KEYS`, and perhaps `group`, `split` and `LABEL_COLUMNS`.
            Cells are separated by commas, semicolons or tabs; the encoding is UTF-8, Windows-1252,
            or UTF-16 with a byte order mark; heads are in any case. Other columns are not read, so
            that none can take the place of a prediction's column.
        split: take only rows of this split; None for all.

    Raises:
        UsageError: there is no such file, it is no CSV, a column is missing or occurs twice, or no
            row belongs to the split.
    """
    if not path.is_file():
        raise UsageError(f"--labels: no file {path}; needed: a CSV file. Correct the path.")
    heads, rows = _cells(path)
    names = [head.strip().casefold() for head in heads]
    key = key_column(names)
    if "label" not in names or key is None:
        raise UsageError(
            f"--labels: columns {heads}; needed: label, and one of "
            f"{', '.join(KEYS)} (image: the file's name without folder; path: relative "
            "to the archive)."
        )
    if twice := [name for name in _KNOWN if names.count(name) > 1]:
        raise UsageError(
            f"--labels: {path} has {names.count(twice[0])} columns {twice[0]!r}; allowed: one. "
            "Rename the others."
        )
    table = pd.DataFrame(rows, columns=names, dtype=object)
    table = table[[name for name in _KNOWN if name in table]]
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


def readings(table: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Labels that are read as another word: that word ("" for no label) and their rows."""
    pairs = zip(table[FOUND].str.strip(), table["label"], strict=True)
    counts = Counter(pair for pair in pairs if pair[0] != pair[1])
    return {found: {"read_as": word, "rows": n} for (found, word), n in sorted(counts.items())}


def _cells(path: Path) -> tuple[list[str], list[list[str]]]:
    """Heads and rows; each row is as long as the heads, and blank lines are left out."""
    text = _text(path)
    first, _, rest = text.partition("\n")
    delimiter = None
    if first.strip().casefold().startswith("sep=") and len(first.strip()) == len("sep=;"):
        text, delimiter = rest, first.strip()[-1]
    head = text.partition("\n")[0]
    delimiter = delimiter or max(",;\t", key=head.count)
    lines = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    rows = []
    try:
        heads = next(lines, [])
        for row in lines:
            if any(cell.strip() for cell in row[len(heads) :]):
                raise UsageError(
                    f"--labels: line {lines.line_num} of {path} has {len(row)} values; allowed: "
                    f"{len(heads)}, as many as there are columns. Put a value that holds "
                    f"{delimiter!r} in quotes."
                )
            if any(cell.strip() for cell in row):
                rows.append((row + [""] * len(heads))[: len(heads)])
    except csv.Error as error:
        raise UsageError(
            f"--labels: {path} is no CSV (from line {lines.line_num} on). {_SAVE_AGAIN}"
        ) from error
    return heads, rows


def _text(path: Path) -> str:
    """The file's text: UTF-16 with a byte order mark, else UTF-8, else Windows-1252."""
    try:
        data = path.read_bytes()
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return data.decode("utf-16")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if data.startswith(codecs.BOM_UTF8) or b"\0" in data:  # broken UTF-8, or no text
                raise
            return data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--labels: {path} is no CSV in UTF-8, Windows-1252 or marked UTF-16. {_SAVE_AGAIN}"
        ) from error
    except OSError as error:
        raise UsageError(
            f"--labels: {path} cannot be read ({error.strerror}). Check its permissions."
        ) from error
